r"""Does the score of PGN collapse? Rules on the rate of configurations that train longer.

With the prior N(0, I) and a head for the log-variance the loss,
$\frac12 \sum_j (\mu_j^2 + s_j^2 - 1 - \log s_j^2)$, has its minimum 0 if all weights and biases
of both heads are 0, or the features and the heads' biases: the mean is then 0 and the variance 1
for every image. Biases are not needed for that; they are only said to make it easier, as for Deep
SVDD (Ruff et al., ICML 2018, propositions 1 and 2: neither a centre that zero weights reach, nor
biases). The rules were fixed before the first study ended, but for that on the score, which was
added when a part of its trials (MNIST) had been seen:

- the rate collapses if, after the longest training, the whole interval of the mean rate of
  training images lies below `COLLAPSED` nats; it does not if the interval lies above, and the last
  lengthening of the training has not reduced the rate by more than `STILL_FALLING` for sure;
- the score collapses if its relative spread over training images lies below `NO_SPREAD` after
  the longest training, or the scores of all models differ only by rounding; it does not if the
  spread lies above. The rate can collapse without the score: the AUROC needs differences alone;
- biases make it faster if the rates with biases, divided by those without, are below 1;
- AUROC suffers if it is lower after the longest training than after the shortest.

Rates differ by orders of magnitude, so their means over classes and seeds are geometric, and
intervals are those of their logarithms.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.document.format import PERCENT, PERCENTAGE_POINTS, Unit, short
from analysis.image_sampling import ImageRanks, error_of_mean, image_error
from analysis.stats.estimates import Coverage, Estimate, ImageError, estimate
from analysis.stats.paired import equivalence
from analysis.study import StudyRecords
from analysis.trials import tested_trials
from tune_ad.sample_sizes import LEAST_SEEDS
from tune_ad.storage.metric import Metric, ScoreVariant
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

EPOCHS, BIAS, COMPONENT = "epochs", "bias", "kl"
RATE = Metric("information", "rate")
"""The mean rate of training images, without dropout, in nats."""
TEST_RATE = Metric("test", COMPONENT)
SPREAD = Metric("spread", COMPONENT)
TIED = Metric("test", "tied")
HEADS = (Metric("head", "mean_norm"), Metric("head", "scale_norm"))
COLLAPSED = 0.01
"""Nats of the rate, and so at most of the mutual information, below which codes say nothing."""
STILL_FALLING = 0.5
"""If longer training multiplies the rate by less than this, it has not converged."""
NO_SPREAD = 0.01
"""Standard deviation of the rate over images, divided by its mean, below which they are alike."""
LEAST_RATE = 1e-15
"""Smaller rates are rounding errors of float64 and count as this one."""
TIMES = Unit(1, ".3g")
UNBOUNDED, SIGNED = (-math.inf, math.inf), (-1.0, 1.0)


class Verdict(NamedTuple):
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


class Level(NamedTuple):
    """A configuration that was trained for some epochs.

    Attributes:
        setting: the other searched parameters, by name.
        epochs: the number of epochs.
        rates: log10 of the mean rate of training images in nats, by seed.
        aurocs: test AUROC by seed.
        numbers: the estimates of the other columns, by metric.
        collapsed: the number of models whose scores differ only by rounding.
        models: the number of all models.
        tasks: the names of the tasks.
        ranks: the ranks of the test images.
    """

    setting: Mapping[str, Any]
    epochs: int
    rates: pd.Series
    aurocs: pd.Series
    numbers: Mapping[Metric, Estimate]
    collapsed: int
    models: int
    tasks: Sequence[str]
    ranks: ImageRanks

    @property
    def auroc(self) -> Estimate:
        """Test AUROC; its interval covers the test images if ranks are stored."""
        return estimate(list(self.aurocs)).with_error(self._image_error.value)

    @property
    def coverage(self) -> Coverage:
        """What the interval of `auroc` covers."""
        return self._image_error.coverage

    @property
    def _image_error(self) -> ImageError:
        return image_error([(self.ranks, 1.0)], self.tasks, list(self.aurocs.index))

    @property
    def title(self) -> str:
        """The setting in words."""
        return in_words_of(self.setting)


def in_words_of(setting: Mapping[str, Any]) -> str:
    """Parameters and their values, such as "bias = True, width = 0.5"."""
    return ", ".join(f"{name} = {short(value)}" for name, value in setting.items()) or "all models"


def training_lengths(study: StudyRecords) -> list[list[Level]]:
    """The configurations of PGN that differ in their epochs alone, the shortest training first.

    Empty for adaptive plans, whose configurations depend on results, and for those that do not
    vary the epochs.
    """
    if study.plan.adapts:
        return []
    groups: dict[Hashable, list[Level]] = {}
    for record in tested_trials(study.complete):
        is_pgn = ScoreVariant.of_component(COMPONENT) in record.variants
        if is_pgn and RATE in record.metrics and EPOCHS in record.searched:
            level = _level(study, record)
            key = record.baseline, *level.setting.items()
            groups.setdefault(key, []).append(level)
    ordered = [sorted(levels, key=lambda level: level.epochs) for levels in groups.values()]
    ordered.sort(key=lambda levels: [str(v) for v in levels[0].setting.values()])
    return [levels for levels in ordered if len({level.epochs for level in levels}) > 1]


def _level(study: StudyRecords, record: TrialRecord) -> Level:
    table = frame.replicas([record])
    logarithms = {RATE: _log(table, RATE), TEST_RATE: _log(table, TEST_RATE)}
    table = table.assign(**{f"log {metric}": values for metric, values in logarithms.items()})
    columns = {TEST_RATE: f"log {TEST_RATE}"} | {m: str(m) for m in (SPREAD, TIED, *HEADS)}
    by_seed = {metric: frame.by_seed(table, name) for metric, name in columns.items()}
    names = [name for name in record.searched if name != EPOCHS]
    return Level(
        setting={name: record.params[name] for name in names},
        epochs=int(record.params[EPOCHS]),
        rates=frame.by_seed(table, f"log {RATE}"),
        aurocs=frame.by_seed(table),
        numbers={m: estimate(list(values), UNBOUNDED) for m, values in by_seed.items()},
        collapsed=frame.models_collapsed(record),
        models=len(record.replicas),
        tasks=[str(task) for task in table["task"].unique()],
        ranks=ImageRanks.read(study.folder, [record]),
    )


def _log(table: pd.DataFrame, metric: Metric) -> pd.Series:
    if str(metric) not in table:
        return pd.Series(math.nan, index=table.index)
    logarithms: pd.Series = np.log10(table[str(metric)].clip(lower=LEAST_RATE))
    return logarithms


def verdicts(groups: Sequence[Sequence[Level]]) -> list[Verdict]:
    """The verdicts on every setting, then on biases for every pair of settings.

    Args:
        groups: the configurations as `training_lengths` returns them.
    """
    of_settings = [
        decide(levels)
        for levels in groups
        for decide in (_collapses, _score_collapses, _auroc_suffers)
    ]
    return [*of_settings, *_biases(groups)]


def _collapses(levels: Sequence[Level]) -> Verdict:
    question, title = "Does the rate collapse?", levels[0].title
    last, before = levels[-1], levels[-2]
    rate = estimate(list(last.rates), UNBOUNDED)

    def verdict(outcome: str, reason: str) -> Verdict:
        return Verdict(title, question, outcome, reason, rate.n)

    if why := _too_few(rate.n):
        return verdict("inconclusive", why)
    fall = estimate(list((last.rates - before.rates).dropna()), UNBOUNDED)
    where = f"after {last.epochs} epochs the mean rate is {geometric(rate)} nats"
    change = (
        f"training for {last.epochs} instead of {before.epochs} epochs multiplies it by "
        f"{geometric(fall)}"
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
    return verdict("does not collapse", f"{where}, above {COLLAPSED}, and {change}")


def _score_collapses(levels: Sequence[Level]) -> Verdict:
    last = levels[-1]
    spread, tied = last.numbers[SPREAD], last.numbers[TIED]

    def verdict(outcome: str, reason: str) -> Verdict:
        return Verdict(last.title, "Does the score collapse?", outcome, reason, spread.n)

    if last.collapsed == last.models:
        return verdict("collapses", f"the scores of {count(last.models, 'model')} are rounding")
    if not spread.n:
        return verdict("inconclusive", "the spread of the rate is not recorded")
    if why := _too_few(spread.n):
        return verdict("inconclusive", why)
    reason = (
        f"after {last.epochs} epochs the standard deviation over training images is "
        f"{spread.mean_interval(TIMES)} of the mean; {PERCENT.text(tied.mean)} % of the test "
        "images share their score"
    )
    if spread.high < NO_SPREAD:
        return verdict("collapses", reason)
    return verdict("does not collapse" if spread.low > NO_SPREAD else "inconclusive", reason)


def _auroc_suffers(levels: Sequence[Level]) -> Verdict:
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
    return Verdict(levels[0].title, "Does AUROC suffer?", outcome, reason, change.n)


def _biases(groups: Sequence[Sequence[Level]]) -> Iterator[Verdict]:
    """The verdict on each pair of settings that differ in biases alone."""
    by_setting: dict[tuple[tuple[str, Any], ...], dict[bool, Sequence[Level]]] = {}
    for levels in groups:
        others = tuple(item for item in levels[0].setting.items() if item[0] != BIAS)
        if BIAS in levels[0].setting:
            by_setting.setdefault(others, {})[bool(levels[0].setting[BIAS])] = levels
    for others, pair in by_setting.items():
        if len(pair) == 2:
            yield _faster(in_words_of(dict(others)), pair[True], pair[False])


def _faster(title: str, biased: Sequence[Level], plain: Sequence[Level]) -> Verdict:
    without = {level.epochs: level.rates for level in plain}
    shared = [level for level in biased if level.epochs in without]
    ratios = pd.DataFrame({k.epochs: k.rates - without[k.epochs] for k in shared}).dropna()
    ratio = estimate(list(ratios.mean(axis=1)), UNBOUNDED) if len(shared) else estimate([])
    question = "Is the rate lower with biases?"
    if why := _too_few(ratio.n):
        return Verdict(title, question, "inconclusive", why, ratio.n)
    reason = (
        f"rate with biases divided by that without: {geometric(ratio)}, geometric mean over "
        f"{count(len(shared), 'length')} of training"
    )
    if ratio.high < 0:
        return Verdict(title, question, "faster with biases", reason, ratio.n)
    outcome = "slower with biases" if ratio.low > 0 else "inconclusive"
    return Verdict(title, question, outcome, reason, ratio.n)


def _too_few(n: int) -> str:
    """Why there is no verdict with so many seeds; empty if they suffice."""
    return "" if n >= LEAST_SEEDS else f"n = {count(n, 'seed')}; {LEAST_SEEDS} are needed"


def geometric(logarithm: Estimate) -> str:
    """A geometric mean and its interval, from the estimate of the logarithm to base 10.

    >>> geometric(estimate([-2.0, -2.0], UNBOUNDED)), geometric(estimate([-3.0], UNBOUNDED))
    ('0.01 [0.01, 0.01]', '0.001')
    """
    if not logarithm.n:
        return ""
    bounds = (logarithm.low, logarithm.high)
    mean, low, high = (short(float(f"{10**v:.3g}")) for v in (logarithm.mean, *bounds))
    return f"{mean} [{low}, {high}]" if logarithm.n > 1 else mean
