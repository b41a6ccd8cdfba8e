"""The questions of the page with their studies and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

from analysis.document.blocks import Document, Figure
from analysis.evidence.archives import archive
from analysis.evidence.findings import words
from analysis.evidence.questions import QUESTIONS, Asked, read
from analysis.evidence.rules import rules_document
from analysis.questions.comparison.studies import compare
from analysis.report.study_report import document
from analysis.study import StudyRecords, so_far
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder

RECORDS, REPORTS = "records", "reports"
RESULTS = Path("results")
"""Where a reader unpacks records, which the commands of their reports go on with."""


class Entry(NamedTuple):
    """A question of the page, answered.

    Attributes:
        asked: the question.
        finding: the answer in a sentence or two, which begins with how far the studies are.
        details: what more there is to say; may be empty.
        studies: the records behind it.
        report: the report behind it.
        figure: the figure that is shown; None if there is none.
    """

    asked: Asked
    finding: str
    details: str
    studies: tuple[StudyRecords, ...]
    report: Document
    figure: Figure | None

    @property
    def place(self) -> str:
        """The folder of the report, relative to the page."""
        return f"{REPORTS}/{self.asked.report}"


def studies_of(folder: Path, records: Path) -> dict[str, StudyRecords]:
    """The studies that the questions of a folder are about, by the names of their folders.

    Args:
        folder: the folder of the questions.
        records: the folder of the records, unpacked.

    Raises:
        UserError: if a study has no question or a question no study, a record is damaged, or a
            setting is not the one that a finding takes for granted.
    """
    asked = read(folder).asked
    named = {name for one in asked for name in one.folders}
    stored = {
        file.parent.name: file.parent
        for file in records.glob("*/*.json")
        if StudyFolder(file.parent).exists()
    }
    if missing := sorted(named - stored.keys()):
        raise UserError(
            f"{folder / QUESTIONS} asks for {', '.join(missing)}, of which there are no records; "
            f"add {archive(folder / RECORDS, missing[0])}, or remove the question"
        )
    if unasked := sorted(stored.keys() - named):
        raise UserError(
            f"{folder / QUESTIONS} asks nothing of {', '.join(unasked)}, of which there are "
            "records; give every study a question"
        )
    studies = {
        name: replace(StudyRecords.read(path), results=RESULTS) for name, path in stored.items()
    }
    for one in asked:
        _check_settings(one, studies)
    return studies


def entries(folder: Path, studies: Mapping[str, StudyRecords]) -> list[Entry]:
    """The questions of a folder in their order, answered by the records of studies.

    Args:
        folder: the folder of the questions.
        studies: the studies of `studies_of`.

    Raises:
        UserError: if a finding no longer holds, or studies lack the results of a pair.
    """
    asked = read(folder).asked
    reports = {one.report: _report(one, [studies[name] for name in one.folders]) for one in asked}
    of_reports = {one.report: tuple(studies[name] for name in one.folders) for one in asked}
    return [_entry(one, of_reports, reports) for one in asked]


def _check_settings(asked: Asked, studies: Mapping[str, StudyRecords]) -> None:
    """Check what the words of a question take for granted about the training of baselines.

    Raises:
        UserError: with the trial that was trained otherwise.
    """
    for setting in asked.settings:
        study = studies.get(setting.study)
        trials = [t for t in study.trials if t.baseline == setting.baseline] if study else []
        if not trials:
            raise UserError(
                f"{asked.question!r} is about settings of {setting.baseline} in {setting.study}, "
                "of which there are no records"
            )
        for trial, (name, value) in product(trials, setting.params.items()):
            if trial.params.get(name) != value:
                raise UserError(
                    f"the finding of {asked.question!r} no longer holds: trial {trial.number} of "
                    f"{setting.study} ({setting.baseline}) has {name} = "
                    f"{trial.params.get(name)!r}, not {value!r}; write it again"
                )


def _report(asked: Asked, studies: Sequence[StudyRecords]) -> Document:
    if asked.pairs:
        report = compare(studies, [(first, second) for first, second in asked.pairs])
        begun = so_far(studies).strip()
        return replace(report, summary="\n".join(filter(None, (begun, report.summary))))
    return rules_document(studies) if asked.studies else document(studies[0])


def _entry(
    asked: Asked,
    studies: Mapping[str, tuple[StudyRecords, ...]],
    reports: Mapping[str, Document],
) -> Entry:
    """A question, answered.

    Args:
        asked: the question.
        studies: the records behind each report, by its name.
        reports: the reports by name.
    """
    report = reports[asked.report]
    finding, details = report.lead.partition("\n")[0], ""
    if asked.finding:
        finding, details = words(asked, reports)
        quoted = [study for name in asked.sources for study in studies[name]]
        finding = _so_far(asked, quoted) + finding
    return Entry(asked, finding, details, studies[asked.report], report, _figure(asked, report))


def _so_far(asked: Asked, studies: Sequence[StudyRecords]) -> str:
    """How far the studies are, unless the trials that the finding is about have ended.

    Raises:
        UserError: if it is about a baseline that they lack.
    """
    if asked.about is None:
        return so_far(studies)
    known = {name for study in studies for name in study.baselines}
    if odd := [name for name in asked.about if name not in known]:
        raise UserError(
            f"{asked.question!r} is about {odd[0]!r}, but its baselines are "
            f"{', '.join(sorted(known))}"
        )
    is_open = any(study.is_open_for(asked.about) for study in studies)
    return so_far(studies) if is_open else ""


def _figure(asked: Asked, report: Document) -> Figure | None:
    """The figure that a question names, or the first one of its report."""
    figures = {figure.name: figure for figure in report.figures()}
    if not asked.figure:
        return next(iter(figures.values()), None)
    if asked.figure not in figures:
        raise UserError(
            f"{asked.question!r} shows the figure {asked.figure!r}, which its report lacks; it "
            f"has {', '.join(figures) or 'none'}"
        )
    return figures[asked.figure]
