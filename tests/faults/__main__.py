"""The campaign: `python -m tests.faults` injects faults and bad inputs, and makes a table."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported: a fork must have one thread
# ruff: noqa: E402, T201
import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.faults import programs
from tests.faults.campaign import Outcomes, all_kinds, rows, run_all, warm
from tests.faults.case import FAULT, INPUT, PROGRAM, Kind
from tests.faults.page import PAGE, write_page


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=500, help="number of faults, about")
    parser.add_argument("--inputs", type=int, default=1000, help="number of bad inputs, about")
    parser.add_argument("--programs", type=int, default=45, help="number of deaths of processes")
    parser.add_argument("--kinds", default="", help="only kinds whose title contains this text")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE}")
    chosen = parser.parse_args()
    kinds = [kind for kind in all_kinds() if chosen.kinds in kind.title]
    place = Path(tempfile.mkdtemp(prefix="faults-"))
    began = time.monotonic()
    try:
        outcomes = [*_of_programs(chosen, kinds, place), *_in_forks(chosen, kinds, place)]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    table = rows(outcomes)
    for row in table:
        print(row)
    print(f"{time.monotonic() - began:.0f} s")
    if chosen.write:
        write_page(table, chosen.seed)
    return int(any(result.problems for _, result in outcomes))


def _in_forks(chosen: argparse.Namespace, kinds: Sequence[Kind], place: Path) -> Outcomes:
    """Inject faults and bad inputs in forks of this process."""
    numbers = {FAULT: chosen.faults, INPUT: chosen.inputs}
    parts = {part: [kind for kind in kinds if kind.part == part] for part in numbers}
    if not any(parts[part] and numbers[part] for part in parts):
        return []
    varieties = warm(place)
    cases = [
        case
        for kind in kinds
        if kind.part in numbers
        for case in kind.cases(
            chosen.seed, -(-numbers[kind.part] // len(parts[kind.part])), varieties
        )
    ]
    print(f"{len(cases)} cases", flush=True)
    return run_all(cases, varieties, chosen.processes)


def _of_programs(chosen: argparse.Namespace, kinds: Sequence[Kind], place: Path) -> Outcomes:
    """End processes of programs; fewer programs than kinds are of kinds that the seed chooses."""
    of_part = [kind for kind in kinds if kind.part == PROGRAM]
    number = chosen.programs
    if number < len(of_part):
        of_part = Random(chosen.seed).sample(of_part, number)
    if not of_part:
        return []
    cases = [
        case
        for kind in of_part
        for case in kind.cases(chosen.seed, -(-number // len(of_part)), {})
    ]
    print(f"{len(cases)} programs", flush=True)
    varieties = {PROGRAM: programs.without_fault(place / PROGRAM)}
    return run_all(cases, varieties, chosen.processes)


if __name__ == "__main__":
    sys.exit(main())
