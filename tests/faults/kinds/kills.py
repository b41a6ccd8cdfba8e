"""Signals that end the program: between two changes of its files, and at any moment."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tests.faults.case import (
    DONE,
    FAULT,
    INTERRUPTED,
    KILLED,
    TERMINATED,
    Case,
    Kind,
    Result,
    after,
)
from tests.faults.layer import Layer
from tests.faults.processes import Strike
from tests.faults.studies import RESULTS, Variety, start

CODES: Mapping[signal.Signals, tuple[int, ...]] = {
    signal.SIGKILL: (KILLED, DONE),
    signal.SIGTERM: (TERMINATED, DONE),
    signal.SIGINT: (INTERRUPTED, DONE),
    signal.SIGUSR1: (TERMINATED, DONE),
}
"""The right exit codes of each signal; 0 if the study had ended already."""
EARLY = 0.02  # seconds of processor time before which a fork is not yet the program


def _at_a_change(number: signal.Signals, title: str, k: int, variety: Variety) -> Case:
    kind, path = variety.changes[k]

    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        seen = []

        def act(*change: object) -> None:
            seen.append(change)
            if len(seen) == k + 1:
                os.kill(os.getpid(), number)

        layer = Layer(place / RESULTS, act)
        ended = start(varieties[title].options, place, layer.install)
        return after(ended, varieties[title], place, CODES[number])

    what = f"{title}: before change {k} ({kind} {path})"
    return Case(_between(number), what, run)


def _at_a_moment(number: signal.Signals, title: str, share: float) -> Case:
    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        variety = varieties[title]
        strike = Strike(number, EARLY + share * variety.cpu)
        ended = start(variety.options, place, strike=strike)
        return after(ended, variety, place, CODES[number])

    return Case(_anywhere(number), f"{title}: after {share:.1%} of its processor time", run)


def _between(number: signal.Signals) -> str:
    return f"{number.name} between two changes of files"


def _anywhere(number: signal.Signals) -> str:
    return f"{number.name} at any moment"


def _kinds(number: signal.Signals) -> tuple[Kind, Kind]:
    def between(seed: int, count: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
        places = [
            (title, k) for title, variety in varieties.items() for k in range(len(variety.changes))
        ]
        chosen = Random(f"{seed} between {number}").sample(places, min(count, len(places)))
        return [_at_a_change(number, title, k, varieties[title]) for title, k in chosen]

    def anywhere(seed: int, count: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
        stream = Random(f"{seed} anywhere {number}")
        titles = sorted(varieties)
        return [_at_a_moment(number, stream.choice(titles), stream.random()) for _ in range(count)]

    return Kind(_between(number), FAULT, between), Kind(_anywhere(number), FAULT, anywhere)


KINDS = tuple(kind for number in CODES for kind in _kinds(number))
