"""Train a stored trial again, and compare its numbers with the record.

    python benchmarks/rerun_a_trial.py docs/results/records --seed 0

A trial is drawn at random from the complete ones of all studies in a folder, or of those named by
--study. Its record is taken out of a copy of the study, which is then resumed: the same
configuration is trained with the same seeds on the same images.
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

from analysis.report.next_steps import repeating
from analysis.study import StudyRecords
from tune_ad.app.provenance import hardware
from tune_ad.storage.metric import TEST_AUROC
from tune_ad.storage.records import TrialRecord

ROOT = Path(__file__).resolve().parents[1]


def drawn(records: Path, names: list[str], seed: int) -> tuple[StudyRecords, TrialRecord]:
    """A study and one of its complete trials, at random."""
    studies = [StudyRecords.read(file.parent) for file in sorted(records.glob("*/study.json"))]
    trials = [
        (study, record)
        for study in studies
        if not names or study.name in names
        for record in study.complete
    ]
    return random.Random(seed).choice(trials)


def without(study: StudyRecords, record: TrialRecord, results: Path) -> Path:
    """A copy of a study that lacks the record of a trial."""
    copy = results / study.name
    shutil.copytree(study.folder.path, copy)
    lines = (copy / "trials.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["number"] != record.number]
    (copy / "trials.jsonl").write_text("".join(kept), encoding="utf-8")
    for path in (copy / "trials").glob(f"{record.identity}.*"):
        path.unlink()
    return copy


def resume(study: StudyRecords, results: Path) -> None:
    """Resume a study until the first trial has ended."""
    words = shlex.split(repeating(study).partition(" --results ")[0])[2:]
    after = ["--results", str(results), "--resume", "--accept-changes", "--time-budget", "0.001"]
    command = [sys.executable, str(ROOT / "run.py"), *words, *after, "--keep-models", "none"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode not in (0, 1):
        raise SystemExit(f"{shlex.join(command)} ended with {ended.returncode}:\n{ended.stderr}")


def main() -> None:
    """Draw, train again, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("records", type=Path, help="a folder of studies")
    parser.add_argument("--study", action="append", default=[], help="draw from this study alone")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    options = parser.parse_args()
    study, record = drawn(options.records, options.study, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        copy = without(study, record, Path(folder))
        resume(study, Path(folder))
        again = {other.number: other for other in StudyRecords.read(copy).complete}
    if record.number not in again:
        raise SystemExit(f"trial {record.number} of {study.name} was not trained again")
    first, second = (np.array(r.metrics[TEST_AUROC]) for r in (record, again[record.number]))
    apart = np.abs(first - second)
    print(f"{study.name}, trial {record.number} ({record.baseline}), {len(first)} models")
    print(f"mean test AUROC: {first.mean():.6f} in the record, {second.mean():.6f} now")
    print(f"the same number: {int((apart == 0).sum())} of {len(first)} models")
    print(f"largest difference: {apart.max():.2g}")
    print(f"{time.strftime('%Y-%m-%d')}, {hardware('cpu')['processor']}")


if __name__ == "__main__":
    main()
