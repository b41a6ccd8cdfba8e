"""How well scores rank anomalies above normal images; undefined input raises an error."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tune_ad.errors import DegenerateInputError

ROUNDINGS = 32  # units of 2^-23, the rounding error up to which scores count as equal


def auroc(normal: Tensor, anomalous: Tensor) -> float:
    r"""Area under the ROC curve: $P(a > n) + \frac12 P(a = n)$ for a random pair of scores.

    In [0, 1]; 1 = every anomaly scores above every normal image, 0.5 = chance, also for constant
    scores. Ties count half (average ranks).

    Args:
        normal: scores of normal images, shape (n,).
        anomalous: scores of anomalies, shape (m,).

    Raises:
        DegenerateInputError: if one side is empty or a score is NaN or infinite.
    """
    return float(aurocs(*checked(normal, anomalous)))


def aurocs(normal: Tensor, anomalous: Tensor) -> Tensor:
    """The AUROCs of many kinds of scores at once, shape (...), float64; see `auroc`.

    Undefined where a score is NaN; infinite scores are compared like others.

    Args:
        normal: scores of normal images, shape (..., n), float64, n >= 1.
        anomalous: scores of anomalies, shape (..., m), float64, m >= 1.
    """
    pairs = normal.shape[-1] * anomalous.shape[-1]
    return _wins(normal, anomalous.contiguous()).sum(-1) / pairs


def _wins(normal: Tensor, anomalous: Tensor) -> Tensor:
    """How many normal scores each anomaly exceeds, ties counted half, shape (..., m)."""
    ordered = normal.sort().values
    below = torch.searchsorted(ordered, anomalous)
    not_above = torch.searchsorted(ordered, anomalous, right=True)
    return (below.double() + not_above.double()) / 2


def doubled_ranks(scores: Tensor) -> Tensor:
    """Twice the average rank of each score, int64, from 2 to 2n: equal scores have equal ranks.

    Args:
        scores: finite scores, shape (n,).
    """
    ordered = scores.sort().values
    below = torch.searchsorted(ordered, scores)
    not_above = torch.searchsorted(ordered, scores, right=True)
    return below + not_above + 1


def auroc_interval(normal: Tensor, anomalous: Tensor) -> tuple[float, float]:
    r"""The 95 % interval of an AUROC that is due to the sampling of images, cut to [0, 1].

    $A \pm 1.96 \sqrt{s_a^2 / m + s_n^2 / n}$ with the variances of the placements: the share of
    the other side that an image beats (DeLong et al., Biometrics 44, 1988). For one model, or for
    one averaged score; the variation between seeds is not in it.

    Args:
        normal: scores of normal images, shape (n,), n >= 2.
        anomalous: scores of anomalies, shape (m,), m >= 2.
    """
    n, together = len(normal), doubled_ranks(torch.cat([normal, anomalous])).double()
    above = (together[n:] - doubled_ranks(anomalous)) / (2 * n)
    below = 1 - (together[:n] - doubled_ranks(normal)) / (2 * len(anomalous))
    error = math.sqrt(float(above.var() / len(anomalous) + below.var() / n))
    value = auroc(normal, anomalous)
    return max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error)


def agreements(scores: Tensor) -> Tensor:
    r"""The mean rank correlation of each model with the other models, shape (models,), in [-1, 1].

    Spearman's correlation of the scores of the same images. That with a model whose scores are
    all equal is 0.

    Args:
        scores: finite scores, shape (models, images), at least two models.
    """
    ranks = torch.stack([doubled_ranks(row) for row in scores]).double()
    centred = ranks - ranks.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    unit = centred / norms.clamp(min=1.0)  # the norm of ranks that differ is at least 1
    together = unit @ unit.T
    with_others: Tensor = (together.sum(1) - together.diagonal()) / (len(scores) - 1)
    return with_others.clamp(-1, 1)


def average_precision(normal: Tensor, anomalous: Tensor) -> float:
    r"""Average precision $\sum_k (R_k - R_{k-1}) P_k$ over the distinct thresholds.

    Anomalies are positive. In (0, 1]; its chance level is the share of anomalies, so it is
    comparable only between test sets with the same share.

    Args:
        normal: scores of normal images, shape (n,).
        anomalous: scores of anomalies, shape (m,).

    Raises:
        DegenerateInputError: if one side is empty or a score is NaN or infinite.
    """
    normal, anomalous = checked(normal, anomalous)
    scores, order = torch.cat((anomalous, normal)).sort(descending=True)
    hits = (order < len(anomalous)).double().cumsum(0)
    last_of_tie = torch.cat((scores[1:] != scores[:-1], scores.new_ones(1, dtype=torch.bool)))
    hits, taken = hits[last_of_tie], (last_of_tie.nonzero().squeeze(1) + 1).double()
    gained = hits.diff(prepend=hits.new_zeros(1))
    return float((gained * hits / taken).sum() / len(anomalous))


def checked(normal: Tensor, anomalous: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides in float64.

    Raises:
        DegenerateInputError: if one side is empty or a score is NaN or infinite.
    """
    for side, scores in (("normal", normal), ("anomalous", anomalous)):
        if not len(scores):
            raise DegenerateInputError(
                f"AUROC and AP need normal and anomalous scores; there is no {side} score"
            )
        require_finite(side, scores)
    return normal.double().contiguous(), anomalous.double().contiguous()


def require_finite(side: str, scores: Tensor) -> None:
    """Check that scores of shape (n,) are finite.

    Raises:
        DegenerateInputError: with the side, and the number of scores that are not.
    """
    count = int((~scores.isfinite()).sum())
    if count:
        raise DegenerateInputError(f"{count} of {len(scores)} {side} scores are NaN or infinite")


class Ties(NamedTuple):
    """How distinct scores are.

    Attributes:
        distinct: number of distinct scores.
        share: share of images whose score is shared by another image, in [0, 1].
        relative_range: the difference between the largest and the smallest score, divided by the
            largest magnitude of a score, in [0, 2]; 0 if all scores are 0.
    """

    distinct: int
    share: float
    relative_range: float

    @property
    def collapsed(self) -> bool:
        """Whether the scores of all images are identical up to rounding.

        The relative range is then at most `ROUNDINGS` = 32 units of 2^-23, the precision of a
        float32: a code is a sum over hundreds of features, whose rounding errors add up to several
        units, and a squared distance doubles them. At this resolution images cannot be ranked.
        Scores of trained detectors differ by 10^6 units and more on digits, MNIST and CIFAR-10;
        so do those of a PGN whose KL has fallen to 10^-4, because sums in float64 keep small
        relative differences.
        """
        return self.relative_range <= ROUNDINGS * 2.0**-23


def ties(scores: Tensor) -> Ties:
    """The ties among finite scores of shape (n,), n >= 1."""
    counts = torch.unique(scores, return_counts=True)[1]
    low, high = (float(extreme) for extreme in scores.aminmax())
    largest = max(abs(low), abs(high))
    relative = high / largest - low / largest if largest else 0.0  # high - low can overflow
    return Ties(len(counts), float(counts[counts > 1].sum() / len(scores)), relative)
