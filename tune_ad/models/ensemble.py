r"""The models of several seeds as one detector.

The scores of one model are standardised by held-out normal images, $z = (s - m) / q$ with their
median m and interquartile range q, and the score of the ensemble is the mean of z over the models:
larger = more anomalous, without a unit. Standardisation does not change the order of images by one
model; it keeps a model with large scores from deciding alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tune_ad.models.conformal import Scores
from tune_ad.models.member import Member
from tune_ad.sampling import evenly_spaced

REFERENCES = 1000
"""The maximum number of normal images by which the scores of a model are standardised."""


def references(count: int) -> np.ndarray:
    """Which of so many normal images standardise scores: at most `REFERENCES`, evenly spaced."""
    return evenly_spaced(count, REFERENCES)


@dataclass(frozen=True)
class Standardisation:
    """Median and interquartile range of the scores of held-out normal images by one model."""

    centre: float
    scale: float

    @classmethod
    def of(cls, scores: Scores) -> "Standardisation":
        """Median and interquartile range of scores, shape (n,), n >= 1.

        If the range is 0, because half of the scores are equal, the scale is 1.
        """
        low, centre, high = np.quantile(scores, [0.25, 0.5, 0.75])
        return cls(float(centre), float(high - low) or 1.0)

    def __call__(self, scores: Scores) -> Scores:
        """Standardised scores of the same shape."""
        return (scores - self.centre) / self.scale


@dataclass(frozen=True)
class Ensemble:
    """The models of one task.

    Attributes:
        members: the models, one for each seed.
        standardisations: how the scores of each are standardised.
    """

    members: Sequence[Member]
    standardisations: Sequence[Standardisation]

    def member_scores(self, pixels: Tensor) -> Scores:
        """The score by each model, shape (models, n), in the units of the detector.

        Args:
            pixels: uint8, shape (n, c, h, w).
        """
        return np.stack([member.scores(pixels) for member in self.members])

    def combined(self, of_members: Scores) -> Scores:
        """The score of the ensemble, shape (n,), from those of its models, shape (models, n)."""
        pairs = zip(self.standardisations, of_members, strict=True)
        mean: Scores = np.mean([standardised(scores) for standardised, scores in pairs], axis=0)
        return mean

    def scores(self, pixels: Tensor) -> Scores:
        """The score of the ensemble, shape (n,), larger = more anomalous.

        Args:
            pixels: uint8, shape (n, c, h, w).
        """
        return self.combined(self.member_scores(pixels))
