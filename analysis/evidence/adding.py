"""Packs the records of a study among those of the page."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from analysis.evidence.archives import archive, pack, unpacked
from analysis.evidence.entries import RECORDS
from analysis.quoted import results
from analysis.study import StudyRecords
from tune_ad.atomic import temporary_folder
from tune_ad.errors import UserError
from tune_ad.storage import score_ranks
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import is_component

Run = tuple[str, int | None]
"""The identity of a trial, and the seed if it is the winner on a fresh seed."""


def add(study: Path, folder: Path) -> Path:
    """Pack the records of a study, whole or as far as it has been run, in place of earlier ones.

    Left out are event files, kept models, examples of images and reports; and, unless the study
    tests a claim, of trials that are not quoted the ranks by score variants (see
    `tune_ad.storage.score_ranks`), which are most of the size. Those by a part of the score are
    kept where trials are compared by one changed parameter, since reports compare them by each
    part; verdicts on claims are by several scores of all trials.

    Args:
        study: the folder of the study.
        folder: the folder of the results.

    Returns:
        the archive.

    Raises:
        UserError: if the folder contains no study or damaged records, or the results have another
            study of that name, or more of this one.
        OSError: if a file cannot be read or written.
    """
    source = StudyFolder(study.resolve())
    _check_earlier(source, folder / RECORDS)
    with temporary_folder() as place:
        copy = place / source.path.name
        _copy(source, StudyFolder(copy))
        return pack(copy, folder / RECORDS)


def _check_earlier(source: StudyFolder, records: Path) -> None:
    """Refuse to replace records of another study, or more of the same one.

    Raises:
        UserError: with both.
    """
    begun, name = source.read_study().get("created"), source.path.name
    place = archive(records, name)
    if not place.exists():
        return
    with unpacked(records, name) as folder:
        earlier = StudyFolder(folder / name)
        there, kept = earlier.read_study().get("created"), len(earlier.read_trials())
    if there != begun:
        raise UserError(
            f"{place} has the records of another study, begun {there}, not of that begun {begun}; "
            "remove it, or rename the folder of this study"
        )
    ended = len(source.read_trials())
    if ended < kept:
        raise UserError(f"{source.path} has {ended} trials, but {place} has {kept} of them")


def _copy(source: StudyFolder, copy: StudyFolder) -> None:
    # The journals first: of every trial that they name, the other files are complete.
    journals = [(a.path, b.path) for a, b in zip(source.journals, copy.journals, strict=True)]
    _copy_files([(source.study, copy.study), *journals])
    runs: list[Run] = [(record.identity, None) for record in copy.read_trials()]
    for record in copy.read_evaluation():
        runs += [(record.identity, replica.seed) for replica in record.replicas]
    _copy_files(_details(source, copy, runs))
    records = StudyRecords.read(copy.path)
    if records.claim is not None:
        return
    quoted = {r.identity for result in results(records) for r in result.tested}
    for run in runs:
        if run[0] not in quoted:
            _leave_out_variants(copy, run, keeps_parts=records.plan.changes_single_parameters)


def _copy_files(pairs: Iterable[tuple[Path, Path]]) -> None:
    for old, now in pairs:
        if old.exists():
            now.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old, now)


def _details(
    source: StudyFolder, copy: StudyFolder, runs: list[Run]
) -> Iterator[tuple[Path, Path]]:
    """The files of each run, and where they go."""
    for run in runs:
        yield source.details(*run), copy.details(*run)
        yield source.ranks(*run), copy.ranks(*run)


def _leave_out_variants(copy: StudyFolder, run: Run, keeps_parts: bool) -> None:
    ranks = copy.read_ranks(*run)
    if any(part.variants for part in ranks.values()):
        kept = {
            key: {n: v for n, v in part.variants.items() if keeps_parts and is_component(n)}
            for key, part in ranks.items()
        }
        fewer = {key: replace(part, variants=kept[key]) for key, part in ranks.items()}
        copy.ranks(*run).write_bytes(score_ranks.to_bytes(fewer))
