"""What a user reads before and after a study."""

from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

from tests.marks import slow
from tune_ad.app.command_line import console
from tune_ad.app.command_line.console import closing, opening, plan
from tune_ad.app.description import described
from tune_ad.app.estimates import pricing
from tune_ad.app.estimates.cost import Size, overhead
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.app.preparation.validation import prepare
from tune_ad.app.session import Outcome
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.search import catalogue
from tune_ad.selection import RULES
from tune_ad.storage.folder import StudyFolder

SMALL = "too small: "
ENDED = Outcome(interrupted=False, out_of_time=False, failed=0)


def announced(session):
    """The first lines of a run, except for what the study is too small to answer."""
    return [line for line in opening(session).splitlines() if not line.startswith(SMALL)]


def test_a_start_and_a_dry_run_say_what_the_study_is_too_small_for(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path)
    labels, steps, seeds, fresh = session.shortfalls
    assert labels.startswith("20 labelled anomalies to select by: an AUROC of 90% is then known")
    assert steps.startswith("only 6 optimiser steps per model")
    assert seeds.startswith("one seed per trial")
    assert fresh.startswith("2 fresh seeds for the winner")
    small = [SMALL + sentence for sentence in (labels, steps, seeds, fresh)]
    assert opening(session).splitlines()[1:5] == small
    assert [line for line in plan(session).splitlines() if line.startswith(SMALL)] == small


@pytest.mark.parametrize("rule", RULES)
def test_a_start_says_by_what_trials_are_ranked(finished, tmp_path, rule):
    study = finished.session.study
    study = replace(study, selection=rule, budget=replace(study.budget, seeds=2))
    session = replace(finished.session, study=study, folder=StudyFolder(tmp_path / "empty"))
    line = announced(session)[2]
    ranking, _, rest = line.partition(". ")
    assert ranking.removesuffix(".") == f"Trials are ranked by {RULES[rule].title}"
    assert (rest == "Test scores are recorded, but never used to select.") == (rule != "oracle")


def test_a_start_trains_no_probes(tiny, open_study, tmp_path, monkeypatch):
    def probes(*arguments):
        raise AssertionError("trained")

    monkeypatch.setattr(pricing, "measured_speed", probes)
    session = open_study(tiny, tmp_path)
    assert announced(session)[:2] == [
        "tiny: 4 trials x 2 classes = 8 models, then 2 fresh seeds x 2 classes = 4 models",
        "budget quick, one trial at a time",
    ]
    with pytest.raises(AssertionError, match="trained"):
        plan(session)


def test_a_study_that_goes_on_says_how_many_trials_are_done(tiny, open_study, results, finished):
    session = open_study(tiny, results, budget="auto", extend=2)
    assert opening(session).splitlines()[0] == (
        "tiny: 6 trials x 2 classes = 12 models, then 2 fresh seeds x 2 classes = 4 models "
        "(quick, 4 of 4 trials done)"
    )


def test_a_complete_study_is_only_reported(tiny, open_study, results, finished):
    for options in ({}, {"resume": True, "budget": "auto"}):
        assert opening(open_study(tiny, results, **options)) == (
            "tiny: this study is complete (quick, 4 of 4 trials done). Nothing is trained; its "
            "report is written again."
        )


def test_a_small_space_is_announced_before_the_run(tiny, open_study, tmp_path):
    space = {"latent_dim": CategoricalDistribution([4, 8, 16])}
    search = replace(tiny, baselines=(replace(tiny.baselines[0], space=space),))
    session = open_study(search, tmp_path, changes={"trials": 50})
    line = "the search space has only 3 configurations, so it runs 3 trials instead of 50"
    assert announced(session)[1] == line
    assert line in plan(session).splitlines()
    assert opening(session).startswith("tiny: 3 trials x 2 classes = 6 models")


def test_a_dry_run_shows_its_plan_where_a_study_is(tiny, results, finished):
    options = replace(finished.session.options, selection="random", seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "find", lambda name: (tiny, "digits"))
        shown = plan(prepare(options, say=lambda line: None, dry_run=True)).splitlines()
    assert "Trials are ranked by chance (no result is used)." in shown[3]
    assert shown[-1] == (
        f"dry run: nothing was trained. {results / 'tiny'} already contains a study (quick, 4 of "
        "4 trials done); a new one needs another --results"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            10**8,
            "all training images of the class that are not held out for validation (about 112 per "
            "model)",
        ),
        (60, "60 training images per model"),
    ],
)
def test_a_dry_run_counts_the_training_images_that_are_there(
    tiny, open_study, tmp_path, given, words
):
    session = open_study(tiny, tmp_path, changes={"train_images": given})
    assert f"budget quick: 3 epochs, {words}; the winner is trained again" in plan(session)


def test_a_dry_run_counts_the_start_and_the_report(finished):
    costs = Pricing(finished.session).costs()
    for cost in costs.values():
        extra = overhead(finished.session.study, cost.size.trials, "serial")
        assert cost.total == cost.seconds + extra > cost.seconds


def test_a_dry_run_tells_the_time_of_a_trial_of_each_of_several_baselines(
    tiny, open_study, tmp_path
):
    (first,) = tiny.baselines
    both = replace(tiny, baselines=(first, replace(first, name="other")))
    line = "budget quick, one trial: "
    (told,) = [s for s in plan(open_study(both, tmp_path)).splitlines() if s.startswith(line)]
    times = [part.split() for part in told.removeprefix(line).split(", ")]
    assert [name for name, _, _ in times] == [first.title, "other"]
    assert all(float(number) >= 0 for _, number, _ in times)
    assert line not in plan(open_study(tiny, tmp_path))


def test_a_dry_run_names_classes_and_not_their_numbers(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path)
    tasks = tuple(
        replace(task, class_name=name)
        for task, name in zip(session.tasks, ("airplane", "cat"), strict=True)
    )
    shown = plan(replace(session, suite=replace(session.suite, tasks=tasks)))
    assert "tasks: digits/airplane, digits/cat; 1 seed per task and trial" in shown.splitlines()


def test_one_of_anything_is_singular(tiny, open_study, tmp_path):
    changes = {"trials": 1, "epochs": 1, "classes": ("1",), "evaluation_seeds": 1}
    shown = plan(open_study(tiny, tmp_path, changes=changes))
    assert "* quick: 1 trial x 1 class = 1 model, then 1 fresh seed x 1 class = 1 model" in shown
    assert "less than 1 MB on disk" in shown
    assert "budget quick: 1 epoch, 60 training images per model" in shown
    assert shown.count("trained again on 1 fresh seed") == 1


def test_without_an_evaluation_no_model_of_it_is_counted(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path, evaluate=False)
    assert Pricing(session).size() == Pricing(session).costs()["quick"].size == Size(4, 1, 0, 2)
    assert Pricing(session).size().models == 4 * 2
    assert "the winner is not trained again" in plan(session)
    assert "the winner is trained again on 2 fresh seeds" in plan(open_study(tiny, tmp_path))


def test_the_last_line_says_what_to_do_next(finished):
    folder = finished.folder.path
    score, last = closing(finished.session, ENDED).splitlines()
    assert last == (
        f"next: open {folder / 'report.html'}; tensorboard --logdir {folder / 'tensorboard'}"
    )
    assert score == (
        f"score new images: {console.program()} --score {folder / 'best'} --input IMAGES --output "
        "scores.csv"
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (replace(ENDED, interrupted=True), "interrupted; continue with: tune-ad --search tiny"),
        (replace(ENDED, out_of_time=True), "the time budget is used up; continue with: tune-ad"),
        (replace(ENDED, failed=1), "1 trial failed; the report gives the reasons"),
        (replace(ENDED, failed=2), "2 trials failed; the report gives the reasons"),
    ],
)
def test_what_went_wrong_is_said(finished, outcome, words):
    first, *_, last = closing(finished.session, outcome).splitlines()
    assert first.startswith(words)
    assert last.startswith("next: open")


def test_a_resume_needs_the_same_place_and_machine(finished):
    options = replace(
        finished.session.options,
        results=Path("my results"),
        concurrent=1,
        data_root="/data",
        ablate="grid",
    )
    session = replace(finished.session, options=options)
    line = closing(session, replace(ENDED, interrupted=True)).splitlines()[0]
    assert line == (
        "interrupted; continue with: tune-ad --search tiny --ablate grid --resume "
        "--results 'my results' --data-root /data --backend serial --concurrent 1"
    )


def test_a_dry_run_of_a_study_that_continues_prices_what_is_left(tiny, open_study, tmp_path):
    changes = {"trials": 2, "seeds": 1}
    session = open_study(tiny, tmp_path, changes=changes, evaluate=False)
    assert session.run().exit_code == 0

    def continued(**options):
        return open_study(tiny, tmp_path, budget="auto", **options)

    (resumed,) = Pricing(continued(resume=True)).costs().values()
    assert resumed.size == Size(trials=0, seeds=1, fresh_seeds=2, tasks=2)
    extended = continued(extend=1)
    (cost,) = Pricing(extended).costs().values()
    assert cost.size == Size(trials=1, seeds=1, fresh_seeds=2, tasks=2)
    assert cost.size.models == 1 * 2 + 2 * 2
    shown = plan(extended)
    assert "left to train, with the time" in shown
    assert "* quick: 1 trial x 2 classes = 2 models, then 2 fresh seeds x 2 classes" in shown
    assert "standard:" not in shown and "paper:" not in shown
    (nothing,) = Pricing(continued(resume=True, evaluate=False)).costs().values()
    assert (nothing.size.models, nothing.seconds) == (0, 0)


def test_a_study_without_its_evaluation_says_how_to_make_up_for_it(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path, evaluate=False)
    first, last = closing(session, ENDED).splitlines()
    assert first == (
        "the winner was not trained again on fresh seeds (--no-evaluation); that is done later "
        f"by: tune-ad --search tiny --resume --results {tmp_path} --backend serial"
    )
    assert last.startswith("next: open")


def test_the_only_trial_is_not_ranked(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path, changes={"trials": 1})
    assert "The only trial is trained again on fresh seeds and then tested." in opening(session)
    assert "ranked" not in opening(session)


def test_the_values_that_a_budget_restricts_are_said(tiny, open_study, tmp_path):
    limited = replace(tiny.budgets["quick"], only={"batch_size": (20,), "width": (0.5, 1.0)})
    search = replace(tiny, budgets={**tiny.budgets, "quick": limited})
    words = "3 epochs, 60 training images per model, batch_size 20, width 0.5 or 1.0"
    session = open_study(search, tmp_path)
    assert f"each model: {words}" in opening(session).splitlines()
    assert f"budget quick: {words}; the winner" in plan(session)
    fixed = open_study(search, tmp_path, settings={"width": 2.0})
    assert "width" not in opening(fixed)


def test_epochs_that_are_set_are_those_of_the_budget(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path, settings={"epochs": "2"})
    assert session.study.budget.epochs == 2
    assert described(session)["study"]["budget"]["epochs"] == 2
    assert "each model: 2 epochs, " in opening(session)


def with_epochs(tiny):
    """The tiny search with two, three or five epochs."""
    (baseline,) = tiny.baselines
    space = {**baseline.space, "epochs": CategoricalDistribution([2, 3, 5, 9])}
    budget = replace(tiny.budgets["quick"], only={"epochs": (2, 3, 5)})
    return replace(
        tiny,
        baselines=(replace(baseline, space=space),),
        budgets={**tiny.budgets, "quick": budget},
    )


def test_the_epochs_that_are_searched_are_said_until_they_are_set(tiny, open_study, tmp_path):
    search = with_epochs(tiny)
    assert "each model: 2, 3 or 5 epochs, 60 training" in opening(open_study(search, tmp_path))
    for given in ({"changes": {"epochs": 4}}, {"settings": {"epochs": "4"}}):
        fixed = open_study(search, tmp_path, **given)
        assert "each model: 4 epochs, 60 training" in opening(fixed)
        assert fixed.study.budget.epochs == 4
        assert "epochs" not in fixed.study.baselines["PGN"].space


@pytest.mark.parametrize("given", [{}, slow({"changes": {"epochs": 4}})])
def test_a_study_of_searched_or_set_epochs_goes_on(tiny, open_study, tmp_path, given):
    search = with_epochs(tiny)
    assert open_study(search, tmp_path, **given).run().exit_code == 0
    session = open_study(search, tmp_path, extend=2, **given)
    assert session.run().exit_code == 0
    epochs = [record.params["epochs"] for record in session.folder.read_trials()]
    assert [record.replicas[0].epoch for record in session.folder.read_trials()] == epochs
    if given:
        assert set(epochs) == {4}
        with pytest.raises(UserError, match="was begun with --epochs 4, not with --epochs 5"):
            open_study(search, tmp_path, resume=True, changes={"epochs": 5})
    else:
        assert epochs[0] == 3, "the default comes first"
        assert set(epochs) > {3}
        assert {r.params["epochs"] for r in session.folder.read_evaluation()} <= set(epochs)
    assert open_study(search, tmp_path, resume=True).is_complete


@pytest.mark.parametrize(
    ("is_faster", "device", "words"),
    [
        (True, "cpu", "PGN has not been shown to detect as well in bfloat16"),
        (False, "cpu", "this machine has no instructions for bfloat16"),
        (False, "cuda", "bfloat16 has not been measured on a GPU"),
    ],
)
def test_the_reason_of_float32_is_said(finished, monkeypatch, is_faster, device, words):
    monkeypatch.setattr(console, "bfloat16_is_faster", lambda device: is_faster)
    monkeypatch.setattr(PGN, "equivalent_in_bfloat16", False)
    colour = replace(finished.session.study, shape=ImageShape(3, 32, 32))
    options = replace(finished.session.options, device=device)
    session = replace(finished.session, study=colour, options=options)
    assert console._precision(session) == [f"precision: float32, because {words}"]
    fixed = replace(session, options=replace(options, precision="float32"))
    assert console._precision(fixed) == []
