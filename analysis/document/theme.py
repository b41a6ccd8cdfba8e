"""The style of all figures: one font size, one palette, one text colour, no titles.

The HTML page replaces the text colour by its own, so that figures work in light and dark mode.
"""

from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#1b1f24"
FAINT = "#8b949e"
PALETTE = ("#2f81f7", "#d9730d", "#2da44e", "#bf5fbf", "#c9a400", "#1f9e9e", "#e5534b", "#8b6f47")
"""Colours that are distinct on white and on black, and to most colour-blind readers."""
WIDTH = 6.4  # inches
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
    "legend.frameon": False,
    "legend.fontsize": 9,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "svg.fonttype": "none",
    "svg.hashsalt": "tune_ad",
    "pdf.fonttype": 42,
}


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
        figure = Figure(figsize=(width, height), layout="constrained")
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
