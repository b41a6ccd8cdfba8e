"""Precision and recall as TensorBoard draws them."""

from typing import Any

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.pr_curve.metadata import create_summary_metadata
from tensorboard.util.tensor_util import make_tensor_proto

POINTS = 101
ABOUT = (
    "Anomalies are the positive images. The points are even in recall: what TensorBoard calls "
    "the threshold is the share of the anomalies below it."
)


def precision_recall(normal: npt.ArrayLike, anomalous: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Counts, precision and recall at thresholds between which recall falls in even steps.

    Threshold i of 0 to 100 is the score that a share of 1 - i / 100 of the anomalies, at least
    one of them, has or exceeds; an image is positive if its score is not below it.

    Args:
        normal: scores of normal images, or their ranks, shape (n,); larger = more anomalous.
        anomalous: those of anomalies, shape (m,), with m > 0.

    Returns:
        True positives, false positives, true negatives, false negatives, precision and recall,
        shape (6, 101).

    Raises:
        ValueError: there is no anomaly, or a score is NaN.
    """
    low, high = (np.sort(np.asarray(a, dtype=np.float64).ravel()) for a in (normal, anomalous))
    if not len(high) or np.isnan(low).any() or np.isnan(high).any():
        raise ValueError(f"precision and recall need scores of anomalies, got {len(high)}")
    wanted = np.ceil(np.linspace(1, 0, POINTS) * len(high) - 1e-9).astype(int).clip(1)
    limits = high[len(high) - wanted]
    found = len(high) - np.searchsorted(high, limits)
    wrong = len(low) - np.searchsorted(low, limits)
    rows = found, wrong, len(low) - wrong, len(high) - found
    return np.stack([*rows, found / (found + wrong), found / len(high)])


def summary_value(tag: str, curve: npt.NDArray[np.float64]) -> Any:  # noqa: ANN401
    """A curve of `precision_recall` as a value of a summary."""
    about = create_summary_metadata(display_name="", description=ABOUT, num_thresholds=POINTS)
    tensor = make_tensor_proto(curve.astype(np.float32))
    return Summary.Value(tag=tag, tensor=tensor, metadata=about)
