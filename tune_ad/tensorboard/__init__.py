"""Event files for TensorBoard: live trials, and an HPARAMS table that spans several detectors.

One record in the study's folder declares every hyperparameter of every detector and every metric
(TensorBoard believes one such record only); each trial's folder holds a row of that table, present
from the trial's first second, next to its curves, histograms, pictures and remarks.
Point TensorBoard at one study: ``tensorboard --logdir <study>``.
"""

from tune_ad.tensorboard.board import TrialBoard, write_study
from tune_ad.tensorboard.domains import (
    Domain,
    Interval,
    Unknown,
    Values,
    domains_of,
    merge_domains,
)

__all__ = [
    "Domain",
    "Interval",
    "TrialBoard",
    "Unknown",
    "Values",
    "domains_of",
    "merge_domains",
    "write_study",
]
