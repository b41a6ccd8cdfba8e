"""What was not run, and what it would cost: measured in what ran, or estimated beforehand."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from analysis.document.format import in_words
from analysis.evidence.questions import QUESTIONS, NotRun
from analysis.report.next_steps import settings
from analysis.report.render.markdown import escaped
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.json_files import check_kind, read_object
from tune_ad.wording import count, duration

COSTS = "costs.json"
"""The estimates by the options of a command, written by `benchmarks/price_of_results.py`."""
SERIAL = {"--backend", "serial"}
REMEDY = "write it again by make costs"


class Price(NamedTuple):
    """What a command would cost.

    Attributes:
        size: the numbers of trials and models.
        time: the time in words.
        machine: the processor or card for which it was estimated.
        date: the day of the estimate.
        trials: the time of one trial of each baseline, in words.
    """

    size: str
    time: str
    machine: str
    date: str
    trials: dict[str, str]


def prices(folder: Path) -> dict[str, Price]:
    """The stored estimates, by the options of the command.

    Raises:
        UserError: if the file is damaged.
    """
    path = folder / COSTS
    if not path.exists():
        return {}
    stored = read_object(path, REMEDY)
    kinds = {**dict.fromkeys(Price._fields, str), "trials": {"*": str}}
    check_kind(stored, {"*": kinds}, str(path), REMEDY)
    return {
        options: Price(**{name: price[name] for name in Price._fields})
        for options, price in stored.items()
    }


def not_run(studies: Collection[StudyRecords], left: Sequence[NotRun], folder: Path) -> list[str]:
    """The section of the page, as blocks of Markdown; none if everything was run.

    Args:
        studies: the studies that were run.
        left: what was not run.
        folder: the folder of the estimates.

    Raises:
        UserError: if a command has no estimate, or is that of a study with records.
    """
    known = Known(prices(folder), folder / COSTS)
    lines = [f"- {escaped(text)}" for study in studies for text in _rest(study, known)]
    for one in left:
        _check(one, studies, folder)
        lines.append(f"- {_estimated(one, known.price(one.options))}")
    if not lines:
        return []
    places = dict.fromkeys(f"{price.machine}, {price.date}" for price in known.used)
    about = [f"Estimated one trial at a time on {in_words([*places])}."] if places else []
    return ["## What was not run", *map(escaped, about), "\n".join(lines)]


@dataclass
class Known:
    """The estimates, and which of them the page uses.

    Attributes:
        prices: the estimates by the options of their commands.
        file: where they are stored.
        used: those that were asked for.
    """

    prices: Mapping[str, Price]
    file: Path
    used: list[Price] = field(default_factory=list)

    def price(self, options: str) -> Price:
        """The estimate of a command.

        Raises:
            UserError: if there is none.
        """
        if options not in self.prices:
            raise UserError(f"{self.file} has no estimate of {options!r}: run make costs")
        self.used.append(self.prices[options])
        return self.prices[options]

    def trial(self, options: str, baseline: str) -> str:
        """The time of one trial of a baseline; of each of several, if it has no name.

        Raises:
            UserError: if it was not estimated.
        """
        trials = self.price(options).trials
        if baseline and baseline not in trials:
            raise UserError(
                f"{self.file} has no estimate of {baseline} in {options!r}: run make costs"
            )
        return trials[baseline] if baseline else in_words([*dict.fromkeys(trials.values())])


def _check(one: NotRun, studies: Collection[StudyRecords], folder: Path) -> None:
    """Refuse what has records: of the same search, budget and changes, by whatever backend."""
    asked = {*shlex.split(one.options)}
    if any({*settings(study)} - SERIAL == asked for study in studies):
        raise UserError(
            f"{folder / QUESTIONS} says that {one.options!r} was not run, but it has records: "
            "remove that entry"
        )


def _rest(study: StudyRecords, known: Known) -> Iterator[str]:
    """What is left of a study: measured by its trials that have ended, or else estimated."""
    if study.trials_left:
        parts = [
            _of_baseline(study, name, number, known)
            for name, number in study.left_by_baseline.items()
        ]
        verb = "is" if study.trials_left == 1 else "are"
        of_all = f"{count(study.trials_left, 'trial')} of {study.trials_planned} {verb} left"
        yield f"{study.name}: {of_all}: {in_words(parts)}."
    elif study.fresh_left:
        yield f"{study.name}: {count(study.fresh_left, 'fresh seed')} of the winner are left."


def _of_baseline(study: StudyRecords, name: str, number: int, known: Known) -> str:
    """The number of trials of a baseline, with their time, measured or estimated."""
    times = [r.seconds for r in study.complete if name in ("", r.baseline)]
    text = f"{number} of {name}" if name else str(number)
    if not times:
        of_each = known.trial(shlex.join(settings(study)), name)
        return f"{text}, estimated {of_each}{' each' * (number > 1)}"
    spread = f", from {duration(min(times))} to {duration(max(times))}" * (len(times) > 1)
    mean = sum(times) / len(times)
    return f"{text}, about {duration(number * mean)} (those that ended: {duration(mean)}{spread})"


def _estimated(one: NotRun, price: Price) -> str:
    return (
        f"{escaped(one.question)} {escaped(one.why)} {escaped(price.size)}, "
        f"{escaped(price.time)}: `python run.py {one.options}`"
    )
