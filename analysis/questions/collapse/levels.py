"""The configurations of PGN that differ in their epochs alone, with what is measured of each.

Rates differ by orders of magnitude, so their means over classes and seeds are geometric, and
intervals are those of their logarithms.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.document.format import short
from analysis.image_sampling import ImageRanks, image_error
from analysis.stats.estimates import Coverage, Estimate, ImageError, estimate
from analysis.study import StudyRecords
from analysis.trials import tested_trials
from tune_ad.storage.metric import Metric, ScoreVariant
from tune_ad.storage.records import TrialRecord

EPOCHS, COMPONENT = "epochs", "kl"
RATE = Metric("information", "rate")
"""The mean rate of training images, without dropout, in nats."""
TEST_RATE = Metric("test", COMPONENT)
SPREAD = Metric("spread", COMPONENT)
TIED = Metric("test", "tied")
MEASURED = {
    "spread": SPREAD,
    "tied": TIED,
    "head of the mean": Metric("head", "mean_norm"),
    "head of the variance": Metric("head", "scale_norm"),
}
"""The measured quantities with arithmetic means, by the name of their column."""
LEAST_RATE = 1e-15
"""Smaller rates count as this one.

The log-variance of a coordinate comes from a layer in float32, whose rounding error is near 2^-24
if the terms of its sums are of order 1; its square, halved, is 2e-15.
"""
UNBOUNDED = (-math.inf, math.inf)


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
    def rate(self) -> Estimate:
        """log10 of the mean rate of training images."""
        return estimate(list(self.rates), UNBOUNDED)

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

    def change_since(self, shorter: "Level") -> Estimate:
        """log10 of the factor on the rate per doubling of the epochs, paired by seed.

        Args:
            shorter: the same setting after fewer epochs.
        """
        doublings = math.log2(self.epochs / shorter.epochs)
        return estimate(list((self.rates - shorter.rates).dropna() / doublings), UNBOUNDED)


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
    columns = {TEST_RATE: f"log {TEST_RATE}"} | {m: str(m) for m in MEASURED.values()}
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
        ranks=ImageRanks.read(study, [record]),
    )


def _log(table: pd.DataFrame, metric: Metric) -> pd.Series:
    if str(metric) not in table:
        return pd.Series(math.nan, index=table.index)
    logarithms: pd.Series = np.log10(table[str(metric)].clip(lower=LEAST_RATE))
    return logarithms


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
