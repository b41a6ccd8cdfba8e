"""The page of results, the reports behind it, and the lines of the README."""

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.document.blocks import Document, Section, Text
from analysis.evidence.costs import not_run
from analysis.evidence.entries import RECORDS, REPORTS, Entry, entries
from analysis.evidence.findings import tables_of
from analysis.evidence.papers import contradictions
from analysis.evidence.questions import read
from analysis.report.next_steps import repeating
from analysis.report.render.content import section_views
from analysis.report.render.export import export
from analysis.report.render.markdown import escaped, section_blocks
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.jsonl import write_atomically
from tune_ad.wording import count

PAGE = "README.md"
BRACKETS = (
    "Numbers in brackets are 95 % intervals; each report says what they cover, and which rule "
    "selected."
)
ABOUT = (
    "What the studies of this project have shown, the most important first. `make results` makes "
    f"this page from the records in `records/`; no number is written by hand. {BRACKETS}"
)
LEADING = 3
"""The number of findings in the README."""
BEGIN, END = "<!-- results: made by make results -->", "<!-- end of results -->"
HOUR = 3600.0


def page(folder: Path, shown: Sequence[Entry]) -> str:
    """The text of the page, in Markdown.

    Args:
        folder: the folder of records and questions.
        shown: the questions, answered.
    """
    parts = ["# Results", ABOUT, _numbered(shown, "")]
    parts += contradictions(shown)
    told: set[str] = set()
    for entry in shown:
        parts += _section(entry, is_told=entry.place in told)
        told.add(entry.place)
    parts += not_run(shown, read(folder).left, folder)
    return "\n\n".join(parts) + "\n"


def write(folder: Path, readme: Path | None = None) -> None:
    """Write the page, the reports and the lines of the README; other reports are removed.

    Args:
        folder: the folder of records and questions.
        readme: the README that begins with the first findings; None = none.

    Raises:
        UserError: as `entries` does, or if the README has no place for the findings.
    """
    shown = entries(folder)
    text = page(folder, shown)
    led = None if readme is None else leading(readme, folder, shown)
    for place, entry in {entry.place: entry for entry in shown}.items():
        export(entry.report, folder / place)
    for path in (folder / REPORTS).glob("*"):
        if f"{REPORTS}/{path.name}" not in {entry.place for entry in shown}:
            shutil.rmtree(path)
    write_atomically(folder / PAGE, text)
    if readme is not None and led is not None:
        write_atomically(readme, led)


def leading(readme: Path, folder: Path, shown: Sequence[Entry]) -> str:
    """The text of the README with the first findings and a picture between its two marks.

    Args:
        readme: the README.
        folder: the folder of the page, below that of the README.
        shown: the questions, answered.

    Raises:
        UserError: if the README cannot be read, a mark is missing, or the page is elsewhere.
    """
    try:
        text = readme.read_text(encoding="utf-8")
        place = folder.resolve().relative_to(readme.resolve().parent).as_posix()
    except (OSError, ValueError) as error:
        raise UserError(f"{readme} cannot begin with the findings of {folder}: {error}") from None
    first = shown[:LEADING]
    drawn = next((entry for entry in first if entry.figure is not None), None)
    blocks = [BRACKETS, _numbered(first, f"{place}/")]
    if drawn is not None:
        blocks.append(_picture(drawn, f"{place}/", drawn.asked.question))
    inside = "\n\n".join([BEGIN, *blocks, END])
    changed, times = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: inside, text, flags=re.DOTALL
    )
    if times != 1:
        raise UserError(f"{readme} needs the lines {BEGIN} and {END} once, for the findings")
    return changed


def _numbered(shown: Sequence[Entry], place: str) -> str:
    """The question, the finding and its source, in a line each."""
    return "\n".join(
        f"{k}. **{escaped(entry.asked.question)}** {escaped(entry.finding)} "
        f"({_shown_by(entry, place)})"
        for k, entry in enumerate(shown, start=1)
    )


def _shown_by(entry: Entry, place: str) -> str:
    """Links to the report and to the tables that the numbers of the finding come from."""
    folder = f"{place}{entry.place}"
    files = [f"[{name}]({folder}/tables/{name}.csv)" for name in tables_of(entry.asked)]
    return ", ".join([f"[report]({folder}/report.md)", *files])


def _picture(entry: Entry, place: str, text: str) -> str:
    name = "" if entry.figure is None else entry.figure.name
    return f"![{escaped(text)}]({place}{entry.place}/figures/{name}.svg)"


def _section(entry: Entry, is_told: bool) -> list[str]:
    """A question with the answer, the picture, the files, the commands and the costs.

    Args:
        entry: the question, answered.
        is_told: whether another question has shown the summary and the sources of its report.
    """
    text = Text(entry.finding if is_told else entry.report.summary)
    answer = Document("", "", [Section(entry.asked.question, [text])])
    head, *blocks = section_blocks(section_views(answer)[0])
    if entry.figure is not None:
        blocks += [_picture(entry, "", entry.figure.name), escaped(entry.figure.caption)]
    return [head, *blocks, _links(entry) if is_told else _sources(entry)]


def _links(entry: Entry) -> str:
    return f"[Report]({entry.place}/report.md), [as one page]({entry.place}/report.html)."


def _sources(entry: Entry) -> str:
    """The report, and the records, the cost and the command of each study."""
    parts = [_links(entry)]
    for study in entry.studies:
        cost = (
            f"{count(len(study.trials), 'trial')} of {study.trials_planned}, "
            f"{_hours(study):.1f} hours (wall time, other work beside it) on "
            f"{_hardware(study.stored)}."
        )
        parts.append(f"[Records of {study.name}]({RECORDS}/{study.name}): {escaped(cost)}")
        parts.append(f"    {repeating(study)}")
    return "\n\n".join(parts)


def _hours(study: StudyRecords) -> float:
    records = [*study.trials, *study.evaluation]
    return sum(record.seconds for record in records) / HOUR


def _hardware(stored: Mapping[str, Any]) -> str:
    """The processors or cards of all runs of a study, the most frequent first."""
    runs = [run["hardware"] for run in stored.get("runs", ())] or [stored.get("hardware", {})]
    names = Counter(run.get("gpu") or run.get("processor") or "unknown hardware" for run in runs)
    return " and ".join(name for name, _ in names.most_common())
