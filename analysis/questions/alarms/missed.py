"""Which anomalies a result misses: the AUROC of each class of anomalies, from stored ranks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import frame
from analysis.document import theme
from analysis.questions.alarms.images import pairs, part_of
from analysis.quoted import Result
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.rank_aurocs import main_outsider, placements
from analysis.study import StudyRecords
from tune_ad.storage.metric import CHANCE_AUROC
from tune_ad.wording import count

COLOURS = "cividis"
WRITTEN = 12  # largest number of columns in whose cells the numbers are written
LONGEST_LEVEL = 4  # characters of a class name that is written horizontally
DARK = 0.5  # the share of the range of colours below which a number is white
STEP = 5  # per cent, to a multiple of which it begins lower if a number is lower


class Pair(NamedTuple):
    """The test AUROC of a normal class against one class of anomalies.

    Attributes:
        normal: the name of the normal class, or of the data set if tasks have no class; the title
            of the task if tasks are not told apart by it.
        anomalous: the name of the class of anomalies, or its number if its name is not stored.
        auroc: in [0, 1], one value per seed; the interval covers the seeds alone.
        images: the number of these anomalies whose ranks are stored.
    """

    normal: str
    anomalous: str
    auroc: Estimate
    images: int

    def __str__(self) -> str:
        """The pair in words."""
        return f"class {self.anomalous} when {self.normal} is normal"

    @property
    def described(self) -> str:
        """The pair with its number, its interval and its n."""
        interval = self.auroc.mean_interval()
        return f"{self}: {interval} %, n = {count(self.auroc.n, 'seed')}"


class Missed(NamedTuple):
    """All pairs of a result.

    Attributes:
        label: the label of the result.
        against: what the anomalies are, in words.
        classes: the classes of anomalies, in their order.
        pairs: the pairs, by task and class.
    """

    label: str
    against: str
    classes: Sequence[str]
    pairs: Sequence[Pair]

    def hardest(self, most: int) -> list[Pair]:
        """The pairs of the smallest mean AUROC, the smallest first."""
        return sorted(self.pairs, key=lambda pair: pair.auroc.mean)[:most]

    @property
    def means(self) -> pd.DataFrame:
        """Mean AUROC by normal class (rows) and class of anomalies; NaN without such a pair."""
        rows: dict[str, dict[str, float]] = {}
        for pair in self.pairs:
            rows.setdefault(pair.normal, {})[pair.anomalous] = pair.auroc.mean
        return pd.DataFrame(rows).T.reindex(columns=list(self.classes))


def missed(study: StudyRecords, result: Result) -> Missed | None:
    """The pairs of a result; None without ranks, or if there is a single one.

    The AUROC of a task is the mean of its pairs, weighted by their numbers of images.

    Args:
        study: the study.
        result: one of its results.
    """
    seeds = list(frame.by_seed(frame.replicas(result.tested)).index)
    found: dict[tuple[str, int], tuple[Estimate, int]] = {}
    outsider = ""
    for task in result.classes:
        part = part_of(result, task)
        scored = list(pairs(part, None, seeds)) if part is not None else []
        if part is None or not scored:
            continue
        outsider = main_outsider(part.outsiders)
        placed = [placements(*pair) for pair in scored]
        classes = part.outsider_classes[outsider]
        for number in map(int, np.unique(classes)):
            of_class = [float(values[classes == number].mean()) for values in placed]
            images = int((classes == number).sum())
            found[task, number] = estimate(of_class), images
    if len(found) < 2:
        return None
    names = class_names(study, outsider or study.source_of(next(iter(result.classes))))
    normal = _normal_names(study, result)
    numbers = sorted({number for _, number in found})
    return Missed(
        result.label,
        f"classes of {outsider}" if outsider else "the other classes",
        [names.get(number, str(number)) for number in numbers],
        [
            Pair(normal[task], names.get(number, str(number)), *of_pair)
            for (task, number), of_pair in found.items()
        ],
    )


def _normal_names(study: StudyRecords, result: Result) -> dict[str, str]:
    """The names of the normal classes or data sets by task, or the titles of the tasks."""
    titles = {task: result.titles.get(task, task) for task in result.classes}
    named = {task: str(study.tasks.get(task, {}).get("class_name") or "") for task in titles}
    sources = {task: study.source_of(task) for task in titles}
    if not any(named.values()):
        return sources if len({*sources.values()}) == len(titles) else titles
    one_source = len({*sources.values()}) == 1
    return named if one_source and len({*named.values()} - {""}) == len(titles) else titles


def class_names(study: StudyRecords, data_set: str) -> dict[int, str]:
    """The names of the classes of a data set, by their numbers.

    Older studies store those of the tasks alone.

    Args:
        study: the study.
        data_set: the name of the data set.
    """
    of_tasks = {
        int(task["normal_class"]): str(task["class_name"])
        for task in study.tasks.values()
        if task.get("source") == data_set
        and task.get("normal_class") is not None
        and task.get("class_name")
    }
    stored = study.stored["data"].get(data_set, {}).get("classes", ())
    return {**dict(enumerate(stored)), **of_tasks}


def draw_missed(found: Missed) -> Figure:
    """A heat map: a row per normal class, a column per class of anomalies; dark = near chance."""
    means = found.means
    values = 100 * means.to_numpy(dtype=float)
    rows, columns = values.shape
    canvas = theme.canvas(height=1.2 + 0.36 * rows)
    axes = canvas.one
    low = colours_from(values)
    cells = axes.pcolormesh(
        np.ma.masked_invalid(values),
        cmap=COLOURS,
        vmin=low,
        vmax=100,
        edgecolors=theme.FAINT,
        linewidth=0.6,
    )
    theme.describe(cells, _texts(found, means))
    axes.invert_yaxis()
    axes.set_xticks(np.arange(columns) + 0.5, list(map(str, means.columns)))
    axes.set_yticks(np.arange(rows) + 0.5, list(map(str, means.index)))
    if max(map(len, map(str, means.columns))) > LONGEST_LEVEL:
        axes.tick_params(axis="x", rotation=45)
    if columns <= WRITTEN:
        for (i, j), value in np.ndenumerate(values):
            ink = "white" if value < low + DARK * (100 - low) else "black"
            text, ink = ("–", theme.FAINT) if np.isnan(value) else (f"{value:.0f}", ink)
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, color=ink)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("class of the anomalies")
    axes.set_ylabel("normal class")
    bar = canvas.figure.colorbar(cells, ax=axes, pad=0.02)
    bar.set_label("test AUROC (%)")
    bar.outline.set_visible(False)
    return canvas.figure


def colours_from(values: np.ndarray) -> float:
    """Where the range of colours begins, in per cent: at chance, or below the least number.

    Args:
        values: the numbers in per cent; NaN = none.

    >>> colours_from(np.array([99.0, 87.0])), colours_from(np.array([99.0, 43.0]))
    (50.0, 40.0)
    """
    return min(100 * CHANCE_AUROC, float(np.floor(np.nanmin(values) / STEP) * STEP))


def _texts(found: Missed, means: pd.DataFrame) -> list[str]:
    """A text for each cell, row by row."""
    of_pairs = {(pair.normal, pair.anomalous): pair.described for pair in found.pairs}
    return [
        of_pairs.get((normal, anomalous), f"{anomalous} when {normal} is normal: not measured")
        for normal in means.index
        for anomalous in means.columns
    ]
