"""The commands: list, run, report and compare searches, and score new images.

Typing errors are reported, and a first line is printed, before PyTorch, Ray or pandas is imported.
"""

import argparse
import errno
import io
import logging
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

from tune_ad.app.command_line.options import OPTIONS, Options, defaults
from tune_ad.app.command_line.parser import SHORT_HELP, going_on, options, parse, program
from tune_ad.errors import MachineError, UserError, cut, unusable, with_short_words
from tune_ad.execution.lifeline import UNWATCHED, Lifeline
from tune_ad.signals import INTERRUPTED, TERMINATED, terminations
from tune_ad.silent import Silent
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
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # as where it keeps a list of fonts
    with redirect_stderr(Silent(sys.stderr)), terminations() as received:
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
    _drop_output()
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
        "serve": lambda: serve(arguments.serve, results, getattr(arguments, "port", 0)),
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
    from tune_ad.execution.trackers import require_installed
    from tune_ad.search.catalogue import find_entry, member

    chosen, dry_run = options(arguments), "dry_run" in arguments
    if chosen.data is not None:  # the name of a family stands for any of its searches
        chosen = replace(chosen, search=member(chosen.search))
    find_entry(chosen.search)  # refuses an unknown name
    require_installed(chosen.log_to)
    check_folder(chosen, dry_run)
    if chosen.address != "local":
        from tune_ad.execution.ray.cluster_address import resolved

        _say(f"looking for the Ray cluster at {chosen.address} ...")
        resolved(chosen.address)  # refuses what does not answer, before PyTorch is loaded
    run = _show_plan if dry_run else _run
    if not watches:
        return run(chosen, UNWATCHED)
    from tune_ad.app.watch import watched

    def run_in_child(options: Options, lifeline: Lifeline) -> int:
        return _exit_code(lambda: run(options, lifeline))

    return watched(chosen, run_in_child, None if dry_run else _write_report, _say)


def _show_plan(chosen: Options, lifeline: Lifeline) -> int:
    """Print what a study would train and its estimated cost; return the exit code."""
    _say(f"{chosen.study}: loading PyTorch and the images ...")
    from tune_ad.app.command_line.console import plan
    from tune_ad.app.preparation.validation import prepare

    _say(plan(prepare(chosen, _say, dry_run=True)))
    return 0


def _run(chosen: Options, lifeline: Lifeline) -> int:
    """Run a study and report it; return the exit code."""
    from tune_ad.storage.folder import StudyFolder

    say = _say if chosen.progress and not lifeline.goes_on else _silent
    say(f"{chosen.study}: loading PyTorch and the images ...")
    try:
        from tune_ad.app.command_line.console import closing, opening
        from tune_ad.app.estimates.longest import trial_limit
        from tune_ad.app.preparation.validation import prepare

        limit = trial_limit(chosen)
        say_results = _say if chosen.progress else _say_unless_under_way
        session = prepare(chosen, say_results, lifeline=lifeline, time_limit=limit)
        say(opening(session))
        outcome = session.run()
        lifeline.trained(outcome.exit_code)
        _, code = _write_report(session.folder.path, say_results)
        is_damaged = code == UserError.exit_code  # its records were whole when it began
        code = MachineError.exit_code if is_damaged else code
        session.end_tracking(outcome)
        if not is_damaged:
            with session.removals_noticed():
                _say(closing(session, outcome))
    except (KeyboardInterrupt, OSError, MachineError) as error:
        if not StudyFolder(chosen.results / chosen.study).exists():
            raise
        if not isinstance(error, KeyboardInterrupt):
            code = _refuse(error)
            _complain(going_on(chosen))
            return code
        _complain(f"interrupted; {going_on(chosen)}")
        return INTERRUPTED
    if not session.folder.exists():  # it was removed or moved meanwhile
        gone = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), session.folder.study)
        return MachineError.exit_code if code else _refuse(gone)
    if code == MachineError.exit_code and (is_damaged or not outcome.fault):
        _say(f"the report is not written; {going_on(session.options)}")
    return outcome.exit_code if outcome.exit_code > 1 else code or outcome.exit_code


def _silent(line: str) -> None:
    """Print nothing."""


def _say_unless_under_way(line: str) -> None:
    """Print a line unless it announces what is under way, as all that end with dots do."""
    if not line.endswith("..."):
        _say(line)


def _say(line: str) -> None:
    """Print a line, or several, at once, even into a file or a pipe; no character acts.

    Once its terminal is closed, nothing is printed any more.

    Raises:
        OutputLostError: if that is not possible for another reason.
    """
    try:
        print(printable_lines(line), flush=True)
    except OSError as error:
        if error.errno != errno.EIO or not stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode):
            raise OutputLostError from error
        _drop_output()


def _drop_output() -> None:
    """Send the standard output nowhere, also what is still buffered."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


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
        page, fault = _write_report(folder)
        if page is None:
            code = max(code, fault)
        else:
            _say(f"report: {page}")
    return code


def _write_report(
    folder: Path, say: Callable[[str], None] | None = None
) -> tuple[Path | None, int]:
    """Write the report of a study and print its summary.

    Args:
        folder: the folder of the study.
        say: prints what is about to be done; None = as the summary is printed.

    Returns:
        The path of the page, None if no report could be written; and the exit code.
    """
    (say or _say)(f"{folder.name}: writing the report ...")
    from analysis.report.study_report import write_report

    try:
        written = write_report(folder)
    except (UserError, OSError) as error:
        return None, _refuse(error)
    _say(written.summary)
    return written.path, 0


def serve(name: str, results: Path, port: int) -> int:
    """Serve the report of a study until Ctrl-C."""
    from tune_ad.app.serving import serve as serve_report
    from tune_ad.storage.folder import study_folder

    folder = study_folder(results, name)

    def write(folder: Path) -> None:
        from analysis.report.study_report import write_report

        write_report(folder)

    serve_report(folder, port, write, _say)
    return 0


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
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        error = UserError(f"{cut(str(error.filename))}: too long for a path; shorten it")
    refused = unusable(error, "a file") if isinstance(error, OSError) else error
    _complain(f"error: {with_short_words(str(refused))}")
    return refused.exit_code


def _complain(line: str) -> None:
    """Print a line to the standard error; no character of it acts."""
    print(printable(line), file=sys.stderr)
