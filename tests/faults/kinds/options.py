"""Odd values of every option, and odd combinations; what is legal is prepared, but not trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tests.faults.case import INPUT, Case, Kind, Result
from tests.faults.inputs import ODD_TEXTS, checked
from tests.faults.processes import run
from tests.faults.studies import NAME, RESULTS, SEARCH, Variety
from tune_ad.app.command_line.options import OPTIONS, Options
from tune_ad.app.command_line.parser import COMMANDS, SCORING
from tune_ad.execution.lifeline import Lifeline

TITLE = "odd options"
FLAGS = sorted({option.flag for option in OPTIONS.values()} | {f"--{name}" for name in SCORING})


def prepare_only() -> None:
    """Let the command line prepare studies, and show them, without running them."""
    from tune_ad.app.command_line import cli
    from tune_ad.app.command_line.console import opening
    from tune_ad.app.preparation.validation import prepare

    def shown(options: Options, lifeline: Lifeline) -> int:
        session = prepare(options, cli._say)
        cli._say(opening(session))
        return 0

    cli._run = shown


def _command(stream: Random) -> list[str]:
    flags = stream.sample(FLAGS, stream.choice((1, 1, 1, 2, 3)))
    words = ["--search", str(SEARCH), "--backend", "serial", "--results", RESULTS]
    if stream.random() < 0.2:
        command = stream.choice(sorted(set(COMMANDS) - {"serve"}))  # which ends by Ctrl-C alone
        words = [f"--{command}", stream.choice((*ODD_TEXTS, NAME)), "--results", RESULTS]
    for flag in flags:
        value = stream.choice(ODD_TEXTS)
        words += [f"{flag}={value}"] if stream.random() < 0.5 else [flag, value]
    return words


def _case(seed: str) -> Case:
    words = [word.replace("\x00", "") for word in _command(Random(seed))]

    def run_case(place: Path, varieties: Mapping[str, Variety]) -> Result:
        return checked(run(words, place, prepare_only))

    return Case(TITLE, " ".join(ascii(word)[:60] for word in words), run_case)


def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    return [_case(f"{seed} {k}") for k in range(number)]


KINDS = (Kind(TITLE, INPUT, cases),)
