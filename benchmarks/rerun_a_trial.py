"""Train a stored trial again, and compare its numbers with the record.

    python benchmarks/rerun_a_trial.py docs/results/records --seed 0

A trial is drawn at random from the complete ones of all studies in a folder of records, or of
those named by --study. Its record is taken out of a copy of the study, which is then resumed: the
same configuration is trained with the same seeds on the same images, by the code of today. The
numbers are those of the record if all are equal (exit code 0), or agree if the mean lies in the
record's 95 % interval over seeds (also 0); otherwise they differ (1).
"""

import argparse
import json
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from analysis.evidence.archives import unpacked
from analysis.report.next_steps import repeating
from analysis.stats.estimates import estimate
from analysis.study import StudyRecords
from tune_ad.app.provenance import hardware
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import TEST_AUROC
from tune_ad.storage.records import TrialRecord

ROOT = Path(__file__).resolve().parents[1]


def drawn(records: Path, names: list[str], seed: int) -> tuple[StudyRecords, TrialRecord]:
    """A study and one of its complete trials, at random.

    Raises:
        UserError: if there is none.
    """
    studies = [StudyRecords.read(file.parent) for file in sorted(records.glob("*/study.json"))]
    trials = [
        (study, record)
        for study in studies
        if not names or study.name in names
        for record in study.complete
    ]
    if not trials:
        wanted = f" of {', '.join(names)}" if names else ""
        raise UserError(
            f"there is no complete trial{wanted}; there are trials of "
            f"{', '.join(study.name for study in studies) or 'no study'}"
        )
    return random.Random(seed).choice(trials)


def without(study: StudyRecords, record: TrialRecord, results: Path) -> Path:
    """A copy of a study that lacks the record of a trial."""
    copy = StudyFolder(results / study.name)
    shutil.copytree(study.folder.path, copy.path)
    file = copy.trials.path
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["number"] != record.number]
    file.write_text("".join(kept), encoding="utf-8")
    copy.details(record.identity).unlink()
    copy.ranks(record.identity).unlink()
    return copy.path


def resume(study: StudyRecords, results: Path) -> None:
    """Resume a study until the first trial has ended."""
    words = shlex.split(repeating(study).partition(" --results ")[0])[2:]
    after = ["--results", str(results), "--resume", "--accept-changes", "--time-budget", "0.001"]
    command = [sys.executable, str(ROOT / "run.py"), *words, *after, "--keep-models", "none"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode not in (0, 1):
        raise SystemExit(f"{shlex.join(command)} ended with {ended.returncode}:\n{ended.stderr}")


def compared(first: TrialRecord, second: TrialRecord) -> tuple[str, bool]:
    """How the test AUROCs of a trial compare with those of its record, and whether they agree."""
    before, now = (np.array(record.metrics[TEST_AUROC], dtype=float) for record in (first, second))
    seeds = [replica.seed for replica in first.replicas]
    of_seeds = [float(before[np.array(seeds) == seed].mean()) for seed in dict.fromkeys(seeds)]
    interval = estimate(of_seeds)
    text = (
        f"{first.baseline}, trial {first.number}, {len(before)} models: mean test AUROC "
        f"{before.mean():.6f} in the record, {now.mean():.6f} now; "
    )
    if (before == now).all():
        return f"{text}every model has the same number", True
    apart = f"the largest difference of a model is {np.abs(before - now).max():.2g}"
    if interval.low <= now.mean() <= interval.high:
        return f"{text}{apart}; within the interval {interval}", True
    return f"{text}{apart}; NOT within the interval {interval}", False


def main() -> None:
    """Draw, train again, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("records", type=Path, help="the folder of their records")
    parser.add_argument("--study", action="append", default=[], help="draw from this study alone")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    options = parser.parse_args()
    with unpacked(options.records) as records, tempfile.TemporaryDirectory() as folder:
        try:
            study, record = drawn(records, options.study, options.seed)
        except UserError as error:
            parser.exit(UserError.exit_code, f"error: {error}\n")
        copy = without(study, record, Path(folder))
        resume(study, Path(folder))
        again = StudyRecords.read(copy)
    found = {other.number: other for other in again.complete}
    if record.number not in found:
        raise SystemExit(f"trial {record.number} of {study.name} was not trained again")
    text, agrees = compared(record, found[record.number])
    print(f"{study.name}: {text}")
    commits = dict.fromkeys(run["versions"].get("commit") for run in again.stored["runs"])
    print(f"commits: {', '.join(map(str, commits))}")
    print(f"{time.strftime('%Y-%m-%d')}, {hardware('cpu')['processor']}")
    raise SystemExit(0 if agrees else 1)


if __name__ == "__main__":
    main()
