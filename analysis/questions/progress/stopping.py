"""How much a result depends on where training stops: test AUROC over the epochs.

Only studies that record the test AUROC at every report have it. The best epoch is found on the
test set, so its AUROC is optimistic: it says how much could be claimed by stopping well, and must
not be reported as a result.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.document.format import short
from analysis.questions.progress.learning_curves import Curve, curves_on_test_images
from analysis.quoted import Result
from analysis.stats.estimates import Estimate, estimate
from analysis.study import StudyRecords

ALIKE = 1e-9  # shares of the epochs that count as equal
MOST_BANDS = 3  # results beyond which bands would hide each other


class Stopping(NamedTuple):
    """The test AUROC of a result at every report, means over its classes.

    A model that early stopping has ended keeps its last value. A seed that lacks a class has no
    part in it.

    Attributes:
        label: the label of the result.
        epochs: the numbers of finished epochs.
        auroc: the AUROC then, one value per seed.
        best: the position of the report with the largest mean.
        gain: the AUROC at the best report minus that at the last one, one value per seed. The
            best report is found with the other seeds, so that luck is no gain; with a single seed
            it is found with that one, and the gain is optimistic.
        half: the last report minus the one at half of the epochs, paired by seed; no value if
            there is no report there.
        spread: the largest minus the smallest mean of the reports of the second half.
        largest: the largest spread of a single class, by its mean over seeds.
        task: the title of that class.
        left_out: the number of models that have no part in it.
    """

    label: str
    epochs: np.ndarray
    auroc: Sequence[Estimate]
    best: int
    gain: Estimate
    half: Estimate
    spread: float
    largest: float
    task: str
    left_out: int


def stopping(study: StudyRecords, results: Sequence[Result]) -> list[Stopping]:
    """The results whose test AUROC was recorded over the epochs.

    Args:
        study: the records.
        results: the reported results.
    """
    found = [_of_result(result.label, curves_on_test_images(study, result)) for result in results]
    return [one for one in found if one is not None]


def _of_result(label: str, curves: Sequence[Curve]) -> Stopping | None:
    tasks = list(dict.fromkeys(curve.task for curve in curves))
    of_seed: dict[int, dict[str, Curve]] = defaultdict(dict)
    for curve in curves:
        of_seed[curve.seed][curve.task] = curve
    whole = [by_task for by_task in of_seed.values() if len(by_task) == len(tasks)]
    if not whole:
        return None
    epochs = _epochs([curve for by_task in whole for curve in by_task.values()])
    if len(epochs) < 2:
        return None
    values = np.array([[_at(by_task[task], epochs) for task in tasks] for by_task in whole])
    seeds, of_tasks = values.mean(axis=1), values.mean(axis=0)
    second = epochs >= epochs[-1] / 2
    spreads = np.ptp(of_tasks[:, second], axis=1)
    return Stopping(
        label=label,
        epochs=epochs,
        auroc=[estimate([float(v) for v in seeds[:, k]]) for k in range(len(epochs))],
        best=int(seeds.mean(axis=0).argmax()),
        gain=_gain(seeds),
        half=_since(seeds, epochs),
        spread=float(np.ptp(seeds.mean(axis=0)[second])),
        largest=float(spreads.max()),
        task=tasks[int(spreads.argmax())],
        left_out=len(curves) - len(whole) * len(tasks),
    )


def _epochs(curves: Sequence[Curve]) -> np.ndarray:
    """The epochs of any report, from the first one that all models have."""
    first = max(float(curve.epochs[0]) for curve in curves)
    known = np.unique(np.concatenate([curve.epochs for curve in curves]))
    since: np.ndarray = known[known >= first]
    return since


def _at(curve: Curve, epochs: np.ndarray) -> np.ndarray:
    """The last value of a model that was known after each of the epochs."""
    values: np.ndarray = curve.values[np.searchsorted(curve.epochs, epochs, side="right") - 1]
    return values


def _gain(seeds: np.ndarray) -> Estimate:
    """The AUROC at the best report by the other seeds minus that at the last one."""
    gains = []
    for k, own in enumerate(seeds):
        others = np.delete(seeds, k, axis=0) if len(seeds) > 1 else seeds
        gains.append(float(own[others.mean(axis=0).argmax()] - own[-1]))
    return estimate(gains, (-1.0, 1.0))


def _since(seeds: np.ndarray, epochs: np.ndarray) -> Estimate:
    """The last report minus the one nearest to half of the epochs."""
    at_half = _nearest(epochs / epochs[-1], 0.5, within=0.05)
    if at_half is None:
        return estimate([], (-1.0, 1.0))
    change = seeds[:, -1] - seeds[:, at_half]
    return estimate([float(value) for value in change], (-1.0, 1.0))


def _nearest(shares: np.ndarray, share: float, within: float) -> int | None:
    """The position of the nearest of the shares; None if there is none so near."""
    nearest = int(np.abs(shares - share).argmin())
    return nearest if abs(shares[nearest] - share) <= within + ALIKE else None


def orders(found: Sequence[Stopping]) -> list[tuple[float, list[str]]]:
    """The order of the results, best first, by their mean at each share of their epochs.

    Only shares of the epochs at which all results have a report, each within a hundredth.

    Returns:
        Pairs of the share, in (0, 1], and the labels.
    """
    if not found:
        return []
    shares = [one.epochs / one.epochs[-1] for one in found]
    common = []
    for share in shares[0]:
        places = [_nearest(other, float(share), within=0.01) for other in shares]
        means = [one.auroc[k].mean for one, k in zip(found, places, strict=True) if k is not None]
        if len(means) == len(found):
            ranked = [found[k].label for k in np.argsort([-mean for mean in means], kind="stable")]
            common.append((float(share), ranked))
    return common


def leads(found: Sequence[Stopping]) -> list[tuple[float, str]]:
    """The result that leads, with the share of the epochs from which it does, in order."""
    first = [(share, labels[0]) for share, labels in orders(found)]
    changes = [later for earlier, later in pairwise(first) if earlier[1] != later[1]]
    return [*first[:1], *changes]


def draw_stopping(found: Sequence[Stopping]) -> Figure:
    """The mean test AUROC of each result over the epochs; of few results with intervals."""
    labels = [one.label for one in found]
    columns = theme.legend_columns(labels)
    canvas = theme.canvas(2.8 + 0.2 * math.ceil(len(labels) / columns))
    axes = canvas.one
    for k, one in enumerate(found):
        means, low, high = (
            100 * np.array([getattr(value, name) for value in one.auroc])
            for name in ("mean", "low", "high")
        )
        (line,) = axes.plot(
            one.epochs,
            means,
            color=theme.colour(k),
            ls=theme.LINES[k % len(theme.LINES)],
            lw=1.6,
            label=one.label,
        )
        theme.describe(line, [one.label])
        if np.isfinite(low).all() and len(found) <= MOST_BANDS:
            theme.band(axes, one.epochs, low, high, k)
        texts = [
            f"{one.label}, epoch {short(float(epoch))}: {value.mean_interval()} %"
            for epoch, value in zip(one.epochs, one.auroc, strict=True)
        ]
        theme.points(axes, one.epochs, means, texts, s=16, color=theme.colour(k), zorder=3)
    axes.set_xlabel("epoch")
    axes.set_ylabel("test AUROC, %")
    canvas.figure.legend(loc="outside lower center", ncols=columns, frameon=False)
    return canvas.figure
