"""Data sets as uint8 tensors, the anomaly detection tasks on them, and their splits.

A data set is one file in `tune_ad/data/sets/` with a value `DATA_SET`, or a user's own
`<root>/<name>.npz`. Neither torchvision nor scikit-learn is imported before a data set needs it.
"""

from tune_ad.data.declaration import (
    Arrays,
    DataSet,
    NoSourceError,
    Registry,
    SourceError,
    Torchvision,
)
from tune_ad.data.discovery import available, canonical_name
from tune_ad.data.fetch.sources import load
from tune_ad.data.finding import check, data_root, find, locate, npz_path
from tune_ad.data.image_statistics import ImageStatistics, Statistic
from tune_ad.data.images import Contents, ImageSet, from_arrays
from tune_ad.data.npz_files import content_digest, read_npz, write_npz
from tune_ad.data.npz_headers import NpzHeader, validate_npz_header
from tune_ad.data.pool import Pool
from tune_ad.data.scaling import SCALINGS, Images, ScaledImages, scaled, without_copying
from tune_ad.data.splits import Split, SplitSizes, split
from tune_ad.data.tasks import Task, against, class_tasks, one_class, whole

__all__ = [
    "SCALINGS",
    "Arrays",
    "Contents",
    "DataSet",
    "ImageSet",
    "ImageStatistics",
    "Images",
    "NoSourceError",
    "NpzHeader",
    "Pool",
    "Registry",
    "ScaledImages",
    "SourceError",
    "Split",
    "SplitSizes",
    "Statistic",
    "Task",
    "Torchvision",
    "against",
    "available",
    "canonical_name",
    "check",
    "class_tasks",
    "content_digest",
    "data_root",
    "find",
    "from_arrays",
    "load",
    "locate",
    "npz_path",
    "one_class",
    "read_npz",
    "scaled",
    "split",
    "validate_npz_header",
    "whole",
    "without_copying",
    "write_npz",
]
