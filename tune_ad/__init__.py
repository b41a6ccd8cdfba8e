"""Hyperparameter search and ablation for deep anomaly detection, with honest selection."""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AnomalyDetector": "tune_ad.models.estimator",
    "Detector": "tune_ad.detectors.base",
    "ImageSet": "tune_ad.data",
    "ReplicaSet": "tune_ad.training.replicas.replica_set",
    "ReplicaSpec": "tune_ad.training.replicas.replica",
    "Search": "tune_ad.search",
    "UserError": "tune_ad.errors",
    "load": "tune_ad.data",
    "run": "tune_ad.app.programs",
}
__all__ = sorted(_HOMES)  # noqa: PLE0604


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name on first use, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tune_ad' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
