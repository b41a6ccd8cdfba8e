"""The responses of all configurations of a baseline: their distribution and two of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.questions.sensitivity.observations import (
    Observations,
    chosen_trial,
    default_trial,
    observations,
)
from analysis.questions.sensitivity.response import TEST, Response, is_measured, response_of
from analysis.study import StudyRecords
from tune_ad.storage.records import TrialRecord

SUMMARY = ("mean", "std", "min", "quartile 1", "median", "quartile 3", "max")
LINES = ("-", "--", "-.", ":")


class Spread(NamedTuple):
    """The responses of the configurations of a baseline.

    Attributes:
        observations: the responses of all complete trials.
        default: the response of the default parameters; NaN if they were not run.
        chosen: the response of the trial that the selection rule ranks first; NaN if no trial was
            selected.
    """

    observations: Observations
    default: float
    chosen: float

    def summary(self) -> dict[str, float]:
        """Mean, sample standard deviation (NaN for one) and quartiles over configurations."""
        values = self.observations.values
        std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        quartiles = map(float, np.percentile(values, [0, 25, 50, 75, 100]))
        return dict(zip(SUMMARY, (float(values.mean()), std, *quartiles), strict=True))

    def point(self, value: float) -> tuple[float, float]:
        """The position of a response on the distribution function (x, y)."""
        share = float((self.observations.values <= value).mean())
        return self.observations.response.scale * value, share


def spreads(study: StudyRecords) -> list[Spread]:
    """The spread of each baseline that has a complete trial with a response."""
    response = response_shown(study)
    per_baseline = [observations(study, name, response) for name in study.baselines]
    return [
        Spread(
            trials,
            _value(trials, default_trial(study, trials.baseline)),
            _value(trials, chosen_trial(study, trials.baseline) if study.chooses else None),
        )
        for trials in per_baseline
        if trials.n
    ]


def draw_spreads(per_baseline: Sequence[Spread]) -> Figure:
    """Empirical distribution functions per baseline, with default and selected trial marked."""
    drawing = canvas(height=3.4)
    axes, response = drawing.one, per_baseline[0].observations.response
    for k, spread in enumerate(per_baseline):
        values = response.scale * spread.observations.values
        name, line = spread.observations.baseline, LINES[k % len(LINES)]
        axes.ecdf(values, color=colour(k), linestyle=line, label=name)
        for value, marker, size in ((spread.default, "o", 8), (spread.chosen, "*", 13)):
            if math.isfinite(value):
                axes.plot(*spread.point(value), marker, color=INK, ms=size, mfc=colour(k))
    axes.set_xlabel(response.axis)
    axes.set_ylabel("share of configurations")
    axes.set_ylim(0, 1.05)
    axes.grid(color=FAINT, alpha=0.25)
    if len(per_baseline) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return drawing.figure


def response_shown(study: StudyRecords) -> Response:
    """Test AUROC if recorded, otherwise the metric of the selection rule."""
    return TEST if is_measured(study, TEST) else response_of(study)


def _value(trials: Observations, record: TrialRecord | None) -> float:
    return math.nan if record is None else trials.value_of(record.number)
