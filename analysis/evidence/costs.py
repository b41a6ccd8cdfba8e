"""What was not run, and what it would cost: measured in what ran, or estimated beforehand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analysis.document.format import duration
from analysis.evidence.entries import Entry
from analysis.evidence.questions import Left
from analysis.report.render.markdown import escaped
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.wording import count

COSTS = "costs.json"
"""The estimates by the options of a command, written by `benchmarks/price_of_results.py`."""


class Price(NamedTuple):
    """What a command would cost.

    Attributes:
        size: the numbers of trials and models.
        time: the time in words.
        machine: the processor or card for which it was estimated.
        date: the day of the estimate.
    """

    size: str
    time: str
    machine: str
    date: str


def prices(folder: Path) -> dict[str, Price]:
    """The stored estimates, by the options of the command.

    Raises:
        UserError: if the file is damaged.
    """
    path = folder / COSTS
    if not path.exists():
        return {}
    try:
        stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {options: Price(**price) for options, price in stored.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}; write it again by make costs") from None


def not_run(shown: Sequence[Entry], left: Sequence[Left], folder: Path) -> list[str]:
    """The section of the page, as blocks of Markdown; none if everything was run.

    Args:
        shown: the questions, answered.
        left: what was not run.
        folder: the folder of the estimates.

    Raises:
        UserError: if a command has no estimate.
    """
    known = prices(folder)
    if lacking := [one.options for one in left if one.options not in known]:
        raise UserError(f"{folder / COSTS} has no estimate of {lacking[0]!r}: run make costs")
    lines = [
        f"- {escaped(_rest(study))}"
        for study in {study.name: study for entry in shown for study in entry.studies}.values()
        if len(study.trials) < int(study.budget["trials"])
    ]
    lines += [f"- {_estimated(one, known[one.options])}" for one in left]
    return ["## What was not run", "\n".join(lines)] if lines else []


def _rest(study: StudyRecords) -> str:
    """The trials that are left, at the mean time of those that have ended."""
    ended = len(study.trials)
    rest = int(study.budget["trials"]) - ended
    text = f"{study.name}: {count(rest, 'trial')} of {study.budget['trials']} are left"
    if not ended:
        return f"{text}."
    mean = sum(record.seconds for record in study.trials) / ended
    return (
        f"{text}; at the mean time of the others, {duration(mean)}, about "
        f"{duration(rest * mean)} on one core."
    )


def _estimated(one: Left, price: Price) -> str:
    return (
        f"{escaped(one.question)} {escaped(one.why)} {escaped(price.size)}, {escaped(price.time)} "
        f"({escaped(price.machine)}, {price.date}): `python run.py {one.options}`"
    )
