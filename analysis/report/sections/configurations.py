"""How the response is spread over configurations: what choosing badly would cost.

Ding, Zhao and Akoglu, Hyperparameter sensitivity in deep outlier detection (ROBOD), NeurIPS 2022.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from analysis.document.blocks import Cell, Figure, Section, Table
from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.questions.sensitivity.kinds import TEST, Kind, kind_of, measured
from analysis.questions.sensitivity.responses import (
    Responses,
    chosen_trial,
    default_trial,
    responses,
)
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.storage.records import TrialRecord

PLACE = 30
SUMMARY = ("mean", "std", "min", "quartile 1", "median", "quartile 3", "max")


class Spread(NamedTuple):
    """The responses of a baseline's configurations.

    Attributes:
        responses: one per complete trial.
        default: response of the configuration with nothing changed; NaN if there is none.
        chosen: response of the one that the study's rule puts first; NaN if it judges none, or
            the study chooses none.
    """

    responses: Responses
    default: float
    chosen: float

    def summary(self) -> dict[str, float]:
        """Mean, sample standard deviation (NaN for one) and quartiles over configurations."""
        values = self.responses.values
        std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        ends = map(float, np.percentile(values, [0, 25, 50, 75, 100]))
        return dict(zip(SUMMARY, (float(values.mean()), std, *ends), strict=True))


def section(findings: Findings) -> Section | None:
    """The distributions; None where no baseline has two configurations."""
    study = findings.study
    found = spreads(study)
    if not any(each.responses.n > 1 for each in found):
        return None
    figure = Figure(
        "configurations",
        partial(draw_spreads, found),
        f"Share of configurations with at most this {_kind(study).name} (mean over replicas), n "
        f"as in the table. Circle: the default{_star(study)}. No value of a parameter may be "
        "chosen from this.",
    )
    return Section("All configurations", [figure, _table(study, found)])


def _star(study: StudyRecords) -> str:
    return f"; star: what the rule {study.rule} chose" if study.chooses else ""


def spreads(study: StudyRecords) -> list[Spread]:
    """The spread of each baseline that has a complete trial with a response."""
    made = [responses(study, name, _kind(study)) for name in study.baselines]
    return [
        Spread(
            own,
            _value(own, default_trial(study, own.baseline)),
            _value(own, chosen_trial(study, own.baseline) if study.chooses else None),
        )
        for own in made
        if own.n
    ]


def draw_spreads(found: Sequence[Spread]) -> Drawing:
    """Empirical distribution functions, one line a baseline, labelled at their upper end."""
    drawing = canvas(height=3.4)
    axes, kind = drawing.one, found[0].responses.kind
    styles = ("-", "--", "-.", ":")
    for k, each in enumerate(found):
        values, style = kind.scale * each.responses.values, styles[k % len(styles)]
        axes.ecdf(values, color=colour(k), linestyle=style, label=each.responses.baseline)
        for value, marker in ((each.default, "o"), (each.chosen, "*")):
            if math.isfinite(value):
                share = float((each.responses.values <= value).mean())
                size = 13 if marker == "*" else 8
                axes.plot(kind.scale * value, share, marker, color=INK, ms=size, mfc=colour(k))
    axes.set_xlabel(kind.axis)
    axes.set_ylabel("share of configurations")
    axes.set_ylim(0, 1.05)
    axes.grid(color=FAINT, alpha=0.25)
    if len(found) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return drawing.figure


def _kind(study: StudyRecords) -> Kind:
    """Test AUROC, which choosing badly costs; what the rule sees where nothing is tested."""
    return TEST if measured(study, TEST) else kind_of(study)


def _value(own: Responses, record: TrialRecord | None) -> float:
    return math.nan if record is None else own.value_of(record.number)


def _table(study: StudyRecords, found: Sequence[Spread]) -> Table:
    kind = _kind(study)
    data = pd.DataFrame(
        [
            {
                "baseline": each.responses.baseline,
                "n": each.responses.n,
                **each.summary(),
                "default": each.default,
                "chosen": each.chosen,
            }
            for each in found
        ]
    )
    spread = [
        Cell(kind.text(mean) + ("" if math.isnan(std) else f" ± {kind.text(std)}"), mean)
        for mean, std in zip(data["mean"], data["std"], strict=True)
    ]
    columns = {
        column: [
            Cell("" if math.isnan(value) else kind.text(value), value) for value in data[column]
        ]
        for column in (*SUMMARY[2:], "default", "chosen")
        if column != "chosen" or study.chooses
    }
    shown = pd.DataFrame(
        {"baseline": data["baseline"], "n": data["n"], "mean ± std": spread, **columns}
    )
    return Table("configurations", shown, _caption(study, found), data)


def _caption(study: StudyRecords, found: Sequence[Spread]) -> str:
    left = ", ".join(
        f"{each.responses.baseline}: {n} {reason}"
        for each in found
        for reason, n in each.responses.excluded.items()
    )
    fresh = "; what is quoted comes from fresh ones" * bool(study.budget["evaluation_seeds"])
    return (
        f"Distribution of {_kind(study).axis} over the configurations that the plan "
        f"{study.plan} tried, mean over replicas; n = configurations, std = over configurations, "
        "not seeds. The spread over hyperparameters is to be compared with the gap between "
        "methods (ROBOD); no value of a parameter may be chosen from it."
        + (f" Chosen: by the rule {study.rule}, on the search's own seeds{fresh}." * study.chooses)
        + (f" Left out: {left}." if left else "")
    )
