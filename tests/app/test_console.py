"""What a user reads before and after a study."""

from dataclasses import replace
from pathlib import Path

import pytest

from tune_ad.app import session as session_module
from tune_ad.app.console import closing, opening, plan
from tune_ad.app.cost import overhead
from tune_ad.app.session import Outcome
from tune_ad.search.selection import RULES

ENDED = Outcome(interrupted=False, late=False, failed=0)


@pytest.mark.parametrize("rule", RULES)
def test_a_start_says_by_what_trials_are_ranked(finished, rule):
    study = replace(finished.session.study, selection=rule)
    line = opening(replace(finished.session, study=study)).splitlines()[1]
    ranking, _, rest = line.partition(". ")
    assert ranking.removesuffix(".") == f"Trials are ranked by {RULES[rule].title}"
    assert (rest == "Test scores are recorded, never used to choose.") == (rule != "oracle")


def test_a_start_trains_no_probes(finished, monkeypatch):
    def probes(*arguments):
        raise AssertionError("trained")

    monkeypatch.setattr(session_module, "measured_speed", probes)
    first = opening(finished.session).splitlines()[0]
    assert first == (
        "tiny: 4 trials, 12 models, of which 4 trials have run; budget quick; 1 trial at a time"
    )
    with pytest.raises(AssertionError, match="trained"):
        plan(finished.session)


def test_a_dry_run_counts_the_start_and_the_report(finished):
    costs = finished.session.costs()
    for cost in costs.values():
        beside = overhead(finished.session.study, cost.size.trials, "serial")
        assert cost.total == cost.seconds + beside > cost.seconds


def test_a_dry_run_names_classes_and_not_their_numbers(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path)
    tasks = tuple(
        replace(task, class_name=name)
        for task, name in zip(session.tasks, ("airplane", "cat"), strict=True)
    )
    shown = plan(replace(session, suite=replace(session.suite, tasks=tasks)))
    assert "tasks: digits/airplane, digits/cat; seeds: 0" in shown.splitlines()


def test_without_an_evaluation_no_model_of_it_is_counted(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path, evaluate=False)
    assert session.size() == session.costs()["quick"].size == (4, 4 * 2)
    assert "the winner is not trained again" in plan(session)
    assert "the winner is trained again on 2 fresh seeds" in plan(open_study(tiny, tmp_path))


def test_the_last_line_says_what_to_do_next(finished):
    folder = finished.folder.path
    assert closing(finished.session, ENDED) == (
        f"next: open {folder / 'report.html'}; tensorboard --logdir {folder / 'tensorboard'}"
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (replace(ENDED, interrupted=True), "interrupted; continue with: tune-ad --search tiny"),
        (replace(ENDED, late=True), "the time budget is used up; continue with: tune-ad"),
        (replace(ENDED, failed=1), "1 trial failed; the report gives the reasons"),
        (replace(ENDED, failed=2), "2 trials failed; the report gives the reasons"),
    ],
)
def test_what_went_wrong_is_said(finished, outcome, words):
    first, last = closing(finished.session, outcome).splitlines()
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
