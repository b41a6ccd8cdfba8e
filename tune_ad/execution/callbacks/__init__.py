"""Callbacks that store and show results while a study runs, in the process that drives it."""

from tune_ad.execution.callbacks.announcer import Announcer
from tune_ad.execution.callbacks.base import Callback
from tune_ad.execution.callbacks.board import TensorBoardCallback
from tune_ad.execution.callbacks.progress import Ahead, ProgressBar
from tune_ad.execution.callbacks.records import RecordWriter

__all__ = ["Ahead", "Announcer", "Callback", "ProgressBar", "RecordWriter", "TensorBoardCallback"]
