"""The estimated cost of a study on this machine: trials, models, seconds and disk space."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tune_ad.app.estimates.speed import Speed, sampled_ratios
from tune_ad.data.splits import held_out_images
from tune_ad.detectors.schedule import Stage
from tune_ad.search.budgets import Budget
from tune_ad.search.study import Study
from tune_ad.training.largest import most_weights
from tune_ad.wording import count

BYTES_PER_MODEL = 20_000  # size of its records and event files
BYTES_PER_WEIGHT = 4  # a float32
BYTES_PER_VARIANT = 1_500  # size of the ranks by a score variant, of a model that is reported

# Seconds not spent on training, measured on two CPU cores with the search quickstart:
PREPARATION = 2.5  # loading PyTorch and Optuna, reading the images
RAY = 4.5  # starting and stopping Ray
RAY_WORKERS = 3.0  # until the first epoch: once for the search, once for the winner
REPORT = 2.2  # loading pandas and Matplotlib, drawing the figures of a few trials
REPORT_PER_TRIAL = 0.03  # measured with 16 and with 48 trials


class Sizes(NamedTuple):
    """How many images one model uses, and the number of tasks.

    Attributes:
        train: number of training images, all used in every epoch.
        validation: number of validation images, scored at every evaluation.
        test: number of test images, scored at the last evaluation.
        tasks: number of tasks, each with separate models.
    """

    train: int
    validation: int
    test: int
    tasks: int


class Size(NamedTuple):
    """How many models a study trains.

    Attributes:
        trials: number of configurations.
        seeds: number of seeds per trial.
        fresh_seeds: number of seeds on which each winner is trained again.
        tasks: number of tasks, each with separate models.
        winners: number of trials that are trained again on fresh seeds.
    """

    trials: int
    seeds: int
    fresh_seeds: int
    tasks: int
    winners: int = 1

    @property
    def searched(self) -> int:
        """The number of models of the search."""
        return self.trials * self.seeds * self.tasks

    @property
    def retrained(self) -> int:
        """The number of models of the winners on fresh seeds."""
        return self.fresh_seeds * self.winners * self.tasks

    @property
    def models(self) -> int:
        """The number of all models."""
        return self.searched + self.retrained

    def in_words(self, is_by_class: bool) -> str:
        """How many models a study trains, as a product.

        >>> Size(trials=8, seeds=1, fresh_seeds=3, tasks=3).in_words(is_by_class=True)
        '8 trials x 3 classes = 24 models, then 3 fresh seeds x 3 classes = 9 models'
        >>> Size(trials=8, seeds=1, fresh_seeds=4, tasks=1, winners=3).in_words(is_by_class=False)
        '8 trials = 8 models, then 3 winners x 4 fresh seeds = 12 models'
        >>> Size(trials=2, seeds=3, fresh_seeds=0, tasks=1).in_words(is_by_class=False)
        '2 trials x 3 seeds = 6 models'
        >>> Size(trials=2, seeds=1, fresh_seeds=0, tasks=1).in_words(is_by_class=False)
        '2 trials = 2 models'
        >>> Size(trials=0, seeds=1, fresh_seeds=2, tasks=1).in_words(is_by_class=False)
        '2 fresh seeds = 2 models'
        >>> Size(trials=0, seeds=1, fresh_seeds=0, tasks=1).in_words(is_by_class=False)
        'nothing'
        """
        classes = [count(self.tasks, "class")] if is_by_class else []
        seeds = [count(self.seeds, "seed")] if self.seeds > 1 else []
        parts = []
        if self.trials:
            factors = " x ".join([count(self.trials, "trial"), *classes, *seeds])
            parts.append(f"{factors} = {count(self.searched, 'model')}")
        if self.fresh_seeds:
            winners = [count(self.winners, "winner")] if self.winners > 1 else []
            factors = " x ".join([*winners, count(self.fresh_seeds, "fresh seed"), *classes])
            parts.append(f"{factors} = {count(self.retrained, 'model')}")
        return ", then ".join(parts) or "nothing"


class Remaining(NamedTuple):
    """What of a study is still to be trained.

    Attributes:
        size: how many models.
        trials: number of trials of each baseline.
    """

    size: Size
    trials: Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """The estimated cost of a study.

    Attributes:
        seconds: wall time of training and scoring on this machine, in seconds.
        size: numbers of trials and models.
        bytes: approximate size of records, event files and kept models.
        kept: of these, the size of the kept models, if all were as large as the largest.
        overhead: wall time of the start, the backend and the report, in seconds.
        trial_seconds: seconds of a trial of each baseline that is still to be trained, with all
            its tasks and seeds.
    """

    seconds: float
    size: Size
    bytes: int
    kept: int = 0
    overhead: float = 0.0
    trial_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Wall time from the command to its last line, in seconds."""
        return self.seconds + self.overhead


def size(study: Study, tasks: int) -> Size:
    """The number of trials and of models of a study.

    Args:
        study: the search under its budget.
        tasks: number of tasks, each with separate models.
    """
    winners = max(1, study.winners)
    return Size(study.trials, study.budget.seeds, _fresh_seeds(study), tasks, winners)


def _fresh_seeds(study: Study) -> int:
    """The number of seeds on which the winner is trained again; 0 if no trial is selected."""
    return study.budget.evaluation_seeds if study.selects else 0


def overhead(study: Study, trials: int, backend: str) -> float:
    """Wall time not spent on training, in seconds: the start, the backend, the report.

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
    """How many training, validation and test images one model uses.

    Args:
        budget: budget with the maximum numbers of images.
        class_images: training images of one class, or of the whole data set.
        test_images: test images of the data set.
        classes: number of classes of which one is normal; 1 if the whole data set is normal.
        outsiders: number of test images of each anomalous data set.
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
    study: Study,
    sizes: Sizes,
    speeds: Mapping[str, Speed],
    ratios: Mapping[str, float],
    concurrent: int,
    left: Remaining | None = None,
) -> Cost:
    """The estimated cost of a study, from the measured speed and the mean size of configurations.

    Searched epochs are part of that size; the winner is assumed to have the most of them, and any
    baseline as likely to win.

    Args:
        study: the search under its budget.
        sizes: numbers of images of a model, and of tasks.
        speeds: speed of the default configuration of each baseline.
        ratios: mean seconds of the sampled configurations of each baseline divided by those of its
            default.
        concurrent: number of parallel trials.
        left: what of the study is still to be trained; None = all of it.
    """
    total = left.size if left else size(study, sizes.tasks)
    numbers = left.trials if left else trials_by_baseline(study, total.trials)
    models = _models(study, sizes, speeds)
    searched_model = {name: ratios[name] * seconds for name, seconds in models.items()}
    each = total.tasks * total.seeds
    trial_seconds = {name: each * searched_model[name] for name in numbers}
    searched = sum(number * trial_seconds[name] for name, number in numbers.items())
    searched /= max(1, min(concurrent, total.trials))
    parallel = max(1, min(concurrent, total.fresh_seeds * total.winners))
    longest = max(study.epochs_tried()) / max(1, *study.epochs().values())
    winner = sum(max(ratios[n], longest, 1.0) * seconds for n, seconds in models.items())
    retrained = total.retrained * winner / len(models) / parallel
    kept = kept_bytes(study, total)
    size_on_disk = total.models * BYTES_PER_MODEL + _bytes_of_variants(study, total) + kept
    return Cost(searched + retrained, total, size_on_disk, kept, trial_seconds=trial_seconds)


def trials_by_baseline(study: Study, trials: int, ended: Sequence[str] = ()) -> dict[str, float]:
    """The number of trials of each baseline that are to be trained.

    Args:
        study: the search under its budget.
        trials: their number, of which each baseline has an equal share if the plan adapts.
        ended: the baseline of each trial that was trained, which are left out of a plan that lists
            its trials in advance.
    """
    if study.planned is None:
        return dict.fromkeys(study.baselines, trials / len(study.baselines))
    planned = Counter(c.baseline for c in study.planned[: study.trials])
    return dict(planned - Counter(ended))


def longest_trial(study: Study, sizes: Sizes, speeds: Mapping[str, Speed]) -> float:
    """The seconds of the longest trial among the defaults and some sampled configurations.

    Args:
        study: the search under its budget.
        sizes: numbers of images of a model, and of tasks.
        speeds: speed of the default configuration of each baseline.
    """
    models = _models(study, sizes, speeds)
    ratios = [*sampled_ratios(study, study, speeds), *((name, 1.0) for name in models)]
    return sizes.tasks * len(study.seeds) * max(models[name] * ratio for name, ratio in ratios)


def kept_bytes(study: Study, total: Size) -> int:
    """The size of the kept models, if all were as large as the largest of the search space.

    Args:
        study: the search under its budget.
        total: numbers of trials and models.
    """
    models = {"none": 0, "best": total.retrained, "all": total.models}[study.keep_models]
    return BYTES_PER_WEIGHT * most_weights(study).weights * models if models else 0


def _bytes_of_variants(study: Study, total: Size) -> int:
    """The size of the ranks by the values of score-time parameters, of reported models alone."""
    baselines = study.search.baselines
    values = [sum(map(len, baseline.score_space.values())) for baseline in baselines]
    selects_by_test = study.selection == "oracle"
    reported = total.retrained if study.chooses and not selects_by_test else total.models
    return reported * max(values) * BYTES_PER_VARIANT


def _models(study: Study, sizes: Sizes, speeds: Mapping[str, Speed]) -> dict[str, float]:
    """The seconds that one model of each baseline takes, including its evaluations."""
    return {
        name: _model(baseline.skeleton(study.shape).stages(), study, sizes, speeds[name])
        for name, baseline in study.baselines.items()
    }


def _model(stages: Sequence[Stage], study: Study, sizes: Sizes, speed: Speed) -> float:
    scored = sizes.validation + sizes.test * study.budget.test_curve
    evaluations = _evaluations(stages, study) if scored else 1
    last = sizes.validation + sizes.test
    seconds = sizes.train * (speed.training(stages) + evaluations * speed.fit)
    return seconds + (evaluations - 1) * scored * speed.score + last * speed.variants


def _evaluations(stages: Sequence[Stage], study: Study) -> int:
    """The reports of a model from its last stage on, before which nothing is scored.

    With patience every stage begins with an interval of its own.
    """
    interval, each = study.interval(stages), [stage.epochs for stage in stages]
    if study.search.patience:
        return max(1, -(-each[-1] // interval)) if each else 1
    return max(1, -(-sum(each) // interval)) - sum(each[:-1]) // interval
