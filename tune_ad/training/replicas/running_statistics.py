"""Forward passes in training mode that leave running statistics as they are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def running_statistics_kept(module: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """Context manager: batch normalisation in some submodules does not track its statistics.

    In training mode it still normalises with the statistics of the batch.

    Args:
        module: the module.
        names: the names of its submodules.
    """
    layers = [
        layer
        for name in names
        for layer in module.get_submodule(name).modules()
        if isinstance(layer, BATCH_NORMS) and layer.track_running_stats
    ]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
