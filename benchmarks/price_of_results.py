"""What the studies that the page of results lists as not run would cost on this machine.

    python benchmarks/price_of_results.py docs/results

The command of each is estimated by `--dry-run`, which times a few training steps. Estimates of
other commands are removed. Run it while nothing else runs.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from analysis.evidence.costs import COSTS, Price
from analysis.evidence.questions import read
from tune_ad.app.provenance import hardware
from tune_ad.storage.jsonl import write_atomically

RUN = Path(__file__).resolve().parents[1] / "run.py"
MARKED = re.compile(r"^\* [^:]+: (?P<size>.+?); (?P<time>about [^,]+)", re.MULTILINE)


def price(options: str) -> Price:
    """The estimate of a command."""
    words = [sys.executable, str(RUN), *shlex.split(options), "--backend", "serial", "--dry-run"]
    ended = subprocess.run(words, capture_output=True, text=True)
    found = MARKED.search(ended.stdout)
    if ended.returncode or found is None:
        raise SystemExit(f"{shlex.join(words)} gave no estimate: {ended.stderr or ended.stdout}")
    machine = str(hardware("cpu")["processor"])
    return Price(found["size"], found["time"] + " on one core", machine, time.strftime("%Y-%m-%d"))


def main() -> None:
    """Estimate every command, and write the file at the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of the results")
    folder = parser.parse_args().folder
    found = {}
    for left in read(folder).left:
        found[left.options] = price(left.options)._asdict()
        print(f"{left.options}: {found[left.options]['size']}; {found[left.options]['time']}")
    write_atomically(folder / COSTS, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
