"""Keeps the winner: its models of the evaluation, with thresholds, in the folder `best/`."""

import errno
import os
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tune_ad.app.provenance import hardware, versions
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError, one_line
from tune_ad.execution.time_limit import FACTOR, LEAST_SECONDS
from tune_ad.models.building import Making, Source, build
from tune_ad.models.folder import Description, ModelFolder
from tune_ad.search.catalogue import plain_name
from tune_ad.selection import RULES, ranked
from tune_ad.signals import alarm
from tune_ad.storage.examples import to_bytes
from tune_ad.storage.kept_models import check_files
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

if TYPE_CHECKING:
    from tune_ad.app.session import Session


USUAL_RATE = 0.05


class NotKeptError(Exception):
    """The winner's models cannot be kept; the message has the reason and the remedy."""


def keep_best(session: "Session") -> list[str]:
    """Write `best/` and `examples.npz` anew, unless they are up to date; lines for the user.

    The winner is the trial that the selection rule ranks first, also if each baseline has a
    winner. Its models are those of the fresh seeds of which no model has failed.

    Raises:
        NotKeptError: if that fails or hangs; the line says why, and how to mend it.
        OSError: if the folder cannot be written.
    """
    sources = _sources(session)
    if session.study.keep_models == "none" or not sources:
        return []
    existing = _existing(session)
    rate = session.options.false_alarms or _wished(existing) or USUAL_RATE
    is_whole = os.path.lexists(session.folder.examples)
    if existing and is_whole and _is_current(existing, sources, rate):
        return []
    best = session.folder.best
    if os.path.lexists(best) and not best.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(best))
    models = count(len(sources) * len(session.tasks), "model")
    session.say(f"{session.study.name}: computing the thresholds of {models} ...")
    making = Making(
        study=session.study,
        suite=session.suite,
        preprocessing=session.preprocessing,
        classes=session.sources[0].classes,
        false_alarms=rate,
        provenance=_provenance(session, sources[0].record),
    )
    try:
        with alarm(_seconds(session, sources), "the winner's models cannot be kept"):
            built = build(best, making, sources)
        identity = sources[0].record.identity
        write_atomically(session.folder.examples, to_bytes(built.examples, identity))
        return [*_lines(built.description), *built.faults]
    except TimeoutError as error:
        raise NotKeptError(
            f"the winner's models are not kept: scoring with them has failed: {error}; "
            "correct the detector, or set --trial-timeout, and run the same command again"
        ) from error
    except OSError:
        raise
    except Exception as error:  # a detector is a user's own code and may raise anything
        raise NotKeptError(
            f"the winner's models are not kept: scoring with them raised {one_line(error)}; "
            "correct the detector, and run the same command again"
        ) from error


def _sources(session: "Session") -> list[Source]:
    """The kept models of the winner's complete seeds, in the order of the seeds.

    Those that are trained in parallel end in any order.
    """
    folder, study = session.folder, session.study
    if not (study.winners and study.chooses):
        return []
    winner = next(iter(ranked(folder.read_trials(), study.selection)), None)
    if winner is None:
        return []
    models = folder.models(winner.identity)
    sources = [
        Source(record, models / f"seed-{record.replicas[0].seed}")
        for record in sorted(folder.read_evaluation(), key=attrgetter("number"))
        if record.identity == winner.identity and record.state == "complete"
    ]
    return [source for source in sources if source.folder.is_dir()]


def _seconds(session: "Session", sources: list[Source]) -> float:
    """How long the detector may take: as long as the trials of the models may have taken."""
    minutes = session.options.trial_timeout
    if minutes is not None:
        return 60 * minutes * len(sources)
    return max(LEAST_SECONDS, FACTOR * sum(source.record.seconds for source in sources))


def _existing(session: "Session") -> Description | None:
    """The description of the kept model; None if there is none, or a damaged one."""
    try:
        check_files(session.folder.best)
        return ModelFolder(session.folder.best).description
    except UserError:  # it is written anew
        return None


def _wished(description: Description | None) -> float | None:
    """The rate of false alarms of a kept model; None if it has no threshold."""
    limit = description.tasks[0].threshold if description else None
    return limit.wished if limit else None


def _is_current(description: Description, sources: list[Source], rate: float) -> bool:
    """Whether a kept model holds the models of these records, for a rate of false alarms."""
    seeds = {source.record.replicas[0].seed for source in sources}
    return (
        description.provenance.get("identity") == sources[0].record.identity
        and {member.seed for member in description.tasks[0].members} == seeds
        and _wished(description) in (None, rate)
    )


def _provenance(session: "Session", record: TrialRecord) -> dict[str, Any]:
    """What `model.json` says about the origin of the model."""
    study, machine = session.study, hardware(session.options.device)
    return {
        "study": study.name,
        "search": plain_name(session.options.search),
        "data": study.data_set,
        "about": session.sources[0].about,
        "digest": session.digests[study.data_set],
        "trial": record.number,
        "baseline": record.baseline,
        "identity": record.identity,
        "rule": RULES[study.selection].title,
        "versions": versions(),
        "hardware": machine["gpu"] or machine["processor"],
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _lines(description: Description) -> list[str]:
    """What is said of a kept model."""
    lines = []
    for task in description.tasks:
        if task.threshold is None:
            continue
        limit = task.threshold
        if not limit.is_met:
            lines.append(f"{task.title}: {limit.shortfall}")
    return lines
