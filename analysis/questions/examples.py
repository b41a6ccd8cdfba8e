"""Pictures of what kept models judge best and worst: images, codes, scores, thresholds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.document import theme
from tune_ad.storage.examples import NORMAL, ROWS, Codes, Row, TaskExamples

MOST_BYTES = 1_500_000
"""The largest size of the images that a page shows, before compression."""
LEAST_SIDE, MOST_SIDE = 0.46, 0.75  # inches, of an image; many in a row are smaller
LETTER, TITLE = 0.07, 0.44  # inches, of a letter of a title and of its three lines
MAP_COLOURS = "magma"
MOST_PANELS = 10
CELL, LABELS = 1.06, 1.3
"""Distance of two images, and room for labels, as multiples of the side of an image."""
MARKS = (("normal", "o", False), ("anomalous", "x", True))
EMPTY_BINS = 0.005  # the share of the images beyond each end of the axis of scores


def drawn(tasks: Sequence[TaskExamples], most: int = MOST_BYTES) -> Sequence[TaskExamples]:
    """The first tasks whose images have at most so many bytes together, at least one."""
    total, count = 0, 0
    for task in tasks:
        total += sum(_bytes(row) for row in task.rows.values())
        if count and total > most:
            break
        count += 1
    return tasks[:count]


def _bytes(row: Row) -> int:
    return sum(pixels.nbytes for pixels in row.pictures.values())


class Strip(NamedTuple):
    """One line of pictures of a figure.

    Attributes:
        title: what stands at its left.
        pictures: uint8, shape (k, h, w) or (k, h, w, 3).
        titles: what stands above each picture; empty if nothing does.
        colours: the colours of grey values.
    """

    title: str
    pictures: NDArray[np.uint8]
    titles: Sequence[str] = ()
    colours: str = "gray"


def _strips(name: str, row: Row, names: Mapping[int, str]) -> Iterator[Strip]:
    """The images of a row, and what the models make of them."""
    marks = ["anomaly" if is_anomaly else "normal" for is_anomaly in row.is_anomaly]
    titles = [
        f"{names.get(int(number), number)}\n{mark}\n{score:.2f}"
        for number, mark, score in zip(row.classes, marks, row.scores, strict=True)
    ]
    yield Strip(name.replace(" ", "\n"), row.images, titles)
    if row.reconstructions is not None:
        yield Strip("recon-\nstruction", row.reconstructions)
    if row.maps is not None:
        yield Strip("map", row.maps, colours=MAP_COLOURS)


def draw_examples(task: TaskExamples, names: Mapping[int, str]) -> Figure:
    """Three rows of images with their scores, each above what the models make of them.

    Args:
        task: the examples of a task.
        names: the names of classes by their numbers.
    """
    strips = [strip for name in ROWS for strip in _strips(name, task.rows[name], names)]
    columns = max(len(strip.pictures) for strip in strips)
    side = _side(columns, strips)
    above = [TITLE / side if strip.titles else 0.0 for strip in strips]
    height = sum(above) + CELL * len(strips)
    canvas = theme.canvas(side * height, width=side * (columns * CELL + LABELS))
    axes, top = canvas.one, 0.0
    axes.set_axis_off()
    for strip, room in zip(strips, above, strict=True):
        top += room
        axes.text(-0.1, top + 0.5, strip.title, ha="right", va="center", fontsize=8)
        for k, picture in enumerate(strip.pictures):
            _draw_picture(axes, picture, strip.colours, (CELL * k, top))
            if strip.titles:
                place = CELL * k + 0.5, top - 0.05
                axes.text(*place, strip.titles[k], ha="center", va="bottom", fontsize=8)
        top += CELL
    axes.set(xlim=(-LABELS, CELL * columns), ylim=(top, 0), aspect="equal")
    return canvas.figure


def _side(columns: int, strips: Sequence[Strip]) -> float:
    """The side of an image in inches: all fit the figure, unless their titles are too long."""
    titles = (title for strip in strips for title in strip.titles)
    longest = max((len(line) for title in titles for line in title.splitlines()), default=0)
    fitting = min(MOST_SIDE, theme.WIDTH / (columns * CELL + LABELS))
    return max(LEAST_SIDE, LETTER * longest, fitting)


def _draw_picture(
    axes: Axes, picture: NDArray[np.uint8], colours: str, corner: tuple[float, float]
) -> None:
    """Draw an image into a square of side 1, in the middle.

    Args:
        axes: the axes, whose vertical axis points down.
        picture: the image.
        colours: the colours of grey values.
        corner: the upper left corner of the square (x, y).
    """
    height, width = (side / max(picture.shape[:2]) for side in picture.shape[:2])
    left, top = corner[0] + (1 - width) / 2, corner[1] + (1 - height) / 2
    extent = (left, left + width, top + height, top)
    axes.imshow(picture, colours, vmin=0, vmax=255, interpolation="none", extent=extent)


def draw_codes(tasks: Sequence[tuple[str, Codes]]) -> Figure:
    """A row for each task, by its title, and a column for each method; crosses: anomalies."""
    methods = list(dict.fromkeys(name for _, codes in tasks for name in codes.positions))
    shown = list(tasks)[:MOST_PANELS]
    canvas = theme.canvas(0.4 + 2.1 * len(shown), len(shown), len(methods))
    grid = np.array(canvas.axes).reshape(len(shown), len(methods))
    for row, (title, codes) in zip(grid, shown, strict=True):
        for axes, method in zip(row, methods, strict=True):
            axes.set_xticks([])
            axes.set_yticks([])
            if method not in codes.positions:
                axes.set_axis_off()
                continue
            _scatter(axes, codes, codes.positions[method])
            explained = f"\n({100 * codes.explained.sum():.0f} % of the variance)"
            axes.set_title(f"{title}, {method}{explained * (method == 'PCA')}", fontsize=9)
    handles, labels = canvas.one.get_legend_handles_labels()
    canvas.figure.legend(
        handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return canvas.figure


def _scatter(axes: Axes, codes: Codes, positions: NDArray[np.float64]) -> None:
    for title, marker, is_anomaly in MARKS:
        ours, k = positions[codes.is_anomaly == is_anomaly], int(is_anomaly)
        (drawn,) = axes.plot(
            *ours.T, marker, color=theme.colour(k), ms=4, mfc="none", mew=0.9, label=title
        )
        theme.describe(drawn, [title])  # a position in a projection says nothing


def draw_thresholds(tasks: Sequence[tuple[str, TaskExamples]]) -> Figure:
    """One panel per task, by its title: the scores of both groups, and the threshold."""
    shown = list(tasks)[:MOST_PANELS]
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    canvas = theme.canvas(0.7 + 1.5 * rows if rows > 1 else 2.6, rows, columns)
    for axes, (title, task) in zip(canvas.axes, shown, strict=False):
        _draw_threshold(axes, task)
        axes.set_title(title, fontsize=9)
    for axes in canvas.axes[len(shown) :]:
        axes.set_axis_off()
    handles, labels = canvas.one.get_legend_handles_labels()
    canvas.figure.legend(
        handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9
    )
    canvas.figure.supxlabel("score of the ensemble", fontsize=10, color=theme.INK)
    canvas.figure.supylabel("share of the images", fontsize=10, color=theme.INK)
    return canvas.figure


def _draw_threshold(axes: Axes, task: TaskExamples) -> None:
    for k, (name, counts) in enumerate(task.counts.items()):
        share = counts / max(1, counts.sum())
        label = "normal" if name == NORMAL else "anomalous"
        axes.stairs(share, task.edges, color=theme.colour(k), linewidth=1.4, label=label)
        if name == NORMAL:
            axes.stairs(share, task.edges, color=theme.colour(k), alpha=0.2, fill=True)
    if not math.isnan(task.threshold[0]):
        axes.axvline(
            task.threshold[0], color=theme.INK, linestyle="--", linewidth=1.2, label="threshold"
        )
    axes.set_yticks([])
    axes.set_xlim(*_visible(task))


def _visible(task: TaskExamples) -> tuple[float, float]:
    """The scores between which nearly all images lie: a few extreme ones would squeeze them."""
    total = np.sum(list(task.counts.values()), axis=0)
    cumulative = np.cumsum(total) / max(1, total.sum())
    first = int(np.searchsorted(cumulative, EMPTY_BINS))
    last = int(np.searchsorted(cumulative, 1 - EMPTY_BINS))
    low, high = task.edges[first], task.edges[min(last + 1, len(task.edges) - 1)]
    if not math.isnan(task.threshold[0]):
        low, high = min(low, task.threshold[0]), max(high, task.threshold[0])
    margin = 0.03 * (high - low) or 1.0
    return float(low - margin), float(high + margin)
