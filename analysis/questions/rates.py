"""Rate (nats per code) and distortion (reconstruction loss) of the trials of a study."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.frame import PARAMS, columns
from tune_ad.storage.metric import BITS_PER_DIM, Metric
from tune_ad.storage.records import TrialRecord

PARTS = ("test", "validation")
MOST_BARS = 200  # maximum number of points that are drawn with error bars
MOST_BOUNDS = 3  # maximum number of curves whose bounds are drawn


class Quantity(NamedTuple):
    """A rate or a distortion over the replicas of a trial.

    Attributes:
        mean: the mean over replicas in nats per image.
        std: the sample standard deviation over replicas (n - 1); NaN for one.
        bits_per_dim: the mean in bits per dimension; NaN if the likelihood is no probability of
            the image.
        n: the number of replicas.
    """

    mean: float
    std: float
    bits_per_dim: float
    n: int


def quantity(nats: Sequence[float | None], bits: Sequence[float | None]) -> Quantity | None:
    """A quantity from its values in nats and in bits per dimension, one per replica.

    Args:
        nats: the values in nats per image.
        bits: the values in bits per dimension; the result has NaN unless all replicas have one.

    Returns:
        The quantity; None if a replica failed, that is, has no finite number of nats.
    """
    values = np.array(nats, dtype=float)  # None becomes NaN
    if not values.size or not np.isfinite(values).all():
        return None
    std = float(np.std(values, ddof=1)) if values.size > 1 else math.nan
    per_dims = np.array(bits, dtype=float)
    complete = per_dims.size == values.size and bool(np.isfinite(per_dims).all())
    per_dim = float(per_dims.mean()) if complete else math.nan
    return Quantity(float(values.mean()), std, per_dim, values.size)


def rates(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per complete trial with a rate and a distortion of normal images.

    From test images if they are recorded, otherwise from held-out ones. Columns: number, baseline,
    "params.<name>" of every searched parameter, error (kind of distortion), part, seeds, n, for
    "rate" and "distortion" the mean in nats per image, its standard deviation over replicas
    ("... std") and "... bits/dim". Ordered by baseline and rate.
    """
    rows = [row for r in records if r.state == "complete" and (row := _row(r)) is not None]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    return table.sort_values(["baseline", "rate"], kind="stable", ignore_index=True)


def _row(record: TrialRecord) -> dict[str, object] | None:
    part = _part_of(record)
    if not part:
        return None
    row: dict[str, object] = {"number": record.number, "baseline": record.baseline}
    row |= columns(PARAMS, {name: record.params[name] for name in record.searched})
    row |= {"error": error_of(record), "part": part}
    row["seeds"] = len({replica.seed for replica in record.replicas})
    for name in ("rate", "distortion"):
        measured = _measured(record, part, name)
        if measured is None:
            return None
        row |= {"n": measured.n, name: measured.mean, f"{name} std": measured.std}
        row[f"{name} bits/dim"] = measured.bits_per_dim
    return row


def _part_of(record: TrialRecord) -> str:
    """The images from which a trial's rate was computed; empty if it has none."""
    return next((part for part in PARTS if Metric(part, "rate") in record.metrics), "")


def _measured(record: TrialRecord, part: str, name: str) -> Quantity | None:
    """The rate or the distortion of a trial; None if it is not recorded or a replica failed."""
    metric = Metric(part, name)
    if metric not in record.metrics:
        return None
    bits = record.metrics.get(metric._replace(unit=BITS_PER_DIM), [])
    return quantity(record.metrics[metric], bits)


def error_of(record: TrialRecord) -> str:
    """The kind of distortion of a trial; empty if the detector has only one."""
    return record.scales.get("distortion", "")


class RateDistortionCurve(NamedTuple):
    """The rates and distortions of a baseline under one error, on one part of the images.

    Attributes:
        label: the name of the baseline, with the error if the baseline has several.
        part: the images, "test" or "validation".
        points: the rows of `rates`.
        hull: the corners (rate, distortion) of the lower left convex hull, by rate, in nats.
        bound: min(R + D) in nats per image, an upper estimate of the entropy of the images; NaN
            if the distortion is not a likelihood, so that the sum has no meaning.
    """

    label: str
    part: str
    points: pd.DataFrame
    hull: list[tuple[float, float]]
    bound: float


def rate_distortion_curves(table: pd.DataFrame) -> list[RateDistortionCurve]:
    """The curve of each baseline, error and part of the images.

    Distortions by different errors have no common scale, so they are not joined by one hull.

    Args:
        table: the table of `rates`.
    """
    if table.empty:
        return []
    errors = table.groupby("baseline")["error"].nunique().to_dict()
    differing = differing_parts(list(map(str, table["error"].unique())))
    return [
        RateDistortionCurve(
            label=f"{baseline}, {differing[str(error)]}"
            if errors[baseline] > 1
            else str(baseline),
            part=str(part),
            points=points,
            hull=hull(zip(points["rate"], points["distortion"], strict=True)),
            bound=bound(points),
        )
        for (baseline, error, part), points in table.groupby(
            ["baseline", "error", "part"], sort=False
        )
    ]


def differing_parts(texts: Sequence[str]) -> dict[str, str]:
    """By text, its parts between commas that are not common to all texts.

    >>> list(differing_parts(["scaling = unit, sigma = 1", "scaling = unit, sigma = 2"]).values())
    ['sigma = 1', 'sigma = 2']
    """
    parts = {text: text.split(", ") for text in texts}
    common = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set()
    return {
        text: ", ".join(part for part in of_text if part not in common) or text
        for text, of_text in parts.items()
    }


def hull(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Lower left convex hull of points (rate, distortion): the trade-off by mixing models.

    It starts at the smallest rate and ends at the smallest distortion; it is convex and
    decreasing, as every rate-distortion function is (Cover and Thomas, Elements of Information
    Theory, chapter on rate-distortion theory). Andrew's monotone chain.

    >>> hull([(0, 4), (1, 3.5), (2, 1), (4, 0), (5, 2)])
    [(0, 4), (2, 1), (4, 0)]
    """
    chain: list[tuple[float, float]] = []
    for point in sorted(points):
        if chain and point[1] >= min(distortion for _, distortion in chain):
            continue  # higher rate without lower distortion
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Above 0 if the path from a over b to c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def bound(points: pd.DataFrame) -> float:
    """min(R + D), in nats per image: the smallest upper estimate of the entropy of the images.

    H <= R + D for every model, as R + D is the cross-entropy -E[ELBO] (Alemi et al. 2018, "Fixing
    a Broken ELBO", where H - D <= I <= R). NaN if a distortion does not come from a
    probability of the image.

    Args:
        points: the rows of `rates`.
    """
    if points.empty or points["distortion bits/dim"].isna().any():
        return math.nan
    return float((points["rate"] + points["distortion"]).min())


def draw_rate_distortion(curves: Sequence[RateDistortionCurve]) -> Figure:
    """Rate on the x axis, distortion on the y axis, with hulls and the lines D = H - R."""
    canvas = theme.canvas(4.2)
    axes, several = canvas.one, len(curves) > 1
    for k, curve in enumerate(curves):
        _draw_curve(axes, curve, theme.colour(k))
    bounded = [k for k, curve in enumerate(curves) if not math.isnan(curve.bound)]
    if len(curves) > MOST_BOUNDS:  # their texts would cover the points; the report lists them
        bounded = []
    for line, k in enumerate(bounded):
        _draw_bound(axes, curves[k], theme.colour(k) if several else theme.INK, line, several)
    axes.set_xlabel("rate R, nats per image")
    axes.set_ylabel("distortion D, nats per image")
    axes.margins(0.08)
    if several:
        axes.legend(frameon=False)
    return canvas.figure


def _draw_curve(axes: Axes, curve: RateDistortionCurve, colour: str) -> None:
    rate, distortion = curve.points["rate"], curve.points["distortion"]
    many = len(rate) > MOST_BARS
    if not many:
        # A single replica has no standard deviation: its bar has no length.
        across, up = (curve.points[f"{name} std"].fillna(0.0) for name in ("rate", "distortion"))
        style: dict[str, Any] = {"fmt": "none", "ecolor": colour, "elinewidth": 0.9, "alpha": 0.6}
        axes.errorbar(rate, distortion, xerr=across, yerr=up, **style)
    label, size = f"{curve.label}, {curve.part}", 6 if many else 22
    axes.scatter(rate, distortion, s=size, color=colour, label=label, rasterized=many, zorder=3)
    axes.plot(*zip(*curve.hull, strict=True), color=colour, linewidth=1.5)


def _draw_bound(
    axes: Axes, curve: RateDistortionCurve, colour: str, line: int, named: bool
) -> None:
    """The line D = min(R + D) - R, between the smallest and the largest rate."""
    rates = np.array([curve.points["rate"].min(), curve.points["rate"].max()])
    axes.plot(rates, curve.bound - rates, color=colour, linewidth=1.0, linestyle=(0, (5, 3)))
    text = f"dashed: R + D = {curve.bound:,.1f}" + (f", {curve.label}" if named else "")
    place: dict[str, Any] = {"xycoords": "axes fraction", "fontsize": 9, "color": theme.INK}
    axes.annotate(text, (0.02, 0.03 + 0.06 * line), **place)
