"""The analysis of a study for a Python program: data frames of pandas and figures of matplotlib.

Nothing is computed here: each table is one of the report's own, or of the functions behind it.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure as Drawing

from analysis.document import theme
from analysis.document.blocks import Document, Figure
from analysis.frame import PARAMS, columns
from analysis.questions.selection.regret import choices
from analysis.questions.sensitivity.baseline_sensitivity import baseline_sensitivity
from analysis.questions.sensitivity.importance_blocks import importances_table
from analysis.questions.sensitivity.importances import refusal
from analysis.questions.sensitivity.observations import observations
from analysis.report.findings import Findings
from analysis.report.study_report import document
from analysis.stats.estimates import Estimate
from analysis.study import StudyRecords
from tune_ad.errors import UserError, did_you_mean


class StudyFrames:
    """A study, finished or still running, as data frames and figures.

    Every AUROC and share lies in [0, 1].

    Args:
        records: the records behind everything else.
    """

    def __init__(self, records: StudyRecords) -> None:
        self.records = records

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.records.name

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial that has ended, as in `analysis.frame.trials`."""
        return self.records.table

    @property
    def replicas(self) -> pd.DataFrame:
        """One row per model of the trials, with every metric, as in `analysis.frame.replicas`."""
        return self.records.replicas

    @property
    def fresh(self) -> pd.DataFrame:
        """The same for the models of the winner on fresh seeds; empty if there are none."""
        return self.records.fresh_replicas

    def results(self) -> pd.DataFrame:
        """What may be quoted: one row per result, as in `analysis.quoted.results`.

        Columns: label, baseline, source (what was tested, in words), rule (what selected it),
        auroc, std, low, high (95 % interval), n (seeds), failed (seeds), then each searched
        parameter as "params.<name>". Empty while there is nothing that may be quoted.
        """
        rows = [
            {
                "label": result.label,
                "baseline": result.baseline,
                "source": result.source,
                "rule": result.rule,
                **_estimate("auroc", result.auroc),
                "failed": result.failed,
                **columns(PARAMS, result.params),
            }
            for result in self._findings.results
        ]
        return pd.DataFrame(rows)

    def selection(self) -> pd.DataFrame:
        """What each selection rule would have chosen, and lost: one row per rule.

        Columns: rule, number of the chosen trial, ranked (trials), and the estimates auroc,
        regret and correlation, each with its std, low, high and n, as in
        `analysis.questions.selection.regret.RuleChoice`. Empty if there is nothing to choose.
        """
        pool = self._findings.pool
        if pool is None or not pool.records:
            return pd.DataFrame()
        rows = [
            {
                "rule": choice.rule,
                "number": choice.number,
                "ranked": choice.ranked,
                **_estimate("auroc", choice.auroc),
                **_estimate("regret", choice.regret, "regret "),
                **_estimate("correlation", choice.correlation, "correlation "),
            }
            for choice in choices(pool)
        ]
        return pd.DataFrame(rows)

    def sensitivities(self) -> pd.DataFrame:
        """Which parameters matter: one row per baseline and parameter, the most important first.

        Columns: baseline, parameter, the importance by each evaluator in [0, 1] with its interval
        ("fANOVA value", "fANOVA low", ...), and the verdict in words. Baselines with too few
        trials are left out; `refusals` says why.
        """
        tables = []
        for name in self._searched:
            seen = observations(self.records, name)
            if not refusal(seen):
                data = importances_table(baseline_sensitivity(seen)).stored
                tables.append(data.assign(baseline=name))
        if not tables:
            return pd.DataFrame()
        whole = pd.concat(tables, ignore_index=True)
        return whole[["baseline", *(column for column in whole if column != "baseline")]]

    def refusals(self) -> dict[str, str]:
        """Why a baseline has no sensitivities, in words, by its name; empty if all have."""
        why = {name: refusal(observations(self.records, name)) for name in self._searched}
        return {name: reason for name, reason in why.items() if reason}

    @property
    def _searched(self) -> list[str]:
        return [name for name in self.records.baselines if self.records.spaces[name]]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table of the report in full precision, by the name of its file."""
        return {table.name: table.stored for table in self._document.all_tables()}

    def figures(self) -> dict[str, Callable[[], Drawing]]:
        """Functions that draw the figures of the report, by the names of their files."""
        return {name: _drawing(figure) for name, figure in self._figures.items()}

    def captions(self) -> dict[str, str]:
        """What each figure of the report shows, by its name."""
        return {name: figure.caption for name, figure in self._figures.items()}

    def figure(self, name: str) -> Drawing:
        """A figure of the report, drawn anew.

        Raises:
            UserError: if the report has no figure of that name; it lists the names.
        """
        if name not in self._figures:
            hint = did_you_mean(name, self._figures)
            known = ", ".join(self._figures) or "none"
            raise UserError(
                f"the report of {self.records.folder.path.name} has no figure {name!r}"
                + (f"; {hint}" if hint else f"; its figures: {known}")
            )
        return _drawing(self._figures[name])()

    @property
    def summary(self) -> str:
        """The first lines of the report."""
        return self._document.summary

    @cached_property
    def _findings(self) -> Findings:
        return Findings(self.records)

    @cached_property
    def _document(self) -> Document:
        return document(self.records)

    @cached_property
    def _figures(self) -> Mapping[str, Figure]:
        return {figure.name: figure for figure in self._document.figures()}

    def __repr__(self) -> str:
        """Its name, and how many trials have ended."""
        return f"<study {self.name}: {len(self.records.trials)} trials>"


def _drawing(figure: Figure) -> Callable[[], Drawing]:
    def draw() -> Drawing:
        with matplotlib.style.context(["default", theme.STYLE]):
            return figure.draw()

    return draw


def _estimate(name: str, estimate: Estimate, prefix: str = "") -> dict[str, Any]:
    """An estimate as columns."""
    fields = {f"{prefix}{field}": value for field, value in estimate._asdict().items()}
    return {name: fields.pop(f"{prefix}mean"), **fields}
