"""The result of a study for a Python program: trials, winner, report and figures."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing

from analysis.frame import CHOSEN, FIRST, PARAMS
from analysis.programs import StudyFrames
from analysis.quoted import NOTHING, Result, results
from analysis.report.study_report import write_report
from analysis.stats.estimates import Estimate
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.selection import RULES, ranked
from tune_ad.storage.kept_models import DESCRIPTION

SHOWN = 10
"""The number of trials that a notebook shows."""


@dataclass(frozen=True)
class Winner:
    """The trial that the selection rule ranks first.

    Attributes:
        number: number of the trial.
        baseline: name of its baseline.
        params: the searched hyperparameters, and the score-time parameters that were chosen.
        auroc: test AUROC in [0, 1] of new models with these hyperparameters, averaged over
            classes: `mean`, `low` and `high` (95 % interval), and `n` seeds. None if the winner
            has not been trained again, or the study has no anomalies.
        rule: what selected it, in words.
    """

    number: int
    baseline: str
    params: Mapping[str, Any]
    auroc: Estimate | None
    rule: str

    def __str__(self) -> str:
        """Baseline, parameters, AUROC and rule in one line."""
        values = ", ".join(f"{name} = {value}" for name, value in self.params.items())
        tested = "not trained again" if self.auroc is None else f"test AUROC {self.auroc}"
        return f"{self.baseline} ({values or 'defaults'}): {tested}; selected by {self.rule}"


@dataclass(frozen=True)
class SearchResult:
    """The result of a study, read from its folder when it is asked for.

    Attributes:
        folder: the folder of the study.
        report: the path of its page.
        summary: the summary of the study, in lines.
        failed: number of trials and evaluation seeds that failed.
    """

    folder: Path
    report: Path
    summary: str
    failed: int

    @classmethod
    def of(cls, folder: Path) -> "SearchResult":
        """Write the report of a study, and return its result.

        Raises:
            UserError: if the folder contains no study, or the report cannot be written.
        """
        try:
            written = write_report(folder)
        except OSError as error:
            raise UserError(
                f"the report cannot be written: {error.filename}: {error.strerror}; make the "
                "folder writable"
            ) from error
        study = StudyRecords.read(folder)
        failed = sum(record.state == "failed" for record in (*study.trials, *study.evaluation))
        return cls(folder, written.path, written.summary, failed)

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial, in the order of their numbers, as in `analysis.frame.trials`."""
        return self._study.table.copy()

    @cached_property
    def winner(self) -> Winner | None:
        """The selected trial; None if the study selects none, or no trial can be selected."""
        study = self._study
        best = next(iter(ranked(study.trials, study.rule)), None) if study.chooses else None
        if best is None:
            return None
        tested = next((r for r in results(study) if r.identity == best.identity), None)
        return Winner(
            number=best.number,
            baseline=best.baseline,
            params={**{name: best.params[name] for name in best.searched}, **best.chosen},
            auroc=tested.auroc if tested and tested.auroc.n else None,
            rule=_rule(tested, study.rule),
        )

    @property
    def best(self) -> Path | None:
        """The folder of the kept model of the winner, for `AnomalyDetector.load`; None if none."""
        folder = self._study.folder.best
        return folder if (folder / DESCRIPTION).is_file() else None

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures of the report."""
        return tuple(self._analysis.figures())

    def figure(self, name: str) -> Drawing:
        """A figure of the report, drawn anew.

        Raises:
            UserError: if the report has no figure of that name; it lists the names.
        """
        return self._analysis.figure(name)

    @property
    def _study(self) -> StudyRecords:
        return self._analysis.records

    @cached_property
    def _analysis(self) -> StudyFrames:
        return StudyFrames(StudyRecords.read(self.folder))

    @property
    def _at_a_glance(self) -> pd.DataFrame:
        """The columns of `trials` that a first look needs, with what was searched or chosen."""
        table = self._study.table
        searched = {f"{PARAMS}{name}" for record in self._study.trials for name in record.searched}
        return table[
            [c for c in map(str, table) if c in {*FIRST, *searched} or c.startswith(CHOSEN)]
        ]

    def __repr__(self) -> str:
        """The summary of the study and the path of its report."""
        return f"{self.summary}\nreport: {self.report}"

    def _repr_html_(self) -> str:
        """The summary, the first trials and a link to the report, for a notebook."""
        lines = "<br>".join(html.escape(line) for line in self.summary.splitlines())
        trials = self._at_a_glance
        table = trials.head(SHOWN).to_html(index=False, na_rep="", border=0)
        more = f"<p>and {len(trials) - SHOWN} more trials</p>" if len(trials) > SHOWN else ""
        link = html.escape(str(self.report), quote=True)
        return f'<p>{lines}</p>{table}{more}<p><a href="{link}">{link}</a></p>'


def _rule(tested: Result | None, selection: str) -> str:
    """What selected a configuration, in words."""
    return tested.rule if tested and tested.rule != NOTHING else RULES[selection].title
