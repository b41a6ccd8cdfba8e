"""Runs the cases of every kind in parallel forks of one process, and makes the table."""

import importlib
import json
import os
import pkgutil
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults import kinds
from tests.faults.case import Case, Kind, Result
from tests.faults.layer import Layer, counted
from tests.faults.processes import import_everything
from tests.faults.studies import RESULTS, VARIETIES, Variety, content, folder_in, start

Outcomes = Sequence[tuple[Case, Result]]


class Row(NamedTuple):
    """A row of the table."""

    kind: str
    number: int
    ended: Mapping[str, int]
    again: int
    lost: int
    problems: int


def all_kinds() -> list[Kind]:
    """The kinds of every module of `kinds`, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(kinds.__path__))
    modules = [importlib.import_module(f"{kinds.__name__}.{name}") for name in names]
    return [kind for module in modules for kind in module.KINDS]


def warm(place: Path) -> dict[str, Variety]:
    """Load what every study loads, run each variety without a fault, and draw the report once.

    Nothing is trained in this process: a fork of one that has trained cannot.

    Args:
        place: an empty folder.
    """
    import_everything()
    from analysis.report.render import export
    from tests.faults.studies import arguments
    from tune_ad.app.command_line import parser
    from tune_ad.app.description import described
    from tune_ad.app.preparation.validation import prepare

    options = parser.options(parser.parse(arguments(["--results", str(place / "none")])))
    described(prepare(options, say=lambda line: None))
    draw, drawn = export.render_figure, {}

    def draw_once(figure: object) -> object:  # drawing changes no file, and takes most of the time
        name = figure.name  # type: ignore[attr-defined]
        if name not in drawn:
            drawn[name] = draw(figure)  # type: ignore[arg-type]
        return drawn[name]

    export.render_figure = draw_once  # type: ignore[assignment]
    varieties = {title: _without_fault(place / title, title) for title in VARIETIES}
    from analysis.report.study_report import write_report

    for variety in varieties.values():
        write_report(variety.folder)
    return {
        title: variety._replace(cpu=_cpu(place / "timed" / title, title))
        for title, variety in varieties.items()
    }


def _cpu(place: Path, title: str) -> float:
    """The processor time of a run in seconds, the least of three."""
    places = [place / str(number) for number in range(3)]
    for inside in places:
        inside.mkdir(parents=True)
    return min(start(VARIETIES[title], inside).cpu for inside in places)


def _without_fault(place: Path, title: str) -> Variety:
    place.mkdir(parents=True)
    options, log = VARIETIES[title], place / "changes"
    layer = Layer(place / RESULTS)

    def install() -> None:
        leave = os._exit
        layer.install()

        def left(code: int) -> None:
            log.write_text("\n".join(counted(layer.changes)), encoding="utf-8")
            leave(code)

        os._exit = left  # type: ignore[assignment]

    ended = start(options, place, install)
    if ended.code:
        raise AssertionError(f"{title}: {ended}")
    changes = [tuple(line.split("\t")) for line in log.read_text(encoding="utf-8").splitlines()]
    folder = folder_in(place).path
    return Variety(options, content(folder), changes, 0.0, folder)  # type: ignore[arg-type]


def run_all(cases: Sequence[Case], varieties: Mapping[str, Variety], processes: int) -> Outcomes:
    """Run cases in forks, several at a time; problems are printed at once."""
    results: list[Result | None] = [None] * len(cases)
    running: dict[int, tuple[int, Path]] = {}
    waiting = list(enumerate(cases))[::-1]
    while waiting or running:
        while waiting and len(running) < processes:
            k, case = waiting.pop()
            place = Path(tempfile.mkdtemp(prefix="fault-"))
            process = os.fork()
            if not process:
                _run_case(case, place, varieties)
            running[process] = k, place
        process, _ = os.wait()
        k, place = running.pop(process)
        results[k] = _told(cases[k], _read_result(place))
        shutil.rmtree(place, ignore_errors=True)
    return [(case, result) for case, result in zip(cases, results, strict=True) if result]


def _told(case: Case, result: Result) -> Result:
    """The result of a case whose problems have been printed."""
    for problem in result.problems:
        print(f"{case.kind}; {case.what}; ended {result.ended}: {problem}", flush=True)  # noqa: T201
    return result


def _run_case(case: Case, place: Path, varieties: Mapping[str, Variety]) -> None:
    """Run a case in this process, which ends with it."""
    try:
        inside = place / "case"
        inside.mkdir()
        result = case.run(inside, varieties)
    except BaseException as error:
        result = Result("the campaign failed", [f"the campaign failed: {error!r}"])
    (place / "result.json").write_text(json.dumps(result), encoding="utf-8")
    os._exit(0)


def _read_result(place: Path) -> Result:
    file = place / "result.json"
    if not file.exists():
        return Result("no result", ["the process of the case has died"])
    return Result(*json.loads(file.read_text(encoding="utf-8")))


def rows(outcomes: Outcomes) -> list[Row]:
    """The table: a row for each kind."""
    of_kinds: dict[str, list[Result]] = {}
    for case, result in outcomes:
        of_kinds.setdefault(case.kind, []).append(result)
    return [
        Row(
            kind,
            len(results),
            dict(Counter(result.ended for result in results)),
            sum(result.again for result in results),
            sum(result.lost for result in results),
            sum(bool(result.problems) for result in results),
        )
        for kind, results in of_kinds.items()
    ]
