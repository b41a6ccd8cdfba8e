"""The trials of a study, best first by its selection rule."""

import math
import numbers

import pandas as pd

from analysis.document.blocks import Cell, Section, Table, Text
from analysis.document.format import short
from analysis.frame import AUROC, CHOSEN, PARAMS
from analysis.questions.ablation import changes
from analysis.questions.sensitivity.response import is_measured, responses_of
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.selection import RULES
from tune_ad.wording import duration

PLACE = 80
MOST_ROWS = 20
CHANGE = "change"


def section(findings: Findings) -> Section:
    """The first trials; the file of the table has all."""
    study = findings.study
    table = study.table
    if table.empty:
        return Section("Trials", [Text("No trial has finished.")])
    return Section("Trials", [Table("trials", _shown(study), _caption(study), data=table)])


def _shown(study: StudyRecords) -> pd.DataFrame:
    """The first trials with their searched parameters, as formatted text."""
    table = study.table.rename(columns={AUROC: "test AUROC"})
    names = dict.fromkeys(name for space in study.spaces.values() for name in space)
    params = [column for name in names if (column := f"{PARAMS}{name}") in table]
    if study.plan.is_ablation:
        table[CHANGE], params = table["number"].map(changes(study)), [CHANGE]
    params += [name for name in map(str, table.columns) if name.startswith(CHOSEN)]
    columns = ["number", "baseline", "state", "objective", "test AUROC", *params, "seconds"]
    if _ranked(study):
        table = table.sort_values("objective", ascending=False, na_position="last", kind="stable")
    shown = table[columns].head(MOST_ROWS).astype(object)
    for column in params:
        shown[column] = shown[column].map(_value)
    for column in ("objective", "test AUROC") if RULES[study.rule].is_auroc else ("test AUROC",):
        shown[column] = table[column].head(MOST_ROWS).map(_per_cent)
    shown["time"] = [Cell(duration(seconds), seconds) for seconds in shown.pop("seconds")]
    if study.rule == "oracle" or table["objective"].isna().all():
        shown = shown.drop(columns="objective")  # it is the test AUROC, or there is none
    if len(study.baselines) == 1:
        shown = shown.drop(columns="baseline")
    if study.whole:
        shown = shown.drop(columns="test AUROC")
    shown.columns = [_title(column) for column in shown.columns]
    return shown.rename(columns={"objective": _objective(study)})


def _title(column: str) -> str:
    """The title of a column: that of a chosen parameter says that it was chosen.

    >>> _title("params.width"), _title("chosen.mc_samples"), _title("state")
    ('width', 'mc_samples (chosen)', 'state')
    """
    if column.startswith(CHOSEN):
        return f"{column.removeprefix(CHOSEN)} (chosen)"
    return column.removeprefix(PARAMS)


def _objective(study: StudyRecords) -> str:
    """The name of the number by which trials are ranked; "objective" for several quantities."""
    responses = responses_of(study.rule) if _ranked(study) else ()
    measured = [response.name for response in responses if is_measured(study, response)]
    return measured[0] if measured else "objective"


def _ranked(study: StudyRecords) -> bool:
    """Whether the selection rule selected a trial, or could have."""
    return study.chooses or RULES[study.rule].compares(study.trials)


def _per_cent(auroc: float | None) -> Cell:
    if auroc is None or math.isnan(auroc):
        return Cell("")
    return Cell(f"{100 * auroc:.1f}", auroc)


def _value(value: object) -> object:
    """A parameter's value as a cell: a number sorts by its value, another value by its text."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return short(value)
    return Cell(
        short(value if isinstance(value, numbers.Integral) else float(value)), float(value)
    )


def _caption(study: StudyRecords) -> str:
    trials = len(study.table)
    more = f" The first {MOST_ROWS} of {trials} trials." if trials > MOST_ROWS else ""
    test = "Test results are recorded, but not used for selection."
    if study.whole:
        test = "No anomaly is known, so there is no test AUROC."
    if study.rule == "oracle":
        test = "The selection rule oracle selected by the test AUROC, which is optimistic."
    chosen = ""
    if any(name.startswith(CHOSEN) for name in map(str, study.table.columns)):
        chosen = " (chosen): value used for scoring, chosen after training on held-out images."
    return (
        f"{_order(study)}{more} AUROCs in per cent, means over {study.averaged_over}. "
        f"{test}{chosen}"
    )


def _order(study: StudyRecords) -> str:
    """The number by which the trials are ranked, and its use."""
    if not study.table["objective"].notna().any():
        why = "There are no anomalies" if study.whole else "No images were held out"
        if not study.table["state"].eq("complete").any():
            why = "No trial is complete"
        return f"{why}, so trials are not ranked."
    if not _ranked(study):
        return (
            "Not ranked: values of different losses and likelihoods are not comparable. "
            f"Objective: negative {RULES[study.rule].title} (in nats per image if bits are "
            "undefined)."
        )
    ranking = f"Ranked by {RULES[study.rule].title}."
    if RULES[study.rule].sign < 0:
        ranking += " Its negative is shown, so that larger is better."
    if study.chooses:
        return (
            f"{ranking} The winner was chosen by these numbers, so they are optimistic; do not "
            "report them."
        )
    return f"{ranking} These numbers were not used for selection."
