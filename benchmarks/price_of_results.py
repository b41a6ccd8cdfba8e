"""What the page of results lists as not run, whole studies and trials, would cost on this machine.

    python benchmarks/price_of_results.py docs/results

The command of each is estimated as by `--dry-run`, which times a few training steps. Estimates of
other commands are removed. Run it while nothing else runs.
"""

import argparse
import json
import shlex
import time
from pathlib import Path

from analysis.evidence.archives import unpacked
from analysis.evidence.costs import COSTS, Price
from analysis.evidence.entries import RECORDS
from analysis.evidence.questions import read
from analysis.report.next_steps import settings
from analysis.study import StudyRecords
from tune_ad.app.command_line.parser import options, parse
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.app.preparation.validation import prepare
from tune_ad.app.provenance import hardware
from tune_ad.atomic import write_atomically
from tune_ad.wording import duration


def price(words: list[str]) -> Price:
    """The estimate of a command, one trial at a time.

    Args:
        words: the options of the command.
    """
    chosen = options(parse([*words, "--backend", "serial", "--dry-run"]))
    session = prepare(chosen, lambda line: None, dry_run=True)
    cost = Pricing(session).costs()[session.study.budget_name]
    return Price(
        size=cost.size.in_words(not session.study.search.of_whole_sets),
        time=f"about {duration(cost.total)}",
        machine=str(hardware("cpu")["processor"]),
        date=time.strftime("%Y-%m-%d"),
        trials={name: f"about {duration(s)}" for name, s in cost.trial_seconds.items()},
    )


def commands(folder: Path) -> list[str]:
    """The options of the studies that were not run, and of those of which trials are left."""
    page = read(folder)
    names = {name for asked in page.asked for name in asked.folders}
    with unpacked(folder / RECORDS) as records:
        studies = [StudyRecords.read(records / name) for name in sorted(names)]
    begun = [shlex.join(settings(study)) for study in studies if study.trials_left]
    return [*(left.options for left in page.left), *begun]


def main() -> None:
    """Estimate every command, and write the file at the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of the results")
    folder = parser.parse_args().folder
    found = {}
    for command in commands(folder):
        estimated = price(shlex.split(command))
        found[command] = estimated._asdict()
        print(f"{command}: {estimated.size}; {estimated.time}")
    write_atomically(folder / COSTS, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
