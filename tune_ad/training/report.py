"""Messages of a trial: `Progress` while it trains, `Report` after each evaluation interval."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tune_ad.data.groups import Groups
from tune_ad.storage.metric import Metric, Values
from tune_ad.storage.records import TrialRecord
from tune_ad.training.artifacts import Steps
from tune_ad.training.scoring import ScoreKey


@dataclass(frozen=True)
class Progress:
    """The progress of a trial between two reports.

    Attributes:
        epochs: the number of finished epochs of all stages, averaged over replicas.
    """

    epochs: float


@dataclass(frozen=True)
class Report:
    """The results of a trial after an evaluation interval.

    Attributes:
        epoch: the number of finished epochs.
        epochs: the number of epochs in total.
        objective: the value of the study's selection rule, larger = better; None if it has no data
            or a replica has failed.
        learning_rate: the learning rate of the last epoch.
        metrics: one number per replica.
        scores: a sample of the scores that are shown as histograms, and of their components: those
            of the first replica of each task, of test images if validation has fewer groups.
        steps: the values of the interval of the terms that are recorded at every step.
        pictures: normal validation images and their reconstructions, by task; only in the last
            report.
        done: whether the trial is finished.
        record: the record of the trial so far.
        details: the curves so far and the histograms; in the last report also a sample of the
            values at every step.
        ranks: the content of the file with the ranks of the scores; empty before the last report.
        models: the contents of the files of the models, by name below the folder of the trial, if
            they are kept; empty before the last report.
    """

    epoch: int
    epochs: int
    objective: float | None
    learning_rate: float
    metrics: dict[Metric, Values]
    scores: dict[ScoreKey, Groups[np.ndarray]]
    steps: dict[str, Steps]
    pictures: dict[str, dict[str, np.ndarray]]
    done: bool
    record: TrialRecord
    details: dict[str, Any]
    ranks: bytes = b""
    models: dict[str, bytes] = field(default_factory=dict)
