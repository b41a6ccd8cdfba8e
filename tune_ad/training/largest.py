"""The configuration of a study that needs most memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from tune_ad.detectors.base import skeleton
from tune_ad.detectors.config import Config
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.search.distributions import extremes
from tune_ad.search.study import Study
from tune_ad.training.replicas.device_memory import Footprint, footprint, needed

T = TypeVar("T")


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
        most = _ascended(study, baseline, partial(_built, study, baseline), size)
        if most is not None:
            together, alone = (needed(most, replicas, n, images) for n in (replicas, 1))
            needs.append(Need(baseline.title, together, alone))
    if not needs:
        raise UserError(
            "the GPU memory that the study needs cannot be determined: no configuration that was "
            f"tried can be built for {study.shape}; change the search space or --set"
        )
    return max(needs, key=lambda one: one.together)


class Weights(NamedTuple):
    """The largest configuration by its number of weights.

    Attributes:
        baseline: the name of its baseline.
        params: the searched parameters that differ from the defaults.
        weights: the number of parameters and buffers of a model.
        config: the configuration.
    """

    baseline: str
    params: Mapping[str, Any]
    weights: int
    config: Config


def most_weights(study: Study) -> Weights:
    """The configuration of a study whose models have most weights, found as in `largest`.

    Only shapes are computed, so that this takes milliseconds per value of a parameter.

    Args:
        study: the study.

    Raises:
        UserError: if no configuration that is tried can be built for the images.
    """

    def built(baseline: Baseline, params: Mapping[str, Any]) -> Weights | None:
        try:
            config = baseline.config(study.shape, params)
            module = skeleton(baseline.detector, config, study.shape)
        except UserError:
            return None
        tensors = (*module.parameters(), *module.buffers())
        return Weights(baseline.title, dict(params), sum(t.numel() for t in tensors), config)

    found = [
        _ascended(study, baseline, partial(built, baseline), lambda one: one.weights)
        for baseline in study.baselines.values()
    ]
    possible = [one for one in found if one is not None]
    if not possible:
        for baseline in study.baselines.values():
            baseline.skeleton(study.shape)  # says why
        raise UserError(f"{study.name}: no configuration can be built for {study.shape}")
    return max(possible, key=lambda one: one.weights)


def _ascended(
    study: Study,
    baseline: Baseline,
    built: Callable[[Mapping[str, Any]], T | None],
    size: Callable[[T], Any],
) -> T | None:
    """The largest configuration of a baseline, one parameter after the other.

    Args:
        study: the study.
        baseline: the baseline.
        built: what is compared of a configuration, given by its parameters; None if it cannot be
            built.
        size: its size.
    """
    params: dict[str, Any] = {}
    most = built(params)
    for name, values in _values(study, baseline).items():
        of_values = {value: built(params | {name: value}) for value in values}
        possible = {value: one for value, one in of_values.items() if one is not None}
        value, best = max(possible.items(), key=lambda pair: size(pair[1]), default=(None, None))
        if best is not None and (most is None or size(best) > size(most)):
            params[name], most = value, best
    return most


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


def _distinct(values: Iterable[Any]) -> Sequence[Any]:
    return tuple(dict.fromkeys(values))
