"""What a study has still to train: trials of the search, and the winners on fresh seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tune_ad.selection import winners
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.plan_traits import PlanTraits
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count


class Retraining(NamedTuple):
    """The final evaluation of a winner, as far as it has not been recorded yet.

    Attributes:
        number: number of the winning trial.
        seeds: fresh seeds that are missing, by the number of their trial in the evaluation.
        finished: records of the fresh seeds that are not missing.
    """

    number: int
    seeds: Mapping[int, int]
    finished: Sequence[TrialRecord]


def missing_evaluations(
    folder: StudyFolder, selection: str, fresh_seeds: Sequence[int]
) -> list[Retraining]:
    """The final evaluation of each winner; empty if no complete trial can be selected.

    The baselines have a winner each if they take turns; otherwise there is a single winner.

    Args:
        folder: folder of the study.
        selection: name of the selection rule.
        fresh_seeds: all seeds of the final evaluation.
    """
    study = folder.read_study()["study"]
    trials, evaluation = folder.read_trials(), folder.read_evaluation()
    missing = []
    groups = PlanTraits(**study["plan"]["traits"]).competing([*study["baselines"]])
    for place, winner in winners(trials, selection, groups):
        finished = [record for record in evaluation if record.identity == winner.identity]
        trained = {record.replicas[0].seed for record in finished}
        first = place * len(fresh_seeds)
        seeds = {first + k: seed for k, seed in enumerate(fresh_seeds) if seed not in trained}
        missing.append(Retraining(winner.number, seeds, finished))
    return missing


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
    missing = missing_evaluations(folder, selection, fresh_seeds) if fresh_seeds else []
    return not any(retraining.seeds for retraining in missing)


def progress(folder: StudyFolder) -> str:
    """The budget of a stored study, and how many of its trials have finished."""
    study = folder.read_study()["study"]
    planned, ended = study["budget"]["trials"], len(folder.read_trials())
    return f"{study['budget_name']}, {ended} of {count(planned, 'trial')} done"
