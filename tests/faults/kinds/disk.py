"""A disk that fails at every change of a file of a short study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tests.faults.case import DONE, FAULT, MACHINE, Case, Kind, Result, after
from tests.faults.layer import FAILURES, Failing, Failure, Layer
from tests.faults.studies import RESULTS, Variety, start


def _case(title: str, failure: Failure, k: int, variety: Variety) -> Case:
    kind, path = variety.changes[k]

    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        layer = Layer(place / RESULTS, Failing(failure, k))
        ended = start(varieties[title].options, place, layer.install)
        return after(ended, varieties[title], place, (DONE, MACHINE))

    return Case(failure.title, f"{title}: change {k} ({kind} {path})", run)


def _kind(failure: Failure) -> Kind:
    def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
        places = [
            (title, k) for title, variety in varieties.items() for k in range(len(variety.changes))
        ]
        chosen = Random(f"{seed} {failure.title}").sample(places, min(number, len(places)))
        return [_case(title, failure, k, varieties[title]) for title, k in chosen]

    return Kind(failure.title, FAULT, cases)


KINDS = tuple(map(_kind, FAILURES))
