"""Event files for TensorBoard: trials while they run, and a HPARAMS table of several detectors.

Event files in the study's folder declare the columns of the table, every hyperparameter of every
detector and every metric, and what the Custom Scalars tab shows in one chart. TensorBoard reads
only one such declaration of columns. The folder of each trial contains its row, which exists from
the start of the trial, and its curves, images and texts. To view a study:
``tensorboard --logdir <study>``.
"""

from tune_ad.tensorboard.board import TrialBoard
from tune_ad.tensorboard.domains import (
    Choices,
    Domain,
    Interval,
    Unknown,
    domains_of,
    merge_domains,
)
from tune_ad.tensorboard.layout import Band, Chart, Rest
from tune_ad.tensorboard.pictures import aligned, without_grey_axis
from tune_ad.tensorboard.run_names import run_name
from tune_ad.tensorboard.score_picture import Panel
from tune_ad.tensorboard.study import write_layout, write_study

__all__ = [
    "Band",
    "Chart",
    "Domain",
    "Interval",
    "Panel",
    "Rest",
    "TrialBoard",
    "Unknown",
    "Choices",
    "aligned",
    "domains_of",
    "merge_domains",
    "run_name",
    "without_grey_axis",
    "write_layout",
    "write_study",
]
