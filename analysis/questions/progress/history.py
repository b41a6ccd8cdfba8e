"""The optimisation history: the objective of each trial in the order of the proposals."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.document import theme
from analysis.document.format import in_words, short
from analysis.questions.sensitivity.observations import startup
from analysis.questions.sensitivity.response import Response, is_measured, responses_of
from analysis.study import StudyRecords
from tune_ad.selection import RULES
from tune_ad.storage.records import State, TrialRecord
from tune_ad.wording import count

Proposal = Literal["start-up", "adaptive", "fixed"]
LEAST = 2  # trials with an objective
MANY = 150  # trials from which points are smaller
STRETCH = 8.0  # the largest range that is shown, in distances of the best quarter to the best


class HistoryTrial(NamedTuple):
    """A trial of an optimisation history.

    Attributes:
        number: the number of the trial.
        baseline: the name of its baseline.
        proposal: "start-up" for defaults and random draws, "adaptive" if results of earlier trials
            may have influenced it, "fixed" if the plan fixed all configurations beforehand.
        state: how it ended.
        objective: the value of the selection rule, larger = better; of a pruned trial the last one
            that it reported; NaN without one.
        best: the best objective of the complete trials up to this one; NaN without one.
        params: the searched parameters, as text.
        reason: why it failed; empty otherwise.
    """

    number: int
    baseline: str
    proposal: Proposal
    state: State
    objective: float
    best: float
    params: str
    reason: str


class OptimisationHistory(NamedTuple):
    """The optimisation history of a study.

    Attributes:
        response: what the objective is.
        trials: the trials by number.
        several: whether the study has several baselines.
    """

    response: Response
    trials: Sequence[HistoryTrial]
    several: bool

    def of(self, state: State, proposal: Proposal | None = None) -> list[HistoryTrial]:
        """The trials that ended so, with an objective unless they failed."""
        return [
            trial
            for trial in self.trials
            if trial.state == state
            and proposal in (None, trial.proposal)
            and (state == "failed" or math.isfinite(trial.objective))
        ]

    @property
    def is_cut(self) -> bool:
        """Whether some objectives are too far below the others to be shown where they are."""
        floor, _ = self.limits()
        return any(trial.objective < floor for trial in self.trials)

    def limits(self) -> tuple[float, float]:
        """The smallest and largest objective that are shown."""
        finite = [t.objective for t in self.trials if math.isfinite(t.objective)]
        worst, good, best = min(finite), np.quantile(finite, 0.75), max(finite)
        floor = max(worst, best - STRETCH * (best - good)) if best > good else worst
        return float(min(floor, good)), float(best)

    def described(self) -> str:
        """What the history shows, in sentences; empty without a complete trial."""
        complete = self.of("complete")
        if not complete:
            return ""
        best = max(complete, key=lambda trial: (trial.objective, -trial.number))
        text = f"Best: trial {best.number}, {best.proposal}, {self._value(best.objective)}."
        early, late = self.of("complete", "start-up"), self.of("complete", "adaptive")
        if not early or not late:
            return text
        means = [
            f"{self._value(float(np.mean([t.objective for t in group])))} on average for the "
            f"{count(len(group), f'complete {name} trial')}"
            for name, group in (("start-up", early), ("adaptive", late))
        ]
        name = self.response.name
        return f"{text} {name[:1].upper()}{name[1:]}: {in_words(means)}."

    def _value(self, objective: float) -> str:
        return self.response.text(objective) + " %" * self.response.percent

    def text_of(self, trial: HistoryTrial) -> str:
        """A trial in a line, for readers who point at it."""
        baseline = f" of {trial.baseline}" if self.several else ""
        outcome: str = trial.state
        if math.isfinite(trial.objective):
            outcome = f"{self.response.name} {self._value(trial.objective)}"
            outcome += " when it was pruned" if trial.state == "pruned" else ""
        if trial.reason:
            outcome += f" ({trial.reason})"
        return f"trial {trial.number}{baseline} ({trial.proposal}): {outcome}; {trial.params}"


def history(study: StudyRecords) -> OptimisationHistory | None:
    """The optimisation history of a study.

    None if nothing is selected, or if objectives are not there or not comparable.
    """
    measured = [r for r in responses_of(study.rule) if is_measured(study, r)]
    if not measured or not study.chooses or not RULES[study.rule].compares(study.trials):
        return None
    first, best = startup(study), math.nan
    trials = []
    for record in study.trials:
        objective = _objective(record)
        if record.state == "complete":
            best = np.fmax(best, objective)
        proposal: Proposal = "fixed"
        if study.plan.adapts:
            proposal = "adaptive" if record.number >= first else "start-up"
        trials.append(
            HistoryTrial(
                number=record.number,
                baseline=record.baseline,
                proposal=proposal,
                state=record.state,
                objective=objective,
                best=float(best),
                params=params_text(record),
                reason=record.reason,
            )
        )
    if sum(math.isfinite(trial.objective) for trial in trials) < LEAST:
        return None
    return OptimisationHistory(measured[0], trials, len(study.baselines) > 1)


def params_text(record: TrialRecord) -> str:
    """The searched parameters of a trial, as a text of one line."""
    return ", ".join(f"{name} = {short(record.params[name])}" for name in record.searched)


def _objective(record: TrialRecord) -> float:
    """The objective of a trial, of a pruned one the last that it reported; NaN without one."""
    values = [value for _, value in record.reports if value is not None]
    objective = record.objective
    if record.state == "pruned" and objective is None and values:
        objective = values[-1]
    return math.nan if objective is None or record.state == "failed" else float(objective)


def draw_history(history: OptimisationHistory) -> Figure:
    """Objectives by trial number, the best so far as steps, failed trials along the bottom."""
    canvas = theme.canvas(height=3.6)
    axes, scale = canvas.one, history.response.scale
    floor, ceiling = (scale * end for end in history.limits())
    best = [(trial.number, scale * trial.best) for trial in history.trials]
    axes.step(*zip(*best, strict=True), where="post", color=theme.INK, lw=1.4, label="best so far")
    size = 26 if len(history.trials) <= MANY else 12
    kinds: tuple[tuple[str, list[HistoryTrial], dict[str, Any]], ...] = (
        ("fixed beforehand", history.of("complete", "fixed"), {"color": theme.colour(0)}),
        (
            "start-up (default, random)",
            history.of("complete", "start-up"),
            {"facecolor": "none", "edgecolor": theme.colour(0), "linewidth": 1.4, "color": None},
        ),
        (
            "adaptive",
            history.of("complete", "adaptive"),
            {"color": theme.colour(1), "marker": "^"},
        ),
        (
            "pruned",
            history.of("pruned"),
            {"color": theme.INK, "marker": "_", "linewidth": 1.4},
        ),
        (
            "failed",
            history.of("failed"),
            {"color": theme.colour(6), "marker": "x", "linewidth": 1.6},
        ),
    )
    for label, trials, style in kinds:
        at = [np.fmax(floor, scale * trial.objective) for trial in trials]
        texts = [history.text_of(trial) for trial in trials]
        numbers = [trial.number for trial in trials]
        theme.points(axes, numbers, at, texts, numbers, s=size, zorder=3, label=label, **style)
    _finish(axes, history, floor, ceiling)
    return canvas.figure


def _finish(axes: Axes, history: OptimisationHistory, floor: float, ceiling: float) -> None:
    margin = 0.05 * ((ceiling - floor) or 1.0)
    axes.set_ylim(floor - margin, ceiling + margin)
    axes.set_xlim(-0.02 * len(history.trials) - 0.5, history.trials[-1].number + 0.5)
    axes.set_xlabel("trial")
    axes.set_ylabel(history.response.axis)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(axis="y", color=theme.FAINT, alpha=0.25)
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    _, labels = axes.get_legend_handles_labels()
    sheet.legend(
        loc="outside lower center",
        ncols=theme.legend_columns(labels),
        labelcolor=theme.INK,
        frameon=False,
    )
