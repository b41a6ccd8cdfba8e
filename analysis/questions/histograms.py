"""Histograms of the scores of normals and outsiders, as the details of a study keep them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.quoted import Result
from analysis.study import StudyRecords

MOST = 10  # tasks in one figure
COLUMNS = 2
NORMAL, REST = "normal", "rest"


class Histogram(NamedTuple):
    """The scores of one model on the test images of its task.

    Attributes:
        task: name of the task.
        edges: of the bins, in the units of the score.
        densities: of each side, "normal" first: share of its images per unit of the score. A side
            without an image is not there.
        counts: images of each side.
    """

    task: str
    edges: np.ndarray
    densities: dict[str, np.ndarray]
    counts: dict[str, int]


class Found(NamedTuple):
    """The histograms of a quoted configuration.

    Attributes:
        baseline: of the configuration.
        seed: of the models, one per task.
        histograms: one per task; empty where there are none.
        lost: why there are none; empty where there are some.
        images: "test images", or "held-out images" in records that keep only those.
    """

    baseline: str
    seed: int
    histograms: list[Histogram]
    lost: str
    images: str = "held-out images"


def histograms(study: StudyRecords, result: Result) -> Found:
    """The score histograms of a quoted configuration, of its first complete seed.

    Models of different seeds have scores of different scale, so they are not pooled.
    """
    whole = [record for record in result.tested if record.state == "complete"]
    record = min(whole or result.tested, key=lambda each: each.replicas[0].seed)
    seed = record.replicas[0].seed
    key = seed if study.budget["evaluation_seeds"] else None
    path = study.folder.details(record.identity, key).relative_to(study.folder.path)
    try:
        details = study.folder.read_details(record.identity, key)
    except FileNotFoundError:
        return Found(result.label, seed, [], f"{path} is not there")
    except ValueError as error:
        return Found(result.label, seed, [], f"{path} is not JSON ({error})")
    kept = details.get("histograms") or {}
    made = [histogram(task, stored) for task, stored in kept.items()]
    images = "test images" if details.get("histograms_of") == "test" else "held-out images"
    return Found(result.label, seed, made, "" if made else f"{path} holds none", images)


def histogram(task: str, stored: Mapping[str, Any]) -> Histogram:
    """A histogram from its record: edges, and the counts of each side."""
    edges = np.array(stored["edges"], dtype=float)
    sides = {side: np.array(each, dtype=float) for side, each in stored.items() if side != "edges"}
    counts = {side: int(each.sum()) for side, each in sides.items()}
    ordered = sorted((side for side in sides if counts[side]), key=lambda side: side != NORMAL)
    densities = {side: sides[side] / (counts[side] * np.diff(edges)) for side in ordered}
    return Histogram(task, edges, densities, counts)


def draw_histograms(found: Sequence[Histogram]) -> Figure:
    """One small panel per task, at most ten; steps of the density, one colour a side."""
    shown = list(found)[:MOST]
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    canvas = theme.canvas(0.5 + 1.5 * rows if rows > 1 else 2.6, rows, columns)
    sides = list(dict.fromkeys(side for each in shown for side in each.densities))
    for axes, each in zip(canvas.axes, shown, strict=False):
        _draw(axes, each, sides)
    for axes in canvas.axes[len(shown) :]:
        axes.set_axis_off()
    named: dict[str, Artist] = {}
    for axes in canvas.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    style: dict[str, Any] = {"loc": "upper right", "borderaxespad": 0.0, "handlelength": 1.2}
    canvas.one.legend(list(named.values()), list(named), frameon=False, **style)
    canvas.figure.supxlabel("score, larger = more anomalous", fontsize=10, color=theme.INK)
    canvas.figure.supylabel("density", fontsize=10, color=theme.INK)
    return canvas.figure


def _draw(axes: Axes, found: Histogram, sides: Sequence[str]) -> None:
    for side, density in found.densities.items():
        colour = theme.colour(sides.index(side))
        name = "other classes" if side == REST else side
        axes.stairs(density, found.edges, color=colour, linewidth=1.5, label=name)
        if side == NORMAL:
            axes.stairs(density, found.edges, color=colour, alpha=0.18, fill=True)
    axes.set_yticks([])
    axes.annotate(found.task, (0.0, 1.02), xycoords="axes fraction", va="bottom", fontsize=9)
