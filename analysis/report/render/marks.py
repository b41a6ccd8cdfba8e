"""The texts that a reader sees when pointing at the marks of a figure, as titles in its SVG.

A browser shows them without a script. Marks of trials have the attribute `data-trial` as well, by
which the page's script finds the same trial in other figures.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.ticker import FixedLocator

from analysis.document import theme
from analysis.document.format import short
from analysis.report.render.content import one_line

SVG = "{http://www.w3.org/2000/svg}"
MOST = 200  # points of a line or bars that have texts of their own; of more, evenly spaced ones
APART = 8.0  # points of the page between marks that are added to a line, at least
POINTS_PER_INCH = 72.0
RADIUS = 4.5  # points of the page around a value that answer a pointer
MARKS = (f"{SVG}use", f"{SVG}path")
NAMELESS = ("", "_")  # beginnings of labels that matplotlib gives itself

ET.register_namespace("", SVG.strip("{}"))
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def complete(drawing: Drawing) -> None:
    """Give texts to the points, lines and bars of a figure that have none: their values.

    Points that are not seen are added where a line has values. Call it last: it is for the SVG.
    """
    if not isinstance(drawing, theme.Sheet):
        return
    titles = {axes: axes.get_title("left") or axes.get_title() for axes in drawing.axes}
    panels = len([*filter(None, titles.values())])
    for axes in drawing.axes:
        axes.autoscale(False)
        panel = titles[axes] if panels > 1 else ""
        for label, x, y in [*_unnamed(drawing, axes)]:
            name = ", ".join(filter(None, (panel, label)))
            texts = [_text(axes, name, *position) for position in zip(x, y, strict=True)]
            size = (2 * RADIUS) ** 2
            added = theme.points(axes, x, y, texts, alpha=0, s=size, zorder=-1)
            if added is not None:
                added.set_in_layout(False)


def _unnamed(drawing: theme.Sheet, axes: Axes) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The label and the positions of each artist without texts."""
    for artist in axes.get_children():
        if artist.get_visible() and artist.get_gid() not in drawing.described:
            at = _positions(axes, artist)
            if at is not None:
                label, x, y = _in_view(axes, str(artist.get_label()), at)
                chosen = _apart(axes, x, y) if _is_line(artist) else slice(None)
                yield label, x[chosen], y[chosen]
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            ends = [_end(bar, bars.orientation) for bar in bars.patches]
            yield _in_view(axes, str(bars.get_label()), ends)


def _positions(axes: Axes, artist: Artist) -> object:
    """The positions of the values of an artist; None if it has none."""
    if isinstance(artist, Line2D):
        both = artist.get_transform().contains_branch_seperately(axes.transData) == (True, True)
        return artist.get_xydata() if both else None
    if isinstance(artist, StepPatch):
        values, edges, _ = artist.get_data()
        return np.column_stack([(edges[:-1] + edges[1:]) / 2, values])
    return artist.get_offsets() if isinstance(artist, PathCollection) else None


def _end(bar: Rectangle, orientation: str | None) -> tuple[float, float]:
    """The middle of the end of a bar."""
    x, y, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
    return (
        (x + width / 2, y + height) if orientation == "vertical" else (x + width, y + height / 2)
    )


def _in_view(axes: Axes, label: str, positions: object) -> tuple[str, np.ndarray, np.ndarray]:
    """The finite positions within the axes, at most `MOST`, with the first and the last."""
    at: np.ndarray = np.ma.filled(np.ma.asarray(positions, dtype=float), np.nan).reshape(-1, 2)
    low, high = np.sort([axes.get_xlim(), axes.get_ylim()], axis=1).T
    at = at[np.isfinite(at).all(axis=1) & (at >= low).all(axis=1) & (at <= high).all(axis=1)]
    if len(at) > MOST:
        at = at[np.linspace(0, len(at) - 1, MOST).round().astype(int)]
    name = "" if label[:1] in NAMELESS else label
    return name, at[:, 0], at[:, 1]


def _is_line(artist: Artist) -> bool:
    """Whether an artist is a line without a marker at each value."""
    if isinstance(artist, Line2D):
        return artist.get_marker() in ("None", "none", "", " ", None)
    return isinstance(artist, StepPatch)


def _apart(axes: Axes, x: np.ndarray, y: np.ndarray) -> list[int]:
    """The indices of points of a line that lie `APART` on the page, and of its two ends."""
    drawing: Any = axes.figure
    at = axes.transData.transform(np.column_stack([x, y])) * POINTS_PER_INCH / drawing.dpi
    chosen: list[int] = []
    for k in range(len(at)):
        if k in (0, len(at) - 1) or math.dist(at[k], at[chosen[-1]]) >= APART:
            chosen.append(k)
    return chosen


def _text(axes: Axes, name: str, x: float, y: float) -> str:
    """The values of a point, after the title of its panel and the label of its artist."""
    values = f"{_value(axes.xaxis, x)}, {_value(axes.yaxis, y)}"
    return f"{name}: {values}" if name else values


def _value(axis: Axis, position: float) -> str:
    """A position on an axis with the axis's label: the text of its tick, if one was set there."""
    label = axis.get_label_text()
    prefix = f"{label} " if label else ""
    if isinstance(axis.get_major_locator(), FixedLocator):
        ticks = [float(tick) for tick in axis.get_ticklocs()]
        labels = axis.get_major_formatter().format_ticks(ticks)
        for tick, text in zip(ticks, labels, strict=True):
            if math.isclose(tick, position, abs_tol=1e-9):
                return f"{prefix}{text}"
    return f"{prefix}{short(float(position))}"


def with_titles(drawing: Drawing, svg: str) -> str:
    """The SVG of a figure with a title at each mark that has a text.

    Raises:
        ValueError: if an artist has another number of marks than of texts.
    """
    if not isinstance(drawing, theme.Sheet) or not drawing.described:
        return svg
    root = ET.fromstring(svg)
    groups = {element.get("id"): element for element in root.iter(f"{SVG}g")}
    for name, described in drawing.described.items():
        if (group := groups.get(name)) is not None:
            _label(group, name, described)
    return ET.tostring(root, encoding="unicode")


def _label(group: ET.Element, name: str, described: theme.Described) -> None:
    group.set("class", "marks")
    marks = [*_marks(group)]
    _share_style(group, marks)
    if len(described.texts) == 1 and len(marks) != 1:
        marks = [group]
    if len(described.texts) != len(marks) or len(described.trials) not in (0, len(marks)):
        raise ValueError(
            f"{name} has {len(marks)} marks, {len(described.texts)} texts and "
            f"{len(described.trials)} trials"
        )
    for k, (mark, text) in enumerate(zip(marks, described.texts, strict=True)):
        title = ET.Element(f"{SVG}title")
        title.text = one_line(text)
        mark.insert(0, title)
        if described.trials:
            mark.set("data-trial", str(described.trials[k]))


def _marks(element: ET.Element) -> Iterator[ET.Element]:
    """The drawn elements below an element, without definitions."""
    for child in element:
        if child.tag in MARKS:
            yield child
        elif child.tag != f"{SVG}defs":
            yield from _marks(child)


def _share_style(group: ET.Element, marks: list[ET.Element]) -> None:
    """State the style of marks once if all have the same: a thousand points are much smaller."""
    styles = {mark.get("style") for mark in marks}
    if len(marks) > 1 and len(styles) == 1 and (style := styles.pop()):
        group.set("style", style)
        for mark in marks:
            del mark.attrib["style"]
