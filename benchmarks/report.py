"""Time and memory of a report of many synthetic records: 10,000 trials of 100 models by default.

    python benchmarks/report.py --trials 10000 --replicas 100

The records have the metrics and score variants of a PGN study, with a planted effect of the
learning rate. Writing them is not timed; reading, analysing and exporting is, in a process of its
own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text, write_atomically
from tune_ad.storage.records import ReplicaRecord, TrialRecord, identity

SPACE = {
    "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.7),
    "latent_dim": IntDistribution(8, 128, log=True),
    "width": CategoricalDistribution([0.5, 1.0, 2.0]),
    "bias": CategoricalDistribution([True, False]),
}
DEFAULT = {"learning_rate": 1e-4, "dropout": 0.5, "latent_dim": 32, "width": 1.0, "bias": True}
PARTS = ("score", "kl", "model_uncertainty", "ap", "distinct", "tied", "relative_range")
VARIANTS = ("kl", "model_uncertainty", *(f"mc_samples={t}" for t in (0, 1, 5, 10, 20, 50, "inf")))
VARIANTS += tuple(f"dropout={p}" for p in (0.1, 0.3, 0.5, 0.7))
CLASSES = 10


def sampled(rng: np.random.Generator) -> dict[str, object]:
    """A random configuration."""
    return {
        "learning_rate": float(10 ** rng.uniform(-5, -2)),
        "dropout": float(rng.uniform(0, 0.7)),
        "latent_dim": int(2 ** rng.uniform(3, 7)),
        "width": float(rng.choice([0.5, 1.0, 2.0])),
        "bias": bool(rng.integers(2)),
    }


def record(number: int, replicas: int, rng: np.random.Generator) -> TrialRecord:
    """One synthetic trial."""
    params = sampled(rng) if number else dict(DEFAULT)
    best = 0.9 - 0.05 * (np.log10(float(params["learning_rate"])) + 3.5) ** 2  # type: ignore[arg-type]
    models = [
        ReplicaRecord(f"planted/{k % CLASSES}", k // CLASSES, "complete", "", 100)
        for k in range(replicas)
    ]

    def noisy(scale: float = 0.02) -> list[float]:
        return list(np.clip(best + scale * rng.standard_normal(replicas), 0.0, 1.0))

    metrics = {f"{part}_auroc": noisy() for part in ("validation", "test")}
    metrics |= {f"{part}_{name}": noisy() for part in ("validation", "test") for name in PARTS}
    metrics |= {f"{part}_collapsed": [0.0] * replicas for part in ("validation", "test")}
    metrics |= {"train_loss": noisy(), "validation_loss": noisy()}
    return TrialRecord(
        number=number,
        identity=identity("PGN", params),
        baseline="PGN",
        detector="PGN",
        params=params,
        searched=sorted(params),
        state="complete",
        reason="",
        objective=float(np.mean(metrics["validation_auroc"])),
        reports=[(100, float(np.mean(metrics["validation_auroc"])))],
        replicas=models,
        metrics={name: list(values) for name, values in metrics.items()},
        variants={
            name: {f"{part}_auroc": noisy() for part in ("validation", "test")}
            for name in VARIANTS
        },
        models={"parameters": 50_000.0},
        seconds=float(rng.uniform(50, 100)),
        labelled={
            k: [float(v) for v in best + 0.05 * rng.standard_normal(20)] for k in ("1", "5", "50")
        },
    )


def write_study(folder: StudyFolder, trials: int, replicas: int) -> None:
    """A study of synthetic records."""
    seeds = -(-replicas // CLASSES)
    space = {name: distribution_to_json(each) for name, each in SPACE.items()}
    stored = {
        "schema": 1,
        "study": {
            "name": "planted",
            "data_set": "planted",
            "selection": "validation",
            "budget_name": "standard",
            "budget": {"trials": trials, "evaluation_seeds": 5, "seeds": seeds},
            "settings": {},
            "plan": {"name": "Sobol"},
            "baselines": {"PGN": {"detector": "PGN", "space": space, "params": DEFAULT}},
        },
        "tasks": [{"name": f"planted/{k}"} for k in range(CLASSES)],
        "data": {"planted": {"about": "synthetic records"}},
        "versions": {},
        "hardware": {"device": "cpu"},
        "created": "",
    }
    write_atomically(folder.study, to_text(stored))
    rng = np.random.default_rng(0)
    with folder.trials.path.open("w", encoding="utf-8") as file:
        for number in range(trials):
            file.write(to_text(record(number, replicas, rng)) + "\n")


def report(path: Path) -> None:
    """Report the study and print seconds and the peak of memory as JSON."""
    started = time.perf_counter()
    from analysis.report.study_report import write_report

    written = write_report(path)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found = {"seconds": seconds, "cpu_seconds": time.process_time(), "peak_GB": peak}
    print(json.dumps({**found, "summary": written.summary}))


def main() -> None:
    """Write the records, report them in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--study", type=Path, help="report this folder and write nothing else")
    given = parser.parse_args()
    if given.study:
        report(given.study)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = StudyFolder(Path(place) / "planted")
        write_study(folder, given.trials, given.replicas)
        size = folder.trials.path.stat().st_size / 1e6
        done = subprocess.run(
            [sys.executable, __file__, "--study", str(folder.path)],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"{given.trials} trials x {given.replicas} models, {size:.0f} MB of records:")
        took = f"{found['seconds']:.1f} s ({found['cpu_seconds']:.1f} s of one core)"
        print(f"{took}, peak {found['peak_GB']:.2f} GB")


if __name__ == "__main__":
    main()
