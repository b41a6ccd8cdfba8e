"""How many labelled anomalies selection needs, and of which classes.

For each task alone: a trial is selected by the validation AUROC against only k labelled anomalies,
drawn from all classes of anomalies or from a single one; or against all anomalies but those of the
class that is tested, which nobody has seen then.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.questions.selection.pool import TrialPool
from analysis.stats.rank_aurocs import mean_placements
from tune_ad.randomness import numpy_stream
from tune_ad.storage.metric import OTHER_CLASSES

LABELLED = (1, 2, 5, 10, 50)  # numbers of labelled anomalies
DRAWS = 20
ALL = "all"


class Regrets(NamedTuple):
    """Regrets of selections with k labels: over tasks, draws and, for one class, classes.

    Attributes:
        mean: the mean, in [-1, 1]; by luck it can be negative.
        low: the 2.5th percentile.
        high: the 97.5th percentile.
        n: the number of selections.
    """

    mean: float
    low: float
    high: float
    n: int


class LabelCurve(NamedTuple):
    """Regret against the number of labelled anomalies by which trials are ranked, task by task.

    Attributes:
        of_all_classes: the regrets by number of labels (as text), if they are of all classes.
        of_one_class: the same, if they are of a single class.
        unseen: the regret on anomalies of a class that none of the labels has; None with fewer
            than two classes of anomalies, or with fewer than two test images of each.
        seen: the regret on anomalies of the same classes, if labels have them too.
        random: the expected regret of a random trial.
        trials: the number of candidate trials.
        tasks: the number of tasks.
    """

    of_all_classes: dict[str, Regrets]
    of_one_class: dict[str, Regrets]
    unseen: Regrets | None
    seen: Regrets | None
    random: float
    trials: int
    tasks: int


class _Placed(NamedTuple):
    """The placements of the anomalies of a part, averaged over seeds.

    Attributes:
        values: shape (trials, anomalies), in [0, 1].
        classes: the class of each anomaly, shape (anomalies,).
    """

    values: np.ndarray
    classes: np.ndarray


def label_curve(pool: TrialPool) -> LabelCurve | None:
    """The curve; None if the anomalies are no classes of the data set, or no ranks are stored."""
    validation, test = _placed(pool, "validation"), _placed(pool, "test")
    if validation is None or test is None:
        return None
    seed = int(pool.study.stored["study"].get("seed", 0))
    of_all: dict[str, list[float]] = {}
    of_one: dict[str, list[float]] = {}
    for t, task in enumerate(pool.tasks):
        placed, regrets = validation[task], pool.regrets[:, t]
        everything = np.arange(len(placed.classes))
        for count, drawn in _draws(seed, task, everything):
            of_all.setdefault(count, []).append(_regret_with(placed, drawn, regrets))
        for label in np.unique(placed.classes):
            members = everything[placed.classes == label]
            for count, drawn in _draws(seed, f"{task}, class {label}", members):
                of_one.setdefault(count, []).append(_regret_with(placed, drawn, regrets))
    unseen, seen = _unseen(pool, validation, test)
    return LabelCurve(
        {count: _summary(values) for count, values in of_all.items()},
        {count: _summary(values) for count, values in of_one.items()},
        _summary(unseen) if unseen else None,
        _summary(seen) if seen else None,
        float(pool.regrets.mean()),
        len(pool.records),
        len(pool.tasks),
    )


def _placed(pool: TrialPool, part: str) -> dict[str, _Placed] | None:
    """The placements of every task; None if a trial has none."""
    by_task: dict[str, list[np.ndarray]] = {task: [] for task in pool.tasks}
    classes: dict[str, np.ndarray] = {}
    for stored in pool.ranks:
        for task in pool.tasks:
            ranks = stored.get((part, task))
            if ranks is None or OTHER_CLASSES not in ranks.outsiders:
                return None
            by_task[task].append(mean_placements(ranks.normal, ranks.outsiders[OTHER_CLASSES]))
            classes[task] = ranks.outsider_classes[OTHER_CLASSES]
    return {task: _Placed(np.stack(rows), classes[task]) for task, rows in by_task.items()}


def _draws(seed: int, purpose: str, members: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers of labels, each with the anomalies of every draw: `DRAWS` times k of `members`.

    Last come all members, once.
    """
    for count in LABELLED:
        if count < len(members):
            for draw in range(DRAWS):
                stream = numpy_stream(seed, "labelled", purpose, count, draw)
                yield str(count), stream.choice(members, count, replace=False)
    yield ALL, members


def _regret_with(placed: _Placed, labelled: np.ndarray, regrets: np.ndarray) -> float:
    """The regret of the trial that labelled anomalies select; of equal trials the first."""
    return float(regrets[placed.values[:, labelled].mean(axis=1).argmax()])


def _unseen(
    pool: TrialPool, validation: dict[str, _Placed], test: dict[str, _Placed]
) -> tuple[list[float], list[float]]:
    """The regrets on the test anomalies of each class, if labels lack that class, or have it.

    The best trial is found with half of the class's test anomalies and compared on the others.
    """
    unseen, seen = [], []
    for task in pool.tasks:
        labelled, tested = validation[task], test[task]
        for label in np.unique(tested.classes):
            others = np.flatnonzero(labelled.classes != label)
            of_class = tested.values[:, tested.classes == label]
            if not len(others) or of_class.shape[1] < 2:
                continue
            halves = of_class[:, ::2].mean(axis=1), of_class[:, 1::2].mean(axis=1)
            folds = (halves, halves[::-1])
            regrets = np.mean([b[a.argmax()] - b for a, b in folds], axis=0)
            everything = np.arange(len(labelled.classes))
            unseen.append(_regret_with(labelled, others, regrets))
            seen.append(_regret_with(labelled, everything, regrets))
    return unseen, seen


def _summary(values: list[float]) -> Regrets:
    low, high = np.percentile(values, [2.5, 97.5])
    return Regrets(float(np.mean(values)), float(low), float(high), len(values))


def draw_label_curve(curve: LabelCurve) -> Figure:
    """Regret in points of AUROC against the number of labelled anomalies."""
    drawing = theme.canvas(2.8)
    axes = drawing.one
    names = [*dict.fromkeys([*curve.of_all_classes, *curve.of_one_class])]
    names = sorted(names, key=lambda name: (name == ALL, len(name), name))
    lines = {"of all classes": curve.of_all_classes, "of one class": curve.of_one_class}
    for k, (title, regrets) in enumerate(lines.items()):
        places = [names.index(name) for name in regrets]
        rows = 100 * np.array([regret[:3] for regret in regrets.values()])
        mean, low, high = rows.T
        theme.band(axes, places, low, high, k)
        axes.plot(places, mean, "os"[k] + "-", color=theme.colour(k), label=title)
    axes.axhline(100 * curve.random, color=theme.FAINT, linestyle="--")
    axes.annotate(
        "random trial",
        (len(names) - 1, 100 * curve.random),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=9,
        bbox=theme.ON_PAPER,
    )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("number of labelled anomalies used for selection")
    axes.set_ylabel("regret, points of AUROC")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return drawing.figure
