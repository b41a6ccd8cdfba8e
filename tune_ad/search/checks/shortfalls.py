"""What a study is too small to answer: said before it runs, and in its report.

Each sentence names the number, the smallest one that would do, and where possible the option.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tune_ad.sample_sizes import (
    LEAST_LABELS,
    LEAST_PAIRS,
    LEAST_SEEDS,
    LEAST_STEPS,
    auroc_half_width,
    pairs_for,
    seeds_for,
)
from tune_ad.search.study import Study
from tune_ad.selection import RULES
from tune_ad.storage.values import encode
from tune_ad.wording import count

TYPICAL_AUROC = 0.9


class HeldOut(NamedTuple):
    """The numbers of held-out images of the task that has the fewest labelled anomalies."""

    normal: int
    anomalous: int


ENOUGH = HeldOut(LEAST_LABELS, LEAST_LABELS)


def shortfalls(study: Study, images: int, tasks: int, held_out: HeldOut = ENOUGH) -> list[str]:
    """Sentences without a full stop; none if the study can answer what it asks.

    Args:
        study: the study under its budget.
        images: the number of training images per model.
        tasks: the number of tasks, such as classes.
        held_out: the images by which trials are ranked.
    """
    steps = optimiser_steps(study, images)
    return [
        *_untried(study),
        *_labels(study, held_out),
        *_steps(steps),
        *_seeds(study, tasks, bool(steps)),
    ]


def _labels(study: Study, held_out: HeldOut) -> Iterator[str]:
    """Whether trials are ranked by too few labelled anomalies."""
    is_used = study.chooses and RULES[study.selection].looks_at == "held-out anomalies"
    if is_used and held_out.anomalous < LEAST_LABELS:
        width = auroc_half_width(TYPICAL_AUROC, *held_out)
        yield (
            f"{count(held_out.anomalous, 'labelled anomaly')} to select by: an AUROC of "
            f"{TYPICAL_AUROC:.0%} is then known to within {100 * width:.0f} points (95 % "
            f"interval), so that chance decides between similar trials; with fewer than "
            f"{LEAST_LABELS}, a rule without labels is better founded (--selection "
            "pseudo_outliers)"
        )


def _untried(study: Study) -> Iterator[str]:
    """Whether baselines that take turns have no trial at all."""
    names = list(study.baselines)
    if study.search.plan.traits.in_turns and study.trials < len(names):
        yield (
            f"only {count(study.trials, 'trial')} for {len(names)} baselines: "
            f"{', '.join(names[study.trials :])} are not tried (--trials {len(names)})"
        )


def optimiser_steps(study: Study, images: int) -> dict[str, int]:
    """The number of optimiser steps of a model with default parameters, by baseline.

    A baseline that is only fitted is left out.

    Args:
        study: the study under its budget.
        images: the number of training images per model.
    """
    stages = {name: b.skeleton(study.shape).stages() for name, b in study.baselines.items()}
    return {
        name: sum(stage.epochs * stage.batches(images) for stage in of_baseline)
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
            "detect in the end (raise --epochs or --train-images, or lower batch_size by --set)"
        )


def _seeds(study: Study, tasks: int, is_trained: bool) -> Iterator[str]:
    """The consequences of too few seeds for the question of the study."""
    seeds = len(study.seeds)
    if study.search.whole:
        return
    if study.chooses:
        yield from _choice(study, is_trained)
        if study.winners > 1:
            yield from _winners(study, tasks)
    elif not study.search.claim:
        yield from _comparison(study, tasks)
    elif seeds < LEAST_PAIRS:
        yield (
            f"{count(seeds, 'seed')}: a verdict on the claim needs {LEAST_PAIRS} "
            f"(--seeds {LEAST_PAIRS})"
        )


def _choice(study: Study, is_trained: bool) -> Iterator[str]:
    """Too few seeds to choose a trial, or to test the winner.

    What is only fitted hardly depends on the seed, so that one is enough.
    """
    if not is_trained:
        return
    if len(study.seeds) == 1 and study.trials > 1:
        yield (
            "one seed per trial: which of two similar trials is better may be chance "
            "(--seeds 2 or more)"
        )
    if study.winners == 1 and (fresh := len(study.fresh_seeds)) < LEAST_SEEDS:
        yield (
            f"{count(fresh, 'fresh seed')} for the winner: a test of its AUROC needs "
            f"{LEAST_SEEDS} (--evaluation-seeds {LEAST_SEEDS})"
        )


def _winners(study: Study, tasks: int) -> Iterator[str]:
    """Whether one of the differences between the winners of the baselines can be significant."""
    compared, tests = count(study.winners, "winner"), math.comb(study.winners, 2)
    yield from _pairs(compared, tests, len(study.fresh_seeds), tasks, "--evaluation-seeds")


def _comparison(study: Study, tasks: int) -> Iterator[str]:
    """Too few seeds to compare configurations of which none is chosen."""
    seeds = len(study.seeds)
    if changes := single_changes(study):
        yield from _pairs(count(changes, "change"), changes, seeds, tasks)
    elif study.trials > len(study.baselines) and not study.search.plan.traits.is_designed:
        yield from _samples(study, tasks)
    elif study.trials > 1:
        compared = count(study.trials, "configuration")
        yield from _pairs(compared, math.comb(study.trials, 2), seeds, tasks)
    elif seeds < LEAST_SEEDS:
        yield (
            f"{count(seeds, 'seed')}: a test against published numbers needs {LEAST_SEEDS} "
            f"(--seeds {LEAST_SEEDS})"
        )


def _samples(study: Study, tasks: int) -> Iterator[str]:
    """Too few seeds for sensitivities, or to compare the defaults of several baselines."""
    seeds, baselines = len(study.seeds), len(study.baselines)
    if seeds == 1:
        yield (
            "one seed per trial: the effect of a parameter cannot be told from that of the seed "
            "(--seeds 2 or more)"
        )
    elif baselines > 1:
        compared = count(baselines, "default configuration")
        yield from _pairs(compared, math.comb(baselines, 2), seeds, tasks)


def _pairs(
    compared: str, tests: int, seeds: int, tasks: int, option: str = "--seeds"
) -> Iterator[str]:
    """Whether one of several differences can be significant after Holm's correction.

    Args:
        compared: what is compared, with its number.
        tests: the number of comparisons.
        seeds: the number of seeds of each.
        tasks: the number of tasks.
        option: the option that sets the number of seeds.
    """
    needed = pairs_for(tests)
    if seeds * tasks < needed or seeds < LEAST_SEEDS:
        yield (
            f"{count(seeds * tasks, 'pair')} of class and seed: with {compared} to compare, a "
            f"significant difference needs at least {needed} pairs and {LEAST_SEEDS} seeds "
            f"({option} {seeds_for(tests, tasks)})"
        )


def single_changes(study: Study) -> int:
    """The largest number of single changes that are compared for a baseline; 0 = none are.

    Only the configurations that the study runs count, not further ones of its plan.
    """
    if not study.search.plan.traits.changes_single_parameters:
        return 0
    values: Mapping[tuple[str, str], list[object]] = defaultdict(list)
    for configuration in (study.planned or ())[: study.trials]:
        for name, value in configuration.params.items():
            known = values[configuration.baseline, name]
            if encode(value) not in known:
                known.append(encode(value))
    by_baseline: dict[str, int] = defaultdict(int)
    for (baseline, _), known in values.items():
        by_baseline[baseline] += len(known) - 1
    return max(by_baseline.values(), default=0)
