"""Data sets as uint8 tensors, the anomaly detection tasks on them, and their splits.

A data set is one file in `tune_ad/data/sets/` with a value `DATA_SET`, or a user's own
`<root>/<name>.npz`. Neither torchvision nor scikit-learn is imported before a data set needs it.
Names are loaded on first use, so that data sets can be looked up without importing torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "Arrays": "declaration",
    "Contents": "images",
    "DataSet": "declaration",
    "ImageSet": "images",
    "ImageStatistics": "image_statistics",
    "Images": "scaling",
    "NoSourceError": "declaration",
    "NpzHeader": "npz_headers",
    "Pool": "pool",
    "Registry": "declaration",
    "SCALINGS": "scaling",
    "ScaledImages": "scaling",
    "SourceError": "declaration",
    "Split": "splits",
    "SplitSizes": "splits",
    "Statistic": "image_statistics",
    "Task": "tasks",
    "Torchvision": "declaration",
    "against": "tasks",
    "available": "discovery",
    "canonical_name": "discovery",
    "check": "finding",
    "class_tasks": "tasks",
    "content_digest": "npz_files",
    "data_root": "finding",
    "find": "finding",
    "from_arrays": "images",
    "load": "fetch.sources",
    "locate": "finding",
    "npz_path": "finding",
    "one_class": "tasks",
    "read_npz": "npz_files",
    "scaled": "scaling",
    "split": "splits",
    "validate_npz_header": "npz_headers",
    "whole": "tasks",
    "without_copying": "scaling",
    "write_npz": "npz_files",
}
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


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load the module of a public name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tune_ad.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
