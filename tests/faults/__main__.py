"""The campaign: `python -m tests.faults` injects faults and bad inputs, and makes a table."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported: a fork must have one thread
# ruff: noqa: E402, T201
import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.campaign import all_kinds, rows, run_all, warm
from tests.faults.page import PAGE, write_page


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=500, help="number of faults, about")
    parser.add_argument("--inputs", type=int, default=1000, help="number of bad inputs, about")
    parser.add_argument("--kinds", default="", help="only kinds whose title contains this text")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE}")
    chosen = parser.parse_args()
    kinds = [kind for kind in all_kinds() if chosen.kinds in kind.title]
    place = Path(tempfile.mkdtemp(prefix="faults-"))
    began = time.monotonic()
    try:
        varieties = warm(place)
        cases = []
        for kind in kinds:
            of_kind = [other for other in kinds if other.is_input == kind.is_input]
            number = -(-(chosen.inputs if kind.is_input else chosen.faults) // len(of_kind))
            cases += kind.cases(chosen.seed, number, varieties)
        print(f"{len(cases)} cases", flush=True)
        outcomes = run_all(cases, varieties, chosen.processes)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for case, result in outcomes:
        for problem in result.problems:
            print(f"{case.kind}; {case.what}; ended {result.ended}: {problem}")
    table = rows(outcomes)
    for row in table:
        print(row)
    print(f"{time.monotonic() - began:.0f} s")
    if chosen.write:
        write_page(table, chosen.seed)
    return int(any(result.problems for _, result in outcomes))


if __name__ == "__main__":
    sys.exit(main())
