import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
from dataclasses import replace

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tune_ad.errors import UserError
from tune_ad.search.plans import Arm, Grid, Listed, OneAtATime, Optuna
from tune_ad.search.scheduler import FIRST_RUNG, Sweep
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.records import Suggestion, identity

PLAIN = (
    Arm(
        "A",
        {
            "letter": CategoricalDistribution(["x", "y", "z"]),
            "rate": FloatDistribution(1e-4, 1e-2, log=True),
            "count": IntDistribution(1, 9),
        },
        {"letter": "y", "rate": 1e-3, "count": 2},
    ),
)
CONDITIONAL = (
    *PLAIN,
    Arm(
        "B",
        {"beta": FloatDistribution(0.5, 8), "count": IntDistribution(2, 6, step=2)},
        {"beta": 1.0, "count": 4},
    ),
)
PLANS = [Optuna(), Optuna(random_trials=2), Grid(points=3), OneAtATime(points=3), Listed([{}])]


def value(suggestion):
    """A smooth objective of any configuration, the same in every process."""
    params = dict(suggestion.params)
    letter = {"x": 0.1, "y": 0.3, "z": 0.0}[params.pop("letter", "z")]
    return letter - sum((float(each) - 0.4) ** 2 for each in params.values()) / 50


@pytest.fixture
def ended(record):
    """A function: the record of a suggestion that ended."""

    def make(suggestion, objective=None, **fields):
        number = value(suggestion) if objective is None else objective
        given = {"baseline": suggestion.baseline, "params": suggestion.params, **fields}
        return record(suggestion.number, number, **given)

    return make


@pytest.fixture
def run(ended):
    """A function: run a sweep, or so many trials of it; what it handed out and the records."""

    def drive(sweep, most=1000):
        suggestions, records = [], []
        while len(records) < most and (suggestion := sweep.ask()) is not None:
            suggestions.append(suggestion)
            records.append(ended(suggestion))
            sweep.tell(records[-1])
        return suggestions, records

    return drive


def stored(suggestions):
    """Suggestions as a journal gives them back."""
    lines = [json.loads(to_text(each)) for each in suggestions]
    return [Suggestion(**{**line, "seeds": tuple(line["seeds"])}) for line in lines]


@pytest.mark.parametrize("plan", [Optuna(), OneAtATime()])
def test_the_first_trial_of_each_baseline_is_its_default(run, plan):
    for arms in (PLAIN, CONDITIONAL):
        suggestions, _ = run(Sweep(plan, arms, 200 if plan == OneAtATime() else 5, seed=3))
        for arm in arms:
            first = next(each for each in suggestions if each.baseline == arm.name)
            assert first.params == arm.default
        assert [each.number for each in suggestions] == list(range(len(suggestions)))


@pytest.mark.parametrize("plan", PLANS)
def test_the_seed_decides_every_proposal(run, plan):
    first, again = (run(Sweep(plan, CONDITIONAL, 14, seed=5))[0] for _ in range(2))
    assert first == again
    if isinstance(plan, Optuna | Grid):
        assert run(Sweep(plan, CONDITIONAL, 14, seed=6))[0] != first


@pytest.mark.parametrize("arms", [PLAIN, CONDITIONAL], ids=["one baseline", "two baselines"])
@pytest.mark.parametrize("plan", PLANS)
def test_a_resumed_sweep_proposes_what_an_uninterrupted_one_does(run, plan, arms):
    uninterrupted, records = run(Sweep(plan, arms, 14, seed=1))
    for done in range(len(uninterrupted) + 1):
        sweep = Sweep(plan, arms, 14, seed=1)
        sweep.restore(stored(uninterrupted[:done]), records[:done])
        assert sweep.remaining == len(uninterrupted) - done
        assert run(sweep)[0] == uninterrupted[done:], done


def test_a_resumed_sweep_forgets_no_failure_and_no_early_stop(run, ended):
    def outcome(suggestion):
        if suggestion.number % 4 == 1:
            return ended(suggestion, state="failed", reason="burst")
        if suggestion.number % 4 == 2:
            reports = [(epoch, value(suggestion) * epoch / 9) for epoch in (3, 6)]
            return ended(suggestion, state="pruned", reports=reports)
        return ended(suggestion)

    def drive(sweep):
        suggestions, records = [], []
        while (suggestion := sweep.ask()) is not None:
            suggestions.append(suggestion)
            records.append(outcome(suggestion))
            sweep.replay(suggestion.number, records[-1].reports)
            sweep.tell(records[-1])
        return suggestions, records

    uninterrupted, records = drive(Sweep(Optuna(), CONDITIONAL, 16, seed=2))
    for done in (1, 6, 7, 11, 15):
        sweep = Sweep(Optuna(), CONDITIONAL, 16, seed=2)
        sweep.restore(stored(uninterrupted[:done]), records[:done])
        assert drive(sweep)[0] == uninterrupted[done:], done


def test_another_process_proposes_the_same():
    script = (
        "import json; from optuna.distributions import *\n"
        "from tune_ad.search.plans import *; from tune_ad.search.scheduler import *\n"
        "from tune_ad.storage.records import TrialRecord\n"
        "def arm(names):\n"
        "    space = {name: FloatDistribution(0, 1) for name in names}\n"
        "    return Arm(names, space, dict.fromkeys(names, 0.5))\n"
        "arms = [arm('abcde'), arm('cdefg')]\n"
        "sweep = Sweep(Optuna(random_trials=3), arms, 10, seed=0)\n"
        "while (s := sweep.ask()) is not None:\n"
        "    print(s.baseline, json.dumps(s.params, sort_keys=True))\n"
        "    sweep.tell(TrialRecord(s.number, '', s.baseline, '', s.params, [], 'complete', '',"
        " sum(s.params.values()), [], [], {}))\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == 10


@pytest.mark.parametrize("plan", [Optuna(), Grid(points=3)])
def test_what_was_left_unfinished_is_handed_out_first_under_its_number(run, ended, plan):
    sweep = Sweep(plan, CONDITIONAL, 9, seed=4)
    handed_out = [sweep.ask() for _ in range(5)]
    records = [ended(handed_out[k]) for k in (3, 0, 1)]
    for each in records:
        sweep.tell(each)
    resumed = Sweep(plan, CONDITIONAL, 9, seed=4)
    resumed.restore(stored(handed_out), records)
    assert resumed.remaining == 6
    rest, _ = run(resumed)
    assert rest[:2] == [handed_out[2], handed_out[4]]
    assert [each.number for each in rest] == [2, 4, 5, 6, 7, 8]
    assert resumed.remaining == 0


@pytest.mark.parametrize("seed", range(2))
def test_a_small_space_is_used_up_and_nothing_comes_twice(run, seed):
    arms = (
        Arm(
            "A",
            {
                "letter": CategoricalDistribution(["x", "y"]),
                "count": IntDistribution(1, 5, step=2),
                "fraction": FloatDistribution(0.1, 0.4, step=0.1),
            },
            {"letter": "x", "count": 3, "fraction": 0.3},
        ),
        Arm("B", {"size": IntDistribution(1, 4, log=True)}, {"size": 2}),
    )
    sweep = Sweep(Optuna(), arms, 1000, seed=seed)
    suggestions, _ = run(sweep)
    found = {identity(each.baseline, each.params) for each in suggestions}
    assert len(found) == len(suggestions) == 2 * 3 * 4 + 4
    assert sweep.exhausted
    assert sweep.remaining == 0
    assert sweep.ask() is None


def test_nothing_comes_twice_while_others_run():
    arms = (Arm("A", {"count": IntDistribution(1, 8)}, {"count": 3}),)
    sweep = Sweep(Optuna(), arms, 8, seed=0)
    assert sorted(sweep.ask().params["count"] for _ in range(8)) == list(range(1, 9))
    assert sweep.ask() is None


def test_a_baseline_without_a_space_has_its_default_alone(run):
    suggestions, _ = run(Sweep(Optuna(), (Arm("A", {}, {}),), 5, seed=0))
    assert suggestions == [Suggestion(0, "A", {})]


def test_a_plan_that_knows_its_configurations_hands_out_no_more_than_asked(run):
    sweep = Sweep(Grid(points=3), PLAIN, 5, seed=0)
    assert sweep.trials == sweep.remaining == 5
    suggestions, _ = run(sweep)
    assert len(suggestions) == 5
    whole = Sweep(Grid(points=3), PLAIN, 1000, seed=0)
    assert whole.trials == 3 * 3 * 9
    everything, _ = run(whole)
    assert everything[:5] == suggestions
    assert len({identity(each.baseline, each.params) for each in everything}) == whole.trials


def test_a_longer_sweep_goes_on_where_the_shorter_ended(run):
    shorter, records = run(Sweep(Optuna(random_trials=4), PLAIN, 6, seed=0))
    longer = Sweep(Optuna(random_trials=4), PLAIN, 9, seed=0)
    longer.restore(stored(shorter), records)
    added, _ = run(longer)
    assert [each.number for each in added] == [6, 7, 8]
    assert shorter + added == run(Sweep(Optuna(random_trials=4), PLAIN, 9, seed=0))[0]


def test_failures_and_missing_objectives_do_not_break_the_search(run, ended):
    sweep = Sweep(Optuna(random_trials=3), CONDITIONAL, 20, seed=0)
    while (suggestion := sweep.ask()) is not None:
        good = ended(suggestion)
        bad = [{}, {"state": "failed"}, {"objective": None}][suggestion.number % 3]
        sweep.tell(replace(good, **bad))
    states = [each.state for each in sweep.study.get_trials(deepcopy=False)]
    assert states.count(optuna.trial.TrialState.FAIL) >= 13
    assert states.count(optuna.trial.TrialState.COMPLETE) == 7
    assert optuna.trial.TrialState.RUNNING not in states
    assert len(sweep.ended) == 20


def test_trials_that_were_stopped_enter_as_pruned_with_what_they_reached(ended):
    for restored in (False, True):
        sweep = Sweep(Optuna(), PLAIN, 5, seed=0, early_stopping=True)
        suggestion = Suggestion(0, "A", dict(PLAIN[0].default))
        record = ended(suggestion, state="pruned", reports=[(1, 0.25), (2, 0.5)])
        if restored:
            sweep.restore([suggestion], [record])
        else:
            assert sweep.ask() == suggestion
            sweep.replay(0, record.reports)
            sweep.tell(record)
        (trial,) = sweep.study.trials
        assert trial.state == optuna.trial.TrialState.PRUNED
        assert trial.intermediate_values == {1: 0.25, 2: 0.5}
        assert trial.value == 0.5


def curve(level, epochs=30, interval=2):
    """Reports of a trial that approaches `level`."""
    return [(epoch, level * epoch / epochs) for epoch in range(interval, epochs + 1, interval)]


def stop_times(sweep, levels, ended):
    """What was handed out, the last epoch of each trial, and the records; one at a time."""
    handed_out, reached, records = [], [], []
    while (suggestion := sweep.ask()) is not None:
        reports, state = [], "complete"
        for epoch, objective in curve(levels[suggestion.number]):
            reports.append((epoch, objective))
            if sweep.report(suggestion.number, objective):
                state = "pruned"
                break
        handed_out.append(suggestion)
        reached.append(reports[-1][0])
        records.append(ended(suggestion, objective=reports[-1][1], state=state, reports=reports))
        sweep.tell(records[-1])
    return handed_out, reached, records


def halving(early_stopping=True):
    return Sweep(Optuna(), PLAIN, 12, seed=0, early_stopping=early_stopping)


@pytest.mark.parametrize("seed", range(6))
def test_early_stopping_stops_the_worst_and_never_the_best(ended, seed):
    levels = random.Random(seed).sample([k / 20 + 0.1 for k in range(12)], 12)
    _, reached, _ = stop_times(halving(), levels, ended)
    assert min(reached) >= 2 * FIRST_RUNG
    assert any(epoch < 30 for epoch in reached)
    for number, level in enumerate(levels):
        if level == max(levels[: number + 1]):
            assert reached[number] == 30, "the best so far was stopped"


def test_a_trial_that_falls_behind_is_stopped_at_the_first_rung(ended):
    _, reached, _ = stop_times(halving(), [0.9, 0.85, 0.8, 0.75, 0.7, *[0.1] * 7], ended)
    assert reached[5:] == [2 * FIRST_RUNG] * 7


def test_early_stopping_goes_on_after_a_restore_as_if_nothing_had_happened(ended):
    levels = random.Random(1).sample([k / 20 + 0.1 for k in range(12)], 12)
    handed_out, reached, records = stop_times(halving(), levels, ended)
    for done in range(1, 12):
        sweep = halving()
        sweep.restore(stored(handed_out[:done]), records[:done])
        assert stop_times(sweep, levels, ended)[:2] == (handed_out[done:], reached[done:])


def test_no_trial_is_stopped_unless_the_search_asks_for_it(ended):
    _, reached, _ = stop_times(halving(early_stopping=False), [0.9, *[0.1] * 11], ended)
    assert reached == [30] * 12


def test_a_report_without_an_objective_stops_nothing():
    sweep = halving()
    sweep.ask()
    assert not any(sweep.report(0, None) for _ in range(15))


def test_the_stopping_rule_counts_the_reports_that_have_an_objective(ended):
    """However many epochs lie between them, and however many came before the first."""
    for early in (0, 1, 20):
        sweep = halving()
        for level in (0.7, 0.8, 0.9):
            first = sweep.ask()
            assert not any(sweep.report(first.number, level) for _ in range(9))
            sweep.tell(ended(first, objective=level))
        behind = sweep.ask()
        assert not any(sweep.report(behind.number, None) for _ in range(early))
        told = [sweep.report(behind.number, 0.1) for _ in range(FIRST_RUNG)]
        assert told == [False] * (FIRST_RUNG - 1) + [True]


def test_reports_without_an_objective_are_skipped_when_a_record_is_restored(ended):
    sweep = halving()
    suggestion = Suggestion(0, "A", dict(PLAIN[0].default))
    reports = [(2, None), (4, None), (6, 0.25), (8, 0.5)]
    sweep.restore([suggestion], [ended(suggestion, objective=0.5, reports=reports)])
    assert sweep.study.trials[0].intermediate_values == {1: 0.25, 2: 0.5}


def test_the_search_finds_a_planted_optimum_better_than_chance(record):
    arm = Arm(
        "A",
        {"x": FloatDistribution(-1, 1), "rate": FloatDistribution(1e-5, 1, log=True)},
        {"x": 1.0, "rate": 1.0},
    )

    def best(random_trials, seed):
        sweep = Sweep(Optuna(random_trials), [arm], 30, seed)
        found = []
        while (suggestion := sweep.ask()) is not None:
            x, rate = suggestion.params["x"], suggestion.params["rate"]
            found.append(-((x + 0.4) ** 2) - (math.log10(rate) + 3) ** 2 / 4)
            sweep.tell(record(suggestion.number, found[-1], params=suggestion.params))
        return max(found)

    adaptive = [best(8, seed) for seed in range(10)]
    chance = [best(30, seed) for seed in range(10)]
    assert statistics.mean(adaptive) > statistics.mean(chance)


def test_every_pair_of_configurations_of_a_sweep_differs(run):
    suggestions, _ = run(Sweep(Optuna(), CONDITIONAL, 40, seed=7))
    assert all(
        identity(one.baseline, one.params) != identity(other.baseline, other.params)
        for one, other in itertools.combinations(suggestions, 2)
    )
    assert len(suggestions) == 40


def test_a_trial_that_was_never_suggested_is_refused_in_one_line(ended):
    sweep = halving()
    lost = ended(sweep.ask())
    with pytest.raises(UserError, match="trial 0 ended but was never suggested"):
        halving().restore([], [lost])
