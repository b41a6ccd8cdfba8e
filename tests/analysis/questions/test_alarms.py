"""AUPR, FPR at 95 % TPR, curves and missed classes from planted ranks and from a real study."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.document.blocks import Figure, Table
from analysis.questions.alarms.curves import curves, draw_precision_recall, draw_roc
from analysis.questions.alarms.missed import colours_from, draw_missed, missed
from analysis.questions.alarms.points import MEAN, about, beside, operating_points, without_empty
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import curves as curves_section
from analysis.report.sections import missed as missed_section
from analysis.report.sections.result import section as result_section
from analysis.study import StudyRecords
from tests.analysis.planted import record, write
from tune_ad.atomic import write_atomically
from tune_ad.storage.metric import Metric
from tune_ad.storage.score_ranks import PartRanks, to_bytes

SEEDS = (0, 1)
NORMAL = np.array([[1, 2, 3, 4], [1, 2, 3, 8]])
ANOMALOUS = np.array([[5, 6, 7, 8], [4, 5, 6, 7]])
CLASSES = np.array([1, 1, 2, 2])


def part(normal=NORMAL, anomalous=ANOMALOUS, sizes=()):
    labels = np.zeros(normal.shape[1], dtype=int)
    return PartRanks(normal, {"": anomalous}, labels, {"": CLASSES}, SEEDS, sizes)


@pytest.fixture
def study(tmp_path):
    """A study of two tasks and two seeds: the first model of each task is perfect."""

    def planted(of_tasks, ap=(1.0, 0.9)):
        trial = record(0, {"width": 1.0}, (1.0, 0.75), tasks=tuple(of_tasks))
        if ap:
            trial.metrics[Metric("test", "ap")] = [value for value in ap for _ in of_tasks]
        folder = write(tmp_path, [trial], {"PGN": {"width": 1.0}})
        ranks = {("test", task): ranked for task, ranked in of_tasks.items() if ranked}
        write_atomically(folder.ranks(trial.identity, None), to_bytes(ranks))
        return StudyRecords.read(folder.path)

    return planted


def of(study):
    (result,) = results(study)
    return result


def test_each_task_has_its_aupr_its_share_and_its_rate(study):
    points = operating_points(of(study({"digits/0": part(), "digits/1": part(sizes=(4, 12))})))
    zero, one, mean = (points[name] for name in ("digits/0", "digits/1", MEAN))
    assert (zero.aupr.mean, zero.aupr.n) == (pytest.approx(0.95), 2)
    assert (zero.fpr.mean, zero.fpr.std) == pytest.approx((0.125, 0.25 / 2**0.5))
    assert (zero.share, zero.is_sample) == (0.5, False)
    assert (one.share, one.is_sample) == (0.75, True)
    assert (mean.share, mean.fpr.mean, mean.is_sample) == (0.625, 0.125, True)


def test_a_task_without_ranks_has_no_rate_and_the_mean_neither(study):
    points = operating_points(of(study({"digits/0": part(), "digits/1": None})))
    assert (points["digits/0"].fpr.n, points["digits/1"].fpr.n, points[MEAN].fpr.n) == (2, 0, 0)
    assert points[MEAN].aupr.n == 2


def test_columns_without_a_value_are_left_out(study):
    import pandas as pd

    points = operating_points(of(study({"digits/0": None, "digits/1": None}, ap=())))
    table = without_empty(pd.DataFrame([beside(points[MEAN])]))
    assert list(table.columns) == []
    assert about(table, list(points.values())) == ""


def test_the_table_of_classes_says_what_stands_beside_the_auroc(study):
    found = Findings(study({"digits/0": part(), "digits/1": part(sizes=(4, 12))}))
    (table,) = [b for b in result_section(found).blocks if isinstance(b, Table)]
    assert list(table.shown.columns) == ["class", "test AUROC", "AUPR", "anomalies", "FPR95", "n"]
    assert list(map(str, table.shown["anomalies"])) == ["50.0 %", "75.0 %", "62.5 %"]
    assert "evenly spaced sample" in table.details


def test_a_perfect_model_finds_everything_without_a_false_alarm(study):
    first, second = curves(of(study({"digits/0": part(), "digits/1": part(sizes=(4, 12))})))
    assert (first.roc[0] == 1).all() and (first.precision[0] == 1).all()
    assert first.roc[1].min() == 0, "the highest score is that of a normal image"
    assert first.precision[1][-1] == pytest.approx(4 / 5)
    assert second.precision[1][-1] == pytest.approx(12 / 13), "three anomalies for each stored"


def test_curves_say_their_values_at_a_rate_and_how_far_the_models_differ(study):
    drawn = curves(of(study({"digits/0": part(), "digits/1": part()})))
    texts = [text for d in draw_roc(drawn).described.values() for text in d.texts]
    assert "digits/0: chance" in texts and "digits/0: mean of 2 models" in texts
    said = "digits/0: at a false positive rate of 0 %, the true positive rate is 50.0 % "
    assert f"{said}(0.0 to 100.0 %, n = 2)" in texts
    texts = [text for d in draw_precision_recall(drawn).described.values() for text in d.texts]
    assert any("at a recall of 95 %, the precision is 90.0 %" in text for text in texts)


def test_the_auroc_of_a_task_is_the_mean_of_its_pairs(study):
    planted = study({"digits/0": part(), "digits/1": part()})
    found = missed(planted, of(planted))
    assert [(p.normal, p.anomalous, p.images) for p in found.pairs] == [
        ("digits/0", "1", 2),
        ("digits/0", "2", 2),
        ("digits/1", "1", 2),
        ("digits/1", "2", 2),
    ]
    assert found.means.mean(axis=None) == pytest.approx((1 + 0.75) / 2)
    assert found.hardest(1)[0].auroc.n == 2


def test_each_cell_of_the_heat_map_says_its_pair_with_interval_and_n(study):
    planted = study({"digits/0": part(), "digits/1": part()})
    found = missed(planted, of(planted))
    sheet = draw_missed(found)
    (cells,) = sheet.described.values()
    assert list(cells.texts) == [pair.described for pair in found.pairs]
    assert cells.texts[0] == "class 1 when digits/0 is normal: 87.5 [0.0, 100.0] %, n = 2 seeds"


def test_a_cell_without_a_number_is_marked(study):
    planted = study({"digits/0": part(), "digits/1": part()})
    found = missed(planted, of(planted))
    lacking = found._replace(pairs=found.pairs[1:])
    texts = [text.get_text() for text in draw_missed(lacking).axes[0].texts]
    assert texts[0] == "–" and "–" not in texts[1:] and len(texts) == len(found.pairs)


def test_a_data_set_of_which_every_image_is_normal_is_called_by_its_name(study):
    planted = study({"mnist-vs-svhn+noise": part()})
    tasks = [{"name": "mnist-vs-svhn+noise", "source": "mnist", "outsiders": ["svhn", "noise"]}]
    named = replace(planted, stored={**planted.stored, "tasks": tasks})
    assert str(missed(named, of(named)).pairs[0]) == "class 1 when mnist is normal"


def test_classes_are_called_by_their_names(study):
    planted = study({"digits/0": part(), "digits/1": part()})
    tasks = [
        {"name": f"digits/{k}", "source": "digits", "normal_class": k, "class_name": name}
        for k, name in enumerate(("zero", "one"))
    ]
    named = replace(planted, stored={**planted.stored, "tasks": tasks})
    found = missed(named, of(named))
    assert list(found.means.index) == ["zero", "one"]
    assert str(found.pairs[0]) == "class one when zero is normal"
    assert str(found.pairs[-1]) == "class 2 when one is normal", "its name is not stored"
    data = {"digits": {"about": "images", "classes": ["zero", "one", "two"]}}
    stored = replace(named, stored={**named.stored, "data": data})
    assert str(missed(stored, of(stored)).pairs[-1]) == "class two when one is normal"


def test_colours_begin_at_chance_or_below_the_least_number():
    assert colours_from(np.array([99.0, np.nan, 51.0])) == 50
    assert colours_from(np.array([99.0, 49.9])) == 45


def test_the_hardest_pair_is_named_first(study):
    swapped = part(anomalous=ANOMALOUS[:, ::-1], normal=NORMAL + 4)
    planted = study({"digits/0": swapped, "digits/1": part()})
    text = missed_section.section(Findings(planted)).blocks[0].text
    assert "when digits/0 is normal: " in text.split(";")[0]


def test_without_ranks_there_are_no_curves(study):
    found = Findings(study({"digits/0": None, "digits/1": None}))
    assert curves_section.section(found) is None and missed_section.section(found) is None


def test_a_real_study_is_drawn(finished):
    found = Findings(StudyRecords.read(finished.folder.path))
    for section in (curves_section.section(found), missed_section.section(found)):
        figures = [block for block in section.blocks if isinstance(block, Figure)]
        assert figures and all(figure.draw().axes for figure in figures)
