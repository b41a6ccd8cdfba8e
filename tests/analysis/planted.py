"""Studies with planted numbers."""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, distribution_to_json

from analysis.study import StudyRecords
from tests.naming import named, variants
from tune_ad.atomic import write_atomically
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.records import ReplicaRecord, TrialRecord

TASKS = ("digits/0", "digits/1")


def record(number, params, aurocs, tasks=TASKS, baseline="PGN", **changes):
    """A trial: `aurocs` holds one test AUROC per seed (all classes), or one list per seed."""
    rows = [
        per_seed if isinstance(per_seed, list | tuple) else [per_seed] * len(tasks)
        for per_seed in aurocs
    ]
    values = [value for row in rows for value in row]
    replicas = [
        ReplicaRecord(task, seed, "failed" if value is None else "complete", "", 10)
        for seed, row in enumerate(rows)
        for task, value in zip(tasks, row, strict=True)
    ]
    fields = {
        "number": number,
        "identity": f"id{number}",
        "baseline": baseline,
        "detector": "PGN",
        "params": params,
        "searched": list(params),
        "state": "failed" if None in values else "complete",
        "reason": "",
        "objective": None,
        "reports": [],
        "replicas": replicas,
        "metrics": {
            "test_auroc": values,
            **{
                f"{part}_{name}": [None if value is None else 0.0 for value in values]
                for part in ("validation", "test")
                for name in ("collapsed", "tied")
            },
        },
        "seconds": 1.0,
    }
    given = {**fields, **changes}
    given["metrics"] = named(given["metrics"])
    given["variants"] = variants(given.get("variants", {}))
    return TrialRecord(**given)


def space(params):
    """A categorical distribution of the default and another value for each parameter."""
    return {
        name: distribution_to_json(CategoricalDistribution([value, "other"]))
        for name, value in params.items()
        if not isinstance(value, list | tuple)
    }


def study(path, trials=(), defaults=None, fresh=(), **search):
    """The study of `write`, as read from the disk."""
    read = StudyRecords.read(write(path, trials, defaults, fresh, **search).path)
    return replace(read, begun=None)  # no configuration was proposed


def write(path, trials=(), defaults=None, fresh=(), schema=1, **search):
    """A folder of these trials and evaluations; `search` changes what `study.json` says."""
    folder = StudyFolder(path / "planted")
    defaults = defaults or {"PGN": {"width": 1.0}}
    trained = [replica.task for trial in (*trials, *fresh) for replica in trial.replicas]
    tasks = dict.fromkeys([*TASKS, *trained])
    stored = {
        "schema": schema,
        "study": {
            "name": "planted",
            "data_set": "digits",
            "selection": "validation",
            "budget_name": "quick",
            "budget": {"trials": len(trials), "evaluation_seeds": 0, "seeds": 1},
            "settings": {},
            "plan": {"name": "OneAtATime", "points": 5},
            "baselines": {
                name: {"detector": "PGN", "space": space(params), "params": params}
                for name, params in defaults.items()
            },
            **search,
        },
        "tasks": [{"name": task} for task in tasks],
        "data": {"digits": {"about": "planted | images"}},
        "versions": {"tune_ad": "0"},
        "hardware": {"device": "cpu"},
        "created": "now",
    }
    write_atomically(folder.study, to_text(stored))
    for trial in trials:
        folder.trials.append(trial)
    for trial in fresh:
        folder.evaluation.append(trial)
    return folder
