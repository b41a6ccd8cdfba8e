"""Event files for TensorBoard: trials while they run, and a HPARAMS table of several detectors.

One event file in the study's folder declares the columns of the table: every hyperparameter of
every detector, and every metric. TensorBoard reads only one such declaration. The folder of each
trial contains its row, which exists from the start of the trial, and its curves, histograms,
images and texts. To view a study: ``tensorboard --logdir <study>``.
"""

from tune_ad.tensorboard.board import TrialBoard, write_study
from tune_ad.tensorboard.domains import (
    Choices,
    Domain,
    Interval,
    Unknown,
    domains_of,
    merge_domains,
)

__all__ = [
    "Domain",
    "Interval",
    "TrialBoard",
    "Unknown",
    "Choices",
    "domains_of",
    "merge_domains",
    "write_study",
]
