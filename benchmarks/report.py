"""Time and memory of a report of many synthetic records: 10,000 trials of 100 models by default.

    python benchmarks/report.py --trials 10000 --replicas 100

The records have the metrics and score variants of a PGN study, and test AUROC depends on the
learning rate. Only reading, analysing and exporting the records is timed, in a separate process,
not writing them.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from tune_ad.atomic import write_atomically
from tune_ad.search import Sobol
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import Metric, ScoreVariant, Values
from tune_ad.storage.records import SCHEMA, ReplicaRecord, TrialRecord, identity

SPACE = {
    "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.7),
    "latent_dim": IntDistribution(8, 128, log=True),
    "width": CategoricalDistribution([0.5, 1.0, 2.0]),
    "bias": CategoricalDistribution([True, False]),
}
DEFAULT = {"learning_rate": 1e-4, "dropout": 0.5, "latent_dim": 32, "width": 1.0, "bias": True}
PARTS = ("validation", "test")
TERMS = ("auroc", "score", "kl", "model_uncertainty", "ap", "distinct", "tied", "relative_range")
VARIANTS = (
    ScoreVariant.of_component("kl"),
    ScoreVariant.of_component("model_uncertainty"),
    *(ScoreVariant("mc_samples", samples) for samples in (0, 1, 5, 10, 20, 50, "inf")),
    *(ScoreVariant("dropout", dropout) for dropout in (0.1, 0.3, 0.5, 0.7)),
)
CLASSES = 10
NOISE = 0.02  # standard deviation of a metric between models


def random_parameters(rng: np.random.Generator) -> dict[str, Any]:
    """A random configuration of the space."""
    return {
        "learning_rate": float(10 ** rng.uniform(-5, -2)),
        "dropout": float(rng.uniform(0, 0.7)),
        "latent_dim": int(2 ** rng.uniform(3, 7)),
        "width": float(rng.choice([0.5, 1.0, 2.0])),
        "bias": bool(rng.integers(2)),
    }


def synthetic_record(number: int, replicas: int, rng: np.random.Generator) -> TrialRecord:
    """A trial whose metrics are a parabola in the logarithm of the learning rate plus noise."""
    params = random_parameters(rng) if number else dict(DEFAULT)
    level = 0.9 - 0.05 * (np.log10(params["learning_rate"]) + 3.5) ** 2

    def noisy() -> Values:
        return list(np.clip(level + NOISE * rng.standard_normal(replicas), 0.0, 1.0))

    metrics = {Metric(part, term): noisy() for part in PARTS for term in TERMS}
    metrics |= {Metric(part, "collapsed"): [0.0] * replicas for part in PARTS}
    metrics |= {Metric(part, "loss"): noisy() for part in ("train", "validation")}
    objective = float(np.mean(metrics[Metric("validation", "auroc")]))
    return TrialRecord(
        number=number,
        identity=identity("PGN", params),
        baseline="PGN",
        detector="PGN",
        params=params,
        searched=sorted(params),
        state="complete",
        reason="",
        objective=objective,
        reports=[(100, objective)],
        replicas=[
            ReplicaRecord(f"planted/{k % CLASSES}", k // CLASSES, "complete", "", 100)
            for k in range(replicas)
        ],
        metrics=metrics,
        variants={
            variant: {Metric(part, "auroc"): noisy() for part in PARTS} for variant in VARIANTS
        },
        models={"parameters": 50_000.0},
        seconds=float(rng.uniform(50, 100)),
    )


def write_study(folder: StudyFolder, trials: int, replicas: int) -> None:
    """Write a study of synthetic records.

    Args:
        folder: the folder of the study.
        trials: number of trials.
        replicas: number of models of each trial.
    """
    space = {name: distribution_to_json(distribution) for name, distribution in SPACE.items()}
    stored = {
        "schema": SCHEMA,
        "study": {
            "name": "planted",
            "data_set": "planted",
            "selection": "validation",
            "budget_name": "standard",
            "budget": {
                "trials": trials,
                "evaluation_seeds": 5,
                "seeds": -(-replicas // CLASSES),
                "only": {},
            },
            "settings": {},
            "plan": Sobol().describe(),
            "baselines": {"PGN": {"detector": "PGN", "space": space, "params": DEFAULT}},
            "whole": False,
            "outsiders": [],
            "patience": 0,
            "claim": {},
            "pruning": False,
            "chooses": True,
            "quotes": "winner",
        },
        "tasks": [
            {"name": f"planted/{k}", "title": f"planted/class {k}", "class_name": f"class {k}"}
            for k in range(CLASSES)
        ],
        "data": {"planted": {"about": "synthetic records"}},
        "versions": {},
        "hardware": {"device": "cpu"},
        "created": "",
    }
    write_atomically(folder.study, to_text(stored))
    rng = np.random.default_rng(0)
    with folder.trials.path.open("w", encoding="utf-8") as file:
        for number in range(trials):
            file.write(to_text(synthetic_record(number, replicas, rng)) + "\n")


def report(path: Path) -> None:
    """Report the study and print its time and peak memory as JSON."""
    started = time.perf_counter()
    from analysis.report.study_report import write_report

    written = write_report(path)
    cost = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time(),
        "peak_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    print(json.dumps({**cost, "summary": written.summary}))


def main() -> None:
    """Write the records, report them in a separate process, and print time and memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--replicas", type=int, default=100, help="models of a trial")
    parser.add_argument("--study", type=Path, help="report this folder and write no records")
    options = parser.parse_args()
    if options.study:
        report(options.study)
        return
    with tempfile.TemporaryDirectory() as root:
        folder = StudyFolder(Path(root) / "planted")
        write_study(folder, options.trials, options.replicas)
        size = folder.trials.path.stat().st_size / 1e6
        process = subprocess.run(
            [sys.executable, __file__, "--study", str(folder.path)],
            capture_output=True,
            text=True,
            check=True,
        )
    cost = json.loads(process.stdout.splitlines()[-1])
    print(f"{options.trials} trials x {options.replicas} models, {size:.0f} MB of records:")
    print(
        f"{cost['seconds']:.1f} s ({cost['cpu_seconds']:.1f} s of one core), "
        f"peak {cost['peak_GB']:.2f} GB"
    )


if __name__ == "__main__":
    main()
