"""Histograms of the scores of normal and anomalous images, as a study stores them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.document import theme
from analysis.quoted import Result
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.metric import outsider_title

MOST_PANELS = 10  # maximum number of tasks in one figure
COLUMNS = 2
MOST_INSIDE = 2  # groups in the legend within a panel
NORMAL = "normal images"


class ScoreHistogram(NamedTuple):
    """The scores of one model on the images of its task.

    The images form groups with titles: `NORMAL`, "other classes" for those of the same data set,
    and the name of each outsider set, in which there is no blank.

    Attributes:
        task: the title of the task.
        edges: the edges of the bins, in the units of the score.
        densities: the density of each group with at least one image, normal images first: the
            share of its images per unit of the score.
        counts: the number of images of each group.
    """

    task: str
    edges: np.ndarray
    densities: dict[str, np.ndarray]
    counts: dict[str, int]


class ResultHistograms(NamedTuple):
    """The histograms of a reported configuration.

    Attributes:
        label: the label of the result.
        seed: the seed of the models, one model per task.
        histograms: one histogram per task; empty if none are stored.
        missing: why there are none; empty if there are some.
        images: "test images", or "held-out images" in records that keep only those.
    """

    label: str
    seed: int
    histograms: list[ScoreHistogram]
    missing: str
    images: str = "held-out images"


def histograms(study: StudyRecords, result: Result) -> ResultHistograms:
    """The score histograms of a reported configuration, from its first complete seed.

    The scores of models with different seeds differ in scale, so they are not pooled.
    """
    complete = [record for record in result.tested if record.state == "complete"]
    record = min(complete or result.tested, key=lambda tested: tested.replicas[0].seed)
    seed = record.replicas[0].seed
    key = seed if study.retrains else None
    path = study.folder.details(record.identity, key).relative_to(study.folder.path)
    try:
        details = study.folder.read_details(record.identity, key)
    except UserError as error:
        fault = str(error).replace(f"{study.folder.path}/", "")
        return ResultHistograms(result.label, seed, [], fault)
    per_task = [histogram(_title(study, row), row) for row in details.get("histograms", ())]
    images = "test images" if details.get("histograms_of") == "test" else "held-out images"
    missing = "" if per_task else f"{path} contains no histograms"
    return ResultHistograms(result.label, seed, per_task, missing, images)


def histogram(title: str, stored: Mapping[str, Any]) -> ScoreHistogram:
    """A histogram from its record.

    Args:
        title: the title of the panel.
        stored: the edges of the bins under "edges", and under "counts" the counts of the "normal"
            images and, by name, of each of the "outsiders".
    """
    edges = np.array(stored["edges"], dtype=float)
    outsiders = {outsider_title(name): n for name, n in stored["counts"]["outsiders"].items()}
    per_bin = {NORMAL: stored["counts"]["normal"], **outsiders}
    groups = {title: np.array(n, dtype=float) for title, n in per_bin.items()}
    counts = {title: int(n.sum()) for title, n in groups.items()}
    densities = {
        title: n / (counts[title] * np.diff(edges)) for title, n in groups.items() if counts[title]
    }
    return ScoreHistogram(title, edges, densities, counts)


def _title(study: StudyRecords, stored: Mapping[str, Any]) -> str:
    """The task, the outsider set if there are several, and the component."""
    title = study.task_title(stored["task"])
    if outsider := stored.get("outsider"):
        title = study.title_against(stored["task"], outsider)
    return f"{title}, {stored['component']}" if stored["component"] else title


def draw_histograms(histograms: Sequence[ScoreHistogram]) -> Figure:
    """One small panel per task, at most ten; the density as steps, one colour per group."""
    shown = list(histograms)[:MOST_PANELS]
    widest = theme.LETTER * max(len(panel.task) for panel in shown)
    columns = max(1, min(COLUMNS, len(shown), int(theme.WIDTH / widest)))
    rows = math.ceil(len(shown) / columns)
    groups = list(dict.fromkeys(name for panel in shown for name in panel.densities))
    lines = (
        math.ceil(len(groups) / theme.legend_columns(groups)) if len(groups) > MOST_INSIDE else 0
    )
    height = 0.5 + 1.5 * rows if rows > 1 else 2.6
    canvas = theme.canvas(height + 0.2 * lines, rows, columns)
    for axes, panel in zip(canvas.axes, shown, strict=False):
        _draw(axes, panel, groups)
    for axes in canvas.axes[len(shown) :]:
        axes.set_axis_off()
    _add_legend(canvas, groups)
    canvas.figure.supxlabel("score, larger = more anomalous", fontsize=10, color=theme.INK)
    canvas.figure.supylabel("density", fontsize=10, color=theme.INK)
    return canvas.figure


def _add_legend(canvas: theme.Canvas, groups: Sequence[str]) -> None:
    """One legend of the groups of all panels: in the first panel, or of many above them."""
    handles: dict[str, Artist] = {}
    for axes in canvas.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    style: dict[str, Any] = {"borderaxespad": 0.0, "handlelength": 1.2, "frameon": False}
    both = list(handles.values()), list(handles)
    if len(groups) <= MOST_INSIDE:
        canvas.one.legend(*both, loc="upper right", **style)
    else:
        columns = theme.legend_columns(groups)
        canvas.figure.legend(*both, loc="outside upper center", ncols=columns, **style)


def _draw(axes: Axes, panel: ScoreHistogram, groups: Sequence[str]) -> None:
    for group, density in panel.densities.items():
        colour = theme.colour(groups.index(group))
        axes.stairs(density, panel.edges, color=colour, linewidth=1.5, label=group)
        if group == NORMAL:
            axes.stairs(density, panel.edges, color=colour, alpha=0.18, fill=True)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.annotate(panel.task, (0.0, 1.02), xycoords="axes fraction", va="bottom", fontsize=9)
