"""Copies the records of a study among those of the page."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from analysis.evidence.entries import RECORDS
from analysis.quoted import results
from analysis.study import StudyRecords
from tune_ad.storage import score_ranks
from tune_ad.storage.folder import StudyFolder

MOST_WITH_VARIANTS = 40
"""The largest number of trials whose ranks by other scores are all copied. They are most of a
study's size, and only those of quoted results are used."""


def add(study: Path, folder: Path) -> Path:
    """Copy the records of a study, whole or as far as it has been run, in place of earlier ones.

    Left out are event files, kept models and reports, and of a study of more than 40 trials the
    ranks by score variants (see `tune_ad.storage.score_ranks`) of trials that are not quoted.

    Args:
        study: the folder of the study.
        folder: the folder of the results.

    Returns:
        the folder of the copy.

    Raises:
        UserError: if the folder contains no study, or damaged records.
    """
    source = StudyFolder(study)
    planned = source.read_study()["study"]["budget"]["trials"]
    trials = source.read_trials()  # before the files of trials, which a running study adds
    runs: list[tuple[str, int | None]] = [(record.identity, None) for record in trials]
    for record in source.read_evaluation():
        runs += [(record.identity, replica.seed) for replica in record.replicas]
    place, new = folder / RECORDS / study.name, folder / RECORDS / f".{study.name}"
    shutil.rmtree(new, ignore_errors=True)
    copy = StudyFolder(new)
    journals = [(a.path, b.path) for a, b in zip(source.journals, copy.journals, strict=True)]
    for old, now in [(source.study, copy.study), *journals, *_details(source, copy, runs)]:
        if old.exists():
            now.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old, now)
    if planned > MOST_WITH_VARIANTS:
        quoted = {r.identity for result in results(StudyRecords.read(new)) for r in result.tested}
        for run in runs:
            if run[0] not in quoted:
                _leave_out_variants(copy, run)
    if place.exists():
        shutil.rmtree(place)
    return new.rename(place)


def _details(
    source: StudyFolder, copy: StudyFolder, runs: list[tuple[str, int | None]]
) -> Iterator[tuple[Path, Path]]:
    """The files of each run, and where they go."""
    for run in runs:
        yield source.details(*run), copy.details(*run)
        yield source.ranks(*run), copy.ranks(*run)


def _leave_out_variants(copy: StudyFolder, run: tuple[str, int | None]) -> None:
    ranks = copy.read_ranks(*run)
    if any(part.variants for part in ranks.values()):
        fewer = {name: replace(part, variants={}) for name, part in ranks.items()}
        copy.ranks(*run).write_bytes(score_ranks.to_bytes(fewer))
