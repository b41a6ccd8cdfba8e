"""Our numbers beside published ones, on planted studies."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.questions.claims.published import Method, PublishedCell, PublishedTable
from analysis.questions.claims.published.cells import (
    compare_cells,
    shared_spread_p,
    welch_equivalence,
)
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import published as part
from analysis.study import StudyRecords
from tune_ad.storage.earlier.schema1 import upgraded_study
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import TEST_AUROC, Metric
from tune_ad.storage.records import ReplicaRecord, TrialRecord

SPREAD = (-0.01, 0.0, 0.01)


def table(*published, seeds=10, classes=2):
    return PublishedTable("planted", "Planted", "nowhere", 2020, seeds, classes, "", published)


def cell(row, mean, std=math.nan, detector="AE", where=None):
    """A published number of a row such as "mnist/0" or "mnist/mean"."""
    data_set, class_name = row.split("/")
    method = Method("AE", detector, where or {}, "")
    return PublishedCell(data_set, class_name, "", row, method, mean, std, "printed")


def record(number, detector, by_task, params=None):
    """A trial whose tasks have these test AUROCs, one a seed."""
    seeds = range(len(next(iter(by_task.values()))))
    return TrialRecord(
        number=number,
        identity=f"id{number}",
        baseline=detector,
        detector=detector,
        params=params or {},
        searched=[],
        state="complete",
        reason="",
        objective=None,
        reports=[],
        replicas=[ReplicaRecord(task, s, "complete", "", 1) for task in by_task for s in seeds],
        metrics={TEST_AUROC: [value for values in by_task.values() for value in values]},
    )


def study(tmp_path, trials=(), budget="paper", whole=False, tasks=None, limits=None, **search):
    """A study of one class each, such as "mnist/0"; `tasks` by the name in the records."""
    names = dict.fromkeys(replica.task for trial in trials for replica in trial.replicas)
    tasks = tasks or {name: class_of(*name.split("/")) for name in names}
    stored = {
        "study": {
            "name": "planted",
            "selection": "validation",
            "budget_name": budget,
            "budget": {"evaluation_seeds": 0, **(limits or {})},
            "baselines": {r.baseline: {"params": {}, "space": {}} for r in trials},
            "whole": whole,
            "settings": {},
            **search,
        },
        "tasks": [{"name": name, **task} for name, task in tasks.items()],
    }
    return StudyRecords(StudyFolder(tmp_path), upgraded_study(stored), trials, [])


def class_of(source, normal_class, outsiders=()):
    """One class of a data set as `study.json` has it, but for the name of the task."""
    return {
        "source": source,
        "normal_class": int(normal_class),
        "outsiders": list(outsiders),
    }


def compare(study, table):
    return compare_cells(study, results(study), table)


def around(mean, spread=SPREAD):
    return [mean + deviation for deviation in spread]


def test_welch_where_the_paper_has_a_spread(tmp_path):
    ours = study(tmp_path, [record(0, "AE", {"mnist/0": around(0.80)})])
    (compared,) = compare(ours, table(cell("mnist/0", 0.82, 0.02)))
    expected = stats.ttest_ind_from_stats(0.80, 0.01, 3, 0.82, 0.02, 10, equal_var=False)
    assert compared.test == "Welch's t-test"
    assert compared.p == pytest.approx(expected.pvalue)
    assert compared.difference == pytest.approx(-0.02)
    assert compared.tone == "unsure", "p > 0.05 is no proof that there is no difference"
    assert compared.note.startswith("Welch's t-test, 3 and 10 seeds")
    assert compared.note.endswith("not significant")


def test_alike_is_shown_by_two_one_sided_tests(tmp_path):
    ours = study(tmp_path, [record(0, "AE", {"mnist/0": around(0.80, SPREAD * 4)})])
    close, far = (compare(ours, table(cell("mnist/0", m, 0.01)))[0] for m in (0.803, 0.815))
    assert (close.tone, far.tone) == ("alike", "worse")
    assert "within ± 2 points" in close.note
    assert close.equivalence < 0.05 < far.equivalence
    sure = study(tmp_path, [record(0, "AE", {"mnist/0": around(0.80, (-0.001, 0, 0.001) * 4)})])
    (small,) = compare(sure, table(cell("mnist/0", 0.805, 0.001)))
    assert (small.tone, small.equivalence < 0.05) == ("worse", True)


def test_welch_equivalence_is_the_larger_of_two_welch_tests():
    rng = np.random.default_rng(0)
    a, b = 0.8 + 0.01 * rng.standard_normal(7), 0.81 + 0.02 * rng.standard_normal(9)
    moments = [(x.mean(), x.std(ddof=1), len(x)) for x in (a, b)]
    expected = max(
        stats.ttest_ind(a + 0.02, b, equal_var=False, alternative="greater").pvalue,
        stats.ttest_ind(a - 0.02, b, equal_var=False, alternative="less").pvalue,
    )
    assert welch_equivalence(*moments) == pytest.approx(expected)


def test_our_spread_stands_in_where_the_paper_has_none(tmp_path):
    ours = study(tmp_path, [record(0, "AE", {"mnist/0": around(0.80)})])
    (compared,) = compare(ours, table(cell("mnist/0", 0.9)))
    assert compared.test == "t-test with our spread"
    t = 0.1 / (0.01 * math.sqrt(1 / 3 + 1 / 10))
    assert compared.p == pytest.approx(2 * stats.t.sf(t, 2))
    assert compared.tone == "worse"
    assert (
        "the paper gives no standard deviation: t-test assuming that it equals ours"
        in compared.note
    )
    (same,) = compare(ours, table(cell("mnist/0", 0.8)))
    assert (same.tone, math.isnan(same.equivalence)) == ("unsure", True)


def test_our_spread_finds_nothing_in_nothing_as_often_as_it_says():
    rng = np.random.default_rng(0)
    ours = 0.8 + 0.02 * rng.standard_normal((2000, 5))
    theirs = (0.8 + 0.02 * rng.standard_normal((2000, 10))).mean(axis=1)
    ps = [
        shared_spread_p((row.mean(), row.std(ddof=1), 5), mean, 10)
        for row, mean in zip(ours, theirs, strict=True)
    ]
    assert stats.binomtest(sum(p <= 0.05 for p in ps), 2000, 0.05).pvalue > 0.001


def test_unknown_seeds_of_a_paper_are_no_test(tmp_path):
    ours = study(tmp_path, [record(0, "AE", {"mnist/0": around(0.80)})])
    (compared,) = compare(ours, table(cell("mnist/0", 0.1), seeds=0))
    assert (compared.test, compared.tone) == ("", "unsure")
    assert "the paper's number of seeds is not known" in compared.note


def test_planted_difference_and_null_after_holm(tmp_path):
    by_task = {"mnist/0": around(0.9), "mnist/1": around(0.8)}
    ours = study(tmp_path, [record(0, "AE", by_task)])
    compared = compare(
        ours, table(cell("mnist/0", 0.7, 0.02), cell("mnist/1", 0.801, 0.02), classes=10)
    )
    assert [result.tone for result in compared] == ["better", "unsure"]
    assert compared[0].adjusted == pytest.approx(2 * compared[0].p)
    assert "2 cells" in compared[0].note


def test_holm_takes_back_what_one_cell_alone_would_show(tmp_path):
    tasks = [f"mnist/{k}" for k in range(10)]
    ours = study(tmp_path, [record(0, "AE", {task: around(0.8) for task in tasks})])
    alone = compare(ours, table(cell("mnist/0", 0.82, 0.01)))
    assert alone[0].tone == "worse"
    rest = [cell(task, 0.8, 0.01) for task in tasks[1:]]
    assert compare(ours, table(cell("mnist/0", 0.82, 0.01), *rest))[0].tone == "unsure"


def test_two_seeds_or_no_spread_are_no_test(tmp_path):
    trials = [record(0, "AE", {"mnist/0": [0.8, 0.81]}), record(1, "KDE", {"mnist/0": [0.7] * 3})]
    published = (cell("mnist/0", 0.5, 0.01), cell("mnist/0", 0.5, detector="KDE"))
    few, flat = compare(study(tmp_path, trials), table(*published))
    assert (few.tone, few.test) == ("unsure", "")
    assert "this study has 2 seeds; 3 are needed" in few.note
    assert flat.tone == "unsure"
    assert "the same for all seeds" in flat.note


def test_an_average_needs_all_classes(tmp_path):
    by_task = {"mnist/0": around(0.9), "mnist/1": around(0.7)}
    ours = study(tmp_path, [record(0, "AE", by_task)])
    published = cell("mnist/mean", 0.8, 0.02)
    assert compare(ours, table(published, classes=10)) == []
    (compared,) = compare(ours, table(published, classes=2))
    assert compared.ours.mean == pytest.approx(0.8)
    assert compare(ours, table(cell("cifar10/mean", 0.8, 0.02), classes=2)) == []


def test_a_cell_is_found_by_the_fields_of_the_task_and_not_by_its_name(tmp_path):
    trial = record(0, "AE", {"a": around(0.9), "b": around(0.7)})
    tasks = {"a": class_of("mnist", 3), "b": class_of("mnist", 7)}
    ours = study(tmp_path, [trial], tasks=tasks)
    rows = (cell("mnist/7", 0.8), cell("mnist/mean", 0.8), cell("mnist/0", 0.8))
    comparisons = compare(ours, table(*rows, classes=2))
    assert [c.published.class_name for c in comparisons] == ["7", "mean"]
    assert [c.ours.mean for c in comparisons] == pytest.approx([0.7, 0.8])
    tasks["b"] = class_of("mnist", 7, ["svhn"])
    ours = study(tmp_path, [trial], tasks=tasks)
    assert compare(ours, table(*rows, classes=2)) == [], "against another data set"


def test_the_method_is_told_by_detector_and_parameters(tmp_path):
    soft = record(0, "DeepSVDD", {"mnist/0": around(0.9)}, {"objective": "soft-boundary"})
    ours = study(tmp_path, [soft])
    for objective, expected in (("one-class", 0), ("soft-boundary", 1)):
        wanted = cell("mnist/0", 0.9, 0.01, "DeepSVDD", {"objective": objective})
        assert len(compare(ours, table(wanted))) == expected
    assert compare(ours, table(cell("mnist/0", 0.9, 0.01, detector=""))) == []


def warnings_of(section):
    return [block.text for block in section.blocks if getattr(block, "kind", "") == "warning"]


def test_a_shorter_run_has_no_verdict_but_a_sentence_with_every_difference(tmp_path):
    by_task = {"mnist/2": around(0.4), "mnist/8": around(0.4)}
    short = record(0, "AE", by_task, {"epochs": 10, "latent_dim": 16})
    limits = {"train_images": 2000, "validation_fraction": 0.1, "test_images": 500}
    quick = study(
        tmp_path, [short], "quick", limits=limits, precision={"AE": "bfloat16"}, patience=4
    )
    made = part.section(Findings(quick))
    assert made.title == "Comparison with published numbers"
    (warning,) = warnings_of(made)
    assert warning.endswith(
        "- AE: run with latent_dim = 16 (published: 32), 10 epochs (published: 100), at most "
        "2,000 training images per model (published: all), 10 % of the training images held out "
        "(published: none), at most 500 normal and 500 anomalous test images (published: all), "
        "training in bfloat16 (published: float32), early stopping (published: none): not "
        "comparable."
    )
    (shown,) = [block for block in made.blocks if getattr(block, "name", "").startswith("publ")]
    assert shown.name == "published_pgn_table1"
    assert str(shown.shown["AE"][0]) == "40.0 ± 1.0 | 82.8 ± 1.7 (not comparable)"
    assert {cell.tone for cell in shown.shown["AE"]} == {""}
    assert shown.stored["verdict"].tolist() == ["not comparable"] * 2
    assert shown.stored["p"].isna().all()


def test_the_winner_of_a_search_is_not_the_published_method(tmp_path):
    trials = [record(k, "AE", {"mnist/2": around(0.4)}, {"width": 1.0 + k}) for k in range(2)]
    for trial in trials:
        trial.metrics[Metric("validation", "auroc")] = [0.5] * 3
    tuned = study(tmp_path, trials, limits={"trials": 2}, selection="oracle", quotes="oracle")
    (compared,) = compare(tuned, table(cell("mnist/2", 0.8, 0.02)))
    assert compared.verdict == "not comparable"
    assert "the winner among 2 configurations by" in compared.note


def test_text_and_code_of_a_paper_are_both_published_but_no_mixture(tmp_path):
    settings = {"bias": [False, True], "extra_layer": [False, True], "epochs": [100]}
    method = Method("AE", "AE", {}, "", settings=settings)
    published = cell("mnist/2", 0.8, 0.02)._replace(method=method)
    text = {"bias": False, "extra_layer": False, "epochs": 100}
    code = {"bias": True, "extra_layer": True, "epochs": 100}
    notes = []
    for params in (text, code, code | {"bias": False}):
        ours = study(tmp_path, [record(0, "AE", {"mnist/2": around(0.8)}, params)])
        (compared,) = compare(ours, table(published))
        notes.append((compared.departure.differences, compared.departure.remark))
    assert notes[0] == ((), "")
    assert notes[1][0] == () and "bias = True (text: False)" in notes[1][1]
    assert notes[2][0] == ("bias = False (published: True)",)


def test_another_implementation_has_no_verdict(tmp_path):
    method = Method("AE", "AE", {}, "other networks")
    ours = study(tmp_path, [record(0, "AE", {"mnist/2": around(0.4)})])
    published = cell("mnist/2", 0.8, 0.02)._replace(method=method)
    (compared,) = compare(ours, table(published))
    assert compared.verdict == "not comparable"
    assert "another implementation: other networks" in compared.note


def test_cells_that_are_not_comparable_do_not_count_for_holm(tmp_path):
    trials = [
        record(0, "AE", {"mnist/0": around(0.8)}),
        record(1, "KDE", {"mnist/0": around(0.8)}, {"epochs": 1}),
    ]
    kde = Method("KDE", "KDE", {}, "", settings={"epochs": [100]})
    other = cell("mnist/0", 0.9, 0.01)._replace(method=kde)
    first, second = compare(study(tmp_path, trials), table(cell("mnist/0", 0.9, 0.02), other))
    assert first.adjusted == first.p
    assert math.isnan(second.p)


def test_the_values_that_the_budget_restricts_are_named(tmp_path):
    restricted = record(0, "AE", {"mnist/2": around(0.8)}, {"batch_size": 20, "width": 0.5})
    (warning,) = warnings_of(part.section(Findings(study(tmp_path, [restricted], "quick"))))
    assert "width = 0.5 (published: 1), batch_size = 20 (published: 200)" in warning


def test_other_batches_and_updates_than_the_released_ones_are_changed_settings(tmp_path):
    by_task, released = (
        {"mnist/2": around(0.8)},
        {"last_batch": "short", "updates": "simultaneous"},
    )
    for number, (params, words) in enumerate(
        [
            ({**released, "last_batch": "filled"}, "last_batch = filled (published: short)"),
            (
                {**released, "updates": "alternating"},
                "updates = alternating (published: simultaneous)",
            ),
            (released, ""),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = part.section(Findings(study(folder, [record(0, "AAE", by_task, params)])))
        assert [words in warning for warning in warnings_of(made)] == [True] * bool(words)


def test_an_earlier_study_of_the_tables_had_filled_batches(tmp_path):
    line = record(0, "AE", {"mnist/2": around(0.8)}, {"batch_size": 200}).to_json()
    assert "last_batch" not in line["params"]
    read = TrialRecord.from_json(line)
    (warning,) = warnings_of(part.section(Findings(study(tmp_path, [read]))))
    assert "run with last_batch = filled (published: short): not comparable" in warning


def test_the_papers_protocol_has_verdicts(tmp_path):
    seeds = SPREAD * 4
    by_task = {"mnist/2": around(0.826, seeds), "mnist/8": around(0.6, seeds)}
    paper = part.section(Findings(study(tmp_path, [record(0, "AE", by_task, {"epochs": 100})])))
    assert not warnings_of(paper)
    texts = [block.text for block in paper.blocks if hasattr(block, "text")]
    assert any("2 of 10 classes were run" in text for text in texts)
    (shown,) = [block for block in paper.blocks if getattr(block, "name", "").startswith("publ")]
    assert str(shown.shown["AE"][0]) == "82.6 ± 0.9 | 82.8 ± 1.7"
    assert [cell.tone for cell in shown.shown["AE"]] == ["alike", "worse"]
    assert shown.stored["verdict"].tolist() == ["alike", "worse"]


@pytest.mark.parametrize("whole", [True, False])
def test_nothing_to_compare_is_no_section(tmp_path, whole):
    assert part.section(Findings(study(tmp_path, whole=whole))) is None
    digits = record(0, "AE", {"digits/2": around(0.8)})
    assert part.section(Findings(study(tmp_path, [digits]))) is None
    failed = record(0, "AE", {"mnist/2": [None] * 3})
    assert part.section(Findings(study(tmp_path, [failed]))) is None
