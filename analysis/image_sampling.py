"""How much of an AUROC, or of a difference of AUROCs, is due to the sampling of the test images.

All models of a study score the same test images, so the error of a difference is that of the
differences of their placements (DeLong, as in `analysis.stats.rank_aurocs`), not the sum of two
errors. Of a mean over tasks it is that of independent tasks: their normal images differ, and
anomalies that they share are many. Without stored ranks, as in studies of earlier versions, and of
different test images, there is no error (NaN), and an interval covers the seeds alone.
"""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence

from analysis.document.format import in_words
from analysis.stats.rank_aurocs import Placed, contrast_error, joined, placed
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import TrialRecord
from tune_ad.storage.score_ranks import PartRanks

COVERS_IMAGES = (
    "the variance over seeds (Student's t) and the sampling of the test images (DeLong)"
)
COVERS_SEEDS = (
    "the variance over seeds alone (Student's t), for these test images, because ranks of the "
    "scores of the same images are not stored"
)
"""What a 95 % interval covers, with and without the error of the test images."""
NO_INTERVAL = "A single seed has no interval."


class ImageRanks:
    """The ranks of the test images of each task by the models of one configuration.

    Args:
        by_task: the ranks by the name of the task, all models of a task in one part.
        keeps: whether placements are kept for the next comparison.

    Attributes:
        by_task: the same ranks.
    """

    def __init__(self, by_task: Mapping[str, PartRanks], keeps: bool = True) -> None:
        self.by_task, self.keeps = by_task, keeps
        self._placed: dict[Hashable, Placed | None] = {}

    @classmethod
    def read(
        cls, folder: StudyFolder, records: Sequence[TrialRecord], fresh: bool = False
    ) -> "ImageRanks":
        """The stored ranks of the models of one configuration; a seed may have none.

        Args:
            folder: the folder of the study.
            records: the records of the models.
            fresh: whether the records are those of the final evaluation, one for each seed.
        """
        stored = [
            folder.read_ranks(record.identity, record.replicas[0].seed if fresh else None)
            for record in records
        ]
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
        if key in self._placed:
            return self._placed[key]
        part = self.by_task.get(task)
        found = None if part is None else placed(part, outsider, seeds)
        if self.keeps:
            self._placed[key] = found
        return found


def error_of_mean(
    contrast: Sequence[tuple[ImageRanks, float]],
    tasks: Collection[str],
    seeds: Collection[int] | None = None,
    outsider: str | None = None,
) -> float:
    """The standard error of a weighted sum of AUROCs, averaged over tasks, due to its test images.

    NaN if ranks of a task are missing, or the configurations have scored different images.

    Args:
        contrast: the ranks of each configuration, and the weight of its AUROC; for a difference
            the weights are 1 and -1.
        tasks: the names of the tasks.
        seeds: the seeds of the models; None = all.
        outsider: the name of the set of anomalies; None = the first.
    """
    weights = [weight for _, weight in contrast]
    errors = [
        contrast_error((ranks.placed(task, seeds, outsider) for ranks, _ in contrast), weights)
        for task in tasks
    ]
    return math.hypot(*errors) / len(errors) if errors else math.nan


def covers(by_name: Mapping[str, bool], what: str = "Intervals") -> str:
    """What 95 % intervals cover, as a sentence of a caption.

    >>> covers({"a": True}) == f"Intervals cover {COVERS_IMAGES}."
    True

    Args:
        by_name: whether the interval also covers the test images, by the name of its row; rows
            without an interval are left out.
        what: the intervals.
    """
    if not by_name:
        return NO_INTERVAL
    if all(by_name.values()):
        return f"{what} cover {COVERS_IMAGES}."
    if not any(by_name.values()):
        return f"{what} cover {COVERS_SEEDS}."
    others = in_words([name for name, is_covered in by_name.items() if not is_covered])
    return f"{what} cover {COVERS_IMAGES}; of {others} they cover {COVERS_SEEDS}."
