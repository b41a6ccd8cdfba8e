"""The scores of normal and of anomalous images in one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tune_ad.tensorboard.pictures import Pixels

WIDTH, HEIGHT = 280, 150
"""Of a panel, in pixels."""
LEFT, TOP, BOTTOM = 8, 34, 16
BINS = 44
COLUMNS = 4
LONGEST_NAME = 30
INK, WHITE = (60, 60, 60), (255, 255, 255)
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0))
"""Of normal images, and of the sets of anomalies: colours of Okabe and Ito, told apart by all."""


@dataclass(frozen=True)
class Panel:
    """One panel: the scores by the name of their group, the normal images first.

    Attributes:
        title: what is shown above it.
        groups: the scores of each group, of any length.
    """

    title: str
    groups: Mapping[str, NDArray[np.float64]]


def score_picture(panels: Sequence[Panel]) -> Pixels:
    """Histograms of scores, one panel beside the other, at most four in a row.

    Of each group a panel shows the shares of its images in 44 bins from the 0.5 % to the 99.5 %
    quantile of all scores; what lies beyond is counted in the first and the last bin. Numbers that
    are not finite are left out.

    Args:
        panels: at least one panel.

    Returns:
        The picture, uint8, shape (height, width, 3).
    """
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    whole = Image.new("RGB", (columns * WIDTH, rows * HEIGHT), WHITE)
    for k, panel in enumerate(panels):
        whole.paste(_drawn(panel), (k % columns * WIDTH, k // columns * HEIGHT))
    return np.asarray(whole)


def shares(
    groups: Mapping[str, NDArray[np.float64]],
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """The edges of the bins, and the share of each group's images in every bin.

    A group without a finite score has zeros.
    """
    finite = {name: a[np.isfinite(a)] for name, a in groups.items()}
    together = np.concatenate([np.empty(0), *finite.values()])
    low, high = np.quantile(together, [0.005, 0.995]) if len(together) else (0.0, 1.0)
    if not high - low > BINS * np.spacing(max(abs(low), abs(high))):
        low, high = low - 0.5, high + 0.5
    if not np.diff(np.linspace(low, high, BINS + 1)).min() > 0:  # huge and equal
        low, high = low - abs(low), high + abs(high)
    edges = np.linspace(low, high, BINS + 1)
    counts = {n: np.histogram(a.clip(low, high), edges)[0] for n, a in finite.items()}
    return edges, {name: count / max(count.sum(), 1) for name, count in counts.items()}


def _drawn(panel: Panel) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    edges, of_groups = shares(panel.groups)
    highest = max((float(share.max()) for share in of_groups.values()), default=0.0) or 1.0
    for colour, share in zip(_colours(len(of_groups)), of_groups.values(), strict=True):
        picture = _filled(picture, colour, share / highest)
    draw = ImageDraw.Draw(picture)
    base = HEIGHT - BOTTOM
    draw.line([(LEFT, base), (WIDTH - LEFT, base)], INK)
    draw.text((LEFT, 2), panel.title[:44], INK)
    draw.text((LEFT, base + 2), f"{edges[0]:.3g}", INK)
    draw.text((WIDTH - LEFT, base + 2), f"{edges[-1]:.3g}", INK, anchor="ra")
    place = LEFT
    for colour, name in zip(_colours(len(of_groups)), of_groups, strict=True):
        draw.rectangle([place, 20, place + 7, 27], colour)
        draw.text((place + 11, 17), name[:LONGEST_NAME], INK)
        place += 22 + int(draw.textlength(name[:LONGEST_NAME]))
    return picture


def _colours(number: int) -> list[tuple[int, int, int]]:
    """The colour of the normal images, then those of the anomalies, which may repeat."""
    normal, *others = COLOURS
    return [normal, *(others[k % len(others)] for k in range(number - 1))]


def _filled(
    picture: Image.Image, colour: tuple[int, int, int], heights: NDArray[np.float64]
) -> Image.Image:
    """A picture with steps of such heights, in [0, 1], through which one sees what is behind."""
    base, room = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    places = np.linspace(LEFT, WIDTH - LEFT, BINS + 1)
    points = [(float(LEFT), float(base))]
    for k, height in enumerate(heights):
        top = base - room * float(height)
        points += [(float(places[k]), top), (float(places[k + 1]), top)]
    points.append((WIDTH - LEFT, base))
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    draw.polygon(points, fill=(*colour, 90))
    draw.line(points, fill=(*colour, 255))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")
