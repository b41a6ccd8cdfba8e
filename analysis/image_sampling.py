"""How much of an AUROC, or of a difference of AUROCs, is due to the sampling of the test images.

All models of a study score the same test images, so the error of a difference is that of the
differences of their placements (DeLong, as in `analysis.stats.rank_aurocs`), not the sum of two
errors. Tasks of one data set share test images, which are normal in one task and anomalies in the
others; of a mean over tasks, the placements of an image in all of them are added before they are
squared. Where the positions of the images are not stored, as in the first files of ranks, tasks
count as independent, and the error is too small if they share most anomalies. Without stored
ranks, as in studies of earlier versions, and of different test images, there is no error (NaN),
and an interval covers the seeds alone.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from analysis.document.format import in_words
from analysis.stats.estimates import Coverage, ImageError
from analysis.stats.rank_aurocs import Placed, error_over_tasks, influences, joined, placed
from analysis.study import StudyRecords
from tune_ad.storage.records import TrialRecord
from tune_ad.storage.score_ranks import PartRanks

COVERS_IMAGES = (
    "the variance over seeds (Student's t) and the sampling of the test images (DeLong)"
)
COVERS_SEEDS = (
    "the variance over seeds alone (Student's t), for these test images, because ranks of the "
    "scores of the same images are not stored"
)
COVERS_PARTLY = (
    "cover the variance over seeds (Student's t), and the sampling of the test images (DeLong) "
    "only where ranks of these scores are stored for all seeds"
)
"""What a 95 % interval covers, with and without the error of the test images."""
TOO_NARROW = (
    "those of means over tasks count images that tasks share as different ones, because their "
    "positions are not stored, and are too narrow if tasks share most anomalies"
)
"""What is said of intervals that cover the sampling of images of separate tasks."""
NO_INTERVAL = "A single seed has no interval."


class ImageRanks:
    """The ranks of the test images of each task by the models of one configuration.

    Args:
        by_task: the ranks by the name of the task, all models of a task in one part.
        keeps: whether placements are kept for the next comparison; False where they are needed
            once, as for the mean of all trials of a search, since those of a thousand trials of
            ten tasks need 240 MB.

    Attributes:
        by_task: the same ranks.
        keeps: the same.
    """

    def __init__(self, by_task: Mapping[str, PartRanks], keeps: bool = True) -> None:
        self.by_task, self.keeps = by_task, keeps
        self._kept: dict[Hashable, Placed | None] = {}

    @classmethod
    def read(
        cls, study: StudyRecords, records: Sequence[TrialRecord], fresh: bool = False
    ) -> "ImageRanks":
        """The stored ranks of the models of one configuration; a seed may have none.

        Args:
            study: the study.
            records: the records of the models.
            fresh: whether the records are those of the final evaluation, one for each seed.
        """
        stored = [study.ranks(record, fresh) for record in records]
        by_task: dict[str, list[PartRanks]] = {}
        for ranks in stored:
            for (part, task), of_task in ranks.items():
                if part == "test":
                    by_task.setdefault(task, []).append(of_task)
        return cls({task: joined(parts) for task, parts in by_task.items()})

    def by_variant(self, variant: str) -> "ImageRanks":
        """The ranks by a score variant, of a sample of the images; empty if a task has none.

        Args:
            variant: the name of the score variant.
        """
        if not all(variant in part.variants for part in self.by_task.values()):
            return ImageRanks({})
        return ImageRanks({task: part.variants[variant] for task, part in self.by_task.items()})

    def placed(
        self, task: str, seeds: Collection[int] | None = None, outsider: str | None = None
    ) -> Placed | None:
        """The placements of the images of a task, averaged over models; None without ranks.

        Args:
            task: the name of the task.
            seeds: the seeds of the models; None = all.
            outsider: the name of the set of anomalies; None = the first.
        """
        key = task, None if seeds is None else frozenset(seeds), outsider
        if key in self._kept:
            return self._kept[key]
        part = self.by_task.get(task)
        placements = None if part is None else placed(part, outsider, seeds)
        if self.keeps:
            self._kept[key] = placements
        return placements


def image_error(
    contrast: Sequence[tuple[ImageRanks, float]],
    tasks: Collection[str],
    seeds: Collection[int] | None = None,
    outsider: str | None = None,
) -> ImageError:
    """The standard error of a weighted sum of AUROCs, averaged over tasks, due to its test images.

    Unknown if ranks of a task are missing, or the configurations have scored different images.

    Args:
        contrast: the ranks of each configuration, and the weight of its AUROC; for a difference
            the weights are 1 and -1.
        tasks: the names of the tasks, all of one data set.
        seeds: the seeds of the models; None = all.
        outsider: the name of the set of anomalies; None = the first.
    """
    weights = [weight for _, weight in contrast]
    of_tasks = [
        influences((ranks.placed(task, seeds, outsider) for ranks, _ in contrast), weights)
        for task in tasks
    ]
    stored = [of_task for of_task in of_tasks if of_task is not None]
    if not of_tasks or len(stored) < len(of_tasks):
        return ImageError()
    return error_over_tasks(stored)


def error_of_mean(
    contrast: Sequence[tuple[ImageRanks, float]],
    tasks: Collection[str],
    seeds: Collection[int] | None = None,
    outsider: str | None = None,
) -> float:
    """The number of `image_error`; NaN if it is unknown."""
    return image_error(contrast, tasks, seeds, outsider).value


def covered_by_all(rows: Iterable[tuple[str, Coverage]]) -> dict[str, Coverage]:
    """What the intervals of all rows of a name cover, by the name.

    >>> covered_by_all([("a", Coverage.IMAGES), ("a", Coverage.SEEDS)])
    {'a': <Coverage.PARTLY: 1>}
    """
    by_name: dict[str, list[Coverage]] = {}
    for name, coverage in rows:
        by_name.setdefault(name, []).append(coverage)
    return {name: Coverage.of_all(kinds) for name, kinds in by_name.items()}


def covers(by_name: Mapping[str, Coverage], what: str = "Intervals") -> str:
    """What 95 % intervals cover, as sentences of a caption.

    >>> covers({"a": Coverage.IMAGES}) == f"Intervals cover {COVERS_IMAGES}."
    True

    Args:
        by_name: what the interval covers, by the name of its row; rows without an interval are
            left out.
        what: the intervals.
    """
    if not by_name:
        return NO_INTERVAL
    if not any(by_name.values()):
        return f"{what} cover {COVERS_SEEDS}."
    if set(by_name.values()) == {Coverage.PARTLY}:
        return f"{what} {COVERS_PARTLY}."
    without = _named(by_name, Coverage.SEEDS)
    partly = _named(by_name, Coverage.PARTLY)
    narrow = _named(by_name, Coverage.SEPARATE_TASKS)
    clauses = [f"{what} cover {COVERS_IMAGES}"]
    if without:
        clauses.append(f"of {in_words(without)} they cover {COVERS_SEEDS}")
    if partly:
        clauses.append(f"of {in_words(partly)} they {COVERS_PARTLY}")
    if narrow:
        of_all = len(narrow) == len(by_name)
        clauses.append(TOO_NARROW if of_all else f"of {in_words(narrow)}, {TOO_NARROW}")
    return "; ".join(clauses) + "."


def _named(by_name: Mapping[str, Coverage], coverage: Coverage) -> list[str]:
    return [name for name, of_row in by_name.items() if of_row is coverage]
