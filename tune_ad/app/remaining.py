"""What a study has still to train: trials of the search, and the winner on fresh seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tune_ad.selection import ranked
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count


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


def is_complete(
    folder: StudyFolder, trials: int, selection: str, fresh_seeds: Sequence[int]
) -> bool:
    """Whether neither a trial nor a seed of the final evaluation is missing.

    Args:
        folder: folder of the study.
        trials: number of trials that the study has.
        selection: name of the selection rule.
        fresh_seeds: seeds of the final evaluation; none if it is not wanted.
    """
    if len(folder.read_trials()) < trials:
        return False
    missing = missing_evaluation(folder, selection, fresh_seeds) if fresh_seeds else None
    return missing is None or not missing.seeds


def progress(folder: StudyFolder) -> str:
    """The budget of a stored study, and how many of its trials have finished."""
    study = folder.read_study()["study"]
    planned, ended = study["budget"]["trials"], len(folder.read_trials())
    return f"{study['budget_name']}, {ended} of {count(planned, 'trial')} done"
