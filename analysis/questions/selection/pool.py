"""The trials that a selection rule chooses from, with their test results by task and seed.

A regret is how much less test AUROC a chosen trial has than the best one. The best of several
noisy results is partly the luckiest, so a regret measured from it would be too large. It is
therefore cross-fitted: for each seed the best trial is found with the other seeds, and both trials
are compared on that seed. With a single seed, or seeds that all give the same results, the two
halves of the test images take that part. The luck of all seeds on the same test images remains.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.image_sampling import ImageRanks, image_error
from analysis.stats.estimates import ALIKE, Coverage, Estimate, ImageError, estimate
from analysis.stats.rank_aurocs import auroc_of_images
from analysis.study import StudyRecords
from tune_ad.selection import RULES, ranked
from tune_ad.storage.metric import TEST_AUROC, Metrics
from tune_ad.storage.records import TrialRecord
from tune_ad.storage.score_ranks import ScoreRanks

ORACLE = "oracle"


@dataclass(frozen=True, eq=False)
class TrialPool:
    """The complete and tested trials of a study, in the order of their numbers.

    Attributes:
        study: the records of the study.
        records: the trials.
        tasks: the names of the tasks.
        tested: test AUROC, shape (trials, tasks, seeds).
    """

    study: StudyRecords
    records: Sequence[TrialRecord]
    tasks: Sequence[str]
    tested: np.ndarray

    @classmethod
    def of(cls, study: StudyRecords) -> "TrialPool | None":
        """The pool of a study; None with fewer than two trials, or if their models differ."""
        records = sorted(ranked(study.complete, ORACLE), key=lambda record: record.number)
        if len(records) < 2 or len({_models(record) for record in records}) > 1:
            return None
        tasks = list(dict.fromkeys(replica.task for replica in records[0].replicas))
        tested = np.stack([_by_task(record, record.metrics[TEST_AUROC]) for record in records])
        return cls(study, records, tasks, tested)

    @property
    def seeds(self) -> list[int]:
        """The seeds of the models, in the order of the last axis of `tested`."""
        return list(dict.fromkeys(replica.seed for replica in self.records[0].replicas))

    @cached_property
    def ranks(self) -> list[ScoreRanks]:
        """The stored ranks of the scores of each trial; empty mappings if there are none."""
        return [self.study.ranks(record) for record in self.records]

    def mean_auroc(self, positions: Sequence[int]) -> Estimate:
        """Test AUROC of some trials, averaged over them and the tasks, one value per seed.

        The interval also covers the sampling of test images if ranks are stored.

        Args:
            positions: the positions of the trials.
        """
        plain = estimate(list(self.tested[list(positions)].mean(axis=(0, 1))))
        is_all = len(positions) == len(self.records)
        error = self.error_of_all if is_all else self._image_error(positions)
        return plain.with_error(error.value)

    @cached_property
    def error_of_all(self) -> ImageError:
        """The error of the mean AUROC of all trials that is due to the test images."""
        return self._image_error(range(len(self.records)))

    @property
    def coverage(self) -> Coverage:
        """What intervals of AUROCs cover."""
        return self.error_of_all.coverage

    def _image_error(self, positions: Sequence[int]) -> ImageError:
        """The error of the mean AUROC of some trials; unknown if ranks of one are not stored."""
        return image_error(self.contrast(positions), self.tasks, self.seeds)

    def contrast(
        self, positions: Sequence[int], weight: float = 1.0
    ) -> list[tuple[ImageRanks, float]]:
        """The ranks of the test images of each trial, and its part of the weight of their mean.

        Args:
            positions: the positions of the trials.
            weight: the weight of the mean.
        """
        return [(self._images_of(k), weight / len(positions)) for k in positions]

    def _images_of(self, position: int) -> ImageRanks:
        """The ranks of the test images of a trial."""
        ranks = self.ranks[position]
        of_tasks = {t: ranks["test", t] for t in self.tasks if ("test", t) in ranks}
        return ImageRanks(of_tasks, keeps=False)

    def values(self, rule: str) -> np.ndarray:
        """The value of a rule for each trial (rows) and task (columns); NaN if it has none."""
        return np.array(
            [
                [_number(RULES[rule].value(m, record.identity)) for m in _metrics_by_task(record)]
                for record in self.records
            ]
        )

    def chosen(self, rule: str) -> int | None:
        """The position of the trial that a rule selects by all tasks; None if it ranks none."""
        first = next(iter(ranked(self.records, rule)), None)
        return None if first is None else self.records.index(first)

    @cached_property
    def seeds_differ(self) -> bool:
        """Whether seeds give different results; those of deterministic detectors do not."""
        return bool((np.ptp(self.tested, axis=2) > ALIKE).any())

    @cached_property
    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs of test AUROCs, (trials, tasks): to find the best trial, and to compare by."""
        seeds = range(self.tested.shape[2])
        if self.seeds_differ:
            others = [np.delete(self.tested, s, axis=2).mean(axis=2) for s in seeds]
            return [(others[s], self.tested[:, :, s]) for s in seeds]
        if (halves := self._halves()) is not None:
            return [(halves[0], halves[1]), (halves[1], halves[0])]
        return [(self.tested[:, :, 0], self.tested[:, :, 0])]

    @property
    def cross_fitted(self) -> str:
        """What the regrets are cross-fitted over, in words; empty if they are not."""
        if self.seeds_differ:
            return "seeds"
        return "halves of the test images" if len(self.folds) > 1 else ""

    def _halves(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Test AUROC on every other image and on the rest, each (trials, tasks)."""
        halves: list[np.ndarray] = []
        for start in (0, 1):
            rows = []
            for ranks in self.ranks:
                parts = [ranks.get(("test", task)) for task in self.tasks]
                if not all(parts):
                    return None
                rows.append([auroc_of_images(p, start) for p in parts if p is not None])
            halves.append(np.array(rows))
        return (halves[0], halves[1]) if all(np.isfinite(h).all() for h in halves) else None

    @cached_property
    def regrets(self) -> np.ndarray:
        """The cross-fitted regret of each trial, chosen for one task alone: (trials, tasks)."""
        mean: np.ndarray = self.regrets_of_folds(by_task=True).mean(axis=0)
        return mean

    def regrets_of_folds(self, by_task: bool) -> np.ndarray:
        """The regret of each trial by each fold: (folds, trials, tasks).

        Args:
            by_task: whether a trial is chosen for each task alone.
        """
        of_folds = []
        for found_by, compared_by in self.folds:
            if by_task:
                best = compared_by[found_by.argmax(axis=0), np.arange(found_by.shape[1])]
            else:
                best = compared_by[found_by.mean(axis=1).argmax()]
            of_folds.append(best[None, :] - compared_by)
        return np.stack(of_folds)


def _models(record: TrialRecord) -> tuple[tuple[str, int], ...]:
    return tuple((replica.task, replica.seed) for replica in record.replicas)


def _positions(record: TrialRecord) -> list[list[int]]:
    """The positions of the replicas of each task."""
    by_task: dict[str, list[int]] = {}
    for k, replica in enumerate(record.replicas):
        by_task.setdefault(replica.task, []).append(k)
    return list(by_task.values())


def _by_task(record: TrialRecord, values: Sequence[float | None]) -> np.ndarray:
    """Numbers of replicas as an array (tasks, seeds)."""
    return np.array([[_number(values[k]) for k in ks] for ks in _positions(record)])


def _metrics_by_task(record: TrialRecord) -> list[Metrics]:
    """The metrics of the replicas of each task."""
    return [
        {metric: [values[k] for k in ks] for metric, values in record.metrics.items() if values}
        for ks in _positions(record)
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
