"""The trials of a study, best first by its selection rule."""

import pandas as pd

from analysis.document.blocks import Section, Table, Text
from analysis.document.format import short
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.search.selection import RULES

PLACE = 80
MOST_ROWS = 20


def section(findings: Findings) -> Section:
    """The first trials; all of them in the table's file."""
    study = findings.study
    table = study.table
    if table.empty:
        return Section("Trials", [Text("No trial has ended.")])
    return Section("Trials", [Table("trials", _shown(study), _caption(study), data=table)])


def _shown(study: StudyRecords) -> pd.DataFrame:
    """The first trials with their searched parameters, as people read them."""
    table = study.table.rename(columns={"oracle": "test AUROC"})
    names = dict.fromkeys(name for space in study.spaces.values() for name in space)
    searched = [f"param/{name}" for name in names if f"param/{name}" in table]
    columns = ["number", "baseline", "state", "objective", "test AUROC", *searched, "seconds"]
    if _ranked(study):
        table = table.sort_values("objective", ascending=False, na_position="last", kind="stable")
    shown = table[columns].head(MOST_ROWS).astype(object)
    for column in searched:
        shown[column] = shown[column].map(short)
    for column in ("objective", "test AUROC") if RULES[study.rule].is_auroc else ("test AUROC",):
        shown[column] = table[column].head(MOST_ROWS).map(_per_cent)
    shown.columns = shown.columns.str.removeprefix("param/")
    return shown


def _ranked(study: StudyRecords) -> bool:
    """Whether the selection rule chose among the trials, or could have."""
    return study.chooses or RULES[study.rule].compares(study.trials)


def _per_cent(auroc: float | None) -> str:
    return "" if auroc is None or auroc != auroc else f"{100 * auroc:.1f}"


def _caption(study: StudyRecords) -> str:
    trials = len(study.table)
    more = f" The first {MOST_ROWS} of {trials} trials." if trials > MOST_ROWS else ""
    test = "Test scores are recorded, never used to choose."
    if study.rule == "oracle":
        test = "The selection rule oracle chose by the test AUROC, which is optimistic."
    return (
        f"{_order(study)}{more} AUROCs in per cent; test AUROC is the mean over replicas. {test}"
    )


def _order(study: StudyRecords) -> str:
    """By which number the trials are ranked, and what that means."""
    if not study.table["objective"].notna().any():
        why = "is anomalous" if study.whole else "was held out"
        return f"Nothing {why}, so no number ranks these trials."
    if not _ranked(study):
        return (
            "Not ranked: values of different losses and likelihoods are not comparable, and are "
            f"nats per image where bits mean nothing. Objective: minus {RULES[study.rule].title}."
        )
    ranking = f"Ranked by {RULES[study.rule].title}."
    if RULES[study.rule].sign < 0:
        ranking += " The objective is its negative, so that larger is better."
    if study.chooses:
        return f"{ranking} These numbers selected, so they are not results."
    return f"{ranking} Nothing was selected by these numbers."
