"""A clock of the machine that is set back, or far ahead, while a study runs."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tests.faults.case import DONE, FAULT, Case, Kind, Result, after
from tests.faults.layer import Layer
from tests.faults.studies import RESULTS, Variety, folder_in, start

TITLE = "clock set back or ahead"
STEPS = (-10 * 365 * 86400.0, -3600.0, -1.0, 86400.0, 10 * 365 * 86400.0)
"""Seconds by which the clock is set."""


def _case(title: str, k: int, seconds: float) -> Case:
    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        seen: list[str] = []
        real, real_ns = time.time, time.time_ns

        def shift() -> float:
            return seconds if len(seen) > k else 0.0

        def prepare() -> None:
            time.time = lambda: real() + shift()
            time.time_ns = lambda: real_ns() + int(shift() * 1e9)
            Layer(place / RESULTS, lambda kind, *_: seen.append(kind)).install()

        ended = start(varieties[title].options, place, prepare)
        result = after(ended, varieties[title], place, (DONE,))
        return result._replace(problems=[*result.problems, *_durations(place)])

    return Case(TITLE, f"{title}: by {seconds:.0f} s at change {k}", run)


def _durations(place: Path) -> list[str]:
    """The records whose duration is negative or longer than a campaign."""
    folder = folder_in(place)
    records = [*folder.trials.read(), *folder.evaluation.read()]
    return [
        f"a trial of {record['seconds']} s: {json.dumps(record)[:100]}"
        for record in records
        if not 0 <= record["seconds"] < 3600
    ]


def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    stream = Random(f"{seed} {TITLE}")
    titles = sorted(varieties)
    chosen = [stream.choice(titles) for _ in range(number)]
    return [
        _case(title, stream.randrange(len(varieties[title].changes)), stream.choice(STEPS))
        for title in chosen
    ]


KINDS = (Kind(TITLE, FAULT, cases),)
