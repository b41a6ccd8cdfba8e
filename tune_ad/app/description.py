"""What `study.json` says of a study: its search, data, machine and runs."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tune_ad.app.provenance import hardware, own_files, versions
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError
from tune_ad.execution.callbacks import Callback
from tune_ad.search.catalogue import plain_name
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.records import SCHEMA, TrialSpec

if TYPE_CHECKING:
    from tune_ad.app.session import Session


class RunNote(Callback):
    """Notes the run in `study.json` once its first trial begins, so that every run has trained.

    Args:
        session: the study.
        description: what `study.json` says without this run.
    """

    def __init__(self, session: "Session", description: Mapping[str, Any]) -> None:
        self.file, self.is_noted = session.folder.study, False
        self.content = {**description, "runs": session.runs}

    def started(self, spec: TrialSpec) -> None:
        """Note the run, if it is not noted.

        Raises:
            OSError: if `study.json` cannot be written, or its folder is gone.
        """
        if self.is_noted:
            return
        write_atomically(self.file, to_text(self.content, indent=2), makes_folder=False)
        self.is_noted = True


def write_description(session: "Session") -> Mapping[str, Any]:
    """Write `study.json`; when a study is continued, update only what follows from its trials.

    Args:
        session: the study.

    Returns:
        what `study.json` says now. `RunNote` adds the run.

    Raises:
        UserError: if a study has appeared since the options were checked.
    """
    if not session.folder.exists():
        description = described(session)
    elif session.begins:
        raise UserError(
            f"another process has begun a study in {session.folder.path}; continue it with "
            "--resume, or use another --results"
        )
    else:
        description = _continued(session)
        if description == session.folder.read_study():
            return description
    write_atomically(session.folder.study, to_text(description, indent=2))
    return description


def described(session: "Session") -> dict[str, Any]:
    """The content of `study.json`: the study, its data, software versions and hardware."""
    options = session.options
    return {
        "schema": SCHEMA,
        "search": plain_name(options.search),
        **({"detector": options.detector} if options.detector else {}),
        **({"baselines": list(options.baselines)} if options.baselines else {}),
        **own_files(session.options.own_files),
        "ablation": options.ablate,
        "study": session.study.describe(),
        "tasks": [{**asdict(task), "title": task.title} for task in session.tasks],
        "data": {
            source.name: {
                "about": source.about,
                "train_images": source.train_images,
                "test_images": source.test_images,
                "digest": session.digests[source.name],
                "classes": list(source.classes),
            }
            for source in session.sources
        },
        "seeds": list(session.study.seeds),
        "fresh_seeds": list(session.study.fresh_seeds),
        "changes": {
            name: list(value) if name == "classes" else value
            for name, value in options.changes.items()
            if value is not None
        },
        "evaluate": options.evaluate,
        "score_meanings": {
            name: dict(baseline.detector.meanings)
            for name, baseline in session.study.baselines.items()
        },
        **_planned(session),
        "shortfalls": session.shortfalls,
        "backend": options.backend,
        "resources": {
            "cpus": options.cpus,
            "gpus": options.gpus or 0.0,
            "concurrent": session.concurrent,
        },
        "versions": versions(),
        "hardware": hardware(options.device),
        "runs": [],
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _continued(session: "Session") -> dict[str, Any]:
    """The stored description of the study, with what follows from more trials."""
    description = session.folder.read_study()
    budget = description["study"]["budget"]
    if budget["trials"] == session.study.budget.trials:
        return description
    if session.study.budget.trials > budget["trials"]:
        description.setdefault("changes", {})["trials"] = session.study.budget.trials
    budget["trials"] = session.study.budget.trials
    description["study"]["quotes"] = session.study.quotes
    description["shortfalls"] = session.shortfalls
    if "planned" in description:
        description |= _planned(session)
    return description


def _planned(session: "Session") -> dict[str, Any]:
    """The number of random trials at the start, or of trials per baseline if all are known."""
    plan = session.study.search.plan
    if plan.traits.adapts:
        baselines, trials = len(session.study.baselines), session.study.budget.trials
        return {"startup": plan.first_adaptive(baselines, trials)}
    planned = (session.study.planned or ())[: session.study.trials]
    return {"planned": dict(Counter(configuration.baseline for configuration in planned))}
