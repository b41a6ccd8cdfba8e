"""What a trial says after an evaluation interval, and between two of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tune_ad.data.groups import Groups
from tune_ad.storage.metric import Metric, Values
from tune_ad.storage.records import TrialRecord
from tune_ad.training.artifacts import Steps
from tune_ad.training.scoring import ScoreKey


@dataclass(frozen=True)
class Progress:
    """How far a trial is between two reports.

    Attributes:
        epochs: finished by the mean replica, over all stages; a fraction while some have trained
            further than others.
    """

    epochs: float


@dataclass(frozen=True)
class Report:
    """What a trial says after an evaluation interval.

    Attributes:
        epoch: epochs finished.
        epochs: epochs in all.
        objective: by the study's rule, larger = better; None where it has nothing to look at.
        learning_rate: of the last epoch.
        metrics: one number per replica.
        scores: of held-out images of the first seed, by task and component of the score: those of
            normal images and of each set of outsiders.
        steps: of the interval: what the detector tells at every step.
        pictures: by task, what the detector makes of held-out normals; at the end only.
        done: whether the trial is over.
        record: of the trial as it stands.
        details: curves and histograms so far; at the end what is told at every step, thinned.
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
