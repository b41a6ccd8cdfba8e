"""Studies in memory of which the answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from analysis.study import StudyRecords
from tests.naming import named, variants
from tune_ad.storage.earlier.schema1 import upgraded_study
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import ReplicaRecord, TrialRecord

TASKS = ("digits/0", "digits/1")
SPACE = {
    "strong": FloatDistribution(0.0, 1.0),
    "weak": FloatDistribution(1e-4, 1e-1, log=True),
    "choice": CategoricalDistribution(["low", "high"]),
    "idle": IntDistribution(1, 9),
}
DEFAULT = {"strong": 0.0, "weak": 1e-4, "choice": "low", "idle": 1, "fixed": 7}


def drawn(space, rng):
    """A configuration at random."""
    params = {}
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            params[name] = distribution.choices[rng.integers(len(distribution.choices))]
        elif isinstance(distribution, IntDistribution):
            params[name] = int(rng.integers(distribution.low, distribution.high + 1))
        elif distribution.log:
            params[name] = float(
                np.exp(rng.uniform(np.log(distribution.low), np.log(distribution.high)))
            )
        else:
            params[name] = float(rng.uniform(distribution.low, distribution.high))
    return params


def trial(number, params, auroc, tested=True, **changes):
    """A complete trial; `auroc` is (seeds, tasks) or (seeds,)."""
    values = np.asarray(auroc, dtype=float)
    if values.ndim == 1:
        values = np.repeat(values[:, None], len(TASKS), axis=1)
    flat = [float(value) for value in values.ravel()]
    metrics = {"validation_auroc": flat, **({"test_auroc": flat} if tested else {})}
    fields = {
        "number": number,
        "identity": f"id{number}",
        "baseline": "PGN",
        "detector": "PGN",
        "params": {**DEFAULT, **params},
        "searched": sorted(params),
        "state": "complete",
        "reason": "",
        "objective": float(np.mean(flat)),
        "reports": [],
        "replicas": [
            ReplicaRecord(task, seed, "complete", "", 5)
            for seed in range(len(values))
            for task in TASKS
        ],
        "metrics": metrics,
    }
    given = {**fields, **changes}
    given["metrics"] = named(given["metrics"])
    given["variants"] = variants(given.get("variants", {}))
    return TrialRecord(**given)


def study(trials=(), evaluation=(), space=None, baselines=("PGN",), plan=None, **search):
    """A study that was never written."""
    space = SPACE if space is None else space
    texts = {name: distribution_to_json(distribution) for name, distribution in space.items()}
    stored = {
        "schema": 1,
        "study": {
            "name": "planted",
            "selection": "validation",
            "budget": {"trials": 400, "evaluation_seeds": 3},
            "plan": plan or {"name": "Optuna", "random_trials": 400},
            "baselines": {name: {"space": texts, "params": DEFAULT} for name in baselines},
            **search,
        },
        "tasks": [],
    }
    folder, stored = StudyFolder(Path("nowhere")), upgraded_study(stored)
    return StudyRecords(folder, stored, list(trials), list(evaluation))


def noted(planted, startup):
    """The study with what it noted when it was begun."""
    return replace(planted, stored={**planted.stored, "startup": startup})


def crowded(response, n=12, more=40, noise=0.005, **search):
    """A study of `n` random configurations and `more` near the best `strong`."""
    rng = np.random.default_rng(1)
    early = sampled(response, n=n, noise=noise).trials
    late = []
    for k in range(n, n + more):
        params = {**drawn(SPACE, rng), "strong": float(rng.uniform(0.95, 1.0))}
        late.append(trial(k, params, response(params) + noise * rng.normal(size=3)))
    return noted(study([*early, *late], plan={"name": "Optuna"}, **search), n)


def sampled(response, n=80, seeds=3, noise=0.005, seed=0, space=None, **search):
    """A study of random configurations; trial 0 is the default."""
    space = SPACE if space is None else space
    rng = np.random.default_rng(seed)
    default = {name: DEFAULT[name] for name in space}
    configurations = [default, *(drawn(space, rng) for _ in range(n - 1))]
    trials = [
        trial(k, params, response(params) + noise * rng.normal(size=seeds))
        for k, params in enumerate(configurations)
    ]
    return study(trials, space=space, **search)


def additive(params):
    """`strong` matters most, then `choice`, then `weak`; `idle` does nothing."""
    weak = np.log10(params["weak"] / 1e-4) / 3
    return 0.6 + 0.2 * params["strong"] + 0.05 * (params["choice"] == "high") + 0.03 * weak


def flat(params):
    """Nothing matters."""
    return 0.7
