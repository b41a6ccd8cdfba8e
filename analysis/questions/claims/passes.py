"""Two claims on T, the number of stochastic passes of PGN, tested on a study's own models.

Park, Adosoglou and Pardalos (arXiv 2005.01889, Fig. 4): from T = 10 on the mean AUROC and its
standard deviation over seeds are alike, and AUROC gains significantly over T = 0, no dropout when
scoring. Every model is scored with every T, so all comparisons are paired by seed.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import scipy

from analysis import frame
from analysis.document.format import PERCENTAGE_POINTS, in_words, interval_text, p_text
from analysis.image_sampling import image_error
from analysis.quoted import Result
from analysis.stats.estimates import ALIKE, MARGIN, Coverage, ImageError, finite_array
from analysis.stats.paired import Equivalence, equivalence, holm, sign_flip
from tune_ad.sample_sizes import LEAST_PAIRS, SIGNIFICANCE
from tune_ad.storage.metric import ScoreVariant
from tune_ad.wording import count

DETECTOR, PARAMETER = "PGN", "mc_samples"
NONE, PUBLISHED, FIRST_ALIKE = 0, 20, 10
"""T without dropout, the published T, and the T from which results are claimed to be alike."""
RATIO_MARGIN = 1.25
"""Standard deviations are alike if their ratio lies between 1 / 1.25 and 1.25."""
MEANS = "the mean AUROC is alike from T = 10 on"
DEVIATIONS = "the standard deviation over seeds is alike from T = 10 on"
GAIN = "T = 20 gains significantly over T = 0"

Outcome = Literal["holds", "does not hold", "inconclusive"]


class ClaimVerdict(NamedTuple):
    """The verdict on a claim.

    Attributes:
        label: the label of the result whose models were scored.
        claim: the claim, as a clause.
        outcome: whether it holds.
        reason: the tests, without a full stop; if there are too few seeds, the number needed.
        n: the number of seeds.
        coverage: what its intervals and tests cover.
    """

    label: str
    claim: str
    outcome: Outcome
    reason: str
    n: int
    coverage: Coverage


class Passes(NamedTuple):
    """The test AUROCs of a result of PGN at several T.

    Attributes:
        result: the result whose models were scored.
        aurocs: the mean over classes by seed (rows) and T (columns), of complete seeds.
    """

    result: Result
    aurocs: pd.DataFrame

    def from_on(self, least: float) -> "Passes":
        """The AUROCs at T of at least so many passes."""
        return self._replace(aurocs=self.aurocs[[t for t in self.aurocs if _number(t) >= least]])

    def difference(self, first: Hashable, second: Hashable) -> list[float]:
        """AUROC at one T minus that at another, one value per seed."""
        values: list[float] = (self.aurocs[first] - self.aurocs[second]).tolist()
        return values

    def image_error(self, first: Hashable, second: Hashable) -> ImageError:
        """The error of the mean difference due to the test images."""
        names = [str(ScoreVariant(PARAMETER, passes)) for passes in (first, second)]
        contrast = [
            (self.result.ranks.by_variant(name), sign)
            for name, sign in zip(names, (1.0, -1.0), strict=True)
        ]
        return image_error(contrast, [*self.result.classes], [*map(int, self.aurocs.index)])

    def equivalence(self, first: Hashable, second: Hashable) -> Equivalence:
        """The test of equivalent means at two T; it covers the test images if it can."""
        error = self.image_error(first, second).value
        return equivalence(self.difference(first, second), error=error)

    @property
    def coverage(self) -> Coverage:
        """What the intervals of the differences of all pairs of T cover."""
        pairs = combinations(self.aurocs.columns, 2)
        return Coverage.of_all(self.image_error(a, b).coverage for a, b in pairs)


class Ratio(NamedTuple):
    """The ratio of two standard deviations of paired values.

    Attributes:
        ratio: the first divided by the second; 1 if both are 0, infinite if one of them is.
        low: the lower bound of its 90 % interval.
        high: the upper bound.
    """

    ratio: float
    low: float
    high: float


def verdicts_on_passes(results: Sequence[Result]) -> list[ClaimVerdict]:
    """The verdicts on all claims for each result of PGN that has scores at several T.

    Means: equivalence within 2 points (TOST) of every pair of T >= 10; the claim does not hold if
    the interval of a pair lies outside. Deviations: the 90 % interval of their ratio lies within
    [1 / 1.25, 1.25] for every pair; the claim does not hold if that of a pair lies outside. All
    pairs must be alike, so no correction is needed. Gain: sign-flip test over seeds, with Holm's
    correction over the results; the gain must also be significant with the error that is due to
    the sampling of test images, where it is known. The tests were chosen before any run. Where
    ranks of the scores at each T are stored, intervals and equivalence tests cover the sampling of
    test images as well.

    Args:
        results: the reported results of a study.
    """
    scored = [Passes(r, table) for r in results if not (table := aurocs_by_passes(r)).empty]
    gaining = {
        passes.result.label: sign_flip(
            passes.difference(PUBLISHED, NONE), error=passes.image_error(PUBLISHED, NONE)
        )
        for passes in scored
        if {NONE, PUBLISHED} <= {*passes.aurocs.columns}
    }
    decisions = dict(zip(gaining, holm(list(gaining.values())), strict=True))
    verdicts = []
    for passes in scored:
        label, n = passes.result.label, len(passes.aurocs)
        large = passes.from_on(FIRST_ALIKE)
        if large.aurocs.shape[1] > 1:
            verdicts += [
                ClaimVerdict(label, MEANS, *_means_alike(large), n, large.coverage),
                ClaimVerdict(
                    label, DEVIATIONS, *_deviations_alike(large.aurocs), n, large.coverage
                ),
            ]
        if label in gaining:
            change = gaining[label].difference
            tone, reason = decisions[label].tone, decisions[label].reason
            gain = f"{change.mean_interval(PERCENTAGE_POINTS)} points; {reason}"
            covered = gaining[label].coverage
            verdicts.append(ClaimVerdict(label, GAIN, _gained(passes, tone), gain, n, covered))
    return verdicts


def aurocs_by_passes(result: Result) -> pd.DataFrame:
    """Test AUROC, averaged over classes, by seed (rows) and T (columns) of complete seeds.

    Empty if the result is not of PGN, or has no scores at other T.
    """
    variants = dict.fromkeys(
        variant
        for record in result.tested
        for variant in record.variants
        if record.detector == DETECTOR and variant.parameter == PARAMETER
    )
    if not variants:
        return pd.DataFrame()
    table = frame.replicas(result.tested, variants)
    in_order = sorted(variants, key=lambda variant: _number(variant.value))
    by_passes = {variant.value: _by_seed(table, variant) for variant in in_order}
    return pd.DataFrame(by_passes).dropna()


def ratio_of_deviations(first: Sequence[float], second: Sequence[float]) -> Ratio:
    r"""The ratio of the standard deviations of paired values with its 90 % interval.

    With $w = s_1^2 / s_2^2$, the correlation r and $k = 1 + 2 (1 - r^2) t^2 / (n - 2)$, where t is
    the 95 % quantile of Student's t with n - 2 degrees of freedom, the interval of
    $\sigma_1^2 / \sigma_2^2$ is $w (k \pm \sqrt{k^2 - 1})$. Pitman, 1939; Morgan, 1939: exact for
    normal pairs.

    Raises:
        ValueError: if there are fewer than 3 pairs, or a value is NaN or infinite.
    """
    one, two = finite_array(first), finite_array(second)
    n = len(one)
    if n < 3:
        raise ValueError(f"an interval of a ratio needs 3 pairs, got {n}")
    deviations = float(one.std(ddof=1)), float(two.std(ddof=1))
    if min(deviations) < ALIKE:
        ratio = 1.0 if max(deviations) < ALIKE else math.inf
        return Ratio(ratio, ratio, ratio)
    r = float(np.corrcoef(one, two)[0, 1])
    t = float(scipy.stats.t.ppf(1 - SIGNIFICANCE, n - 2))
    k = 1 + 2 * max(0.0, 1 - r * r) * t * t / (n - 2)
    half = math.sqrt(k * k - 1)
    ratio = deviations[0] / deviations[1]
    return Ratio(ratio, ratio * math.sqrt(k - half), ratio * math.sqrt(k + half))


def _number(passes: Any) -> float:  # noqa: ANN401
    """T as a number; "inf" is the exact limit."""
    return float(passes)


def _by_seed(table: pd.DataFrame, variant: ScoreVariant) -> pd.Series:
    return frame.by_seed(table, frame.score_column(variant, frame.AUROC))


def _names(passes: Iterable[object]) -> str:
    return f"T = {in_words([str(t) for t in passes])}"


def _too_few(table: pd.DataFrame) -> str:
    n = len(table)
    return "" if n >= LEAST_PAIRS else f"n = {count(n, 'seed')}; {LEAST_PAIRS} are needed"


def _means_alike(passes: Passes) -> tuple[Outcome, str]:
    table = passes.aurocs
    if why := _too_few(table):
        return "inconclusive", why
    pairs = list(combinations(table.columns, 2))
    tests = [passes.equivalence(a, b) for a, b in pairs]
    deciding, (a, b) = max(zip(tests, pairs, strict=True), key=lambda pair: pair[0].p)
    outside = any(test.low > MARGIN or test.high < -MARGIN for test in tests)
    reason = (
        f"{_names(table.columns)}, n = {len(table)} seeds: largest p of the equivalence tests "
        f"within ± {100 * MARGIN:.0f} points = {p_text(deciding.p)}, of T = {a} minus T = {b} "
        f"(90 % interval {interval_text(deciding.low, deciding.high, PERCENTAGE_POINTS)} points)"
    )
    return _outcome(all(test.equivalent for test in tests), outside), reason


def _deviations_alike(table: pd.DataFrame) -> tuple[Outcome, str]:
    if why := _too_few(table):
        return "inconclusive", why
    pairs = list(combinations(table.columns, 2))
    ratios = [ratio_of_deviations(table[a].tolist(), table[b].tolist()) for a, b in pairs]
    widest, (a, b) = max(
        zip(ratios, pairs, strict=True), key=lambda pair: max(pair[0].high, 1 / pair[0].low)
    )
    least = 1 / RATIO_MARGIN
    reason = (
        f"{_names(table.columns)}, n = {len(table)} seeds: widest ratio {widest.ratio:.2f} (90 % "
        f"interval [{widest.low:.2f}, {widest.high:.2f}]) of T = {a} to T = {b}; alike is within "
        f"[{least:g}, {RATIO_MARGIN:g}]"
    )
    alike = all(least <= ratio.low and ratio.high <= RATIO_MARGIN for ratio in ratios)
    outside = any(ratio.low > RATIO_MARGIN or ratio.high < least for ratio in ratios)
    return _outcome(alike, outside), reason


def _outcome(shown: bool, refuted: bool) -> Outcome:
    return "holds" if shown else "does not hold" if refuted else "inconclusive"


def _gained(passes: Passes, tone: str) -> Outcome:
    """The outcome for the gain: refuted by a significant loss, or if both T are equivalent."""
    alike = passes.equivalence(PUBLISHED, NONE).equivalent
    return _outcome(tone == "better", tone == "worse" or alike)
