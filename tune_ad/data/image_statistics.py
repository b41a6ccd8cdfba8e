"""Statistics of images that need no model, computed at most once for each image."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Statistic = Callable[[Tensor], Tensor]
"""A function (images in [0, 1], float32 on the CPU, shape (batch, c, h, w)) -> (batch,)."""
IMAGES_PER_CHUNK = 1024


class ImageStatistics:
    """The statistics of images that have been asked for, by position of the image.

    They are those of the original image, whatever the scaling, and are computed on the CPU when
    they are first asked for. They depend on the images alone, so one object may serve any number
    of models.

    Args:
        images: uint8, or float in [0, 1]; shape (n, c, h, w).
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self._known: dict[Statistic, Tensor] = {}
        self._values: dict[Statistic, Tensor] = {}

    def of(self, statistics: Mapping[str, Statistic], indices: Tensor) -> dict[str, Tensor]:
        """Statistics of some images, each float64, shape (k,), on the CPU.

        Args:
            statistics: the functions, by name.
            indices: the positions of the images, shape (k,).
        """
        positions = indices.cpu()
        return {name: self._looked_up(s, positions) for name, s in statistics.items()}

    def _looked_up(self, statistic: Statistic, positions: Tensor) -> Tensor:
        if statistic not in self._values:
            self._known[statistic] = torch.zeros(len(self.images), dtype=torch.bool)
            self._values[statistic] = torch.zeros(len(self.images), dtype=torch.float64)
        known, values = self._known[statistic], self._values[statistic]
        missing = positions[~known[positions]].unique()
        for chunk in missing.split(IMAGES_PER_CHUNK) if len(missing) else ():
            values[chunk] = statistic(self._in_unit_range(chunk)).double()
            known[chunk] = True
        return values[positions]

    def _in_unit_range(self, positions: Tensor) -> Tensor:
        """The images at some positions, float32 on the CPU, in [0, 1]."""
        images = self.images[positions.to(self.images.device)].cpu()
        return images.float() if images.is_floating_point() else images.float() / 255
