"""What each configuration of a baseline reached, and what it was: the data of sensitivities."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution

from analysis.document import count
from analysis.study import StudyRecords
from tune_ad.records import TrialRecord
from tune_ad.selection import judged, ranked

EARLY = "stopped early"
FAILED = "failed"
UNANSWERED = "without a response"
OUTSIDE = "with a parameter outside its space"


class Kind(NamedTuple):
    """A response.

    Attributes:
        name: as people read it.
        rule: of selection that gives a trial's value.
        metric: the replicas' number that it averages.
        sign: -1 where less is better.
        percent: whether it is an AUROC, in [0, 1] and shown in per cent.
    """

    name: str
    rule: str
    metric: str
    sign: float
    percent: bool

    @property
    def scale(self) -> float:
        """By which a value is multiplied to be shown."""
        return 100.0 if self.percent else 1.0

    @property
    def axis(self) -> str:
        """The name with its unit."""
        return f"{self.name} (%)" if self.percent else self.name

    def text(self, value: float) -> str:
        """A value as people read it."""
        return f"{100 * value:.1f}" if self.percent else f"{value:.4g}"


KINDS = {
    "validation": Kind("validation AUROC", "validation", "validation_auroc", 1.0, True),
    "normal_only": Kind(
        "minus the loss of held-out normals", "normal_only", "validation_loss", -1.0, False
    ),
    "oracle": Kind("test AUROC", "oracle", "test_auroc", 1.0, True),
}


class Responses(NamedTuple):
    """What each complete configuration of a baseline reached; larger = better.

    Attributes:
        baseline: whose space it is.
        kind: of the response.
        space: distributions of the parameters that took at least two values.
        params: their values, one row per trial, by trial number.
        values: the response, mean over replicas, in the order of the rows.
        seeds: trial x seed, mean over classes; empty where the trial lacks that seed.
        excluded: trials that are left out, by the reason.
        constant: searched parameters that took one value, which are left out.
        adaptive: trials that Optuna proposed in the light of earlier ones.
        drawn: from how many trials these are a random subsample; 0 = they are all.
    """

    baseline: str
    kind: Kind
    space: Mapping[str, BaseDistribution]
    params: pd.DataFrame
    values: np.ndarray
    seeds: pd.DataFrame
    excluded: Mapping[str, int]
    constant: tuple[str, ...]
    adaptive: int
    drawn: int = 0

    @property
    def n(self) -> int:
        """The number of trials."""
        return len(self.values)

    @property
    def slug(self) -> str:
        """The baseline's name as part of a file's name."""
        return re.sub(r"\W+", "_", self.baseline).strip("_").lower()

    @property
    def names(self) -> list[str]:
        """The parameters that took at least two values."""
        return list(self.space)

    def encoded(self) -> np.ndarray:
        """The parameters as numbers, (trials, parameters).

        A categorical parameter is the index of its choice, a number its logarithm where its
        distribution says so. The order of choices means nothing; forests can cope with that.
        """
        columns = [
            [encode(each, value) for value in self.params[name]]
            for name, each in self.space.items()
        ]
        return np.array(columns, dtype=float).reshape(len(columns), self.n).T

    def value_of(self, number: int) -> float:
        """The response of a trial by its number; NaN if it is not among these."""
        found = self.values[self.params.index == number]
        return float(found[0]) if len(found) else math.nan

    def subsample(self, most: int, seed: int = 0) -> "Responses":
        """At most so many of the trials, drawn without replacement, in their order."""
        if self.n <= most:
            return self
        kept = np.sort(np.random.default_rng(seed).choice(self.n, most, replace=False))
        return self._replace(
            params=self.params.iloc[kept],
            values=self.values[kept],
            seeds=self.seeds.iloc[kept],
            drawn=self.n,
        )

    def described(self) -> str:
        """What the trials are, what was left out and why, in sentences."""
        share = f"{count(self.n, 'complete trial')} of {self.baseline}"
        if self.drawn:
            share = f"{self.n:,} of the {self.drawn:,} complete trials of {self.baseline}, drawn"
            share += " at random"
        parts = [f"Response: {self.kind.name}, mean over replicas; {share}."]
        if self.excluded:
            listed = ", ".join(f"{n} {reason}" for reason, n in self.excluded.items())
            parts.append(f"Left out: {listed}.")
        if self.constant:
            parts.append(f"Took one value only: {', '.join(self.constant)}.")
        if self.adaptive:
            parts.append(
                f"{self.adaptive:,} of the {self.drawn or self.n:,} were proposed in the light of "
                "earlier ones: adaptive samples bias importances."
            )
        return " ".join(parts)


def responses(study: StudyRecords, baseline: str) -> Responses:
    """The responses of a baseline's complete trials.

    The response is test AUROC if every complete trial of the study has one, otherwise what the
    study's rule saw (validation AUROC under the rule `random`, which sees nothing). Trials that
    failed, were stopped early, have no finite response or a parameter outside its space are left
    out and counted.
    """
    kind, space = kind_of(study), study.spaces[baseline]
    own = [record for record in study.trials if record.baseline == baseline]
    fates = {record.number: _fate(record, kind, space) for record in own}
    kept = [record for record in own if not fates[record.number]]
    index = [record.number for record in kept]
    table = pd.DataFrame(
        {name: pd.Series([r.params[name] for r in kept], index, dtype=object) for name in space},
        index=index,
    )
    varied = {
        name: each
        for name, each in space.items()
        if len({encode(each, value) for value in table[name]}) > 1
    }
    return Responses(
        baseline=baseline,
        kind=kind,
        space=varied,
        params=table[list(varied)],
        values=np.array([_value(record, kind) for record in kept], dtype=float),
        seeds=pd.DataFrame([_by_seed(record, kind) for record in kept], index=index, dtype=float),
        excluded=dict(sorted(Counter(fate for fate in fates.values() if fate).items())),
        constant=tuple(name for name in space if name not in varied and len(kept) > 1),
        adaptive=sum(number >= startup(study) for number in index),
    )


def kind_of(study: StudyRecords) -> Kind:
    """The response of a study: one for all its baselines, so that they can be compared."""
    tested = [judged(record, "oracle") is not None for record in study.complete]
    if tested and all(tested):
        return KINDS["oracle"]
    return KINDS.get(study.rule, KINDS["validation"])  # `random` says nothing of a configuration


def startup(study: StudyRecords) -> float:
    """How many trials were not adaptive; infinite for a plan that knows all its own beforehand."""
    if study.plan != "Optuna":
        return math.inf
    asked: int | None = study.asked["plan"].get("random_trials")
    return asked or min(10, max(4, study.budget["trials"] // 3))


def encode(distribution: BaseDistribution, value: object) -> float:
    """A parameter's value as a number: the index of a choice, a logarithm, or the number.

    Raises:
        ValueError: if the distribution cannot give the value.
    """
    number = float(distribution.to_internal_repr(value))
    if isinstance(distribution, CategoricalDistribution):
        return number
    if not distribution._contains(number):
        raise ValueError(f"{value!r} lies outside {distribution}")
    return math.log(number) if distribution.log else number


def decode(distribution: BaseDistribution, number: float) -> float:
    """Where a value stands on an axis: the index of a choice, or the number itself."""
    logarithm = not isinstance(distribution, CategoricalDistribution) and distribution.log
    return math.exp(number) if logarithm else number


def same(
    space: Mapping[str, BaseDistribution], a: Mapping[str, Any], b: Mapping[str, Any]
) -> bool:
    """Whether two configurations lie in a space and agree there, but for rounding."""
    if not all(_inside(each, one, name) for name, each in space.items() for one in (a, b)):
        return False
    pairs = [(encode(each, a[name]), encode(each, b[name])) for name, each in space.items()]
    return all(math.isclose(x, y, rel_tol=1e-12) for x, y in pairs)


def default_trial(study: StudyRecords, baseline: str) -> TrialRecord | None:
    """The complete trial of a baseline with nothing changed; None if there is none."""
    default, space = study.defaults[baseline], study.spaces[baseline]
    own = (r for r in study.of(baseline) if same(space, r.params, default))
    return next(own, None)


def chosen_trial(study: StudyRecords, baseline: str) -> TrialRecord | None:
    """The trial of a baseline that the study's rule puts first; None if it can judge none."""
    return next(iter(ranked(study.of(baseline), study.rule)), None)


def _fate(record: TrialRecord, kind: Kind, space: Mapping[str, BaseDistribution]) -> str:
    """Why a trial is left out; empty if it is not."""
    if record.state != "complete":
        return EARLY if record.state == "pruned" else FAILED
    if not math.isfinite(_value(record, kind)):
        return UNANSWERED
    return (
        "" if all(_inside(each, record.params, name) for name, each in space.items()) else OUTSIDE
    )


def _inside(distribution: BaseDistribution, params: Mapping[str, Any], name: str) -> bool:
    try:
        return name in params and math.isfinite(encode(distribution, params[name]))
    except (ValueError, TypeError):
        return False


def _value(record: TrialRecord, kind: Kind) -> float:
    """The response of a trial; NaN if it has none."""
    value = judged(record, kind.rule)
    return math.nan if value is None else value


def _by_seed(record: TrialRecord, kind: Kind) -> dict[int, float]:
    """The response of each seed of which every class has a number: the mean over classes."""
    values: dict[int, list[float]] = {}
    for replica, value in zip(record.replicas, record.metrics.get(kind.metric, ()), strict=False):
        if value is not None and math.isfinite(value):
            values.setdefault(replica.seed, []).append(kind.sign * value)
    tasks = len({replica.task for replica in record.replicas})
    return {seed: math.fsum(own) / tasks for seed, own in values.items() if len(own) == tasks}
