"""The commands: list, run, report and compare searches, and score new images.

Typing errors are reported, and a first line is printed, before PyTorch, Ray or pandas is imported.
"""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tune_ad.app.command_line.options import OPTIONS, Options, defaults
from tune_ad.app.command_line.parser import SHORT_HELP, options, parse, program, resume_command
from tune_ad.errors import MachineError, UserError, cut
from tune_ad.execution.lifeline import UNWATCHED, Lifeline
from tune_ad.signals import INTERRUPTED, TERMINATED, terminations
from tune_ad.wording import printable, printable_lines

RESULTS: Path = defaults()["results"]
SIGPIPE_CODE = 141  # 128 + 13, as of a program that the signal of a closed pipe ends


class OutputLostError(Exception):
    """Raised if a line cannot be written to the standard output."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        argv: the words of the command; None = those with which the program was called. Then a
            study runs in a child process, so that this one survives what may end it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that it does not know is no failure
            stream.reconfigure(errors="replace")
    with terminations() as received:
        code = _exit_code(lambda: _command(argv))
    return TERMINATED if received and code == INTERRUPTED else code


def _exit_code(run: Callable[[], int]) -> int:
    """The exit code of a function; what it raises for the user is printed in one line."""
    try:
        return run()
    except (UserError, OSError) as error:
        return _refuse(error)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except OutputLostError as lost:
        return _without_output(lost.__cause__)


def _without_output(cause: BaseException | None) -> int:
    """End after the reader of the output has gone, or its device is full; return the exit code."""
    with open(os.devnull, "w") as nowhere:  # what is still buffered is flushed at the exit
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if isinstance(cause, BrokenPipeError):
        return SIGPIPE_CODE
    _complain(f"error: the output cannot be written: {cause}")
    return MachineError.exit_code


def _command(argv: Sequence[str] | None) -> int:
    watches = argv is None
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        print(SHORT_HELP.format(prog=program()), file=sys.stderr)
        return 2
    arguments = parse(argv)
    results = getattr(arguments, "results", RESULTS)
    commands: dict[str, Callable[[], int]] = {
        "list": list_searches,
        "report": lambda: report(arguments.report, results),
        "compare": lambda: compare(arguments.compare, results),
        "score": lambda: score(arguments),
        "export": lambda: export(arguments),
        "search": lambda: search(arguments, watches),
    }
    return next(run for name, run in commands.items() if name in arguments)()


def list_searches() -> int:
    """Print every search; one faulty search file or package does not hide the others."""
    from tune_ad.search.catalogue import read_catalogue

    catalogue = read_catalogue()
    width = max(map(len, catalogue.entries), default=0)
    for entry in catalogue.entries.values():
        package = f" (package {entry.source.package})" if entry.source.package else ""
        data = f"{entry.data}{' *' * entry.by_class}"
        _say(f"{entry.name:<{width}} {data:<9} {entry.title}{package}")
    _say("* also on your own images (--data FOLDER) and on other data sets (--data NAME)")
    for fault in catalogue.faults:
        _complain(f"error: {fault}")
    return 2 if catalogue.faults else 0


def search(arguments: argparse.Namespace, watches: bool = False) -> int:
    """Run a search and report it; with --dry-run print its estimated cost instead.

    Args:
        arguments: the arguments of the command line.
        watches: whether the study runs in a child process, so that this one survives its end.
    """
    from tune_ad.app.preparation.resuming import check_folder
    from tune_ad.search.catalogue import find_entry, member

    chosen, dry_run = options(arguments), "dry_run" in arguments
    if chosen.data is not None:  # the name of a family stands for any of its searches
        chosen = replace(chosen, search=member(chosen.search))
    find_entry(chosen.search)  # refuses an unknown name
    check_folder(chosen, dry_run)
    if dry_run:
        return _show_plan(chosen)
    if not watches:
        return _run(chosen)
    from tune_ad.app.watch import watched

    return watched(chosen, _run, _write_report, _say)


def _show_plan(chosen: Options) -> int:
    """Print what a study would train and its estimated cost; return the exit code."""
    _say(f"{chosen.study}: loading PyTorch and the images ...")
    from tune_ad.app.command_line.console import plan
    from tune_ad.app.preparation.validation import prepare

    _say(plan(prepare(chosen, _say, dry_run=True)))
    return 0


def _run(chosen: Options, lifeline: Lifeline = UNWATCHED) -> int:
    """Run a study and report it; return the exit code."""
    return _exit_code(lambda: _run_and_report(chosen, lifeline))


def _run_and_report(chosen: Options, lifeline: Lifeline) -> int:
    from tune_ad.storage.folder import StudyFolder

    say = _say if not lifeline.goes_on else _silent
    say(f"{chosen.study}: loading PyTorch and the images ...")
    try:
        from tune_ad.app.command_line.console import closing, opening
        from tune_ad.app.estimates.longest import trial_limit
        from tune_ad.app.preparation.validation import prepare

        limit = trial_limit(chosen)
        session = prepare(chosen, _say, lifeline=lifeline, time_limit=limit)
        say(opening(session))
        outcome = session.run()
        page = _write_report(session.folder.path)
        _say(closing(session, outcome))
    except KeyboardInterrupt:
        if not StudyFolder(chosen.results / chosen.study).exists():
            raise
        _complain(f"interrupted; continue with: {resume_command(chosen)}")
        return INTERRUPTED
    return outcome.exit_code if page else outcome.exit_code or 2


def _silent(line: str) -> None:
    """Print nothing."""


def _say(line: str) -> None:
    """Print a line, or several, at once, even into a file or a pipe; no character acts.

    Raises:
        OutputLostError: if that is not possible.
    """
    try:
        print(printable_lines(line), flush=True)
    except OSError as error:
        raise OutputLostError from error


def report(names: Sequence[str], results: Path) -> int:
    """Write and print the reports of studies; one faulty study does not stop the others."""
    from tune_ad.storage.folder import study_folder

    folders, code = [], 0
    for name in names:
        try:
            folders.append(study_folder(results, name))
        except UserError as error:
            code = _refuse(error)
    for folder in folders:
        page = _write_report(folder)
        if page is None:
            code = 2
        else:
            _say(f"report: {page}")
    return code


def _write_report(folder: Path) -> Path | None:
    """Write the report of a study and print its summary.

    Returns:
        The path of the page; None if no report could be written.
    """
    _say(f"{folder.name}: writing the report ...")
    from analysis.report.study_report import write_report

    try:
        written = write_report(folder)
    except (UserError, OSError) as error:
        _refuse(error)
        return None
    _say(written.summary)
    return written.path


def compare(names: Sequence[str], results: Path) -> int:
    """Write and print the comparison of studies."""
    from tune_ad.storage.folder import comparison_folder, study_folder

    folders = [study_folder(results, name) for name in names]
    _say(f"comparing {', '.join(folder.name for folder in folders)} ...")
    from analysis.questions.comparison.studies import compare as compare_studies
    from analysis.report.render.export import export
    from analysis.study import StudyRecords

    comparison = compare_studies([StudyRecords.read(folder) for folder in folders])
    _say(comparison.summary)
    try:
        written = export(comparison, comparison_folder(results, names))
    except OSError as error:
        return _refuse(error)
    _say(f"report: {written.html}")
    return 0


def score(arguments: argparse.Namespace) -> int:
    """Score new images by a kept model and write a CSV file."""
    OPTIONS["false_alarms"].check(getattr(arguments, "false_alarms", None))
    _say(f"{arguments.score}: loading PyTorch and the model ...")
    from tune_ad.app.scoring import Order
    from tune_ad.app.scoring import score as score_images

    order = Order(
        model=arguments.score,
        images=arguments.input,
        output=arguments.output,
        heatmaps=getattr(arguments, "heatmaps", None),
        normal=_normal_class(arguments),
        false_alarms=getattr(arguments, "false_alarms", None),
        skip_unreadable=getattr(arguments, "skip_unreadable", False),
    )
    score_images(order, _say)
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write a kept model as a file that scores without this project."""
    normal = _normal_class(arguments)
    _say(f"{arguments.export}: loading PyTorch and the model ...")
    from tune_ad.models.export import export as export_model

    try:
        path = export_model(arguments.export, arguments.output, normal)
    except OSError as error:
        return _refuse(error)
    _say(f"exported: {path}, whose scores were compared with those of the model")
    return 0


def _normal_class(arguments: argparse.Namespace) -> str | None:
    """The normal class that `--classes` names; None if it is left out.

    Raises:
        UserError: if it names several.
    """
    classes: list[str] = getattr(arguments, "classes", None) or []
    if len(classes) > 1:
        raise UserError(
            f"--classes must name one normal class of a kept model, got {', '.join(classes)}; use "
            "the command once for each"
        )
    return classes[0] if classes else None


def _refuse(error: UserError | OSError) -> int:
    """Print an error in one line and return the exit code."""
    message, code = str(error), MachineError.exit_code
    if isinstance(error, UserError):
        code = error.exit_code
    elif error.errno == errno.ENAMETOOLONG:
        message, code = f"{cut(str(error.filename))}: too long for a path; shorten it", 2
    else:
        path = error.filename2 or error.filename  # of a file and its temporary name, the file
        place = f"{path}: {error.strerror}" if path else str(error)
        message = f"{place}; make it readable and writable, or copy it"
    _complain(f"error: {message}")
    return code


def _complain(line: str) -> None:
    """Print a line to the standard error; no character of it acts."""
    print(printable(line), file=sys.stderr)
