r"""Decisions with a known rate of false alarms, from the scores of unseen normal images.

Let $s_1, \ldots, s_n$ be the scores of normal images that neither training nor selection has seen,
and s the score of a new image. The conformal p-value is
$p = (1 + \#\{i : s_i \ge s\}) / (n + 1)$. If the new image is normal and exchangeable with the n,
then $P(p \le \alpha) \le \alpha$ for every $\alpha$, whatever the detector and the distribution of
its scores: no assumption on either is made. Tied scores count against an alarm.

The guarantee is on average over calibration sets. Given one calibration set with scores that do
not tie, the rate is a random variable with the distribution Beta(k, n + 1 - k),
$k = \lfloor \alpha (n + 1) \rfloor$.

Sources: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005, section 2.2;
Vovk, Conditional validity of inductive conformal predictors, ACML 2012, proposition 2; for
outliers Bates et al., Testing for outliers with conformal p-values, Annals of Statistics 51(1),
2023.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from tune_ad.errors import UserError

Scores = NDArray[np.float64]
CONFIDENCE = 0.95


def p_values(calibration: Scores, scores: Scores) -> Scores:
    """The conformal p-value of each score, in [1 / (n + 1), 1].

    Args:
        calibration: scores of unseen normal images, shape (n,), n >= 1.
        scores: scores, shape (m,).

    >>> p_values(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 9.0])).tolist()
    [1.0, 0.75, 0.25]
    """
    below = np.searchsorted(np.sort(calibration), scores, side="left")
    n = len(calibration)
    p: Scores = (1 + n - below) / (n + 1)
    return p


def rank_of_threshold(n: int, rate: float) -> int:
    """The largest k of which k / (n + 1) does not exceed a rate; 0 if n is too small for it.

    >>> rank_of_threshold(99, 0.01), rank_of_threshold(98, 0.01), rank_of_threshold(199, 0.05)
    (1, 0, 10)
    """
    return math.floor(rate * (n + 1) + 1e-9)


class Threshold(NamedTuple):
    """A threshold of the score: images with a larger score raise an alarm.

    Attributes:
        value: the threshold, in units of the score.
        wished: the rate of false alarms that was asked for, in (0, 1).
        rate: the rate that is guaranteed: at most this share of normal images raise an alarm, on
            average over calibration sets. It exceeds `wished` if n is too small.
        images: n, the number of normal images.
        low: the lower end of the 95 % interval of the rate, given this calibration set.
        high: its upper end.
    """

    value: float
    wished: float
    rate: float
    images: int
    low: float
    high: float

    @property
    def is_met(self) -> bool:
        """Whether there are enough images for the wished rate."""
        return self.rate <= self.wished

    @property
    def shortfall(self) -> str:
        """What is missing for the wished rate, without a full stop; empty if nothing is."""
        if self.is_met:
            return ""
        needed = math.ceil(1 / self.wished - 1e-9) - 1
        return (
            f"too few images for a false-alarm rate of {self.wished:g}: the least rate that "
            f"{self.images} normal images support is {self.rate:.3g}; {needed} would do"
        )


def threshold(calibration: Scores, rate: float) -> Threshold:
    """The threshold with the largest rate of false alarms that does not exceed `rate`.

    A score above it has a p-value of at most that rate. If there are too few images, it is the
    largest calibration score, whose rate is 1 / (n + 1).

    Args:
        calibration: scores of unseen normal images, shape (n,).
        rate: the wished rate, in (0, 1).

    Raises:
        UserError: if there is no image, or the rate lies outside (0, 1).
    """
    n = len(calibration)
    if not n:
        raise UserError(
            "a threshold needs normal images that neither training nor selection has seen, and "
            "there is none; add normal test images"
        )
    if not 0 < rate < 1:
        raise UserError(f"the rate of false alarms must lie in (0, 1), got {rate}")
    k = max(1, rank_of_threshold(n, rate))
    tail = (1 - CONFIDENCE) / 2
    low, high = scipy.special.betaincinv(k, n + 1 - k, [tail, 1 - tail])
    return Threshold(
        value=float(np.sort(calibration)[n - k]),
        wished=rate,
        rate=k / (n + 1),
        images=n,
        low=float(low),
        high=float(high),
    )


class Checked(NamedTuple):
    """How often held-out normal images raised an alarm.

    Attributes:
        alarms: the number of alarms.
        images: the number of images; each was held out once.
        guaranteed: the mean of the rates that the two thresholds guarantee.
    """

    alarms: int
    images: int
    guaranteed: float


def cross_check(scores: Scores, rate: float, order: NDArray[np.int64]) -> Checked | None:
    """Alarms of each half of the normal images under the threshold of the other half.

    Args:
        scores: scores of unseen normal images, shape (n,).
        rate: the wished rate.
        order: a permutation of the n images.

    Returns:
        None if a half has no image.
    """
    halves = np.array_split(scores[order], 2)
    if min(map(len, halves)) == 0:
        return None
    thresholds = [threshold(half, rate) for half in halves]
    alarms = sum(
        int((other > limit.value).sum())
        for limit, other in zip(thresholds, reversed(halves), strict=True)
    )
    guaranteed = float(np.mean([limit.rate for limit in thresholds]))
    return Checked(alarms, len(scores), guaranteed)
