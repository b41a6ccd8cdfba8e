"""What the PGN paper says of rate and distortion, tested on the points of a study of beta.

Park, Adosoglou and Pardalos (arXiv 2005.01889, section 5.1 and Fig. 3): the rate R falls as beta
grows, and R + D grows as beta falls. Section 3 uses that a distortion-rate function is convex and
does not increase. The rules below count the
steps between neighbouring values of beta, so they need no model of the noise; with few seeds a
single step may be chance, and there is no verdict. R + D and the curve leave out beta = inf, for
which no decoder is trained.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from analysis.frame import PARAMS
from analysis.questions.rates import RateDistortionCurve, hull
from tune_ad.sample_sizes import LEAST_SEEDS
from tune_ad.selection import mean
from tune_ad.storage.metric import Metric
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

BETA = f"{PARAMS}beta"
NAMES = ("rate", "mutual_information", "aggregate_divergence", "largest_estimate")
LEAST_VALUES = 3
ClaimVerdict = Literal["holds", "holds in part", "does not hold", "inconclusive"]


class RateClaim(NamedTuple):
    """One claim about the points of one curve.

    Attributes:
        label: the label of the curve.
        claim: the claim, in words.
        holds: the number of steps, or of points, for which it holds.
        of: the number of steps or points.
        verdict: "holds" if it holds for all, "does not hold" if for at most half; "inconclusive"
            with fewer than `LEAST_SEEDS` seeds.
        detail: where it fails, in words; empty if it holds.
    """

    label: str
    claim: str
    holds: int
    of: int
    verdict: ClaimVerdict
    detail: str


class RateParts(NamedTuple):
    """The parts of the rate of training images in a trial (equation 13), in nats.

    Attributes:
        number: the number of the trial.
        rate: the mean rate.
        mutual_information: the estimate of I(x; z).
        aggregate_divergence: the estimate of KL(q(z) || p(z)).
        bound: the largest possible estimate of the mutual information, log N.
        n: the number of models.
    """

    number: int
    rate: float
    mutual_information: float
    aggregate_divergence: float
    bound: float
    n: int

    @property
    def bounded(self) -> bool:
        """Whether the estimate is so near its bound that it is only a lower bound."""
        return self.mutual_information > 0.9 * self.bound


def rate_parts(records: Sequence[TrialRecord]) -> list[RateParts]:
    """The parts of the rate of every complete trial that records them, by rate."""
    parts = [part for record in records if (part := _parts_of(record)) is not None]
    return sorted(parts, key=lambda part: part.rate)


def _parts_of(record: TrialRecord) -> RateParts | None:
    """The parts of the rate of a trial; None unless it is complete and every model has them."""
    columns = [record.metrics.get(Metric("information", name), ()) for name in NAMES]
    means = [average for column in columns if (average := mean(column)) is not None]
    if record.state != "complete" or len(means) < len(NAMES):
        return None
    rate, information, divergence, bound = means
    return RateParts(record.number, rate, information, divergence, bound, len(record.replicas))


def rate_claims(curves: Sequence[RateDistortionCurve]) -> list[RateClaim]:
    """The claims for every curve with at least three values of beta; each value once.

    A curve along which another parameter varies as well says nothing about beta alone.
    """
    claims = []
    for curve in curves:
        if _varied(curve) != [BETA]:
            continue
        betas = curve.points[BETA].astype(float)  # "inf" is a word in a configuration
        points = curve.points.groupby(betas)[["rate", "distortion"]].mean().sort_index()
        decoded = points[np.isfinite(points.index)]
        if len(decoded) >= LEAST_VALUES:
            of_curve = [
                _falling_rate(curve.label, points),
                _growing_sum(curve.label, decoded),
                _convex(curve.label, decoded),
            ]
            seeds = int(curve.points["seeds"].min())
            claims += [_with_few(claim, seeds) for claim in of_curve]
    return claims


def _with_few(claim: RateClaim, seeds: int) -> RateClaim:
    """The claim, inconclusive if a point has too few seeds."""
    if seeds >= LEAST_SEEDS:
        return claim
    why = f"{count(seeds, 'seed')}, {LEAST_SEEDS} are needed"
    return claim._replace(
        verdict="inconclusive", detail="; ".join(filter(None, (why, claim.detail)))
    )


def _varied(curve: RateDistortionCurve) -> list[str]:
    """The columns of the parameters that have several values along a curve."""
    params = curve.points.filter(regex=f"^{re.escape(PARAMS)}").astype(str)
    return [name for name in map(str, params.columns) if params[name].nunique() > 1]


def _falling_rate(label: str, points: pd.DataFrame) -> RateClaim:
    steps = np.diff(points["rate"])
    return _of_steps(label, "the rate falls as beta grows", steps < 0, points.index)


def _growing_sum(label: str, points: pd.DataFrame) -> RateClaim:
    steps = np.diff(points["rate"] + points["distortion"])
    claim = "R + D grows as beta falls"
    counted = _of_steps(label, claim, steps < 0, points.index)
    least = (points["rate"] + points["distortion"]).idxmin()
    where = f"R + D is smallest at beta = {least:g}"
    return counted._replace(detail="; ".join(filter(None, (where, counted.detail))))


def _of_steps(label: str, claim: str, in_order: np.ndarray, betas: pd.Index) -> RateClaim:
    """A claim about every step between neighbouring values of beta."""
    pairs = zip(betas[:-1], betas[1:], in_order, strict=True)
    wrong = [f"{before:g} to {after:g}" for before, after, holds in pairs if not holds]
    detail = f"not from beta {', '.join(wrong)}" if wrong else ""
    return _claim(label, claim, int(in_order.sum()), len(in_order), detail)


def _convex(label: str, points: pd.DataFrame) -> RateClaim:
    """Whether all points lie on their lower left convex hull."""
    lower = hull(zip(points["rate"], points["distortion"], strict=True))
    corners = set(lower)
    inside = [
        (beta, rate, distortion)
        for beta, rate, distortion in points.itertuples()
        if (rate, distortion) not in corners
    ]
    above = [_above(lower, rate, distortion) for _, rate, distortion in inside]
    detail = ""
    if inside:
        names = ", ".join(f"{beta:g}" for beta, *_ in inside)
        detail = f"beta = {names} above the hull, by at most {max(above):.3g} nats"
    on_hull = len(points) - len(inside)
    claim = "the distortion-rate curve is convex and falls"
    return _claim(label, claim, on_hull, len(points), detail)


def _above(corners: Sequence[tuple[float, float]], rate: float, distortion: float) -> float:
    """How far a point lies above the hull, which continues horizontally, in nats."""
    rates, distortions = zip(*corners, strict=True)
    return float(distortion - np.interp(rate, rates, distortions))


def _claim(label: str, claim: str, holds: int, of: int, detail: str) -> RateClaim:
    verdict: ClaimVerdict = "holds in part"
    if holds == of:
        verdict = "holds"
    elif 2 * holds <= of:
        verdict = "does not hold"
    return RateClaim(label, claim, holds, of, verdict, detail)
