"""What a study has still to train: trials of the search, and the winner on fresh seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tune_ad.search.budgets import FIRST_FRESH_SEED
from tune_ad.search.selection import ranked
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import TrialRecord


class Retraining(NamedTuple):
    """The final evaluation of a study, as far as it has not been recorded yet.

    Attributes:
        number: number of the winning trial.
        seeds: fresh seeds that are missing, by their position among all fresh seeds.
        finished: records of the fresh seeds that are not missing.
    """

    number: int
    seeds: Mapping[int, int]
    finished: Sequence[TrialRecord]


def missing_evaluation(
    folder: StudyFolder, selection: str, fresh_seeds: Sequence[int]
) -> Retraining | None:
    """The final evaluation that is missing; None if no complete trial can be selected.

    Args:
        folder: folder of the study.
        selection: name of the selection rule.
        fresh_seeds: all seeds of the final evaluation.
    """
    complete = ranked(folder.read_trials(), selection)
    if not complete:
        return None
    winner = complete[0]
    finished = [
        record for record in folder.read_evaluation() if record.identity == winner.identity
    ]
    trained = {record.replicas[0].seed for record in finished}
    seeds = {k: seed for k, seed in enumerate(fresh_seeds) if seed not in trained}
    return Retraining(winner.number, seeds, finished)


def progress(folder: StudyFolder) -> str:
    """The budget of a stored study, and how many of its trials have finished."""
    study = folder.read_study()["study"]
    planned, ended = study["budget"]["trials"], len(folder.read_trials())
    trials = "trial" if planned == 1 else "trials"
    return f"{study['budget_name']}, {ended} of {planned} {trials} done"


def unfinished(folder: StudyFolder, evaluate: bool) -> bool:
    """Whether trials of a stored study, or seeds of its final evaluation, are missing.

    Args:
        folder: folder of the study.
        evaluate: whether the final evaluation is wanted.
    """
    study = folder.read_study()["study"]
    if len(folder.read_trials()) < study["budget"]["trials"]:
        return True
    if not evaluate:
        return False
    fresh = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + study["budget"]["evaluation_seeds"])
    missing = missing_evaluation(folder, study["selection"], fresh)
    return missing is not None and bool(missing.seeds)
