"""What a study would take on this machine: trials, models, seconds and disk space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tune_ad.app.speed import Speed
from tune_ad.data.splits import held_out_images
from tune_ad.detectors.schedule import Stage
from tune_ad.search.budgets import Budget
from tune_ad.search.study import Study

BYTES_PER_MODEL = 20_000  # of records and event files

# Seconds beside training, measured on two CPU cores by the search quickstart:
PREPARATION = 3.0  # loading PyTorch and Optuna, reading the images
RAY = 6.0  # starting Ray takes 4, stopping it 2
RAY_WORKERS = 4.0  # until the first epoch: once for the search, once for the winner
REPORT = 3.5  # loading pandas and Matplotlib, drawing the figures of a few trials
REPORT_PER_TRIAL = 0.03  # from 16 to 48 trials


class Sizes(NamedTuple):
    """Numbers of images of one model, and of tasks.

    Attributes:
        train: images that are trained on in each epoch.
        validation: images that are scored at each evaluation.
        test: images that are scored at the last evaluation.
        tasks: number of tasks, each with a model of its own.
    """

    train: int
    validation: int
    test: int
    tasks: int


class Size(NamedTuple):
    """How much a study trains.

    Attributes:
        trials: number of configurations.
        models: number of models, those of the winner on fresh seeds included.
    """

    trials: int
    models: int


@dataclass(frozen=True)
class Cost:
    """What a study would take.

    Attributes:
        seconds: wall time of training and scoring on this machine.
        size: number of trials and models.
        bytes: approximate size of records and event files.
        overhead: seconds of wall time for the start, the backend and the report.
    """

    seconds: float
    size: Size
    bytes: int
    overhead: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of wall time from the command to its last line."""
        return self.seconds + self.overhead


def size(study: Study, tasks: int) -> Size:
    """The number of trials and of models of a study.

    Args:
        study: the search under its budget.
        tasks: number of tasks, each with a model of its own.
    """
    models = study.trials * study.budget.seeds + _fresh_seeds(study)
    return Size(study.trials, models * tasks)


def _fresh_seeds(study: Study) -> int:
    """Seeds on which the winner is trained again; none where no trial is selected."""
    return study.budget.evaluation_seeds if study.selects else 0


def overhead(study: Study, trials: int, backend: str) -> float:
    """Seconds of wall time beside training: the start, the backend, the report.

    Args:
        study: the search under its budget.
        trials: number of trials in the report.
        backend: "ray" or "serial".
    """
    seconds = PREPARATION + REPORT + REPORT_PER_TRIAL * trials
    if backend == "ray":
        seconds += RAY + RAY_WORKERS * (2 if _fresh_seeds(study) else 1)
    return seconds


def image_sizes(
    budget: Budget,
    class_images: int,
    test_images: int,
    classes: int,
    outsiders: Sequence[int] = (),
) -> Sizes:
    """The numbers of images of one model, as the suite cuts them.

    Args:
        budget: gives the upper bounds.
        class_images: training images of one class, or of the whole data set.
        test_images: test images of the data set.
        classes: number of classes of which one is normal; 1 if the whole data set is normal.
        outsiders: number of test images of each other data set.
    """
    held_out = held_out_images(class_images, budget.validation_fraction)
    train = min(class_images - held_out, budget.train_images or class_images)
    others = held_out * (classes - 1)
    cap = held_out + others if budget.validation_images is None else budget.validation_images
    validation = min(held_out, cap) + min(others, cap)
    sides = min(classes, 2)  # a whole data set has no anomalies
    cap = test_images if budget.test_images is None else sides * budget.test_images
    test = min(test_images, cap)
    test += sum(min(n, n if budget.test_images is None else budget.test_images) for n in outsiders)
    tasks = classes if budget.classes is None else len(budget.classes)
    return Sizes(train, validation, test, tasks)


def cost(
    study: Study, sizes: Sizes, speeds: Mapping[str, Speed], ratio: float, concurrent: int
) -> Cost:
    """What a study takes if its trials cost as much as the sampled ones.

    Args:
        study: the search under its budget.
        sizes: images of a model, and tasks.
        speeds: of the default configuration of each baseline.
        ratio: operations of a mean trial over those of the default.
        concurrent: trials at a time.
    """
    trials, models = size(study, sizes.tasks)
    seeds = _fresh_seeds(study)
    model = _mean_model(study, sizes, speeds)
    searched = trials * study.budget.seeds * sizes.tasks * ratio * model
    fresh = seeds * sizes.tasks * max(1.0, ratio) * model
    return Cost(
        seconds=searched / min(concurrent, trials) + fresh / max(1, min(concurrent, seeds)),
        size=Size(trials, models),
        bytes=models * BYTES_PER_MODEL,
    )


def _mean_model(study: Study, sizes: Sizes, speeds: Mapping[str, Speed]) -> float:
    """Seconds of one model, from training to its last evaluation: the mean over baselines."""
    models = [
        _model(baseline.skeleton(study.shape).stages(), study.budget, sizes, speeds[name])
        for name, baseline in study.baselines.items()
    ]
    return sum(models) / len(models)


def _model(stages: Sequence[Stage], budget: Budget, sizes: Sizes, speed: Speed) -> float:
    epochs = sum(stage.epochs for stage in stages)
    earlier = sum(stage.epochs for stage in stages[:-1])  # no evaluation before the last stage
    interval = budget.interval(epochs)
    scored = sizes.validation + sizes.test * budget.test_curve
    evaluations = max(1, -(-epochs // interval)) - earlier // interval if scored else 1
    last = sizes.validation + sizes.test
    trained = sum(
        stage.epochs * seconds for stage, seconds in zip(stages, speed.train, strict=True)
    )
    seconds = sizes.train * (trained + evaluations * speed.fit)
    return seconds + (evaluations - 1) * scored * speed.score + last * speed.variants
