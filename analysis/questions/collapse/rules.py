r"""Does the score of PGN collapse? Rules on the rate of configurations that train longer.

With the prior N(0, I) and a head for the log-variance the loss,
$\frac12 \sum_j (\mu_j^2 + s_j^2 - 1 - \log s_j^2)$, has its minimum 0 if all weights and biases
of both heads are 0, or the features and the heads' biases: the mean is then 0 and the variance 1
for every image. Biases are not needed for that; they are only said to make it easier, as for Deep
SVDD (Ruff et al., ICML 2018, propositions 1 and 2: neither a centre that zero weights reach, nor
biases). The rules:

- the rate collapses if, after the longest training, the whole interval of the mean rate of
  training images lies below `COLLAPSED` nats. It has not collapsed within these epochs if the
  interval lies above, and the last lengthening of the training has multiplied the rate by more
  than `STILL_FALLING` per doubling of the epochs for sure. With still longer training it may: a
  power law of the epochs approaches 0 with a constant factor per doubling;
- the score collapses if its relative spread over training images lies below `NO_SPREAD` after
  the longest training, or the scores of all models differ only by rounding. It has not collapsed
  if the spread lies above, and no model's scores differ only by rounding. The rate can collapse
  without the score: the AUROC needs differences alone;
- the rate is lower with biases if the rates with biases, divided by those without, are below 1;
- AUROC suffers if it is lower after the longest training than after the shortest.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.document.format import PERCENT, PERCENTAGE_POINTS, Unit
from analysis.image_sampling import error_of_mean
from analysis.questions.collapse.levels import (
    SPREAD,
    TIED,
    UNBOUNDED,
    Level,
    geometric,
    in_words_of,
)
from analysis.stats.estimates import estimate
from analysis.stats.paired import equivalence
from tune_ad.sample_sizes import LEAST_SEEDS
from tune_ad.wording import count

BIAS = "bias"
COLLAPSED = 0.01
"""Nats of the rate, and so at most of the mutual information, below which codes say nothing."""
STILL_FALLING = 0.5
"""If a doubling of the epochs multiplies the rate by less than this, it has not converged."""
NO_SPREAD = 0.01
"""Standard deviation of the rate over images, divided by its mean, below which they are alike."""
TIMES = Unit(1, ".3g")
SIGNED = (-1.0, 1.0)


class CollapseVerdict(NamedTuple):
    """The answer to one question.

    Attributes:
        setting: the settings that it holds for, in words.
        question: the question.
        outcome: the answer; "inconclusive" if the preconditions of every other one are not met.
        reason: the numbers that decide, without a full stop.
        n: the number of seeds.
    """

    setting: str
    question: str
    outcome: str
    reason: str
    n: int


def verdicts(groups: Sequence[Sequence[Level]]) -> list[CollapseVerdict]:
    """The verdicts on every setting, then on biases for every pair of settings.

    Args:
        groups: the configurations, as `levels.training_lengths` returns them.
    """
    of_settings = [
        decide(levels)
        for levels in groups
        for decide in (_collapses, _score_collapses, _auroc_suffers)
    ]
    return [*of_settings, *_biases(groups)]


def _collapses(levels: Sequence[Level]) -> CollapseVerdict:
    question, title = "Does the rate collapse?", levels[0].title
    last, before = levels[-1], levels[-2]
    rate = last.rate

    def verdict(outcome: str, reason: str) -> CollapseVerdict:
        return CollapseVerdict(title, question, outcome, reason, rate.n)

    if why := _too_few(rate.n):
        return verdict("inconclusive", why)
    fall = last.change_since(before)
    where = f"after {last.epochs} epochs the mean rate is {geometric(rate)} nats"
    change = (
        f"from {before.epochs} to {last.epochs} epochs it is multiplied by {geometric(fall)} per "
        "doubling of the epochs"
    )
    if rate.high < math.log10(COLLAPSED):
        return verdict("collapses", f"{where}, below {COLLAPSED}")
    if rate.low <= math.log10(COLLAPSED):
        return verdict("inconclusive", f"{where}, not shown to be below or above {COLLAPSED}")
    if fall.n < LEAST_SEEDS or fall.low < math.log10(STILL_FALLING):
        return verdict(
            "inconclusive",
            f"{where}, above {COLLAPSED}, but {change}, so it may still fall by more than half",
        )
    return verdict(_not_within(last), f"{where}, above {COLLAPSED}, and {change}")


def _score_collapses(levels: Sequence[Level]) -> CollapseVerdict:
    last = levels[-1]
    spread = last.numbers[SPREAD]

    def verdict(outcome: str, reason: str) -> CollapseVerdict:
        return CollapseVerdict(last.title, "Does the score collapse?", outcome, reason, spread.n)

    if last.collapsed == last.models:
        models = count(last.models, "model")
        return verdict("collapses", f"the scores of all {models} differ only by rounding")
    if not spread.n:
        return verdict("inconclusive", "the spread of the rate is not recorded")
    if why := _too_few(spread.n):
        return verdict("inconclusive", why)
    reason = _about_scores(last)
    if spread.high < NO_SPREAD:
        return verdict("collapses", reason)
    if last.collapsed or spread.low <= NO_SPREAD:
        return verdict("inconclusive", reason)
    return verdict(_not_within(last), reason)


def _about_scores(level: Level) -> str:
    """How much the scores differ, as far as it is recorded."""
    spread, tied = level.numbers[SPREAD], level.numbers[TIED]
    sentences = [
        f"after {level.epochs} epochs the standard deviation over training images is "
        f"{spread.mean_interval(TIMES)} of the mean"
    ]
    if tied.n:
        share = PERCENT.text(tied.mean)
        sentences.append(f"{share} % of the test images share their score with another")
    if level.collapsed:
        models = f"{level.collapsed} of {count(level.models, 'model')}"
        sentences.append(f"the scores of {models} differ only by rounding")
    return "; ".join(sentences)


def _not_within(level: Level) -> str:
    """The outcome without a collapse, which holds for these epochs and not for more."""
    return f"has not collapsed within {level.epochs} epochs"


def _auroc_suffers(levels: Sequence[Level]) -> CollapseVerdict:
    first, last = levels[0], levels[-1]
    values = (last.aurocs - first.aurocs).dropna()
    contrast = [(last.ranks, 1.0), (first.ranks, -1.0)]
    error = error_of_mean(contrast, first.tasks, list(values.index))
    change = estimate(list(values), SIGNED).with_error(error, SIGNED)
    test = equivalence(list(values), error=error)
    reason = (
        f"AUROC after {last.epochs} minus that after {first.epochs} epochs: "
        f"{change.mean_interval(PERCENTAGE_POINTS)} points"
    )
    if why := _too_few(change.n):
        outcome, reason = "inconclusive", why
    elif change.high < 0:
        outcome = "suffers"
    elif change.low > 0:
        outcome = "gains"
    elif test.equivalent:
        outcome = "does not suffer"
        reason += f"; equivalent within ± {100 * test.margin:.0f} points"
    else:
        outcome = "inconclusive"
        reason += f"; {test.refusal or 'neither a change nor its absence is shown'}"
    return CollapseVerdict(levels[0].title, "Does AUROC suffer?", outcome, reason, change.n)


def _biases(groups: Sequence[Sequence[Level]]) -> Iterator[CollapseVerdict]:
    """The verdict on each pair of settings that differ in biases alone."""
    by_setting: dict[tuple[tuple[str, Any], ...], dict[bool, Sequence[Level]]] = {}
    for levels in groups:
        others = tuple(item for item in levels[0].setting.items() if item[0] != BIAS)
        if BIAS in levels[0].setting:
            by_setting.setdefault(others, {})[bool(levels[0].setting[BIAS])] = levels
    for others, pair in by_setting.items():
        if len(pair) == 2:
            yield _rate_with_biases(in_words_of(dict(others)), pair[True], pair[False])


def _rate_with_biases(
    title: str, biased: Sequence[Level], plain: Sequence[Level]
) -> CollapseVerdict:
    without = {level.epochs: level.rates for level in plain}
    shared = [level for level in biased if level.epochs in without]
    ratios = pd.DataFrame({k.epochs: k.rates - without[k.epochs] for k in shared}).dropna()
    ratio = estimate(list(ratios.mean(axis=1)), UNBOUNDED) if len(shared) else estimate([])
    question = "Is the rate lower with biases?"
    if why := _too_few(ratio.n):
        return CollapseVerdict(title, question, "inconclusive", why, ratio.n)
    reason = (
        f"rate with biases divided by that without: {geometric(ratio)}, geometric mean over "
        f"{count(len(shared), 'length')} of training"
    )
    if ratio.high < 0:
        return CollapseVerdict(title, question, "lower", reason, ratio.n)
    outcome = "higher" if ratio.low > 0 else "inconclusive"
    return CollapseVerdict(title, question, outcome, reason, ratio.n)


def _too_few(n: int) -> str:
    """Why there is no verdict with so many seeds; empty if they suffice."""
    return "" if n >= LEAST_SEEDS else f"n = {count(n, 'seed')}; {LEAST_SEEDS} are needed"
