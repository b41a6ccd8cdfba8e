"""The questions of the page with their studies and reports."""

from pathlib import Path
from typing import NamedTuple

from analysis.document.blocks import Document
from analysis.evidence.findings import sentence
from analysis.evidence.questions import QUESTIONS, Asked, read
from analysis.evidence.rules import rules_document
from analysis.report.study_report import document
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder

RECORDS, REPORTS = "records", "reports"


class Entry(NamedTuple):
    """A question of the page, answered.

    Attributes:
        asked: the question.
        finding: the answer in a sentence or a few.
        studies: the records behind it.
        report: the report behind it.
    """

    asked: Asked
    finding: str
    studies: tuple[StudyRecords, ...]
    report: Document

    @property
    def place(self) -> str:
        """The folder of the report, relative to the page."""
        return f"{REPORTS}/{self.name}"

    @property
    def name(self) -> str:
        """The name of the report: that of its study, or `selection_rules` for several."""
        return self.asked.study or "selection_rules"

    @property
    def state(self) -> str:
        """How far the studies are; empty if all trials have ended."""
        ended = sum(len(study.trials) for study in self.studies)
        trials = sum(int(study.budget["trials"]) for study in self.studies)
        return f"So far, after {ended} of {trials} trials: " if ended < trials else ""


def entries(folder: Path) -> list[Entry]:
    """The questions of a folder in their order, answered by its records.

    Args:
        folder: the folder of records and questions.

    Raises:
        UserError: if a study has no question or a question no study, a record is damaged, or a
            finding no longer holds.
    """
    asked = read(folder).asked
    named = {name for one in asked for name in one.folders}
    stored = {
        path.name: path for path in (folder / RECORDS).iterdir() if StudyFolder(path).exists()
    }
    if odd := named ^ stored.keys():
        raise UserError(
            f"{folder / QUESTIONS} asks for {', '.join(sorted(named))}, but the records are of "
            f"{', '.join(sorted(stored))}: give every study of {', '.join(sorted(odd))} a "
            "question and a folder of records"
        )
    studies = {name: StudyRecords.read(path) for name, path in stored.items()}
    return [_entry(one, tuple(studies[name] for name in one.folders)) for one in asked]


def _entry(asked: Asked, studies: tuple[StudyRecords, ...]) -> Entry:
    report = rules_document(studies) if asked.studies else document(studies[0])
    return Entry(asked, sentence(asked, report), studies, report)
