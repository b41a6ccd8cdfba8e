"""Which test images the kept models judge best and worst, and where their codes lie."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tune_ad.errors import UserError
from tune_ad.models.conformal import Scores, Threshold
from tune_ad.models.ensemble import Ensemble
from tune_ad.models.heatmaps import RECONSTRUCTION, heatmaps
from tune_ad.models.member import Member
from tune_ad.sampling import evenly_spaced
from tune_ad.storage.examples import ANOMALIES, NORMAL, NORMALS, RANDOM, Codes, Row, TaskExamples

IMAGES = 8
"""The number of images of a row."""
LARGEST = 64
"""Images with a longer side are reduced to this many pixels."""
BINS = 60
CODES = 250
"""The largest number of normal images, and of anomalies, whose codes are drawn."""
PERPLEXITY = 30.0
"""Of t-SNE, which needs more than three times as many images."""
MOST_DIMENSIONS = 512
"""Codes of more dimensions are not stored themselves."""
SPRITE = 24
"""The images of codes with a longer side are reduced to this many pixels."""
PCA_NAME, TSNE_NAME = "PCA", "t-SNE"


class Judged(NamedTuple):
    """The test images of a task, and their scores by the ensemble.

    Attributes:
        task: the name of the task.
        outsider: the name of the set of anomalies; empty for the other classes.
        pixels: all images, uint8, shape (N, c, h, w).
        labels: the class of each within its data set, shape (N,).
        normal: the positions of the normal images, shape (n,).
        anomalous: the positions of the anomalies, shape (m,).
        normal_scores: the scores of the normal images, shape (n,).
        anomalous_scores: the scores of the anomalies, shape (m,).
        limit: the threshold; None if there is none.
    """

    task: str
    outsider: str
    pixels: Tensor
    labels: NDArray[np.int64]
    normal: Tensor
    anomalous: Tensor
    normal_scores: Scores
    anomalous_scores: Scores
    limit: Threshold | None


def examples(ensemble: Ensemble, judged: Judged, stream: np.random.Generator) -> TaskExamples:
    """What the report shows of a task.

    Args:
        ensemble: the models of the task.
        judged: its test images.
        stream: random numbers that choose the random images.
    """
    n, m = len(judged.normal), len(judged.anomalous)
    scores = np.concatenate([judged.normal_scores, judged.anomalous_scores])
    positions = torch.cat([judged.normal, judged.anomalous])
    by_score = np.argsort(scores, kind="stable")
    chosen = {
        NORMALS: by_score[by_score < n][::-1][:IMAGES],
        ANOMALIES: by_score[by_score >= n][:IMAGES],
        RANDOM: stream.permutation(n + m)[:IMAGES],
    }
    rows = {
        name: _row(ensemble, judged, positions[at.copy()], scores[at], at >= n)
        for name, at in chosen.items()
    }
    edges = _edges(scores)
    groups = {NORMAL: judged.normal_scores, "anomalies": judged.anomalous_scores}
    limit = judged.limit
    values = (limit.value, limit.wished, limit.rate, limit.images) if limit else [np.nan] * 4
    above = (judged.anomalous_scores > limit.value).mean() if limit and m else np.nan
    return TaskExamples(
        task=judged.task,
        outsider=judged.outsider,
        rows=rows,
        edges=edges,
        counts={name: np.histogram(of_group, edges)[0] for name, of_group in groups.items()},
        threshold=np.array(values, dtype=float),
        alarms=float(above),
        codes=_codes(ensemble.members[0], judged),
    )


def _edges(scores: Scores) -> NDArray[np.float64]:
    """The edges of bins over all scores; equal scores have a bin around them."""
    low, high = float(scores.min()), float(scores.max())
    least = BINS * float(np.spacing(max(abs(low), abs(high), 1e-300)))
    pad = least if high - low < least else 0.0
    return np.linspace(low - pad, high + pad, BINS + 1)


def _row(
    ensemble: Ensemble,
    judged: Judged,
    positions: Tensor,
    scores: Scores,
    is_anomaly: NDArray[np.bool_],
) -> Row:
    """Images with their scores, and what the models make of them."""
    pixels = judged.pixels[positions]
    made = _reconstructions(ensemble.members[0], pixels)
    return Row(
        images=_picture(pixels),
        scores=scores,
        is_anomaly=is_anomaly,
        classes=judged.labels[positions.numpy()],
        reconstructions=None if made is None else _picture(made),
        maps=_maps(ensemble, pixels),
    )


@torch.no_grad()
def _reconstructions(member: Member, pixels: Tensor) -> Tensor | None:
    """What a model makes of images, uint8; None if it reconstructs nothing."""
    images, _ = member.prepared(pixels)
    made = member.module.illustrate(images).get(RECONSTRUCTION)
    return None if made is None else (255 * made.clamp(0, 1)).round().to(torch.uint8)


def _maps(ensemble: Ensemble, pixels: Tensor) -> NDArray[np.uint8] | None:
    try:
        maps = heatmaps(ensemble, pixels)
    except UserError:  # a fitted estimator has none
        return None
    return _picture((255 * torch.from_numpy(maps).clamp(0, 1)).round()[:, None].to(torch.uint8))


def _picture(pixels: Tensor, largest: int = LARGEST) -> NDArray[np.uint8]:
    """Images for the eye: (k, h, w) or (k, h, w, 3), with sides of at most so many pixels."""
    height, width = pixels.shape[-2:]
    shrink = max(height, width) / largest
    if shrink > 1:
        size = max(1, round(height / shrink)), max(1, round(width / shrink))
        small = functional.interpolate(pixels.float(), size=size, mode="area")
        pixels = small.round().clamp(0, 255).to(torch.uint8)
    if pixels.shape[1] == 1:
        return pixels[:, 0].numpy()
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


@torch.no_grad()
def _codes(member: Member, judged: Judged) -> Codes | None:
    """The codes of a sample of the images; None if the detector has none, or too few images."""
    sides = (judged.normal, judged.anomalous)
    groups = [side[evenly_spaced(len(side), CODES)] for side in sides]
    positions = torch.cat(groups)
    if len(positions) < 3:
        return None
    images, _ = member.prepared(judged.pixels[positions])
    codes = member.module.codes(images)
    values = np.empty((0, 0)) if codes is None else codes.flatten(1).double().numpy()
    if values.shape[1] < 2 or not np.isfinite(values).all():
        return None
    explained, places = _in_two_dimensions(values)
    with np.errstate(over="ignore"):
        stored = values.astype(np.float32)
    is_stored = values.shape[1] <= MOST_DIMENSIONS and bool(np.isfinite(stored).all())
    return Codes(
        is_anomaly=np.repeat([False, True], list(map(len, groups))),
        classes=judged.labels[positions.numpy()],
        dimensions=values.shape[1],
        explained=explained,
        positions=places,
        values=stored if is_stored else None,
        images=_picture(judged.pixels[positions], SPRITE) if is_stored else None,
    )


def _in_two_dimensions(
    codes: NDArray[np.float64],
) -> tuple[NDArray[np.float64], Mapping[str, NDArray[np.float64]]]:
    """The shares of variance of two principal components, and the positions by each method."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    analysis = PCA(2, svd_solver="full")
    places = {PCA_NAME: analysis.fit_transform(codes)}
    if len(codes) > 3 * PERPLEXITY:
        embedding = TSNE(perplexity=PERPLEXITY, init="pca", random_state=0)
        places[TSNE_NAME] = embedding.fit_transform(codes).astype(float)
    explained = np.nan_to_num(analysis.explained_variance_ratio_)  # 0 / 0 of equal codes
    return explained, places
