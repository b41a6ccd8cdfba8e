"""Tests over paired seeds: sign-flip test, Holm's correction, equivalence test."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import scipy

from analysis.document.format import p_text
from analysis.stats.estimates import (
    ALIKE,
    MARGIN,
    Coverage,
    Estimate,
    ImageError,
    estimate,
    finite_array,
)
from tune_ad.sample_sizes import LEAST_PAIRS, LEAST_SEEDS, SIGNIFICANCE, pairs_for, smallest_p
from tune_ad.wording import count

FLIPS = 100_000  # number of random sign flips if there are more than 2 ** ALL_FLIPS
ALL_FLIPS = 16
ABOUT_SIGN_FLIPS = (
    "A sign-flip test holds for these test images; a significant difference is therefore called "
    "better or worse only if, where the error that is due to the sampling of test images is "
    "known, p is below 0.05 also with this error added to the mean difference after each flip."
)
NOT_ON_OTHER_IMAGES = "significant for these test images alone"
"""The decision if the test that covers the sampling of images is not significant."""
UNKNOWN = ImageError()


class Paired(NamedTuple):
    """Paired differences of AUROC, and a test that there is none.

    Attributes:
        difference: the mean over seeds, in [-1, 1]; above 0 = the first is better.
        p: two-sided p under the hypothesis that differences are symmetric about 0; NaN without a
            test.
        test: the name of the test; empty if no test was intended.
        n: the number of differences, one per seed, or one per class and seed.
        refusal: why no test was made; empty if one was made.
        p_images: the same p if the error that is due to the sampling of test images is added to
            the mean difference after each flip; NaN if this error is unknown, or without a test.
        coverage: what the interval of the difference covers.
    """

    difference: Estimate
    p: float
    test: str
    n: int
    refusal: str
    p_images: float = math.nan
    coverage: Coverage = Coverage.SEEDS


class HolmDecision(NamedTuple):
    """The decision of a test after Holm's correction.

    Attributes:
        p: the p that is adjusted for the family of tests; NaN if no decision is possible.
        tone: "unsure" if no decision is possible, or if p or the p that covers the test images is
            above 0.05.
        reason: the test, its p and the decision, or why there is none; without a full stop.
        on_these_images: whether the difference is significant for these test images alone.
    """

    p: float
    tone: Literal["better", "worse", "unsure"]
    reason: str
    on_these_images: bool = False


class Equivalence(NamedTuple):
    """An equivalence test (TOST).

    Attributes:
        p: the larger p of the two one-sided tests; NaN if refused.
        low: the lower bound of the 90 % interval of the mean difference; NaN if refused.
        high: the upper bound of that interval.
        equivalent: whether the whole interval lies within the margin, so that p < 0.05.
        margin: the largest absolute difference that counts as equivalent.
        n: the number of paired seeds.
        refusal: why no test was made; empty if one was made.
    """

    p: float
    low: float
    high: float
    equivalent: bool
    margin: float
    n: int
    refusal: str


def sign_flip(
    differences: Sequence[float],
    per_seed: Sequence[float] | None = None,
    error: ImageError = UNKNOWN,
    unit: str = "paired seed",
) -> Paired:
    """Two-sided permutation test that the mean difference is 0, by flips of the signs.

    Under the hypothesis of no difference, both signs of each difference are equally likely. Exact
    for up to 16 differences, otherwise with 100,000 random flips and a fixed seed. Over class x
    seed the test needs 3 seeds (and 6 differences), but holds for these classes only. It always
    holds for these test images only; the interval of the difference and `Paired.p_images` cover
    others as well if their error is known. The test must be chosen before the run.

    Args:
        differences: one difference per seed, or one per class and seed.
        per_seed: if there is one difference per class and seed, their means over classes, one per
            seed; used for the estimate, since its interval must not count classes as seeds.
        error: the standard error of the mean that is due to the sampling of test images.
        unit: what a difference belongs to, if there is one for each of something else than seeds.

    Raises:
        ValueError: if a difference is NaN or infinite.
    """
    seeds = differences if per_seed is None else per_seed
    unit = unit if per_seed is None else "class x seed pair"
    name = "sign-flip test" + ("" if per_seed is None else " over class and seed")
    values = finite_array(differences)
    difference = estimate(seeds, (-1.0, 1.0)).with_error(error.value, (-1.0, 1.0))
    refusal = _too_few(len(values), unit)
    if per_seed is not None and 0 < len(per_seed) < LEAST_SEEDS:
        refusal = _too_few_seeds(len(per_seed))
    p, p_images = (math.nan, math.nan) if refusal else _flip_ps(values, error.value)
    return Paired(difference, p, name, len(values), refusal, p_images, error.coverage)


def untested(differences: Sequence[float], why: str) -> Paired:
    """Differences that are shown without a test.

    Args:
        differences: one difference per seed, in [-1, 1].
        why: the reason why no test was made.

    Raises:
        ValueError: if a difference is NaN or infinite.
    """
    difference = estimate(differences, (-1.0, 1.0))
    return Paired(difference, math.nan, "", len(differences), why)


def made(tests: Iterable[Paired]) -> int:
    """The number of tests that were made, which is the size of their family."""
    return sum(not test.refusal for test in tests)


def holm(tests: Sequence[Paired], family: int | None = None) -> list[HolmDecision]:
    """The decisions on a family of m tests by Holm's step-down, at 0.05 for the whole family.

    A sign-flip test holds for these test images alone. If the error that is due to their sampling
    is known, a significant difference is called better or worse only if `p_images` is at most
    0.05 as well.

    Tests that were not made are no members of the family, unless `family` counts them. A test
    whose n is too small for p <= 0.05 / m was made, but has no decision. Holm, 1979.

    Args:
        tests: the tests, of which some may have been refused.
        family: the number of tests of the family, at least `made(tests)`; None = `made(tests)`.
    """
    m = made(tests) if family is None else family
    refusals = [test.refusal or _too_few_for_family(test.n, m) for test in tests]
    ps = [_member(test, no) for no, test in zip(refusals, tests, strict=True)]
    others = [1.0] * (m - made(tests))
    return [
        HolmDecision(math.nan, "unsure", no) if no else _decide(test, p, m)
        for no, test, p in zip(refusals, tests, holm_adjusted([*ps, *others]), strict=False)
    ]


def _member(test: Paired, refusal: str) -> float:
    """The p of a test in its family: NaN if it was not made, 1 if it can have no decision."""
    if test.refusal:
        return math.nan
    return 1.0 if refusal else test.p


def holm_adjusted(ps: Sequence[float]) -> list[float]:
    r"""Holm's adjusted p of each test of a family; NaN does not count as a test and stays NaN.

    With the m tests in ascending order, $\tilde p_{(k)} = \max_{i \le k} \min((m - i + 1)
    p_{(i)}, 1)$. Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted = np.array(ps, dtype=float)
    members = np.flatnonzero(~np.isnan(adjusted))
    order = members[np.argsort(adjusted[members], kind="stable")]
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def equivalence(
    differences: Sequence[float], margin: float = MARGIN, error: float = math.nan
) -> Equivalence:
    """Two one-sided t-tests (TOST) of |mean difference| < margin, at 0.05 each.

    The standard error of the mean is that of n differences and `error`, added as squares. Without
    any, the mean itself is compared with the margin. Schuirmann, 1987.

    Args:
        differences: one difference per pair.
        margin: the equivalence margin, above 0.
        error: the standard error of what all pairs share, such as the sampling of test images;
            NaN if it is unknown, so that the test holds for these images alone.

    Raises:
        ValueError: if a difference is NaN or infinite, or the margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"`margin > 0` must hold, but got {margin}")
    values = finite_array(differences)
    n = len(values)
    if n < LEAST_PAIRS:
        why = f"n = {count(n, 'paired seed')}; an equivalence test needs {LEAST_PAIRS}"
        return Equivalence(
            p=math.nan,
            low=math.nan,
            high=math.nan,
            equivalent=False,
            margin=margin,
            n=n,
            refusal=why,
        )
    mean = float(values.mean())
    std = float(np.std(values, ddof=1))
    shared = 0.0 if math.isnan(error) else error
    if std < ALIKE and not shared:
        within = abs(mean) < margin
        return Equivalence(
            p=0.0 if within else 1.0,
            low=mean,
            high=mean,
            equivalent=within,
            margin=margin,
            n=n,
            refusal="",
        )
    total = math.hypot(std / math.sqrt(n), shared)
    steps = [(bound - mean) / total for bound in (-margin, margin)]
    below, above = (float(scipy.special.stdtr(n - 1, step)) for step in steps)
    p = max(below, 1 - above)
    half = float(scipy.special.stdtrit(n - 1, 1 - SIGNIFICANCE)) * total
    low, high = mean - half, mean + half
    return Equivalence(
        p=p, low=low, high=high, equivalent=p < SIGNIFICANCE, margin=margin, n=n, refusal=""
    )


def _too_few(n: int, unit: str) -> str:
    if n >= LEAST_PAIRS:
        return ""
    if n == 0:
        return f"no {unit}s; at least {LEAST_PAIRS} are needed"
    smallest = p_text(smallest_p(n))
    return (
        f"n = {count(n, unit)}: the smallest two-sided p is {smallest}; {LEAST_PAIRS} are needed"
    )


def _too_few_seeds(n: int) -> str:
    return f"the test needs {LEAST_SEEDS} paired seeds, got {n}"


def _too_few_for_family(n: int, m: int) -> str:
    smallest = m * smallest_p(n)
    if smallest <= SIGNIFICANCE:
        return ""
    return (
        f"n = {n} pairs in each of {m} tests: the smallest p after Holm is "
        f"{p_text(min(1.0, smallest))}; {pairs_for(m)} are needed"
    )


def _flip_ps(values: np.ndarray, error: float) -> tuple[float, float]:
    r"""The p of the test, and the p if the mean has a further standard error.

    The second is $2 \frac1F \sum_f \Phi((t_f - |t|) / e)$ with the mean t, the means $t_f$ of F
    flips and the error e, at least the first. With many differences that are alike, it is at most
    0.05 if |t| exceeds 1.96 times the root of the sum of $e^2$ and the variance of the $t_f$.

    Args:
        values: the differences, shape (n,).
        error: the standard error; NaN if it is unknown.
    """
    p, means = _drawn_flips(values) if len(values) > ALL_FLIPS else _all_flips(values)
    if math.isnan(error):
        return p, math.nan
    if not error:
        return p, p
    beyond = scipy.special.ndtr((means - abs(float(values.mean()))) / error)
    return p, max(p, 2 * float(beyond.mean()))


def _all_flips(values: np.ndarray) -> tuple[float, np.ndarray]:
    """The p of the exact test, and the mean of the differences after every flip."""
    test = scipy.stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2 ** len(values),
    )
    return float(test.pvalue), test.null_distribution


def _drawn_flips(values: np.ndarray) -> tuple[float, np.ndarray]:
    """The same with random flips, 15 times as fast as SciPy's: a report may have a hundred."""
    rng, total, batch = np.random.default_rng(0), float(values.sum()), FLIPS // 10
    least = abs(total) - ALIKE * float(np.abs(values).sum())
    sums = []
    for _ in range(10):
        octets = rng.integers(0, 256, (batch, -(-len(values) // 8)), dtype=np.uint8)
        kept = np.unpackbits(octets, axis=1, count=len(values)).astype(float)
        sums.append(2 * (kept @ values) - total)
    flipped = np.concatenate(sums)
    extreme = int(np.count_nonzero(np.abs(flipped) >= least))
    return (extreme + 1) / (FLIPS + 1), flipped / len(values)


def _decide(test: Paired, p: float, m: int) -> HolmDecision:
    family = "" if m == 1 else f" after Holm over {m} tests"
    reason = f"{test.test}, n = {test.n}: p = {p_text(p)}{family}"
    if p > SIGNIFICANCE or test.difference.mean == 0:
        return HolmDecision(p, "unsure", f"{reason}; not significant")
    if test.p_images > SIGNIFICANCE:
        return HolmDecision(p, "unsure", f"{reason}; {NOT_ON_OTHER_IMAGES}", True)
    tone: Literal["better", "worse"] = "better" if test.difference.mean > 0 else "worse"
    return HolmDecision(p, tone, f"{reason}; {tone}")
