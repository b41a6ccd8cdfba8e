"""The page of results, the reports behind it, and the lines of the README."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.document.blocks import Document, Figure, Section, Text
from analysis.document.format import in_words
from analysis.evidence.archives import archive, unpacked
from analysis.evidence.costs import not_run
from analysis.evidence.entries import RECORDS, REPORTS, Entry, entries, studies_of
from analysis.evidence.papers import contradictions
from analysis.evidence.questions import read
from analysis.questions.comparison.overview import OVERVIEW
from analysis.questions.comparison.studies import PAIRS
from analysis.report.next_steps import repeating
from analysis.report.render.content import TableView, section_views
from analysis.report.render.export import export
from analysis.report.render.markdown import escaped, pipes, section_blocks
from analysis.study import StudyRecords
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError
from tune_ad.wording import count

PAGE = "README.md"
BRACKETS = (
    "±: standard deviation over seeds; brackets: 95 % interval, of which each report says what it "
    "covers; p: after Holm over all tests of its kind; points: hundredths of AUROC."
)
NOT_SELECTED = (
    "No configuration was selected by test images; unless selection is the question, all were "
    "fixed before their study ran."
)
ABOUT = (
    "What the studies of this project have shown, the most important first. `make results` makes "
    "this page from the [records](records/README.md), where every measured number is looked up. "
    f"{BRACKETS}"
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
    questions = read(folder)
    findings = "\n".join(
        f"{k}. {_answer(entry, entry.finding)} ({_shown_by(entry)})"
        for k, entry in enumerate(shown, start=1)
    )
    parts = ["# Results", " ".join([ABOUT, *_selected(shown)])]
    parts += [*filter(None, [questions.preface]), findings, *contradictions(shown)]
    by_report: dict[str, list[tuple[int, Entry]]] = {}
    for number, entry in enumerate(shown, start=1):
        by_report.setdefault(entry.place, []).append((number, entry))
    parts.append("## The studies")
    for numbered in by_report.values():
        parts += _section(dict(numbered))
    studies = {study.name: study for entry in shown for study in entry.studies}
    parts += not_run(studies.values(), questions.left, folder)
    return "\n\n".join(parts) + "\n"


def _selected(shown: Sequence[Entry]) -> list[str]:
    """That nothing was selected, if that is so."""
    chooses = any(study.chooses for entry in shown for study in entry.studies)
    return [] if chooses else [NOT_SELECTED]


def write(folder: Path, readme: Path | None = None) -> None:
    """Write the page, the reports and the lines of the README; other reports are removed.

    Reports have no files for print, which nobody reads in a repository, and no tables that they
    do not show: those repeat the records.

    Args:
        folder: the folder of records and questions.
        readme: the README that begins with the first findings; None = none.

    Raises:
        UserError: as `studies_of`, `not_run` and `entries` do, or if the README has no place for
            the findings.
    """
    with unpacked(folder / RECORDS) as records:
        studies = studies_of(folder, records)
        not_run(studies.values(), read(folder).left, folder)  # refuses before minutes of reports
        shown = entries(folder, studies)
        text = page(folder, shown)
        led = None if readme is None else leading(readme, folder, shown)
        for place, entry in {entry.place: entry for entry in shown}.items():
            export(replace(entry.report, tables=()), folder / place, for_print=False)
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
    findings = "\n".join(
        f"{k}. {_answer(entry, entry.finding)} ([report]({place}/{entry.place}/report.md))"
        for k, entry in enumerate(first, start=1)
    )
    blocks = [" ".join([BRACKETS, *_selected(first)]), findings]
    if drawn is not None and drawn.figure is not None:
        blocks.append(_picture(drawn, drawn.figure, f"{place}/", drawn.asked.question))
    inside = "\n\n".join([BEGIN, *blocks, END])
    changed, times = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: inside, text, flags=re.DOTALL
    )
    if times != 1:
        raise UserError(f"{readme} needs the lines {BEGIN} and {END} once, for the findings")
    return changed


def _answer(entry: Entry, text: str) -> str:
    """The question of an entry and the answer, in a line."""
    return f"**{escaped(entry.asked.question)}** {escaped(text)}"


def _shown_by(entry: Entry) -> str:
    """Links to the details, the reports and the tables that the numbers come from."""
    links = [f"[details](#{entry.asked.report})"] if entry.details else []
    for report, tables in entry.asked.sources.items():
        title = "report" if report == entry.asked.report else escaped(report)
        links.append(f"[{title}]({REPORTS}/{report}/report.md)")
        links += [f"[{name}]({REPORTS}/{report}/tables/{name}.csv)" for name in tables]
    return ", ".join(links)


def _picture(entry: Entry, figure: Figure, place: str, text: str) -> str:
    return f"![{escaped(text)}]({place}{entry.place}/figures/{figure.name}.svg)"


def _section(entries: Mapping[int, Entry]) -> list[str]:
    """A report with its studies: the findings from it, pictures, files, commands and costs.

    Args:
        entries: the questions that the report answers, by the number of the finding.
    """
    first = next(iter(entries.values()))
    plain = [str(number) for number, entry in entries.items() if not entry.details]
    parts = [f"### {escaped(first.asked.report)}"]
    if plain:
        parts.append(f"Finding{'s' * (len(plain) > 1)} {in_words(plain)}.")
    parts += [
        f"Finding {number}. {escaped(entry.details)}"
        for number, entry in entries.items()
        if entry.details
    ]
    if any(not entry.asked.finding for entry in entries.values()):
        answer = Document("", "", [Section("", [Text(first.report.summary)])])
        _, *blocks = section_blocks(section_views(answer)[0])
        parts += blocks
    figures = [entry.figure for entry in entries.values() if entry.figure is not None]
    for name, figure in {figure.name: figure for figure in figures}.items():
        parts += [_picture(first, figure, "", name), escaped(figure.caption)]
    return [*parts, *_overview(first.report), _sources(first)]


def _overview(report: Document) -> list[str]:
    """The table of all results of a report, or of its tests, with its caption; or nothing."""
    found = [table for table in report.all_tables() if table.name in (OVERVIEW, PAIRS)]
    if not found:
        return []
    (view,) = section_views(Document("", "", [Section("", found[:1])]))[0].blocks
    about = f"{found[0].caption} {found[0].details}".strip()
    return [pipes(view), escaped(about)] if isinstance(view, TableView) else []


def _sources(entry: Entry) -> str:
    """The report, and the records, the cost and the command of each study."""
    parts = [f"[Report]({entry.place}/report.md), [as one page]({entry.place}/report.html)."]
    for study in entry.studies:
        cost = (
            f"{count(len(study.trials), 'trial')} of {study.trials_planned}, "
            f"{_hours(study):.1f} hours (wall time, other work beside it) on "
            f"{_hardware(study.stored)}.{_changes_of_code(study.stored)}"
        )
        place = archive(Path(RECORDS), study.name)
        parts.append(f"[Records of {study.name}]({place}): {escaped(cost)}")
        parts.append(f"    {repeating(study)}")
    return "\n\n".join(parts)


def _hours(study: StudyRecords) -> float:
    records = [*study.trials, *study.evaluation]
    return sum(record.seconds for record in records) / HOUR


def _changes_of_code(stored: Mapping[str, Any]) -> str:
    """After how many trials the code that computes numbers changed, as a further sentence."""
    after = [int(run["trials_before"]) for run in stored.get("runs") or () if run.get("accepted")]
    if not after:
        return ""
    trials = f"{in_words([*map(str, after)])} trial{'s' * (after != [1])}"
    return f" What computes its numbers changed after {trials} (Provenance in the report)."


def _hardware(stored: Mapping[str, Any]) -> str:
    """The processors or cards on which a study was run, the first one first."""
    runs = stored.get("runs") or []
    begun = [] if runs and not runs[0].get("trials_before") else [stored.get("hardware", {})]
    machines = [*begun, *(run["hardware"] for run in runs)]  # the first studies noted no runs
    names = (machine.get("gpu") or machine.get("processor") for machine in machines)
    return " and ".join(dict.fromkeys(name or "unknown hardware" for name in names))
