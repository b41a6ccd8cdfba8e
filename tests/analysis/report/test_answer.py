"""The lines that a run prints last and that stand at the head of the report."""

from dataclasses import replace

import pytest

from analysis.report.answer import RANKED, answer, scope
from analysis.report.findings import Findings
from analysis.report.sections.ablation import section as effects_section
from tests.analysis.planted import TASKS, record, study
from tune_ad.storage.metric import TEST_AUROC, VALIDATION_AUROC

DEFAULT = {"width": 1.0, "depth": 2, "dropout": 0.0}
SEEDS = 6


def level(mean, step=0.01):
    """Test AUROC on six seeds with a little spread."""
    return tuple(mean + step * seed for seed in range(SEEDS))


def ablation(path, **changes):
    """The default at 0.6; by name the parameters, values and means of single changes."""
    trials = [record(0, DEFAULT, level(0.6))]
    for number, (name, (value, mean)) in enumerate(changes.items(), start=1):
        aurocs = [None] * SEEDS if mean is None else level(mean)
        trials.append(record(number, {**DEFAULT, name.rstrip("_"): value}, aurocs))
    return study(path, trials, {"PGN": DEFAULT})


def items(text):
    return [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]


def test_an_ablation_ranks_its_effects_by_their_size(tmp_path):
    text = answer(
        Findings(ablation(tmp_path, width=(2.0, 0.62), depth=(3, 0.45), width_=(4.0, 0.7)))
    )
    first, second, third = items(text)
    assert first.startswith("depth = 3 instead of 2: -15.0 [-15.0, -15.0], p = ")
    assert first.endswith("(worse)")
    assert second.startswith("width = 4 instead of 1: +10.0")
    assert second.endswith("(better)")
    assert third.startswith("width = 2 instead of 1: +2.0")
    assert "largest first; p after Holm's correction" in text
    assert text.endswith("Nothing was selected: every configuration was fixed before the run.")


def test_an_effect_that_does_not_survive_holm_is_not_significant(tmp_path):
    base = ablation(tmp_path, width=(2.0, 0.6))
    mixed = (0.61, 0.6, 0.63, 0.62, 0.65, 0.64)
    changed = record(1, {**DEFAULT, "width": 2.0}, mixed)
    (line,) = items(answer(Findings(replace(base, trials=[base.trials[0], changed]))))
    assert line.endswith("p = 1 (not significant)")


def test_too_few_seeds_say_why_nothing_is_tested(tmp_path):
    trials = [record(0, DEFAULT, (0.6,)), record(1, {**DEFAULT, "depth": 3}, (0.7,))]
    (line,) = items(answer(Findings(study(tmp_path, trials, {"PGN": DEFAULT}))))
    assert line.endswith(", no test: the test needs 3 paired seeds, got 1")


def test_changes_that_failed_are_counted(tmp_path):
    text = answer(Findings(ablation(tmp_path, width=(2.0, 0.7), depth=(3, None))))
    assert items(text)[-1] == "1 change has no test AUROC because the trial failed"
    assert "2 of 3 trials complete, 1 failed." in text


def test_many_effects_are_cut_to_the_largest(tmp_path):
    names = {f"width{'_' * k}": (2.0 + k, 0.6 + 0.01 * (k + 1)) for k in range(RANKED + 2)}
    lines = items(answer(Findings(ablation(tmp_path, **names))))
    assert len(lines) == RANKED + 1
    assert lines[0].startswith(f"width = {RANKED + 3} instead of 1: +12.0")
    assert lines[-1] == "2 smaller effects: in the table of effects"


def test_several_baselines_are_named(tmp_path):
    trials = [
        record(2 * k + j, {**DEFAULT, "depth": 2 + j}, level(0.6 + 0.1 * j), baseline=name)
        for k, name in enumerate(("A", "B"))
        for j in range(2)
    ]
    text = answer(Findings(study(tmp_path, trials, {"A": DEFAULT, "B": DEFAULT})))
    assert [line.partition(" instead")[0] for line in items(text)[2:]] == [
        "A, depth = 3",
        "B, depth = 3",
    ]


@pytest.mark.parametrize("plan", ["Optuna", "Sobol", "Listed"])
def test_other_plans_rank_no_effects(tmp_path, plan):
    trials = [record(0, DEFAULT, level(0.6)), record(1, {**DEFAULT, "depth": 3}, level(0.7))]
    text = answer(Findings(study(tmp_path, trials, {"PGN": DEFAULT}, plan={"name": plan})))
    assert "Effects of single changes" not in text


def test_a_study_under_way_says_how_far_it_is(tmp_path):
    stopped = record(1, DEFAULT, (0.6,), state="pruned")
    running = study(
        tmp_path,
        [record(0, DEFAULT, (0.6,)), stopped, record(2, DEFAULT, [None])],
        {"PGN": DEFAULT},
        budget={"trials": 8, "seeds": 1, "evaluation_seeds": 3},
    )
    text = answer(Findings(replace(running, begun=5)))
    assert text.startswith(
        "planted (budget quick): 1 of 8 trials complete, 1 pruned, 1 failed, 2 "
        "unfinished (running or interrupted)."
    )


@pytest.mark.parametrize(
    ("number", "words", "selection"),
    [
        (2, "with the best settings, not used in the search.", "Selected by validation AUROC"),
        (1, "of the only configuration.", "Nothing was selected"),
    ],
)
def test_a_winner_is_measured_on_new_models(tmp_path, number, words, selection):
    search = {
        "budget": {"trials": number, "seeds": 1, "evaluation_seeds": 2},
        "plan": {"name": "Optuna"},
    }
    trials = [record(0, DEFAULT, (0.6,), objective=0.6)]
    trials[0].metrics[VALIDATION_AUROC] = [0.6, 0.6]
    fresh = [record(k, DEFAULT, (0.7,), identity="id0") for k in range(1)]
    planted = study(tmp_path / "a", trials, {"PGN": DEFAULT}, fresh, **search)
    lines = answer(Findings(planted)).splitlines()
    assert lines[2].endswith(f"Measured on 1 new model per class {words}")
    assert lines[4].startswith(selection)
    skipped = study(tmp_path / "b", trials, {"PGN": DEFAULT}, **search)
    skipped = replace(skipped, stored={**skipped.stored, "evaluate": False})
    assert (
        "No test AUROC: --no-evaluation skipped the final training of the winner; run with "
        in (answer(Findings(skipped)))
    )


def test_several_winners_that_are_not_trained_again_are_named_in_the_plural(tmp_path):
    trials = [
        record(k, DEFAULT, (0.6,), baseline=name, objective=0.6)
        for k, name in enumerate(("AE", "PGN"))
    ]
    fields = {
        "budget": {"trials": 4, "seeds": 1, "evaluation_seeds": 2},
        "plan": {"name": "Optuna"},
    }
    defaults = {"AE": DEFAULT, "PGN": DEFAULT}
    waiting = study(tmp_path, trials, defaults, **fields)
    search = {**waiting.search, "quotes": "winners"}
    waiting = replace(waiting, stored={**waiting.stored, "study": search})
    none = "No test AUROC: none of the winners has been trained again on fresh seeds yet."
    assert none in answer(Findings(waiting))
    skipped = replace(waiting, stored={**waiting.stored, "evaluate": False})
    assert "skipped the final training of the winners; run" in answer(Findings(skipped))


def test_outsiders_of_other_sets_are_named_by_the_tasks_title(tmp_path):
    trial = record(0, DEFAULT, [[0.9]], tasks=["cifar10-vs-svhn"])
    trial.metrics[TEST_AUROC._replace(outsider="svhn")] = trial.metrics[TEST_AUROC]
    planted = study(tmp_path, [trial], {"PGN": DEFAULT})
    task = {"name": "cifar10-vs-svhn", "source": "cifar10", "outsiders": ["svhn"]}
    untitled = replace(planted, stored={**planted.stored, "tasks": [task]}, trials=[trial])
    assert "cifar10 against svhn" in answer(Findings(untitled))
    task = {**task, "title": "CIFAR-10 against SVHN"}
    titled = replace(untitled, stored={**planted.stored, "tasks": [task]})
    assert "CIFAR-10 against SVHN" in answer(Findings(titled))


def test_a_study_without_anomalies_has_no_anomalous_test_images_and_no_effects(tmp_path):
    trial = record(0, DEFAULT, (0.6, 0.7))
    budget = {"trials": 1, "evaluation_seeds": 0, "seeds": 1, "test_images": 500}
    planted = study(tmp_path, [trial], {"PGN": DEFAULT}, budget=budget)
    assert "At most 500 normal and as many anomalous test images." in scope(planted)
    assert effects_section(Findings(planted)) is not None
    search = {**planted.search, "whole": True}
    whole = replace(planted, stored={**planted.stored, "study": search})
    assert "At most 500 normal test images." in scope(whole)
    assert effects_section(Findings(whole)) is None


def test_the_mean_is_over_the_classes_of_the_study(tmp_path):
    text = answer(Findings(study(tmp_path, [record(0, DEFAULT, (0.6, 0.7))], {"PGN": DEFAULT})))
    assert f"mean over {len(TASKS)} classes. Tested: the only configuration" in text


def test_what_a_study_was_too_small_for_ends_the_summary(tmp_path):
    base = ablation(tmp_path, width=(2.0, 0.6))
    small = replace(base, stored={**base.stored, "shortfalls": ["one seed", "few steps"]})
    for of_earlier_version in (base, replace(base, stored={**base.stored, "shortfalls": []})):
        assert "Limits" not in answer(Findings(of_earlier_version))
    end = "Limits of this study:\n- one seed\n- few steps"
    assert answer(Findings(small)).endswith(f"\n\n{end}")


@pytest.mark.parametrize(("best", "is_warned"), [(0.5, True), (0.51, False)])
def test_a_winner_that_is_no_better_than_chance_is_warned_of(tmp_path, best, is_warned):
    search = {
        "budget": {"trials": 2, "seeds": 1, "evaluation_seeds": 2},
        "plan": {"name": "Optuna"},
    }
    trials = [record(k, DEFAULT, (0.6,), objective=best - k / 10) for k in range(2)]
    for k, trial in enumerate(trials):
        trial.metrics[VALIDATION_AUROC] = [best - k / 10] * len(trial.replicas)
    text = answer(Findings(study(tmp_path, trials, {"PGN": DEFAULT}, **search)))
    warning = "on the images that select: the best has validation AUROC 50.0 %. Do not trust"
    assert (warning in text) == is_warned
