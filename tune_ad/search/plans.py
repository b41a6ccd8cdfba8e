"""The plans that configurations come from: declared as data, without torch.

A plan receives each baseline as a `ResolvedBaseline`: its searched parameters with their
distributions and defaults. `Grid`, `OneAtATime`, `Sobol` and `Listed` list all configurations in
advance; `Optuna` proposes each from earlier results, in `tune_ad.search.scheduler`.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tune_ad.errors import UserError
from tune_ad.randomness import numpy_stream
from tune_ad.search.checks.fields import check_flag, check_integer, check_mapping
from tune_ad.storage.plan_traits import PlanTraits
from tune_ad.storage.values import encode

Space = Mapping[str, BaseDistribution]

MOST_COMBINATIONS = 100_000  # maximum number of combinations of a grid
MOST_POINTS = 2**14  # maximum number of points of a Sobol' sequence
BLOCK = 64  # number of points drawn at a time; a power of two keeps them balanced


class ResolvedBaseline(NamedTuple):
    """The search space and the defaults of a baseline, for a plan.

    Attributes:
        name: name of the baseline.
        space: distributions of the searched parameters, by name.
        default: default values of the searched parameters, by name.
    """

    name: str
    space: Space
    default: Mapping[str, Any]


class Configuration(NamedTuple):
    """A configuration: the name of its baseline and the searched parameters."""

    baseline: str
    params: dict[str, Any]


class Plan(ABC):
    """Base class of plans: frozen dataclasses that configurations come from.

    Attributes:
        traits: all that the rest of the program uses of the plan.
    """

    traits: ClassVar[PlanTraits]

    @abstractmethod
    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> Sequence[Configuration] | None:
        """Every configuration in the order of the trials; None if, and only if, the plan adapts.

        Args:
            baselines: search spaces and defaults of the baselines.
            seed: seed of the study.
            trials: number of trials requested; a larger number extends the same list. A plan whose
                length follows from the space ignores it.

        Raises:
            UserError: if the plan does not fit the space.
        """

    def of(self, spaces: Sequence[Collection[str]]) -> "Plan":
        """The plan for some of the baselines for which it was declared.

        Args:
            spaces: the names of the searched parameters of each of them.

        Raises:
            UserError: if nothing of the plan is for them.
        """
        return self

    def startup(self, trials: int) -> int:
        """The number of random configurations before the plan adapts, in a study of `trials`.

        If the baselines take turns, that of each, in its own trials.
        """
        return 0

    def first_adaptive(self, baselines: int, trials: int) -> int:
        """The number of the first trial whose proposal earlier results may influence.

        Args:
            baselines: the number of baselines.
            trials: the number of trials of the study.
        """
        turns = baselines if self.traits.in_turns else 1
        return turns * self.startup(trials // turns)

    def describe(self) -> dict[str, Any]:
        """The plan as plain data: the name of its class, its settings and its traits."""
        settings = encode(asdict(self))  # type: ignore[call-overload]
        return {"name": type(self).__name__, **settings, "traits": self.traits._asdict()}


@dataclass(frozen=True)
class Optuna(Plan):
    """Optuna's tree-structured Parzen estimator, started from the defaults.

    Trial 0 of each baseline is its default; then come random configurations, then adaptive ones.

    Attributes:
        random_trials: number of random configurations before the search adapts; None = a third of
            the trials, at least 4 and at most 10.
    """

    traits = PlanTraits("adaptive search (Optuna's TPE)", adapts=True)
    random_trials: int | None = None

    def __post_init__(self) -> None:
        """Refuse a number of random configurations below 1.

        Raises:
            UserError: naming the number.
        """
        if self.random_trials is not None:
            check_integer("random_trials", self.random_trials, least=1)

    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> None:
        """None, because each configuration depends on earlier results."""
        return None

    def startup(self, trials: int) -> int:
        """The number of random configurations of a study, or a baseline, of `trials`."""
        return self.random_trials or min(10, max(4, trials // 3))


@dataclass(frozen=True)
class OptunaInTurns(Optuna):
    """A search by Optuna of each baseline: the baselines take turns, and each has a winner.

    No baseline gets fewer trials because others are better: their numbers of trials differ by at
    most one, except that a discrete space may be exhausted. The estimator of a baseline sees the
    trials of that baseline alone, and its first random configurations are counted by baseline.
    """

    traits = PlanTraits(
        "adaptive search (Optuna's TPE) of each baseline, in turns", adapts=True, in_turns=True
    )


@dataclass(frozen=True)
class Grid(Plan):
    """Every combination of the values of the space, in an order shuffled by the study's seed.

    Attributes:
        points: number of evenly spaced values of an interval without a step (on a log scale for
            a log distribution).
        with_default: whether the default is added to the values of each interval.
    """

    traits = PlanTraits("every combination", changes_single_parameters=True)
    points: int = 5
    with_default: bool = False

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            UserError: naming the field and its value.
        """
        check_integer("points", self.points, 1, MOST_COMBINATIONS)
        check_flag("with_default", self.with_default)

    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> list[Configuration]:
        """All combinations of the values of each baseline's parameters.

        Raises:
            UserError: if there are more than `MOST_COMBINATIONS`.
        """
        configurations = []
        for baseline in baselines:
            values = [self._values(baseline, name) for name in baseline.space]
            if (count := math.prod(map(len, values))) > MOST_COMBINATIONS:
                raise UserError(
                    f"the grid of {baseline.name} has {count:,} combinations, more than "
                    f"{MOST_COMBINATIONS:,}; fix some parameters with --set, or use another plan"
                )
            for point in itertools.product(*values):
                configurations.append(
                    Configuration(baseline.name, dict(zip(baseline.space, point, strict=True)))
                )
        order = numpy_stream(seed, "grid").permutation(len(configurations))
        return [configurations[k] for k in order]

    def _values(self, baseline: ResolvedBaseline, name: str) -> list[Any]:
        values = grid_values(baseline.space[name], self.points)
        if self.with_default and baseline.default[name] not in values:
            return sorted([*values, baseline.default[name]])
        return values


@dataclass(frozen=True)
class OneAtATime(Plan):
    """The default, then every change of a single parameter: an ablation.

    Attributes:
        points: number of evenly spaced values of an interval without a step.
    """

    traits = PlanTraits(
        "one parameter at a time", changes_single_parameters=True, is_designed=True
    )
    points: int = 5

    def __post_init__(self) -> None:
        """Check the number of points.

        Raises:
            UserError: naming the number.
        """
        check_integer("points", self.points, 1, MOST_COMBINATIONS)

    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> list[Configuration]:
        """The default of each baseline, then its configurations that differ in one parameter."""
        return [
            Configuration(baseline.name, params)
            for baseline in baselines
            for params in self._neighbours(baseline)
        ]

    def _neighbours(self, baseline: ResolvedBaseline) -> Iterator[dict[str, Any]]:
        yield dict(baseline.default)
        for name, distribution in baseline.space.items():
            for value in grid_values(distribution, self.points):
                if value != baseline.default[name]:
                    yield {**baseline.default, name: value}


@dataclass(frozen=True)
class Sobol(Plan):
    """The defaults, then configurations that fill each space evenly: for sensitivities.

    The configurations of a baseline are a scrambled Sobol' sequence (Owen, J. Complexity 14,
    1998), seeded by the study and mapped to the distributions (on a log scale for log
    distributions). They do not depend on results. Baselines alternate; repeats are dropped; a
    discrete space may be exhausted.
    """

    traits = PlanTraits("spread evenly over the space")

    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> list[Configuration]:
        """The first `trials` configurations."""
        rounds = itertools.zip_longest(*(_filling(baseline, seed) for baseline in baselines))
        turns = (
            configuration for turn in rounds for configuration in turn if configuration is not None
        )
        return list(itertools.islice(turns, trials))


def _filling(baseline: ResolvedBaseline, seed: int) -> Iterator[Configuration]:
    """The default, a Sobol' sequence, then the remaining configurations of a discrete space."""
    values = [all_values(distribution) for distribution in baseline.space.values()]
    finite = [choices for choices in values if choices is not None]
    cells = number_of_configurations(baseline.space)
    seen: set[tuple[Any, ...]] = set()
    left = itertools.product(*finite) if cells and cells <= MOST_COMBINATIONS else ()
    default = tuple(baseline.default[name] for name in baseline.space)
    for point in itertools.chain([default], _spread(baseline, seed), left):
        if point not in seen:
            seen.add(point)
            yield Configuration(baseline.name, dict(zip(baseline.space, point, strict=True)))
        if len(seen) == cells:
            return


def _spread(baseline: ResolvedBaseline, seed: int) -> Iterator[tuple[Any, ...]]:
    """The points of a scrambled Sobol' sequence in the space of a baseline."""
    from scipy.stats import qmc  # takes longer to import than everything else here

    stream = numpy_stream(seed, "sobol", baseline.name)
    sampler = qmc.Sobol(len(baseline.space), rng=stream)
    for _ in range(MOST_POINTS // BLOCK if baseline.space else 0):
        for point in sampler.random(BLOCK):
            yield tuple(map(_at, baseline.space.values(), map(float, point)))


def _at(distribution: BaseDistribution, u: float) -> Any:  # noqa: ANN401
    """The value at the quantile u in [0, 1) of a distribution.

    >>> _at(FloatDistribution(1e-4, 1e-2, log=True), 0.5)
    0.001
    >>> [_at(IntDistribution(1, 3), u) for u in (0.0, 0.4, 0.99)]
    [1, 2, 3]
    """
    if not isinstance(distribution, CategoricalDistribution):
        low, high = distribution.low, distribution.high
        if isinstance(distribution, FloatDistribution) and distribution.step is None:
            exact = low * (high / low) ** u if distribution.log else low + u * (high - low)
            return _rounded(exact, low, high)
        if distribution.log:
            ends = low - 0.5, high + 0.5  # so that each integer has its share of the log scale
            return min(max(round(ends[0] * (ends[1] / ends[0]) ** u), low), high)
    values = all_values(distribution)
    assert values is not None
    return values[int(u * len(values))]


@dataclass(frozen=True)
class Listed(Plan):
    """The configurations given, each a mapping of parameters that differ from the default.

    Attributes:
        configurations: tried on every baseline that has all their parameters, at least one; an
            empty mapping is the default.
    """

    traits = PlanTraits("a list of configurations", is_designed=True, quotes="configurations")
    configurations: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [{}])

    def __post_init__(self) -> None:
        """Check that the configurations are mappings.

        Raises:
            UserError: naming the first that is none, or what is given instead of a list of some.
        """
        if not isinstance(self.configurations, list | tuple) or not self.configurations:
            raise UserError(
                "configurations must be a list of one or more dictionaries, such as "
                f'[{{"learning_rate": 0.001}}], got {self.configurations!r}'
            )
        for number, configuration in enumerate(self.configurations):
            check_mapping(f"configurations[{number}]", configuration)

    def of(self, spaces: Sequence[Collection[str]]) -> "Listed":
        """The listed configurations that fit at least one of the baselines.

        Raises:
            UserError: if there is none.
        """
        kept = [c for c in self.configurations if any(c.keys() <= {*names} for names in spaces)]
        if not kept:
            raise UserError(
                "none of the listed configurations has only parameters that these baselines "
                "search; name others by --baselines"
            )
        return replace(self, configurations=kept)

    def all_configurations(
        self, baselines: Sequence[ResolvedBaseline], seed: int, trials: int
    ) -> list[Configuration]:
        """Each configuration on each baseline that has its parameters.

        Raises:
            UserError: if a configuration fits no baseline, or a value lies outside its space.
        """
        configurations = []
        for configuration in self.configurations:
            fitting = [
                baseline for baseline in baselines if configuration.keys() <= baseline.space.keys()
            ]
            if not fitting:
                raise UserError(
                    f"no baseline searches all parameters of the listed configuration "
                    f"{dict(configuration)}; leave out --set for parameters that the search lists "
                    "itself, or add them to the space of a baseline"
                )
            for baseline, (name, value) in itertools.product(fitting, configuration.items()):
                if not contains(baseline.space[name], value):
                    raise UserError(
                        f"the listed {name}={value!r} lies outside the search space "
                        f"{baseline.space[name]} of {baseline.name}; widen the space or list "
                        "another value"
                    )
            configurations += [
                Configuration(baseline.name, {**baseline.default, **configuration})
                for baseline in fitting
            ]
        return configurations


def grid_values(distribution: BaseDistribution, points: int) -> list[Any]:
    """The values of a distribution: all of them, or `points` evenly spaced ones of an interval.

    >>> grid_values(IntDistribution(16, 64, step=16), 5)
    [16, 32, 48, 64]
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, FloatDistribution):
        if distribution.step is None:
            spaced = np.geomspace if distribution.log else np.linspace
            return [_rounded(value, low, high) for value in spaced(low, high, points)]
        count = int((high - low) / distribution.step + 1e-9) + 1
        return [_rounded(low + k * distribution.step, low, high) for k in range(count)]
    if distribution.log:
        values = np.unique(np.geomspace(low, high, points).round().astype(int))
        return [int(value) for value in values]
    return list(range(low, high + 1, distribution.step))


def all_values(distribution: BaseDistribution) -> Sequence[Any] | None:
    """Every value of a distribution; None for an interval without a step."""
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        return None
    return grid_values(distribution, points=0)


def number_of_configurations(space: Space) -> int | None:
    """The number of configurations in a space; None if an interval without a step is in it."""
    values = [all_values(distribution) for distribution in space.values()]
    finite = [choices for choices in values if choices is not None]
    return math.prod(map(len, finite)) if len(finite) == len(values) else None


def _rounded(value: float, low: float, high: float) -> float:
    """`value` to 12 digits, so that a grid point equals the default despite rounding."""
    return float(min(max(float(f"{value:.12g}"), low), high))


def contains(distribution: BaseDistribution, value: object) -> bool:
    """Whether `value` lies in the range of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return any(
            value == choice and type(value) is type(choice) for choice in distribution.choices
        )
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return False
    if isinstance(distribution, IntDistribution) and not isinstance(value, int):
        return False
    return bool(distribution._contains(distribution.to_internal_repr(value)))
