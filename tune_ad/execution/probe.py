"""Replicas on random images, of which the speed is measured before a study."""

import torch

from tune_ad.detectors.base import skeleton
from tune_ad.detectors.config import Config
from tune_ad.randomness import torch_stream
from tune_ad.search.baseline import Baseline
from tune_ad.search.study import Study
from tune_ad.training.replicas.paths import Load, limits
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

PROBE_IMAGES = 200  # at least; so many are scored at once on a CPU


def probe(  # noqa: PLR0913 - what is trained, and how
    baseline: Baseline,
    config: Config,
    study: Study,
    device: str,
    models: int,
    batches: int = 1,
) -> ReplicaSet:
    """Replicas of a configuration that are trained together, on at least `PROBE_IMAGES` images.

    Args:
        baseline: the baseline.
        config: one of its configurations.
        study: the study.
        device: "cpu" or "cuda".
        models: number of models of a trial.
        batches: the smallest number of batches of an epoch.
    """
    shape = study.shape
    stages = skeleton(baseline.detector, config, shape).stages()
    count = max([PROBE_IMAGES, *(batches * stage.batch_size for stage in stages)])
    images = torch.rand(count, *shape, generator=torch_stream(0, "probe"))
    space = baseline.score_space
    load = Load(baseline.detector, config, shape, space, models, images.nbytes)
    limit = limits(load, device)
    together = min(models, limit.trained)
    return ReplicaSet(
        baseline.detector,
        config,
        images.to(device),
        [ReplicaSpec("probe", seed, torch.arange(count)) for seed in range(together)],
        space,
        scored_images=limit.images,
        precision=study.precision_of(baseline.title),
    )
