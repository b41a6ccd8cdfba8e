"""Does the rate of a VAE rank anomalies? A rule on the AUROC of the rate alone.

The PGN paper argues that the rate KL(q(z|x) || p(z)) of anomalies is higher than that of normal
images (section 3). Higher on average over classes means an AUROC above 50 %.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from analysis.quoted import Result
from analysis.stats.estimates import Estimate
from tune_ad.sample_sizes import LEAST_SEEDS
from tune_ad.storage.metric import CHANCE_AUROC

RATES = ("rate", "kl")
"""Components of scores that are the rate: of a VAE, and of PGN without dropout."""
RankingVerdict = Literal["ranks anomalies", "ranks them backwards", "inconclusive"]


class RateRanking(NamedTuple):
    """The AUROC of the rate of a reported configuration.

    Attributes:
        label: the label of the result.
        params: the searched parameters.
        rate: test AUROC of the rate alone, averaged over classes, one value per seed.
        score: test AUROC of the reported score.
        verdict: "ranks anomalies" if the interval lies above 50 %, "ranks them backwards" if
            below.
    """

    label: str
    params: dict[str, object]
    rate: Estimate
    score: Estimate
    verdict: RankingVerdict


def rate_rankings(results: Sequence[Result]) -> list[RateRanking]:
    """The AUROC of the rate of every reported configuration that has one."""
    return [
        RateRanking(result.label, dict(result.params), rate, result.auroc, verdict(rate))
        for result in results
        if (rate := next(_rates(result), None)) is not None
    ]


def _rates(result: Result) -> Iterator[Estimate]:
    return (result.components[name] for name in RATES if name in result.components)


def verdict(rate: Estimate) -> RankingVerdict:
    """The verdict on one AUROC; inconclusive with fewer than `LEAST_SEEDS` seeds."""
    if rate.n < LEAST_SEEDS or math.isnan(rate.low):
        return "inconclusive"
    if rate.low > CHANCE_AUROC:
        return "ranks anomalies"
    return "ranks them backwards" if rate.high < CHANCE_AUROC else "inconclusive"
