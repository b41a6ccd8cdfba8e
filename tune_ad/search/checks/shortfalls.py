"""What a study is too small to answer: said before it runs, and in its report.

Each sentence names the number, the smallest one that would do, and where possible the option.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tune_ad.sample_sizes import LEAST_PAIRS, LEAST_SEEDS, LEAST_STEPS, pairs_for
from tune_ad.search.study import Study
from tune_ad.storage.values import encode
from tune_ad.wording import count


def shortfalls(study: Study, images: int, tasks: int) -> list[str]:
    """Sentences without a full stop; none if the study can answer what it asks.

    Args:
        study: the study under its budget.
        images: the number of training images per model.
        tasks: the number of tasks, such as classes.
    """
    steps = optimiser_steps(study, images)
    return [*_steps(steps), *_seeds(study, tasks, bool(steps))]


def optimiser_steps(study: Study, images: int) -> dict[str, int]:
    """The number of optimiser steps of a model with default parameters, by baseline.

    A baseline that is only fitted is left out.

    Args:
        study: the study under its budget.
        images: the number of training images per model.
    """
    stages = {name: b.skeleton(study.shape).stages() for name, b in study.baselines.items()}
    return {
        name: sum(stage.epochs * -(-images // stage.batch_size) for stage in of_baseline)
        for name, of_baseline in stages.items()
        if of_baseline
    }


def _steps(steps: Mapping[str, int]) -> Iterator[str]:
    """Whether models train too shortly to be compared; by baseline, the number of steps."""
    short = [name for name, number in steps.items() if number < LEAST_STEPS]
    if short:
        fewest = min(steps[name] for name in short)
        several = f" ({', '.join(short)})" if len(steps) > 1 else ""
        yield (
            f"only {count(fewest, 'optimiser step')} per model{several}: with fewer than "
            f"{LEAST_STEPS}, results show how fast models learn at first, not how well they "
            "detect in the end (raise --epochs, or lower batch_size by --set)"
        )


def _seeds(study: Study, tasks: int, is_trained: bool) -> Iterator[str]:
    """The consequences of too few seeds for the question of the study; at most one.

    What is only fitted hardly depends on the seed, so that one is enough to choose.
    """
    seeds = len(study.seeds)
    if study.search.whole:
        return
    if study.search.claim:
        if seeds < LEAST_PAIRS:
            yield (
                f"{count(seeds, 'seed')}: a verdict on the claim needs {LEAST_PAIRS} "
                f"(--seeds {LEAST_PAIRS})"
            )
    elif changes := _changes(study):
        yield from _pairs(changes, seeds, tasks)
    elif study.chooses:
        if is_trained and seeds == 1 and study.trials > 1:
            yield (
                "one seed per trial: which of two similar trials is better may be chance "
                "(--seeds 2 or more)"
            )
    elif seeds < LEAST_SEEDS:
        yield (
            f"{count(seeds, 'seed')}: a test between methods, or against published numbers, needs "
            f"{LEAST_SEEDS} (--seeds {LEAST_SEEDS})"
        )


def _pairs(changes: int, seeds: int, tasks: int) -> Iterator[str]:
    """Whether a single change among several can be significant after Holm's correction."""
    needed = pairs_for(changes)
    if seeds * tasks < needed or seeds < LEAST_SEEDS:
        enough = max(LEAST_SEEDS, -(-needed // tasks))
        yield (
            f"{count(seeds * tasks, 'pair')} of class and seed: with {count(changes, 'change')} "
            f"compared, no effect can be significant with fewer than {needed} pairs and "
            f"{LEAST_SEEDS} seeds (--seeds {enough})"
        )


def _changes(study: Study) -> int:
    """The largest number of single changes that are compared for a baseline; 0 = none are."""
    if study.chooses or not study.search.plan.traits.changes_single_parameters:
        return 0
    values: Mapping[tuple[str, str], list[object]] = defaultdict(list)
    for configuration in study.planned or ():
        for name, value in configuration.params.items():
            known = values[configuration.baseline, name]
            if encode(value) not in known:
                known.append(encode(value))
    by_baseline: dict[str, int] = defaultdict(int)
    for (baseline, _), known in values.items():
        by_baseline[baseline] += len(known) - 1
    return max(by_baseline.values(), default=0)
