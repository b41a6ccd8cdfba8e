"""Forward passes in training mode that leave running statistics as they are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def running_statistics_kept(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Context manager: batch normalisation in some modules does not track its statistics.

    In training mode it still normalises with the statistics of the batch.

    Args:
        modules: the modules, with all that they contain.
    """
    layers = [
        layer
        for module in modules
        for layer in module.modules()
        if isinstance(layer, BATCH_NORMS) and layer.track_running_stats
    ]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
