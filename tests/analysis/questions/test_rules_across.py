"""Selection rules over several detectors and data sets: planted regrets are found and averaged."""

from dataclasses import replace

import pytest

from analysis.document.blocks import Table
from analysis.evidence.rules import rules_document
from analysis.questions.selection.across import across
from analysis.questions.selection.across_figure import draw_across
from tests.analysis.planted import record, study
from tune_ad.errors import UserError
from tune_ad.storage.metric import SEED_AGREEMENT, VALIDATION_AUROC, Metric

VALIDATION_LOSS = Metric("validation", "loss")
AGREEMENT = Metric("validation", SEED_AGREEMENT)
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


def test_in_hindsight_the_luck_of_the_best_configuration_counts_as_regret(tmp_path):
    """Two configurations of the same mean, each better by 0.1 on one of two seeds, and a third."""
    tasks = ["mnist/0", "mnist/1"]
    rows = ([0.8, 0.7], [0.7, 0.8], [0.6, 0.6])
    trials = []
    for k, aurocs in enumerate(rows):
        trial = record(k, {"width": float(k)}, [[a, a] for a in aurocs], tasks, baseline="A")
        trial.metrics[VALIDATION_AUROC] = [a for a in aurocs for _ in tasks]
        trials.append(trial)
    params = {"A": {"width": 1.0}}
    planted = study(tmp_path, trials, params, data_set="mnist", plan={"name": "Sobol"})
    rules = by_rule(across([planted]))
    assert rules["oracle"].hindsight.mean == 0
    assert rules["validation"].hindsight.mean == 0
    assert rules["validation"].regret.mean == pytest.approx(-0.05)
    assert rules["random"].regret.mean == pytest.approx(0.0, abs=1e-9)
    assert rules["random"].hindsight.mean == pytest.approx(0.05)
    (table,) = [b for b in rules_document([planted]).sections[0].blocks if isinstance(b, Table)]
    row = next(row for row in table.shown.to_dict("records") if row["rule"] == "random")
    assert row["in hindsight"].text.startswith("+5.0")


def without_losses(study, numbers):
    """The study without the validation losses of some trials."""
    trials = [
        replace(one, metrics={m: v for m, v in one.metrics.items() if m != VALIDATION_LOSS})
        if one.number in numbers
        else one
        for one in study.trials
    ]
    return replace(study, trials=trials)


def note_of(report):
    """The lines of what is left out."""
    notes = [b.text for b in report.sections[0].blocks if getattr(b, "kind", "") == "note"]
    return notes[0].splitlines()[1:] if notes else []


@pytest.mark.parametrize(
    ("numbers", "pools"), [(range(6), ["fmnist A", "fmnist B"]), ([4], ["fmnist B"])]
)
def test_a_rule_that_lacks_a_value_is_named_and_left_out(studies, numbers, pools):
    first, second = studies
    both = [first, without_losses(second, numbers)]
    found = across(both)
    assert "normal_only" not in by_rule(found)
    assert found.left.rules == {"normal_only": pools}
    (line,) = note_of(rules_document(both))
    assert line.startswith("- the rule normal_only, which lacks values")


def test_a_detector_without_configurations_on_a_data_set_is_named_and_left_out(studies):
    first, second = studies
    few = replace(second, trials=[one for one in second.trials if one.baseline == "A"])
    found = across([first, few])
    assert list(found.pools) == [("mnist", "A"), ("fmnist", "A")]
    assert found.left.detectors == {"B": "fewer than 3 comparable configurations on fmnist"}
    assert "averaged over A (n = 8 tasks)" in rules_document([first, few]).summary


def test_failed_configurations_are_counted(studies):
    first, second = studies
    failed = record(6, {"width": 9.0}, [None, 0.5], list(first.tasks)[2:], baseline="A")
    found = across([replace(first, trials=[*first.trials, failed]), second])
    assert found.left.failed == {"mnist A": 1}
    assert len(found.pools["mnist", "A"].records) == 3


def test_two_studies_of_a_data_set_are_refused(studies):
    with pytest.raises(UserError, match="planted, planted share a data set"):
        across([studies[0], studies[0]])


def test_the_best_rule_is_chosen_on_other_tasks(studies):
    """Two rules without labels: the one that is better elsewhere is worse on one task alone."""
    found = across(studies)
    assert found.chosen.n == 0  # only one rule needs no labels
    agreeing = []
    for one in studies:
        trials = [
            replace(t, metrics={**t.metrics, AGREEMENT: [t.params["width"]] * 8})
            for t in one.trials
        ]
        agreeing.append(replace(one, trials=trials))
    found = across(agreeing)  # seed_agreement takes the last configuration, 0.3 worse
    assert by_rule(found)["seed_agreement"].regret.mean == pytest.approx(0.3)
    assert found.chosen.mean == pytest.approx(by_rule(found)["normal_only"].regret.mean)


def test_the_report_says_the_automatic_rule_beside_labels_and_chance(studies):
    report = rules_document(studies)
    assert report.summary == report.headline
    assert report.summary == (
        "Test AUROC that is lost by selecting one configuration for each task, averaged over A "
        "and B (n = 8 tasks): with labelled anomalies (validation) +0.0 [+0.0, +0.0] points; a "
        "random choice +20.0 [+20.0, +20.0] points."
    )
    (table,) = [b for b in report.sections[0].blocks if isinstance(b, Table)]
    assert list(table.shown["rule"]) == ["oracle", "validation", "normal_only", "random"]
    assert list(table.shown["n"]) == [8] * 4


def test_a_study_that_is_not_over_is_said_to_be(studies):
    first, second = studies
    search = {**second.search, "budget": {**second.search["budget"], "trials": 60}}
    partial = replace(second, stored={**second.stored, "study": search})
    assert rules_document([first, partial]).headline.startswith("So far, after 12 of 66 trials: ")


def test_every_mark_says_its_value(studies):
    drawn = draw_across(across(studies))
    texts = [text for marks in drawn.described.values() for text in marks.texts]
    assert "normal_only, B: 7.5 points" in texts
    assert len(texts) == 4 + 2 * 4


def test_studies_without_configurations_have_no_rule(studies):
    few = [replace(one, trials=one.trials[:1]) for one in studies]
    assert list(across(few).rules) == []
    report = rules_document(few)
    assert "No detector has three" in report.summary
    assert len(note_of(report)) == 2 and not report.figures()
