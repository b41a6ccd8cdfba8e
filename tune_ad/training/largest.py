"""The configuration of a study that needs most memory of a GPU."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution

from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.search.study import Study
from tune_ad.training.replicas.device_memory import Footprint, footprint, needed


class Need(NamedTuple):
    """The memory of a GPU that the largest configuration of a study needs, in bytes.

    Attributes:
        baseline: the name of its baseline.
        together: if all of its replicas are trained together.
        alone: if they are trained one after the other.
    """

    baseline: str
    together: int
    alone: int


def largest(study: Study, replicas: int, images: int) -> Need:
    """The memory that the largest configuration of a study needs.

    Parameters are set to the value that needs most memory, one after the other. This finds the
    largest configuration because none of them needs less with another value of the others.

    Args:
        study: the study.
        replicas: number of replicas of a trial.
        images: bytes of the images of all tasks.
    """

    def need(baseline: Baseline, params: Mapping[str, Any]) -> Need:
        one = _footprint(baseline, study, params)
        bytes_needed = (needed(one, replicas, count, images) for count in (replicas, 1))
        return Need(baseline.title, *bytes_needed)

    needs = []
    for baseline in study.baselines.values():
        params: dict[str, Any] = {}
        for name, values in _values(study, baseline).items():
            tried = {value: need(baseline, params | {name: value}).together for value in values}
            params[name] = max(tried, key=lambda value: tried[value])
        needs.append(need(baseline, params))
    return max(needs, key=lambda one: one.together)


def _footprint(baseline: Baseline, study: Study, params: Mapping[str, Any]) -> Footprint:
    """The memory of a replica; nothing if it cannot be built, because its trial fails at once."""
    try:
        return footprint(baseline.detector, baseline.config(study.shape, params), study.shape)
    except UserError:
        return Footprint(0, 0, 0, 1)


def _values(study: Study, baseline: Baseline) -> dict[str, Sequence[Any]]:
    """The values of each parameter that are tried: those of the plan, or those of the space."""
    if study.planned is None:
        return {name: extremes(values) for name, values in baseline.space.items()}
    planned = [c.params for c in study.planned if c.baseline == baseline.title]
    names = dict.fromkeys(name for params in planned for name in params)
    return {name: _distinct(p[name] for p in planned if name in p) for name in names}


def extremes(distribution: BaseDistribution) -> Sequence[Any]:
    """Every choice, or the smallest and the largest number.

    >>> extremes(CategoricalDistribution([3, 1, 2]))
    (3, 1, 2)
    """
    if isinstance(distribution, CategoricalDistribution):
        choices: Sequence[Any] = distribution.choices
        return choices
    return distribution.low, distribution.high


def _distinct(values: Iterable[Any]) -> Sequence[Any]:
    return tuple(dict.fromkeys(values))
