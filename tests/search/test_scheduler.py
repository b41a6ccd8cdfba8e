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
from tune_ad.search.plans import (
    Grid,
    Listed,
    OneAtATime,
    Optuna,
    OptunaInTurns,
    ResolvedBaseline,
)
from tune_ad.search.scheduler import FIRST_RUNG, TrialScheduler
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.records import TrialSpec, identity

PLAIN = (
    ResolvedBaseline(
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
    ResolvedBaseline(
        "B",
        {"beta": FloatDistribution(0.5, 8), "count": IntDistribution(2, 6, step=2)},
        {"beta": 1.0, "count": 4},
    ),
)
PLANS = [
    Optuna(),
    Optuna(random_trials=2),
    OptunaInTurns(random_trials=2),
    Grid(points=3),
    OneAtATime(points=3),
    Listed([{}]),
]


def value(spec):
    """A smooth objective of any configuration, the same in every process."""
    params = dict(spec.params)
    letter = {"x": 0.1, "y": 0.3, "z": 0.0}[params.pop("letter", "z")]
    return letter - sum((float(number) - 0.4) ** 2 for number in params.values()) / 50


@pytest.fixture
def ended(record):
    """A function: the record of a trial that ended."""

    def make(spec, objective=None, **fields):
        number = value(spec) if objective is None else objective
        values = {"baseline": spec.baseline, "params": spec.params, **fields}
        return record(spec.number, number, **values)

    return make


@pytest.fixture
def run(ended):
    """A function: run some trials of a scheduler, or all; its proposals and the records."""

    def drive(scheduler, most=1000):
        specs, records = [], []
        while len(records) < most and (spec := scheduler.ask()) is not None:
            specs.append(spec)
            records.append(ended(spec))
            scheduler.tell(records[-1])
        return specs, records

    return drive


def stored(specs):
    """Trial specs as `suggested.jsonl` gives them back."""
    return [TrialSpec.from_json(json.loads(to_text(spec))) for spec in specs]


@pytest.mark.parametrize("plan", [Optuna(), OneAtATime()])
def test_the_first_trial_of_each_baseline_is_its_default(run, plan):
    for resolved_baselines in (PLAIN, CONDITIONAL):
        specs, _ = run(
            TrialScheduler(plan, resolved_baselines, 200 if plan == OneAtATime() else 5, seed=3)
        )
        for baseline in resolved_baselines:
            first = next(spec for spec in specs if spec.baseline == baseline.name)
            assert first.params == baseline.default
        assert [spec.number for spec in specs] == list(range(len(specs)))


@pytest.mark.parametrize("plan", PLANS)
def test_the_seed_decides_every_proposal(run, plan):
    first, again = (run(TrialScheduler(plan, CONDITIONAL, 14, seed=5))[0] for _ in range(2))
    assert first == again
    if isinstance(plan, Optuna | Grid):
        assert run(TrialScheduler(plan, CONDITIONAL, 14, seed=6))[0] != first


@pytest.mark.parametrize(
    "resolved_baselines", [PLAIN, CONDITIONAL], ids=["one baseline", "two baselines"]
)
@pytest.mark.parametrize("plan", PLANS)
def test_a_resumed_scheduler_proposes_what_an_uninterrupted_one_does(
    run, plan, resolved_baselines
):
    uninterrupted, records = run(TrialScheduler(plan, resolved_baselines, 14, seed=1))
    for done in range(len(uninterrupted) + 1):
        scheduler = TrialScheduler(plan, resolved_baselines, 14, seed=1)
        scheduler.restore(stored(uninterrupted[:done]), records[:done])
        assert scheduler.remaining == len(uninterrupted) - done
        assert run(scheduler)[0] == uninterrupted[done:], done


def test_a_resumed_scheduler_forgets_no_failure_and_no_pruned_trial(run, ended):
    def outcome(spec):
        if spec.number % 4 == 1:
            return ended(spec, state="failed", reason="burst")
        if spec.number % 4 == 2:
            reports = [(epoch, value(spec) * epoch / 9) for epoch in (3, 6)]
            return ended(spec, state="pruned", reports=reports)
        return ended(spec)

    def drive(scheduler):
        specs, records = [], []
        while (spec := scheduler.ask()) is not None:
            specs.append(spec)
            records.append(outcome(spec))
            scheduler.replay(spec.number, records[-1].reports)
            scheduler.tell(records[-1])
        return specs, records

    uninterrupted, records = drive(TrialScheduler(Optuna(), CONDITIONAL, 16, seed=2))
    for done in (1, 6, 7, 11, 15):
        scheduler = TrialScheduler(Optuna(), CONDITIONAL, 16, seed=2)
        scheduler.restore(stored(uninterrupted[:done]), records[:done])
        assert drive(scheduler)[0] == uninterrupted[done:], done


def test_another_process_proposes_the_same():
    script = (
        "import json; from optuna.distributions import *\n"
        "from tune_ad.search.plans import *; from tune_ad.search.scheduler import *\n"
        "from tune_ad.storage.records import TrialRecord\n"
        "def baseline(names):\n"
        "    space = {name: FloatDistribution(0, 1) for name in names}\n"
        "    return ResolvedBaseline(names, space, dict.fromkeys(names, 0.5))\n"
        "baselines = [baseline('abcde'), baseline('cdefg')]\n"
        "scheduler = TrialScheduler(Optuna(random_trials=3), baselines, 10, seed=0)\n"
        "while (s := scheduler.ask()) is not None:\n"
        "    print(s.baseline, json.dumps(s.params, sort_keys=True))\n"
        "    fields = (s.number, '', s.baseline, '', s.params, [], 'complete', '')\n"
        "    scheduler.tell(TrialRecord(*fields, sum(s.params.values()), [], [], {}))\n"
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
    scheduler = TrialScheduler(plan, CONDITIONAL, 9, seed=4)
    handed_out = [scheduler.ask() for _ in range(5)]
    records = [ended(handed_out[k]) for k in (3, 0, 1)]
    for record in records:
        scheduler.tell(record)
    resumed = TrialScheduler(plan, CONDITIONAL, 9, seed=4)
    resumed.restore(stored(handed_out), records)
    assert resumed.remaining == 6
    rest, _ = run(resumed)
    assert rest[:2] == [handed_out[2], handed_out[4]]
    assert [spec.number for spec in rest] == [2, 4, 5, 6, 7, 8]
    assert resumed.remaining == 0


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.slow
def test_a_small_space_is_used_up_and_nothing_comes_twice(run, seed):
    resolved_baselines = (
        ResolvedBaseline(
            "A",
            {
                "letter": CategoricalDistribution(["x", "y"]),
                "count": IntDistribution(1, 5, step=2),
                "fraction": FloatDistribution(0.1, 0.4, step=0.1),
            },
            {"letter": "x", "count": 3, "fraction": 0.3},
        ),
        ResolvedBaseline("B", {"size": IntDistribution(1, 4, log=True)}, {"size": 2}),
    )
    scheduler = TrialScheduler(Optuna(), resolved_baselines, 1000, seed=seed)
    specs, _ = run(scheduler)
    identities = {identity(spec.baseline, spec.params) for spec in specs}
    assert len(identities) == len(specs) == 2 * 3 * 4 + 4
    assert scheduler.exhausted
    assert scheduler.remaining == 0
    assert scheduler.ask() is None


def test_nothing_comes_twice_while_others_run():
    resolved_baselines = (ResolvedBaseline("A", {"count": IntDistribution(1, 8)}, {"count": 3}),)
    scheduler = TrialScheduler(Optuna(), resolved_baselines, 8, seed=0)
    assert sorted(scheduler.ask().params["count"] for _ in range(8)) == list(range(1, 9))
    assert scheduler.ask() is None


def test_a_baseline_without_a_space_has_its_default_alone(run):
    specs, _ = run(TrialScheduler(Optuna(), (ResolvedBaseline("A", {}, {}),), 5, seed=0))
    assert specs == [TrialSpec(0, "A", {})]


def test_a_plan_that_knows_its_configurations_hands_out_no_more_than_asked(run):
    scheduler = TrialScheduler(Grid(points=3), PLAIN, 5, seed=0)
    assert scheduler.trials == scheduler.remaining == 5
    specs, _ = run(scheduler)
    assert len(specs) == 5
    whole = TrialScheduler(Grid(points=3), PLAIN, 1000, seed=0)
    assert whole.trials == 3 * 3 * 9
    everything, _ = run(whole)
    assert everything[:5] == specs
    assert len({identity(spec.baseline, spec.params) for spec in everything}) == whole.trials


def test_a_longer_study_goes_on_where_the_shorter_ended(run):
    shorter, records = run(TrialScheduler(Optuna(random_trials=4), PLAIN, 6, seed=0))
    longer = TrialScheduler(Optuna(random_trials=4), PLAIN, 9, seed=0)
    longer.restore(stored(shorter), records)
    added, _ = run(longer)
    assert [spec.number for spec in added] == [6, 7, 8]
    assert shorter + added == run(TrialScheduler(Optuna(random_trials=4), PLAIN, 9, seed=0))[0]


def test_failures_and_missing_objectives_do_not_break_the_search(run, ended):
    scheduler = TrialScheduler(Optuna(random_trials=3), CONDITIONAL, 20, seed=0)
    while (spec := scheduler.ask()) is not None:
        good = ended(spec)
        bad = [{}, {"state": "failed"}, {"objective": None}][spec.number % 3]
        scheduler.tell(replace(good, **bad))
    states = [trial.state for trial in scheduler.studies["A"].get_trials(deepcopy=False)]
    assert states.count(optuna.trial.TrialState.FAIL) >= 13
    assert states.count(optuna.trial.TrialState.COMPLETE) == 7
    assert optuna.trial.TrialState.RUNNING not in states
    assert len(scheduler.ended) == 20


def test_trials_that_were_pruned_enter_with_what_they_reached(ended):
    for restored in (False, True):
        scheduler = TrialScheduler(Optuna(), PLAIN, 5, seed=0, pruning=True)
        spec = TrialSpec(0, "A", dict(PLAIN[0].default))
        record = ended(spec, state="pruned", reports=[(1, 0.25), (2, 0.5)])
        if restored:
            scheduler.restore([spec], [record])
        else:
            assert scheduler.ask() == spec
            scheduler.replay(0, record.reports)
            scheduler.tell(record)
        (trial,) = scheduler.studies["A"].trials
        assert trial.state == optuna.trial.TrialState.PRUNED
        assert trial.intermediate_values == {1: 0.25, 2: 0.5}
        assert trial.value == 0.5


def curve(level, epochs=30, interval=2):
    """Reports of a trial that approaches `level`."""
    return [(epoch, level * epoch / epochs) for epoch in range(interval, epochs + 1, interval)]


def stop_times(scheduler, levels, ended):
    """The proposals, the last epoch of each trial, and the records; one trial at a time."""
    handed_out, reached, records = [], [], []
    while (spec := scheduler.ask()) is not None:
        reports, state = [], "complete"
        for epoch, objective in curve(levels[spec.number]):
            reports.append((epoch, objective))
            if scheduler.report(spec.number, objective):
                state = "pruned"
                break
        handed_out.append(spec)
        reached.append(reports[-1][0])
        records.append(ended(spec, objective=reports[-1][1], state=state, reports=reports))
        scheduler.tell(records[-1])
    return handed_out, reached, records


def halving(pruning=True):
    return TrialScheduler(Optuna(), PLAIN, 12, seed=0, pruning=pruning)


@pytest.mark.parametrize("seed", range(6))
def test_pruning_stops_the_worst_and_never_the_best(ended, seed):
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


def test_pruning_goes_on_after_a_restore_as_if_nothing_had_happened(ended):
    levels = random.Random(1).sample([k / 20 + 0.1 for k in range(12)], 12)
    handed_out, reached, records = stop_times(halving(), levels, ended)
    for done in range(1, 12):
        scheduler = halving()
        scheduler.restore(stored(handed_out[:done]), records[:done])
        assert stop_times(scheduler, levels, ended)[:2] == (handed_out[done:], reached[done:])


def test_no_trial_is_pruned_unless_the_search_asks_for_it(ended):
    _, reached, _ = stop_times(halving(pruning=False), [0.9, *[0.1] * 11], ended)
    assert reached == [30] * 12


def test_a_report_without_an_objective_stops_nothing():
    scheduler = halving()
    scheduler.ask()
    assert not any(scheduler.report(0, None) for _ in range(15))


def test_pruning_counts_the_reports_that_have_an_objective(ended):
    """However many epochs lie between them, and however many came before the first."""
    for early in (0, 1, 20):
        scheduler = halving()
        for level in (0.7, 0.8, 0.9):
            first = scheduler.ask()
            assert not any(scheduler.report(first.number, level) for _ in range(9))
            scheduler.tell(ended(first, objective=level))
        behind = scheduler.ask()
        assert not any(scheduler.report(behind.number, None) for _ in range(early))
        stops = [scheduler.report(behind.number, 0.1) for _ in range(FIRST_RUNG)]
        assert stops == [False] * (FIRST_RUNG - 1) + [True]


def test_reports_without_an_objective_are_skipped_when_a_record_is_restored(ended):
    scheduler = halving()
    spec = TrialSpec(0, "A", dict(PLAIN[0].default))
    reports = [(2, None), (4, None), (6, 0.25), (8, 0.5)]
    scheduler.restore([spec], [ended(spec, objective=0.5, reports=reports)])
    assert scheduler.studies["A"].trials[0].intermediate_values == {1: 0.25, 2: 0.5}


def test_the_search_finds_a_planted_optimum_better_than_chance(record):
    baseline = ResolvedBaseline(
        "A",
        {"x": FloatDistribution(-1, 1), "rate": FloatDistribution(1e-5, 1, log=True)},
        {"x": 1.0, "rate": 1.0},
    )

    def best(random_trials, seed):
        scheduler = TrialScheduler(Optuna(random_trials), [baseline], 30, seed)
        objectives = []
        while (spec := scheduler.ask()) is not None:
            x, rate = spec.params["x"], spec.params["rate"]
            objectives.append(-((x + 0.4) ** 2) - (math.log10(rate) + 3) ** 2 / 4)
            scheduler.tell(record(spec.number, objectives[-1], params=spec.params))
        return max(objectives)

    adaptive = [best(8, seed) for seed in range(10)]
    chance = [best(30, seed) for seed in range(10)]
    assert statistics.mean(adaptive) > statistics.mean(chance)


def test_every_pair_of_configurations_of_a_scheduler_differs(run):
    specs, _ = run(TrialScheduler(Optuna(), CONDITIONAL, 40, seed=7))
    assert all(
        identity(one.baseline, one.params) != identity(other.baseline, other.params)
        for one, other in itertools.combinations(specs, 2)
    )
    assert len(specs) == 40


def test_a_trial_that_was_never_suggested_is_refused_in_one_line(ended):
    scheduler = halving()
    lost = ended(scheduler.ask())
    with pytest.raises(UserError, match="trial 0 is missing in suggested.jsonl"):
        halving().restore([], [lost])


def objective_of(spec):
    """A planted objective: B is always worse than A, and best where `beta` is 2."""
    if spec.baseline != "B":
        return 0.9
    return 0.5 - 0.01 * abs(spec.params["beta"] - 2)


def told_in_turns(ended, trials, baselines=CONDITIONAL, plan=None, objectives=()):
    """The trials of a scheduler, by turns unless a plan is given, each told its objective."""
    scheduler = TrialScheduler(plan or OptunaInTurns(), baselines, trials, seed=0)
    specs = []
    while (spec := scheduler.ask()) is not None:
        specs.append(spec)
        objective = dict(objectives).get(spec.baseline, objective_of)(spec)
        scheduler.tell(replace(ended(spec), objective=objective))
    return specs


def test_baselines_in_turns_have_equally_many_trials_however_bad_they_are(ended):
    specs = told_in_turns(ended, 21)
    assert [spec.baseline for spec in specs] == [*"AB" * 10, "A"]
    assert [spec.params for spec in specs[:2]] == [dict(b.default) for b in CONDITIONAL]
    together = told_in_turns(ended, 21, plan=Optuna())
    assert sum(spec.baseline == "B" for spec in together) < 8, "which would starve the worse one"


def test_the_search_of_a_baseline_in_turns_learns_from_its_trials_alone(ended):
    def proposed(of_a, of_b):
        """The trials of B, by the objectives of both baselines."""
        specs = told_in_turns(ended, 40, objectives={"A": of_a, "B": of_b})
        return [spec.params for spec in specs if spec.baseline == "B"]

    plain = proposed(lambda spec: 0.9, objective_of)
    assert proposed(lambda spec: spec.params["rate"], objective_of) == plain
    other = proposed(lambda spec: 0.9, lambda spec: 0.1 * spec.params["beta"])
    random_trials = OptunaInTurns().startup(20)
    assert other[:random_trials] == plain[:random_trials]
    assert other[random_trials:] != plain[random_trials:]


def test_the_turn_of_an_exhausted_space_passes_to_the_others(ended):
    small = ResolvedBaseline("S", {"letter": CategoricalDistribution(["x", "y"])}, {"letter": "y"})
    fixed = ResolvedBaseline("F", {}, {})
    specs = told_in_turns(ended, 12, baselines=(small, *PLAIN, fixed))
    counts = {name: sum(spec.baseline == name for spec in specs) for name in "SAF"}
    assert counts == {"S": 2, "A": 9, "F": 1}
    assert [spec.number for spec in specs] == list(range(12))


def test_the_random_trials_of_turns_are_counted_for_each_baseline():
    plan = OptunaInTurns()
    assert plan.first_adaptive(baselines=3, trials=45) == 3 * 5
    assert plan.first_adaptive(baselines=9, trials=54) == 9 * 4
    assert TrialScheduler(plan, CONDITIONAL, 30, seed=0).startup == 5
    assert Optuna().first_adaptive(baselines=3, trials=45) == 10
