import itertools
import math

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tune_ad.errors import UserError
from tune_ad.search.plans import (
    MOST_COMBINATIONS,
    Grid,
    Listed,
    OneAtATime,
    Optuna,
    ResolvedBaseline,
    Sobol,
    contains,
    grid_values,
    number_of_configurations,
)
from tune_ad.storage.earlier.schema1 import PLANS

BASELINE = ResolvedBaseline(
    "A",
    {
        "letter": CategoricalDistribution(["x", "y", "z"]),
        "count": IntDistribution(1, 4),
        "rate": FloatDistribution(1e-4, 1e-2, log=True),
    },
    {"letter": "y", "count": 2, "rate": 1e-3},
)
OTHER = ResolvedBaseline(
    "B", {"count": IntDistribution(5, 6), "beta": FloatDistribution(0, 1)}, {}
)


def keys(proposals):
    return [(baseline, *sorted(params.items())) for baseline, params in proposals]


def test_a_grid_is_the_product_of_the_values_of_each_baseline():
    proposals = Grid(points=3).all_configurations([BASELINE, OTHER], seed=0, trials=9)
    expected = {
        ("A", ("count", count), ("letter", letter), ("rate", rate))
        for count, letter, rate in itertools.product(
            (1, 2, 3, 4), "xyz", grid_values(BASELINE.space["rate"], 3)
        )
    } | {
        ("B", ("beta", beta), ("count", count))
        for beta, count in itertools.product((0.0, 0.5, 1.0), (5, 6))
    }
    assert len(proposals) == len(expected) == 36 + 6
    assert set(keys(proposals)) == expected


def test_the_order_of_a_grid_is_shuffled_by_the_seed_alone():
    orders = [keys(Grid().all_configurations([BASELINE], seed, trials=9)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    assert orders[0] != sorted(orders[0])


def test_one_at_a_time_is_the_default_and_every_single_change():
    proposals = OneAtATime(points=3).all_configurations([BASELINE], seed=0, trials=9)
    assert proposals[0].params == BASELINE.default
    changes = [
        {name: value for name, value in params.items() if value != BASELINE.default[name]}
        for _, params in proposals[1:]
    ]
    assert all(len(change) == 1 for change in changes)
    tried = [next(iter(change.items())) for change in changes]
    assert sorted(tried, key=str) == sorted(
        [
            *(("letter", letter) for letter in "xz"),
            *(("count", count) for count in (1, 3, 4)),
            *(("rate", rate) for rate in (1e-4, 1e-2)),
        ],
        key=str,
    )
    assert len(set(keys(proposals))) == len(proposals)


@pytest.mark.parametrize(
    ("distribution", "default", "points"),
    [
        (FloatDistribution(0.1, 0.7), 0.4, 5),
        (FloatDistribution(0.1, 0.7), 0.25, 5),
        (FloatDistribution(1e-5, 1e-1, log=True), 1e-3, 5),
        (FloatDistribution(1e-5, 1e-2, log=True), 1e-4, 4),
        (FloatDistribution(1e-4, 1e-2, log=True), 1e-3, 3),
        (FloatDistribution(0.1, 0.9, step=0.1), 0.3, 5),
        (FloatDistribution(0.1, 0.9, step=0.1), 0.7, 5),
    ],
)
def test_a_default_on_the_grid_is_not_tried_again_beside_itself(distribution, default, points):
    baseline = ResolvedBaseline("A", {"p": distribution}, {"p": default})
    tried = [
        configuration.params["p"]
        for configuration in OneAtATime(points).all_configurations([baseline], 0, 9)
    ]
    for one, other in itertools.combinations(tried, 2):
        assert not math.isclose(one, other, rel_tol=1e-9), (one, other)
    assert len(tried) == len(grid_values(distribution, points))


def test_listed_configurations_go_to_every_baseline_that_has_their_parameters():
    other = OTHER._replace(default={"count": 5, "beta": 0.5})
    plan = Listed([{}, {"count": 4, "letter": "x"}, {"beta": 0.25}])
    assert [
        tuple(configuration)
        for configuration in plan.all_configurations([BASELINE, other], seed=0, trials=9)
    ] == [
        ("A", dict(BASELINE.default)),
        ("B", dict(other.default)),
        ("A", {**BASELINE.default, "count": 4, "letter": "x"}),
        ("B", {"count": 5, "beta": 0.25}),
    ]


def test_listed_without_configurations_is_the_default():
    assert [
        configuration.params for configuration in Listed().all_configurations([BASELINE], 0, 9)
    ] == [BASELINE.default]


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"gamma": 1}, ["gamma", "no baseline searches all parameters"]),
        ({"letter": "x", "beta": 0.5}, ["beta", "no baseline searches all parameters"]),
        ({"letter": "q"}, ["letter", "'q'", "outside"]),
        ({"count": 99}, ["count", "99", "outside"]),
        ({"rate": 5.0}, ["rate", "5.0", "outside"]),
    ],
)
def test_a_listed_configuration_that_cannot_be_is_refused(configuration, words):
    with pytest.raises(UserError) as refusal:
        Listed([configuration]).all_configurations([BASELINE], seed=0, trials=9)
    message = str(refusal.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("plan", [Grid, OneAtATime])
@pytest.mark.parametrize("points", [-1, 0, 2.5, "3", True, 10**6])
def test_a_number_of_points_that_cannot_be_is_refused_where_it_is_declared(plan, points):
    with pytest.raises(UserError, match=f"points must be .*, got {points!r}"):
        plan(points=points)


def test_the_other_fields_of_plans_are_checked_where_they_are_declared():
    with pytest.raises(UserError, match="with_default must be True or False, got 'yes'"):
        Grid(with_default="yes")
    with pytest.raises(UserError, match=r"one or more dictionaries, .*, got \{'lr': 0.001\}"):
        Listed({"lr": 1e-3})
    with pytest.raises(UserError, match=r"configurations\[1\] must be a dictionary .* 'lr'"):
        Listed([{}, "lr"])
    with pytest.raises(UserError, match=r"configurations\[0\] must be a dictionary .* \{1: 2"):
        Listed(({1: 2},))
    with pytest.raises(UserError, match="one or more"):
        Listed([])
    assert Listed(({},)).configurations == ({},)


def test_an_adaptive_plan_knows_no_configuration_beforehand():
    assert Optuna().all_configurations([BASELINE], seed=0, trials=9) is None


def test_a_grid_beyond_measure_is_refused():
    space = {f"p{k}": FloatDistribution(0, 1) for k in range(30)}
    with pytest.raises(UserError, match="the grid of A has .* combinations") as refusal:
        Grid(points=5).all_configurations([ResolvedBaseline("A", space, {})], 0, 9)
    assert f"{MOST_COMBINATIONS:,}" in str(refusal.value)


MIXED = ResolvedBaseline(
    "M",
    {
        "rate": FloatDistribution(1e-5, 1e-1, log=True),
        "share": FloatDistribution(-1, 3),
        "tenth": FloatDistribution(0.1, 0.9, step=0.1),
        "layers": IntDistribution(1, 4),
        "even": IntDistribution(2, 8, step=2),
        "size": IntDistribution(1, 1000, log=True),
        "letter": CategoricalDistribution(["x", "y", "z"]),
        "switch": CategoricalDistribution([True, False]),
    },
    {
        "rate": 1e-3,
        "share": 0.0,
        "tenth": 0.5,
        "layers": 2,
        "even": 4,
        "size": 32,
        "letter": "y",
        "switch": True,
    },
)


def test_a_space_is_filled_evenly_from_its_default():
    points = [
        configuration.params
        for configuration in Sobol().all_configurations([MIXED], seed=0, trials=513)
    ]
    assert points[0] == MIXED.default
    assert len(points) == len({tuple(point.items()) for point in points}) == 513
    for name, distribution in MIXED.space.items():
        assert all(contains(distribution, point[name]) for point in points), name
    spread = points[1:]
    quarters = [0] * 4
    for point in spread:
        quarters[int(math.log10(point["rate"]) + 5)] += 1
    assert all(abs(count - 128) <= 8 for count in quarters)
    assert abs(sum(point["share"] < 1 for point in spread) - 256) <= 8
    for name in ("tenth", "layers", "even", "letter", "switch"):
        values = grid_values(MIXED.space[name], 0)
        counts = [sum(point[name] == value for point in spread) for value in values]
        assert max(counts) - min(counts) <= 0.1 * 512, (name, counts)
    decades = [sum(10**k <= point["size"] < 10 ** (k + 1) for point in spread) for k in range(3)]
    assert max(decades) < 1.4 * min(decades), decades
    pairs = {(point["rate"] > 1e-3, point["share"] > 1) for point in spread[:8]}
    assert len(pairs) == 4, "eight points lie in every quarter of two parameters"


@pytest.mark.parametrize(
    "resolved_baselines", [[MIXED], [BASELINE, MIXED], [MIXED, ResolvedBaseline("D", {}, {})]]
)
def test_more_points_begin_with_the_same(resolved_baselines):
    most = Sobol().all_configurations(resolved_baselines, 3, 150)
    assert len(most) == 150
    for trials in (1, 2, 7, 64, 149):
        assert Sobol().all_configurations(resolved_baselines, 3, trials) == most[:trials]
    assert Sobol().all_configurations(resolved_baselines, 4, 150) != most


def test_baselines_take_turns_from_their_defaults():
    proposals = Sobol().all_configurations([BASELINE, MIXED, ResolvedBaseline("D", {}, {})], 0, 41)
    assert [configuration.baseline for configuration in proposals] == [
        "A",
        "M",
        "D",
        *["A", "M"] * 19,
    ]
    assert [configuration.params for configuration in proposals[:3]] == [
        BASELINE.default,
        MIXED.default,
        {},
    ]


@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({}, 1),
        ({"a": IntDistribution(1, 7, step=2)}, 4),
        ({"a": IntDistribution(1, 7), "b": CategoricalDistribution(["x", "y"])}, 14),
        ({"a": FloatDistribution(0.0, 1.0, step=0.25), "b": IntDistribution(1, 1)}, 5),
        ({"a": FloatDistribution(0.0, 1.0), "b": IntDistribution(1, 2)}, None),
    ],
    ids=str,
)
def test_the_number_of_configurations_of_a_space(space, count):
    assert number_of_configurations(space) == count


@pytest.mark.parametrize("sizes", [(2, 3), (7, 5, 4), (60,)])
def test_a_small_space_is_used_up_and_repeated_by_none(sizes):
    space = {f"p{k}": IntDistribution(1, size) for k, size in enumerate(sizes)}
    baseline = ResolvedBaseline("S", space, dict.fromkeys(space, 1))
    tried = keys(Sobol().all_configurations([baseline], 0, 10_000))
    assert len(tried) == len(set(tried)) == math.prod(sizes)


def test_what_the_points_miss_of_a_small_space_is_added():
    space = {"rare": IntDistribution(1, 100_000, log=True), "one": CategoricalDistribution(["x"])}
    baseline = ResolvedBaseline("S", space, {"rare": 1, "one": "x"})
    tried = keys(Sobol().all_configurations([baseline], 0, 10_000))
    assert len(tried) == len(set(tried)) == 10_000


@pytest.mark.parametrize(
    ("plan", "trials", "random"),
    [
        (Optuna(), 3, 4),
        (Optuna(), 12, 4),
        (Optuna(), 18, 6),
        (Optuna(), 100, 10),
        (Optuna(random_trials=25), 100, 25),
    ],
)
def test_a_third_of_the_trials_is_random(plan, trials, random):
    assert plan.startup(trials) == random


@pytest.mark.parametrize("number", [0, -1, True, 2.5])
def test_a_number_of_random_trials_below_one_is_refused(number):
    with pytest.raises(UserError, match=f"random_trials.*{number}"):
        Optuna(random_trials=number)


@pytest.mark.parametrize("plan", [Optuna(), Grid(points=2), OneAtATime(), Sobol(), Listed()])
def test_a_plan_says_whether_it_adapts_and_what_it_was_like_in_schema_1(plan):
    planned = plan.all_configurations([BASELINE], seed=0, trials=3)
    assert plan.traits.adapts == (planned is None) == (plan.startup(3) > 0)
    assert PLANS[type(plan).__name__] == plan.traits


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (CategoricalDistribution([0, 5, "inf"]), [0, 5, "inf"]),
        (IntDistribution(3, 6), [3, 4, 5, 6]),
        (IntDistribution(16, 64, step=16), [16, 32, 48, 64]),
        (IntDistribution(1, 9, step=4), [1, 5, 9]),
        (IntDistribution(1, 10_000, log=True), [1, 10, 100, 1000, 10_000]),
        (IntDistribution(1, 3, log=True), [1, 2, 3]),
        (FloatDistribution(0, 1), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (FloatDistribution(1e-4, 1, log=True), [1e-4, 1e-3, 1e-2, 1e-1, 1.0]),
        (FloatDistribution(0.1, 0.5, step=0.2), [0.1, 0.3, 0.5]),
    ],
)
def test_the_values_of_each_kind_of_distribution(distribution, values):
    taken = grid_values(distribution, points=5)
    assert [type(value) for value in taken] == [type(value) for value in values]
    assert all(
        math.isclose(one, other) if isinstance(one, float) else one == other
        for one, other in zip(taken, values, strict=True)
    )
    assert all(contains(distribution, value) for value in taken)


@pytest.mark.parametrize("low", [1e-7, 0.1, 1 / 3, 0.7])
@pytest.mark.parametrize("high", [0.9, 2 / 3 + 0.1, 7.3])
@pytest.mark.parametrize("log", [False, True])
def test_the_values_of_an_interval_lie_in_it(low, high, log):
    distribution = FloatDistribution(low, high, log=log)
    values = grid_values(distribution, 7)
    assert (values[0], values[-1], len(values)) == (low, high, 7)
    assert values == sorted(values)
    assert all(contains(distribution, value) for value in values)


INF = CategoricalDistribution([0, 1, 20, "inf"])
WIDTH = CategoricalDistribution([0.5, 1.0])
SWITCH = CategoricalDistribution([True, False])


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (INF, [0, 20, "inf"], [2, "20", 20.0, True, None]),
        (WIDTH, [0.5, 1.0], [1, 2.0, True]),
        (SWITCH, [True, False], [1, 0, "True"]),
        (IntDistribution(2, 8, step=2), [2, 8], [3, 0, 10, 4.0, True, "4", None]),
        (FloatDistribution(0.1, 0.7), [0.1, 0.55, 0.7], [0.0999, 0.71, True, "0.5", None]),
        (FloatDistribution(0, 2), [1, 0.0], [-1, math.nan, math.inf]),
        (FloatDistribution(0, 1, step=0.25), [0.0, 0.75], [0.3]),
    ],
)
def test_contains(distribution, inside, outside):
    assert [value for value in inside if not contains(distribution, value)] == []
    assert [value for value in outside if contains(distribution, value)] == []


def test_a_grid_may_hold_the_default_of_every_interval_once():
    baseline = ResolvedBaseline("A", {"rate": FloatDistribution(0.0, 1.0)}, {"rate": 0.3})
    tried = {
        p.params["rate"]
        for p in Grid(points=2, with_default=True).all_configurations([baseline], 0, 9)
    }
    assert tried == {0.0, 0.3, 1.0}
    end = baseline._replace(default={"rate": 1.0})
    assert len(Grid(points=2, with_default=True).all_configurations([end], 0, 9)) == 2
