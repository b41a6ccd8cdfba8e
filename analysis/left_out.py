"""What is damaged or lacking in the folder of a study, so that a report leaves it out.

Journals and `study.json` that cannot be read are refused instead (`StudyRecords.read`), because
nothing can be said without them. Files that the version of the study did not write are not missed.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.jsonl import JsonLines
from tune_ad.storage.kept_models import DESCRIPTION, check_files
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

NAMED = 5  # files that are named before "and n more"
TITLE = "Left out of this report, because it is damaged or lacking:"
EFFECT = (
    "What needs these files is missing or less exact: histograms, ensembles, label curves, and "
    "intervals that cover the sampling of images"
)


def left_out(study: StudyRecords) -> list[str]:
    """What is damaged or lacking, in sentences without a full stop; empty if nothing is.

    Args:
        study: the records, of which files are looked for.
    """
    unfit = [
        f"{misfit.file.path.relative_to(study.folder.path)}, line {misfit.line}: {misfit.fault}"
        for misfit in study.misfits
    ]
    of_records = [
        *_of_records(study, study.trials, fresh=False),
        *_of_records(study, study.evaluation, fresh=True),
    ]
    lines = _named(of_records, "more file", " of trials")
    if of_records:
        lines[-1] += f". {EFFECT}"
    return [
        *_named(unfit, "more record"),
        *lines,
        *_journals(study),
        *_kept_model(study),
        *_tensorboard(study),
    ]


def _named(lines: Sequence[str], noun: str, rest: str = "") -> list[str]:
    """The first lines, and how many there are more."""
    more = len(lines) - NAMED
    return [*lines[:NAMED], *([f"and {count(more, noun)}{rest}"] if more > 0 else [])]


def paragraph(lines: Sequence[str]) -> Iterator[str]:
    """What is left out as a paragraph with a list; none if nothing is.

    Args:
        lines: the result of `left_out`.
    """
    if lines:
        yield "\n".join([TITLE, *(f"- {line}" for line in lines)])


def _of_records(study: StudyRecords, records: Sequence[TrialRecord], fresh: bool) -> Iterator[str]:
    """The damaged and lacking files of trials, or of the evaluation: details, then ranks."""
    for record in records:
        for path, fault in study.file_faults(record, fresh):
            yield f"{path.relative_to(study.folder.path)} (trial {record.number}): {fault}"


def _journals(study: StudyRecords) -> Iterator[str]:
    """The last lines that are cut, and the journal of trials if it is gone."""
    folder = study.folder
    if folder.is_locked():
        return  # lines are being written
    for journal in folder.journals:
        if journal.is_cut:
            yield f"{journal.path.relative_to(folder.path)}: its last line is cut"
    yield from _without_record(study, folder.trials, study.trials, fresh=False)
    yield from _without_record(study, folder.evaluation, study.evaluation, fresh=True)
    unfit = sum(misfit.file.path == folder.trials.path for misfit in study.misfits)
    if study.begun is not None and (ended := len(study.trials) + unfit) > study.begun:
        yield (
            f"{folder.suggested.path.name} has only {study.begun} of the {ended} configurations "
            "that have ended"
        )


def _without_record(
    study: StudyRecords, journal: JsonLines, records: Sequence[TrialRecord], fresh: bool
) -> Iterator[str]:
    """The number of results whose record is gone from the journal, if there are some."""
    place = (study.folder.path / "evaluation") if fresh else (study.folder.path / "trials")
    unfit = (m.record for m in study.misfits if m.record and m.file.path == journal.path)
    known = {study.details_path(record, fresh) for record in [*records, *unfit]}
    if lost := len({*place.glob("*.json")} - known):
        yield (
            f"{journal.path.relative_to(study.folder.path)} has no record of "
            f"{count(lost, 'result')} in {place.name}/; restore it from a backup, or train "
            "again with --resume"
        )


def _kept_model(study: StudyRecords) -> Iterator[str]:
    """What is damaged in `best/`, or lacking if it was written."""
    best = study.folder.best
    if study.retrains and not study.evaluation and (best / DESCRIPTION).is_file():
        yield "evaluation/ has no record, but best/ holds the models of an evaluation"
    if not os.path.lexists(best):
        if any(study.folder.models(name).is_dir() for name in _evaluated(study)):
            yield "best/ does not exist; --resume writes it again"
        return
    try:
        check_files(best)
    except UserError as error:
        yield f"{error}, or write it again with --resume".replace(f"{study.folder.path}/", "")


def _evaluated(study: StudyRecords) -> Iterator[str]:
    """The identities of the winners whose evaluation is over and has complete models."""
    if study.folder.is_locked():
        return
    planned = study.budget["evaluation_seeds"]
    for identity, seeds in Counter(record.identity for record in study.evaluation).items():
        if seeds >= planned:
            yield identity


def _tensorboard(study: StudyRecords) -> Iterator[str]:
    if not study.keeps_files or not study.trials:
        return
    if not study.folder.tensorboard.exists():
        return  # records that were copied without it
    if not any(study.folder.tensorboard.glob("*/events.*")):
        yield "tensorboard/ has no event files, so TensorBoard shows nothing of this study"
