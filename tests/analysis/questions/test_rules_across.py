"""Selection rules over several detectors and data sets: planted regrets are found and averaged."""

from dataclasses import replace

import pytest

from analysis.document.blocks import Table
from analysis.evidence.rules import rules_document
from analysis.questions.selection.across import across, draw_across
from tests.analysis.planted import record, study
from tune_ad.storage.metric import VALIDATION_AUROC, Metric

VALIDATION_LOSS = Metric("validation", "loss")
CLASSES = 4
GOOD, BAD = 0.9, 0.6


def configurations(tasks, baseline, first, misled=()):
    """A good and two bad configurations, 0.3 apart; by loss the first bad one of `misled` wins."""
    made = []
    for k, auroc in enumerate((BAD, GOOD, BAD)):
        aurocs = [[auroc + 0.001 * seed for _ in tasks] for seed in range(2)]
        number = first + k
        trial = record(
            number, {"width": float(k)}, aurocs, tasks, baseline=baseline, scales={"loss": "P"}
        )
        trial.metrics[VALIDATION_AUROC] = [auroc] * 2 * len(tasks)
        losses = [1.0 - auroc - 0.5 * (k == 0 and task in misled) for task in tasks]
        trial.metrics[VALIDATION_LOSS] = losses * 2
        made.append(trial)
    return made


@pytest.fixture
def studies(tmp_path):
    """Two data sets of four classes and two detectors; the loss misleads for one detector."""

    def made(data_set):
        tasks = [f"{data_set}/{k}" for k in range(CLASSES)]
        trials = [
            *configurations(tasks, "A", 0),
            *configurations(tasks, "B", 3, misled=tasks[:1]),
        ]
        params = {"A": {"width": 1.0}, "B": {"width": 1.0}}
        return study(
            tmp_path / data_set, trials, params, data_set=data_set, plan={"name": "Sobol"}
        )

    return [made("mnist"), made("fmnist")]


def by_rule(found):
    return {one.rule: one for one in found.rules}


def test_regrets_are_averaged_over_detectors_and_then_over_tasks(studies):
    found = across(studies)
    assert len(found.pools) == 4
    assert found.tasks == [(name, f"{name}/{k}") for name in ("mnist", "fmnist") for k in range(4)]
    rules = by_rule(found)
    assert rules["oracle"].regret.mean == rules["validation"].regret.mean == 0
    assert rules["random"].regret.mean == pytest.approx(0.2)
    loss = rules["normal_only"]
    assert loss.by_detector["A"].mean == 0
    assert loss.by_detector["B"].mean == pytest.approx(0.075)  # 0.3 for one class of four
    assert loss.regret.mean == pytest.approx(0.0375) and loss.regret.n == 8
    assert loss.worst == pytest.approx(0.15)


def test_the_rules_are_ordered_by_regret_and_compared_with_chance_by_task(studies):
    found = across(studies)
    assert [one.rule for one in found.rules] == ["oracle", "validation", "normal_only", "random"]
    rules = by_rule(found)
    assert rules["validation"].against_random.tone == "better"
    assert rules["validation"].against_random.p == pytest.approx(2 * 2 / 2**8)
    assert rules["validation"].correlation.mean == pytest.approx(1, abs=0.01)
    assert rules["random"].correlation.n == 0


def test_a_rule_that_cannot_rank_one_pool_is_named_and_left_out(studies):
    first, second = studies
    trials = [
        replace(
            record,
            metrics={m: v for m, v in record.metrics.items() if m != VALIDATION_LOSS},
        )
        for record in second.trials
    ]
    found = across([first, replace(second, trials=trials)])
    assert "normal_only" not in by_rule(found)
    assert found.left_out == {"normal_only": ["fmnist A", "fmnist B"]}
    (text,) = [
        block.text
        for block in rules_document([first, replace(second, trials=trials)]).sections[0].blocks
        if getattr(block, "kind", "") == "note"
    ]
    assert text.endswith("- normal_only: fmnist A and fmnist B")


def test_the_report_says_the_best_rule_without_labels_beside_labels_and_chance(studies):
    report = rules_document(studies)
    assert report.summary == (
        "Regret of one choice for each class, averaged over A and B: without labels, the best "
        "rule is normal_only: +3.8 [+0.0, +9.6] points (n = 8 classes); with labelled anomalies "
        "(validation): +0.0 [+0.0, +0.0] points (n = 8 classes); a random choice: "
        "+20.0 [+20.0, +20.0] points (n = 8 classes)."
    )
    (table,) = [b for b in report.sections[0].blocks if isinstance(b, Table)]
    assert list(table.shown["rule"]) == ["oracle", "validation", "normal_only", "random"]
    assert list(table.shown["n"]) == [8] * 4


def test_every_mark_says_its_value(studies):
    drawn = draw_across(across(studies))
    texts = [text for marks in drawn.described.values() for text in marks.texts]
    assert "normal_only, B: 7.5 points" in texts
    assert len(texts) == 4 + 2 * 4


def test_studies_without_two_configurations_have_no_rule(studies):
    few = [replace(one, trials=one.trials[:1]) for one in studies]
    assert across(few).rules == []
    assert "no detector has two" in rules_document(few).summary.lower()
