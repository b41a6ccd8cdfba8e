"""The page of the evidence, from the records of studies: `python -m analysis.evidence FOLDER`.

The folder holds `records/`, with a folder for each study, and `questions.toml`: what each study
asks, in the order in which they are shown, and what was not run. Written are the page,
`README.md`, and a report of each study in `reports/`.
"""

import argparse
import shutil
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analysis.document.blocks import Document, Section, Text
from analysis.report.next_steps import repeating
from analysis.report.render.content import section_views
from analysis.report.render.export import export
from analysis.report.render.markdown import escaped, section_blocks
from analysis.report.study_report import document
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import write_atomically
from tune_ad.wording import count

QUESTIONS, RECORDS, REPORTS, PAGE = "questions.toml", "records", "reports", "README.md"
ABOUT = (
    "What the studies of this project have shown, the most important first. `make results` makes "
    "this page from the records in `records/`; no number is written by hand. Numbers in brackets "
    "are 95 % intervals; each report says what they cover, and which rule selected."
)
HOUR = 3600.0


class Entry(NamedTuple):
    """A study of the page.

    Attributes:
        question: what it asks.
        study: its records.
        report: its report.
    """

    question: str
    study: StudyRecords
    report: Document


def entries(folder: Path) -> list[Entry]:
    """The studies of the page, in the order of `questions.toml`.

    Args:
        folder: the folder of records and questions.

    Raises:
        UserError: if a study has no question or a question no study, or a record is damaged.
    """
    questions = {row["study"]: row["question"] for row in _questions(folder)["asked"]}
    stored = {
        path.name: path for path in (folder / RECORDS).iterdir() if StudyFolder(path).exists()
    }
    if odd := questions.keys() ^ stored.keys():
        raise UserError(
            f"{folder / QUESTIONS} asks for {', '.join(sorted(questions))}, but the records are "
            f"of {', '.join(sorted(stored))}: give every study of {', '.join(sorted(odd))} one "
            "question and one folder of records"
        )
    studies = {name: StudyRecords.read(stored[name]) for name in questions}
    return [Entry(questions[name], one, document(one)) for name, one in studies.items()]


def page(folder: Path, shown: Sequence[Entry]) -> str:
    """The text of the page, in Markdown.

    Args:
        folder: the folder of records and questions.
        shown: the studies.
    """
    parts = ["# Results", ABOUT, _contents(shown)]
    for entry in shown:
        answer = Section(entry.question, [Text(entry.report.summary)])
        (view,) = section_views(Document(title="", summary="", sections=[answer]))
        parts += [*section_blocks(view), _sources(entry)]
    parts += _not_run(_questions(folder).get("left", []))
    return "\n\n".join(parts) + "\n"


def write(folder: Path) -> None:
    """Write the page, and the report of each study; reports of other studies are removed.

    Raises:
        UserError: as `entries` does.
    """
    shown = entries(folder)
    for entry in shown:
        export(entry.report, folder / REPORTS / entry.study.name)
    for path in (folder / REPORTS).glob("*"):
        if path.name not in {entry.study.name for entry in shown}:
            shutil.rmtree(path)
    write_atomically(folder / PAGE, page(folder, shown))


def _questions(folder: Path) -> dict[str, Any]:
    with (folder / QUESTIONS).open("rb") as file:
        return tomllib.load(file)


def _contents(shown: Sequence[Entry]) -> str:
    """The question and the answer of each study, in a line."""
    lines = [
        f"{k}. **{escaped(entry.question)}** {escaped(entry.report.headline)}"
        for k, entry in enumerate(shown, start=1)
    ]
    return "\n".join(lines)


def _sources(entry: Entry) -> str:
    """The picture, the files, the command and the cost of a study."""
    study, place = entry.study, f"{REPORTS}/{entry.study.name}"
    figures = entry.report.figures()[:1]
    picture = [
        f"![{escaped(figure.name)}]({place}/figures/{figure.name}.svg)\n\n{escaped(figure.caption)}"
        for figure in figures
    ]
    cost = (
        f"{count(len(study.trials), 'trial')} of {study.budget['trials']}, "
        f"{_hours(study):.1f} hours of training on {_hardware(study.stored)}."
    )
    files = f"[Report]({place}/report.md), [records]({RECORDS}/{study.name}). {escaped(cost)}"
    return "\n\n".join([*picture, files, f"    {repeating(study)}"])


def _hours(study: StudyRecords) -> float:
    records = [*study.trials, *study.evaluation]
    return sum(record.seconds for record in records) / HOUR


def _hardware(stored: Mapping[str, Any]) -> str:
    """The processors or cards of all runs of a study, the most frequent first."""
    runs = [run["hardware"] for run in stored.get("runs", ())] or [stored.get("hardware", {})]
    names = Counter(run.get("gpu") or run.get("processor") or "unknown hardware" for run in runs)
    return " and ".join(name for name, _ in names.most_common())


def _not_run(left: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was not run, why, and its command."""
    if not left:
        return []
    lines = [
        f"- {escaped(one['question'])} {escaped(one['why'])} `python run.py {one['options']}`"
        for one in left
    ]
    return ["## What was not run", "\n".join(lines)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of records and questions")
    try:
        write(parser.parse_args().folder)
    except UserError as error:
        parser.exit(UserError.exit_code, f"error: {error}\n")
