"""The trials of a study, best first by the rule that selected."""

import pandas as pd

from analysis.document.blocks import Section, Table, Text
from analysis.document.format import short
from analysis.questions.regret import ranks
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.search.selection import describe

PLACE = 80
SHOWN = 20


def section(findings: Findings) -> Section:
    """The best trials; all of them in the table's file."""
    study = findings.study
    table = study.table
    if table.empty:
        return Section("Trials", [Text("No trial has ended.")])
    names = dict.fromkeys(name for space in study.spaces.values() for name in space)
    searched = [f"param/{name}" for name in names if f"param/{name}" in table]
    columns = ["number", "baseline", "state", "objective", "test AUROC", *searched, "seconds"]
    best = table.rename(columns={"oracle": "test AUROC"})
    if _ranked(study):
        best = best.sort_values("objective", ascending=False, na_position="last", kind="stable")
    shown = best[columns].head(SHOWN).astype(object)
    for column in ("test AUROC", *searched):
        shown[column] = shown[column].map(short)
    if study.rule in ("validation", "oracle"):
        shown["objective"] = best["objective"].head(SHOWN).map(_per_cent)
    shown["test AUROC"] = best["test AUROC"].head(SHOWN).map(_per_cent)
    shown.columns = shown.columns.str.removeprefix("param/")
    return Section("Trials", [Table("trials", shown, _about(study, table), data=table)])


def _ranked(study: StudyRecords) -> bool:
    """Whether the rule chose among the trials, or could have."""
    return study.chooses or ranks(study.rule, study.trials)


def _per_cent(auroc: float | None) -> str:
    return "" if auroc is None or auroc != auroc else f"{100 * auroc:.1f}"


def _about(study: StudyRecords, table: pd.DataFrame) -> str:
    why = "is anomalous" if study.whole else "was held out"
    about = f"Nothing {why}, so no number ranks these."
    if table["objective"].notna().any():
        said = "These numbers selected; they are not results."
        if not study.chooses:
            said = "Nothing was selected by these numbers."
        about = f"Ranked by {describe(study.rule)} {said}"
        if not _ranked(study):
            about = (
                "Not ranked: values of different losses and likelihoods do not compare, and are "
                f"nats per image where bits mean nothing. Objective: {describe(study.rule)}"
            )
    more = f" The first {SHOWN} of {len(table)}." if len(table) > SHOWN else ""
    return (
        f"{about}{more} AUROCs in per cent. The column test AUROC is the mean over replicas; it "
        "selected nothing unless the rule is oracle."
    )
