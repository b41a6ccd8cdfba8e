"""What each configuration of a baseline reached, and what it was: the data of sensitivities."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution

from analysis import frame
from analysis.document.format import count
from analysis.questions.sensitivity.kinds import Kind, kind_of
from analysis.study import StudyRecords
from tune_ad.search.selection import mean, ranked
from tune_ad.storage.records import TrialRecord

EARLY = "stopped early"
FAILED = "failed"
UNANSWERED = "without a response"
LACKING = "without a parameter of the space"
OUTSIDE = "with a parameter outside its space"
FIXED = ("Grid", "Listed", "OneAtATime", "Sobol")
"""Plans that know all their trials beforehand."""


class Responses(NamedTuple):
    """What each complete configuration of a baseline reached; larger = better.

    Attributes:
        baseline: whose space it is.
        kind: of the response.
        space: distributions of the parameters that took at least two values.
        params: their values, one row per trial, by trial number.
        values: the response, mean over replicas, in the order of the rows.
        seeds: trial x seed, mean over classes; NaN where the trial lacks that seed.
        excluded: trials that are left out, by the reason.
        constant: searched parameters that took one value, which are left out.
        adaptive: by row, whether the trial may have been proposed in the light of earlier ones.
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
    adaptive: np.ndarray
    drawn: int = 0

    @property
    def n(self) -> int:
        """The number of trials."""
        return len(self.values)

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
        return self._only(kept)._replace(drawn=self.n)

    def block(self) -> "Responses":
        """The trials that no earlier result had a say in: defaults and random or even ones."""
        return self._only(np.flatnonzero(~self.adaptive)) if self.adaptive.any() else self

    def _only(self, rows: np.ndarray) -> "Responses":
        """Some of the rows; parameters that take one value there are left out."""
        params = self.params.iloc[rows]
        space = _varied(self.space, params)
        return self._replace(
            space=space,
            params=params[list(space)],
            values=self.values[rows],
            seeds=self.seeds.iloc[rows],
            constant=(*self.constant, *(name for name in self.space if name not in space)),
            adaptive=self.adaptive[rows],
        )

    def described(self) -> str:
        """What the trials are, what was left out and why, in sentences."""
        share = f"{count(self.n, 'complete trial')} of {self.baseline}"
        parts = [f"Response: {self.kind.name}, mean over replicas; {share}."]
        if self.excluded:
            listed = ", ".join(f"{n} {reason}" for reason, n in self.excluded.items())
            parts.append(f"Left out: {listed}.")
        if self.constant:
            parts.append(f"Took one value only: {', '.join(self.constant)}.")
        if proposed := int(self.adaptive.sum()):
            parts.append(f"{proposed:,} may have been proposed in the light of earlier ones.")
        return " ".join(parts)


def responses(study: StudyRecords, baseline: str, kind: Kind | None = None) -> Responses:
    """The responses of a baseline's complete trials.

    Trials that failed, were stopped early, have no finite response, lack a parameter of the space
    or have one outside it are left out and counted.

    Args:
        study: the records.
        baseline: whose trials.
        kind: of response; None = `kind_of`.
    """
    kind, space = kind or kind_of(study), study.spaces[baseline]
    own = [record for record in study.trials if record.baseline == baseline]
    fates = {record.number: _fate(record, kind, space) for record in own}
    kept = [record for record in own if not fates[record.number]]
    index = [record.number for record in kept]
    table = pd.DataFrame(
        {name: pd.Series([r.params[name] for r in kept], index, dtype=object) for name in space},
        index=index,
    )
    varied = _varied(space, table)
    return Responses(
        baseline=baseline,
        kind=kind,
        space=varied,
        params=table[list(varied)],
        values=np.array([_value(record, kind) for record in kept], dtype=float),
        seeds=_by_seed(study, index, kind),
        excluded=dict(sorted(Counter(fate for fate in fates.values() if fate).items())),
        constant=tuple(name for name in space if name not in varied and len(kept) > 1),
        adaptive=np.array([number >= startup(study) for number in index], dtype=bool),
    )


def startup(study: StudyRecords) -> float:
    """The number of the first trial that an earlier result may have had a say in.

    Infinite for a plan that knows its trials beforehand. Otherwise what the study noted when it
    was begun, since an extension moves the budget; where it noted nothing, what the plan was
    given; where that is nothing either, the defaults alone count as not adaptive, which errs on
    the careful side.
    """
    if study.plan in FIXED:
        return math.inf
    noted: int | None = study.stored.get("startup")
    given: int | None = study.asked.get("plan", {}).get("random_trials")
    return noted or given or len(study.baselines)


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


def _varied(
    space: Mapping[str, BaseDistribution], params: pd.DataFrame
) -> dict[str, BaseDistribution]:
    """The distributions of parameters that take at least two values."""
    return {
        name: each
        for name, each in space.items()
        if len({encode(each, value) for value in params[name]}) > 1
    }


def _fate(record: TrialRecord, kind: Kind, space: Mapping[str, BaseDistribution]) -> str:
    """Why a trial is left out; empty if it is not."""
    if record.state != "complete":
        return EARLY if record.state == "pruned" else FAILED
    if not math.isfinite(_value(record, kind)):
        return UNANSWERED
    if not space.keys() <= record.params.keys():
        return LACKING
    inside = all(_inside(each, record.params, name) for name, each in space.items())
    return "" if inside else OUTSIDE


def _inside(distribution: BaseDistribution, params: Mapping[str, Any], name: str) -> bool:
    try:
        return name in params and math.isfinite(encode(distribution, params[name]))
    except (ValueError, TypeError):
        return False


def _value(record: TrialRecord, kind: Kind) -> float:
    """The response of a trial; NaN if it has none."""
    value = mean(record.metrics.get(kind.metric, ()))
    return math.nan if value is None else kind.sign * value


def _by_seed(study: StudyRecords, numbers: list[int], kind: Kind) -> pd.DataFrame:
    """The response of each trial and seed, the mean over classes."""
    if not numbers:
        return pd.DataFrame(index=numbers, dtype=float)
    table = study.replicas[study.replicas["number"].isin(numbers)]
    return kind.sign * frame.by_trial_and_seed(table, kind.metric).reindex(numbers)
