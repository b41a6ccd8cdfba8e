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

    Parameters are set to the value that needs most memory, one after the other. This usually finds
    the largest configuration, but need not if the most expensive value of a parameter depends on
    those of others. Values with which nothing can be built are skipped, because their trials fail
    at once.

    Args:
        study: the study.
        replicas: number of replicas of a trial.
        images: bytes of the images of all tasks.

    Raises:
        UserError: if no configuration that is tried can be built for the images.
    """

    def size(one: Footprint) -> tuple[int, int]:
        """The memory, and what tells apart configurations whose scoring needs equally much."""
        return needed(one, replicas, replicas, images), one.fixed + one.step

    needs = []
    for baseline in study.baselines.values():
        params: dict[str, Any] = {}
        most = _built(study, baseline, params)
        for name, values in _values(study, baseline).items():
            built = {v: _built(study, baseline, params | {name: v}) for v in values}
            possible = {value: one for value, one in built.items() if one is not None}
            if possible:
                params[name], most = max(possible.items(), key=lambda of_value: size(of_value[1]))
        if most is not None:
            together, alone = (needed(most, replicas, n, images) for n in (replicas, 1))
            needs.append(Need(baseline.title, together, alone))
    if not needs:
        raise UserError(
            "the GPU memory that the study needs cannot be determined: no configuration that was "
            f"tried can be built for {study.shape}; change the search space or --set"
        )
    return max(needs, key=lambda one: one.together)


def _built(study: Study, baseline: Baseline, params: Mapping[str, Any]) -> Footprint | None:
    """The memory of a replica of a configuration; None if it cannot be built for the images."""
    try:
        config = baseline.config(study.shape, params)
        return footprint(baseline.detector, config, study.shape, baseline.score_space)
    except UserError:
        return None


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
