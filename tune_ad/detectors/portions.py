"""How much is computed at once, so that it fits a CPU's cache, or fills a GPU."""

from typing import NamedTuple

import torch


class Portion(NamedTuple):
    """The numbers that are held at once, by the kind of device.

    Attributes:
        cpu: on a CPU, whose cache they fit.
        gpu: on a GPU, which they fill. The meta device, which has shapes without values, stands
            for one: so the engine finds out how much memory of a GPU is needed.
    """

    cpu: int
    gpu: int

    def rows(self, device: torch.device, numbers: int) -> int:
        """The rows to compute at once, at least 1.

        Args:
            device: the device on which they are computed.
            numbers: how many numbers each row needs, at least 1.
        """
        return max(1, (self.cpu if device.type == "cpu" else self.gpu) // numbers)
