"""A kept model in memory: scores uint8 images as it did in the study that trained it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tune_ad.data import ScaledImages
from tune_ad.data.scaling import mapped
from tune_ad.detectors.base import Detector, Terms
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.models.conformal import Scores
from tune_ad.search.own_detector import find_detector
from tune_ad.training.replicas.kept import KeptState
from tune_ad.training.replicas.replica import CHUNK


def detector_of(path: str) -> type[Detector[Any]]:
    """The class of a detector from the text that `reference_of` gave.

    Raises:
        UserError: if it cannot be imported, or is no detector.
    """
    try:
        return find_detector(path, is_fitted=True)
    except UserError as error:
        raise UserError(
            f"the detector {path} of this model cannot be imported ({error}); install the package "
            "that contains it, or put its file where it was"
        ) from error


class Member:
    """One trained model: its detector with the stored state.

    Args:
        detector: the class of the detector.
        config: its configuration.
        shape: the shape of an image.
        state: the stored state.
        place: the path of the model, for messages.

    Raises:
        UserError: if the state does not fit the detector.
    """

    def __init__(
        self,
        detector: type[Detector[Any]],
        config: Config,
        shape: ImageShape,
        state: KeptState,
        place: str,
    ) -> None:
        self.module = state.put_into(detector(config, shape), place)
        self.noise, self.range = dict(state.noise), state.range

    def prepared(self, pixels: Tensor) -> tuple[Tensor, Terms]:
        """Scaled images, float32 (n, c, h, w), and what else scoring needs, on the CPU.

        Args:
            pixels: uint8, shape (n, c, h, w).
        """
        images = ScaledImages(pixels, self.module.config.scaling)
        positions = torch.arange(len(pixels))
        known = images.statistics.of(self.module.image_statistics, positions)
        scaled = images[:]
        if self.range is not None:
            scaled = mapped(scaled, self.range)
        return scaled.contiguous(memory_format=torch.channels_last), {**self.noise, **known}

    @torch.no_grad()
    def terms(self, pixels: Tensor) -> Mapping[str, Scores]:
        """The score of each image and its components, each of shape (n,).

        Args:
            pixels: uint8, shape (n, c, h, w).
        """
        parts: dict[str, list[Tensor]] = {}
        for chunk in pixels.split(CHUNK):
            terms = self.module.score_variants(*self.prepared(chunk), {})
            for name, values in terms.items():
                parts.setdefault(name, []).append(values.double())
        return {name: torch.cat(values).numpy() for name, values in parts.items()}

    def scores(self, pixels: Tensor) -> Scores:
        """The anomaly score of each image, shape (n,), larger = more anomalous.

        Args:
            pixels: uint8, shape (n, c, h, w).
        """
        if not len(pixels):
            return np.zeros(0)
        return self.terms(pixels)["score"]
