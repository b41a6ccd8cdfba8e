"""The style of all figures: one font size, one palette, one text colour, no titles.

The HTML page replaces the text colour by its own, so that figures work in light and dark mode.
What a reader sees when pointing at a mark is given to `describe`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

INK = "#1b1f24"
FAINT = "#8b949e"
PAPER = "#fffffe"
"""The ground of a figure, which the HTML page replaces by its own."""
PALETTE = ("#2f81f7", "#d9730d", "#2da44e", "#bf5fbf", "#c9a400", "#1f9e9e", "#e5534b", "#8b6f47")
"""Colours that are distinct on white and on black, and to most colour-blind readers."""
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
"""Line styles, so that lines can be told apart without their colours."""
SCALE = LinearSegmentedColormap.from_list("worse to better", [PALETTE[0], FAINT, PALETTE[1]])
"""Blue to orange by way of grey: distinct to colour-blind readers, on white and on black."""
THIN: dict[str, Any] = {"color": FAINT, "alpha": 0.85, "linewidth": 0.9}
"""The style of lines behind others, which are seen on white and on black."""
ON_PAPER: dict[str, Any] = {
    "boxstyle": "square,pad=0.15",
    "facecolor": PAPER,
    "edgecolor": "none",
    "alpha": 0.8,
}
"""The box (`bbox`) of a text that lines may cross."""
WIDTH = 4.5  # inches; what is not wider is legible on a phone without scrolling
HATCHES = ("", "///", "\\\\\\", "...")
LABEL_GAP = 4.0  # pixels between the labels of ticks, at least
LEAST_SIZE = 8.0  # points: no letters of a figure are smaller
HANDLE, LETTER = 0.45, 0.065  # inches of a legend's line and of a letter
STYLE: dict[str, Any] = {
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.labelsize": 10,
    "font.size": 10,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # every text of an SVG file names them all
    "legend.frameon": False,
    "legend.fontsize": 9,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "svg.fonttype": "none",
    "svg.hashsalt": "tune_ad",
    "pdf.fonttype": 42,
}


class Described(NamedTuple):
    """What a reader sees when pointing at the marks of an artist.

    Attributes:
        texts: a text for each mark, in the order of drawing; or one text for all of them.
        trials: the number of the trial of each mark, by which a page finds it in other figures;
            empty if marks are not trials.
    """

    texts: Sequence[str]
    trials: Sequence[int] = ()


class Sheet(Figure):
    """A figure whose marks may have texts, see `describe`.

    Attributes:
        described: the texts by the identifier of their artist.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.described: dict[str, Described] = {}


class Canvas(NamedTuple):
    """An empty figure and its axes, row by row."""

    figure: Figure
    axes: list[Axes]

    @property
    def one(self) -> Axes:
        """The first axes."""
        return self.axes[0]


def canvas(height: float = 3.2, rows: int = 1, columns: int = 1, width: float = WIDTH) -> Canvas:
    """An empty figure.

    Args:
        height: the height of the figure in inches.
        rows: the number of rows of axes.
        columns: the number of columns of axes.
        width: the width of the figure in inches.
    """
    with mpl.rc_context(STYLE):
        figure = Sheet(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False)
    axes: list[Axes] = list(np.ravel(grid))
    return Canvas(figure, axes)


def colour(k: int) -> str:
    """The k-th colour of the palette (cyclic).

    >>> colour(0) == colour(len(PALETTE))
    True
    """
    return PALETTE[k % len(PALETTE)]


def legend_columns(labels: Sequence[str], width: float = WIDTH) -> int:
    """The number of columns of a legend below a figure, at least 1.

    Args:
        labels: the labels.
        width: the width of the figure in inches.

    >>> legend_columns(["normal", "other"]), legend_columns(["start-up (default, random)"])
    (5, 2)
    """
    longest = max(map(len, labels), default=0)
    return max(1, int(width / (HANDLE + LETTER * longest)))


def band(
    axes: Axes,
    x: Sequence[float] | np.ndarray,
    low: Sequence[float] | np.ndarray,
    high: Sequence[float] | np.ndarray,
    k: int = 0,
) -> None:
    """A band in the k-th colour: the first filled, others hatched, so that all are told apart.

    Args:
        axes: the axes.
        x: the positions.
        low: the lower bound at each position.
        high: the upper bound.
        k: the number of its colour, its outline and its hatching.
    """
    axes.fill_between(
        x,
        low,
        high,
        facecolor="none" if k else (colour(k), 0.25),
        hatch=HATCHES[k % len(HATCHES)],
        edgecolor=(colour(k), 0.9),
        linewidth=0.8,
        linestyle=LINES[k % len(LINES)],
    )


def separate_labels(axes: Axes, first: Sequence[float] = ()) -> None:
    """Hide labels of the x axis that would touch another; their ticks and their values remain.

    Args:
        axes: the axes, with everything drawn and all ticks set.
        first: the positions of ticks whose labels stay; then those of the two ends.
    """
    axes.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
    ticks = axes.xaxis.get_major_ticks()
    places = [float(tick.get_loc()) for tick in ticks]
    ends = {min(places, default=0.0), max(places, default=0.0)}
    kept: list[tuple[float, float]] = []
    for k in sorted(
        range(len(ticks)), key=lambda k: (places[k] not in first, places[k] not in ends)
    ):
        extent = ticks[k].label1.get_window_extent()
        low, high = extent.x0 - LABEL_GAP, extent.x1 + LABEL_GAP
        if any(low < other_high and other_low < high for other_low, other_high in kept):
            ticks[k].label1.set_visible(False)
        else:
            kept.append((extent.x0, extent.x1))


def plain_ticks(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as 0.001 or 1e-05: exponents would be too small.

    Between powers of ten 2 and 5 are written if the axis shows less than a decade.
    """

    def between(number: float, _: int) -> str:
        low, high = axis.get_view_interval()
        first = f"{number:e}"[0]
        return f"{number:.4g}" if high < 10 * low and first in "25" else ""

    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.4g}"))
    axis.set_minor_formatter(FuncFormatter(between))


def describe(artist: Artist, texts: Sequence[str], trials: Sequence[int] = ()) -> None:
    """Give the marks of an artist the texts that a reader sees when pointing at them.

    Args:
        artist: the artist, on a figure of `canvas`. Points are drawn by `scatter`, because a line
            is a single mark. A mark without a finite position is not drawn, and has no text.
        texts: a text for each mark, in the order of drawing; or one text for all of them.
        trials: the number of the trial of each mark; empty if marks are not trials.
    """
    sheet = artist.get_figure(root=True)
    assert isinstance(sheet, Sheet), "texts are for figures of `canvas`"
    name = f"marks-{len(sheet.described)}"
    artist.set_gid(name)
    sheet.described[name] = Described([*texts], [*trials])


def points(
    axes: Axes,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    texts: Sequence[str],
    trials: Sequence[int] = (),
    **style: Any,  # noqa: ANN401
) -> PathCollection | None:
    """Points with the texts that a reader sees when pointing at them; None without a point.

    Args:
        axes: the axes.
        x: the positions, which are finite.
        y: the same.
        texts: a text for each point.
        trials: the number of the trial of each point; empty if points are not trials.
        style: keyword arguments of `Axes.scatter`.
    """
    if not len(x):
        return None
    drawn = axes.scatter(x, y, **{"color": INK, "linewidth": 0, "clip_on": False, **style})
    describe(drawn, texts, trials)
    return drawn
