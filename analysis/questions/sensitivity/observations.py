"""The data of a sensitivity analysis: the parameters of each configuration, and its response."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution

from analysis import frame
from analysis.questions.sensitivity.response import Response, response_of
from analysis.study import StudyRecords
from tune_ad.selection import mean, ranked
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

PRUNED = "pruned"
FAILED = "failed"
UNANSWERED = "without a response"
LACKING = "lacking a searched parameter"
OUTSIDE = "with a parameter outside the search space"


class Observations(NamedTuple):
    """The parameters and the response of each complete trial of a baseline.

    Attributes:
        baseline: the name of the baseline.
        response: the response that the values are.
        space: the distributions of the parameters that took at least two values.
        params: the values of these parameters, one row per trial, indexed by trial number.
        values: the response, mean over replicas, in the order of the rows; larger is better.
        seeds: the response by trial and seed, mean over classes; NaN if a trial lacks a seed.
        excluded: the number of trials that are left out, by reason.
        constant: the searched parameters that took a single value, which are left out.
        adaptive: for each row, whether results of earlier trials may have influenced its proposal.
        drawn: the number of trials of which these are a random subsample; 0 = these are all.
        averaged_over: what the values are means over, in words.
    """

    baseline: str
    response: Response
    space: Mapping[str, BaseDistribution]
    params: pd.DataFrame
    values: np.ndarray
    seeds: pd.DataFrame
    excluded: Mapping[str, int]
    constant: tuple[str, ...]
    adaptive: np.ndarray
    drawn: int = 0
    averaged_over: str = "classes and seeds"

    @property
    def n(self) -> int:
        """The number of trials."""
        return len(self.values)

    @property
    def names(self) -> list[str]:
        """The names of the parameters that took at least two values."""
        return list(self.space)

    def encoded(self) -> np.ndarray:
        """The parameters as numbers, of shape (trials, parameters), as `encode` gives them.

        The order of the choices of a categorical parameter is arbitrary; forests can handle that.
        """
        columns = [
            [encode(distribution, value) for value in self.params[name]]
            for name, distribution in self.space.items()
        ]
        return np.array(columns, dtype=float).reshape(len(columns), self.n).T

    def value_of(self, number: int) -> float:
        """The response of the trial with this number; NaN if it is not among these."""
        values = self.values[self.params.index == number]
        return float(values[0]) if len(values) else math.nan

    def subsample(self, most: int, seed: int = 0) -> "Observations":
        """At most `most` of the trials, drawn without replacement, in their order."""
        if self.n <= most:
            return self
        kept = np.sort(np.random.default_rng(seed).choice(self.n, most, replace=False))
        return self._only(kept)._replace(drawn=self.n)

    def non_adaptive(self) -> "Observations":
        """The non-adaptive trials: defaults, random and Sobol trials."""
        return self._only(np.flatnonzero(~self.adaptive)) if self.adaptive.any() else self

    def _only(self, rows: np.ndarray) -> "Observations":
        """Some of the rows; parameters that take a single value there are left out."""
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
        """Which trials these are, and which were left out and why, in sentences."""
        trials = f"{count(self.n, 'complete trial')} of {self.baseline}"
        parts = [f"Response: {self.response.name}, mean over {self.averaged_over}; {trials}."]
        if self.excluded:
            reasons = ", ".join(f"{n} {reason}" for reason, n in self.excluded.items())
            parts.append(f"Left out: {reasons}.")
        if self.constant:
            parts.append(f"Parameters that took a single value: {', '.join(self.constant)}.")
        if adaptive := int(self.adaptive.sum()):
            parts.append(f"{proposed_adaptively(adaptive)}.")
        return " ".join(parts)


def proposed_adaptively(trials: int) -> str:
    """The number of adaptive trials in words, without a full stop.

    >>> proposed_adaptively(4)
    '4 trials were proposed adaptively (TPE)'
    """
    return f"{count(trials, 'trial')} {'was' if trials == 1 else 'were'} proposed adaptively (TPE)"


def observations(
    study: StudyRecords, baseline: str, response: Response | None = None
) -> Observations:
    """The observations of a baseline's complete trials.

    Trials that failed, were pruned, have no finite response, lack a searched parameter or have one
    outside the search space are left out and counted.

    Args:
        study: the records.
        baseline: the name of the baseline.
        response: the response; None = that of `response_of`.
    """
    response, space = response or response_of(study), study.spaces[baseline]
    records = [record for record in study.trials if record.baseline == baseline]
    exclusions = {record.number: _exclusion(record, response, space) for record in records}
    kept = [record for record in records if not exclusions[record.number]]
    index = [record.number for record in kept]
    table = pd.DataFrame(
        {name: pd.Series([r.params[name] for r in kept], index, dtype=object) for name in space},
        index=index,
    )
    varied = _varied(space, table)
    return Observations(
        baseline=baseline,
        response=response,
        space=varied,
        params=table[list(varied)],
        values=np.array([_value(record, response) for record in kept], dtype=float),
        seeds=_by_seed(study, index, response),
        excluded=dict(sorted(Counter(filter(None, exclusions.values())).items())),
        constant=tuple(name for name in space if name not in varied and len(kept) > 1),
        adaptive=np.array([number >= startup(study) for number in index], dtype=bool),
        averaged_over=study.averaged_over,
    )


def startup(study: StudyRecords) -> float:
    """The number of the first trial whose proposal an earlier result may have influenced.

    The first of these that applies:

    - infinite for a plan that fixes its configurations beforehand;
    - the number that the study stored when it began (an extension changes the budget);
    - the number of random trials that the plan declares;
    - the number of baselines: only the defaults count as non-adaptive, which is conservative.
    """
    if not study.plan.adapts:
        return math.inf
    stored: int | None = study.stored.get("startup")
    declared: int | None = study.search["plan"].get("random_trials")
    known = (number for number in (stored, declared) if number is not None)
    return next(known, len(study.baselines))


def encode(distribution: BaseDistribution, value: object) -> float:
    """A parameter's value as a number.

    The index of a choice; the natural logarithm of a number that is searched on a logarithmic
    scale; otherwise the number.

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
    """The position of an encoded value on an axis: the index of a choice, or the number itself."""
    logarithm = not isinstance(distribution, CategoricalDistribution) and distribution.log
    return math.exp(number) if logarithm else number


def same(
    space: Mapping[str, BaseDistribution], a: Mapping[str, Any], b: Mapping[str, Any]
) -> bool:
    """Whether two configurations lie in a space and are equal there up to rounding."""
    if not contains(space, a) or not contains(space, b):
        return False
    pairs = [(encode(values, a[name]), encode(values, b[name])) for name, values in space.items()]
    return all(math.isclose(x, y, rel_tol=1e-12) for x, y in pairs)


def contains(space: Mapping[str, BaseDistribution], params: Mapping[str, Any]) -> bool:
    """Whether a configuration has every parameter of a space, with a value inside it."""
    return all(_inside(distribution, params, name) for name, distribution in space.items())


def default_trial(study: StudyRecords, baseline: str) -> TrialRecord | None:
    """The complete trial of a baseline's default parameters; None if there is none."""
    default, space = study.defaults[baseline], study.spaces[baseline]
    return next((r for r in study.of(baseline) if same(space, r.params, default)), None)


def chosen_trial(study: StudyRecords, baseline: str) -> TrialRecord | None:
    """The trial of a baseline that the selection rule ranks first; None if it ranks none."""
    return next(iter(ranked(study.of(baseline), study.rule)), None)


def _varied(
    space: Mapping[str, BaseDistribution], params: pd.DataFrame
) -> dict[str, BaseDistribution]:
    """The distributions of the parameters that take at least two values."""
    return {
        name: distribution
        for name, distribution in space.items()
        if len({encode(distribution, value) for value in params[name]}) > 1
    }


def _exclusion(
    record: TrialRecord, response: Response, space: Mapping[str, BaseDistribution]
) -> str:
    """Why a trial is left out; empty if it is not."""
    if record.state != "complete":
        return PRUNED if record.state == "pruned" else FAILED
    if not math.isfinite(_value(record, response)):
        return UNANSWERED
    if not space.keys() <= record.params.keys():
        return LACKING
    return "" if contains(space, record.params) else OUTSIDE


def _inside(distribution: BaseDistribution, params: Mapping[str, Any], name: str) -> bool:
    try:
        return name in params and math.isfinite(encode(distribution, params[name]))
    except (ValueError, TypeError):
        return False


def _value(record: TrialRecord, response: Response) -> float:
    """The response of a trial; NaN if it has none."""
    value = mean(record.metrics.get(response.metric, ()))
    return math.nan if value is None else response.sign * value


def _by_seed(study: StudyRecords, numbers: list[int], response: Response) -> pd.DataFrame:
    """The response of each trial and seed, the mean over classes."""
    if not numbers:
        return pd.DataFrame(index=numbers, dtype=float)
    table = study.replicas[study.replicas["number"].isin(numbers)]
    return response.sign * frame.by_trial_and_seed(table, str(response.metric)).reindex(numbers)
