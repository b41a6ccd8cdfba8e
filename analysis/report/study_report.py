"""The report of a study: gathers its sections; works on running, failed and empty studies, too."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from analysis import frame
from analysis.document.blocks import Document, Table
from analysis.document.format import count
from analysis.questions.claims.conclusion import conclusions
from analysis.quoted import Result, why_nothing
from analysis.report.findings import Findings
from analysis.report.render.export import export
from analysis.report.sections import sections
from analysis.study import StudyRecords


class Written(NamedTuple):
    """Where a report is, and its result in a line or two."""

    path: Path
    summary: str


def write_report(path: Path) -> Written:
    """Write the report into the folder of a study: HTML, Markdown, LaTeX, tables and figures.

    Raises:
        UserError: if the folder holds no study, or one of a newer schema.
    """
    study = StudyRecords.read(path)
    made = document(study)
    return Written(export(made, path).html, made.summary.replace("\n\n", "\n"))


def document(study: StudyRecords) -> Document:
    """The report before it is drawn."""
    tables = (
        Table("replicas", study.replicas),
        Table("variants", frame.variants(study.trials)),
        Table("evaluation", study.fresh_replicas),
        Table("evaluation_variants", frame.variants(study.evaluation)),
    )
    findings = Findings(study)
    answer = re.sub(r"\n(?!- )", "\n\n", summary(findings))
    return Document(study.name, answer, sections(findings), tables)


def summary(findings: Findings) -> str:
    """The answer in a few lines: what ended, what may be quoted, what selected it.

    A study that tests a claim answers by its verdicts.
    """
    study, quoted = findings.study, findings.results
    counts = Counter(record.state for record in study.trials)
    ended = ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "none"
    head = (
        f"{study.name} (budget {study.asked['budget_name']}): {len(study.trials)} of "
        f"{study.budget['trials']} trials ended: {ended}."
    )
    if study.begun > len(study.trials):
        more = study.begun - len(study.trials)
        head += f" {more} more begun: the study still runs, or was interrupted."
    if concluded := conclusions(findings.claim, findings.evidence):
        return "\n".join([head, *(f"- {each}" for each in concluded)])
    if len(quoted) > 1:
        return "\n".join([head, *map(_line, quoted), _common(quoted)])
    if quoted:
        return f"{head}\n{_sentence(quoted[0])}"
    where = " The metrics are in tables/replicas.csv." if study.whole else ""
    return f"{head}\nNo test AUROC can be quoted: {why_nothing(study)}.{where}"


def _sentence(quoted: Result) -> str:
    if quoted.panel.n == 0:
        return f"No test AUROC of {quoted.label} can be quoted: all {quoted.seeds} seeds failed."
    return (
        f"Test AUROC of {quoted.label} {quoted.panel}, {_over([quoted])}{_faults(quoted)}: "
        f"{quoted.source}.\nSelection: {quoted.rule}"
    )


def _over(quoted: list[Result]) -> str:
    """What the AUROCs are against, or over how many classes they are averaged."""
    if quoted[0].against:
        return quoted[0].against.replace("-vs-", " against ")
    return f"mean over {count(max(len(each.classes) for each in quoted), 'class')}"


def _faults(quoted: Result) -> str:
    """What a reader must know beside the number."""
    faults = ""
    if quoted.seeds < quoted.planned:
        faults += f"; so far {quoted.seeds} of {quoted.planned} fresh seeds"
    if quoted.failed:
        faults += f"; {quoted.failed} of {quoted.seeds} seeds failed"
    if quoted.collapsed:
        models = count(quoted.collapsed, "model")
        faults += f"; {models} collapsed (one score for every image, but for rounding)"
    return faults


def _line(quoted: Result) -> str:
    if quoted.panel.n == 0:
        return _sentence(quoted)
    return f"- {quoted.label}: {quoted.panel}{_faults(quoted)}"


def _common(quoted: list[Result]) -> str:
    """What the numbers of several baselines have in common."""
    first = quoted[0]
    return f"Test AUROC, {_over(quoted)}; each is {first.source}.\nSelection: {first.rule}"
