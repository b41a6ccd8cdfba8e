"""The effect of each single change of a baseline on its test AUROC, paired by class and seed.

An effect compares trials that differ in one parameter alone. A plan that changes one parameter at
a time has one such pair per change; a grid has one for every combination of the other parameters,
and the effect is the mean over them.

The test of an effect was fixed before any study ran: a two-sided sign-flip test over the
differences of all classes and seeds (without an effect, both signs of a difference are equally
likely), with Holm's correction over all effects of a baseline. It holds for these test images;
where ranks of their scores are stored, the interval covers the sampling of images as well, and an
effect is called better or worse only if it is also significant with the error of this sampling.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import frame
from analysis.document import theme
from analysis.document.format import PERCENTAGE_POINTS, p_text, short
from analysis.image_sampling import ImageRanks, image_error
from analysis.stats.estimates import Estimate, ImageError, estimate, seeds_alike
from analysis.stats.paired import HolmDecision, Paired, holm, sign_flip
from analysis.study import StudyRecords
from analysis.trials import changed_parameters, tested_trials
from tune_ad.storage.metric import TEST_AUROC, ScoreVariant
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

TONES = {"better": theme.colour(2), "worse": theme.colour(6)}
MARKERS = {"better": "^", "worse": "v"}
"""The marks of significant changes; others are circles."""
_NO_DIFFERENCE = estimate([], bounds=(-1.0, 1.0))


class Effect(NamedTuple):
    """The effect of changing one parameter of a baseline from its reference value.

    Attributes:
        baseline: the name of the baseline.
        parameter: the name of the parameter.
        value: the value after the change.
        reference: the default, or the first value if the grid does not contain it.
        pairs: the number of pairs of trials that differ in nothing else, over which the effect is
            averaged.
        auroc: test AUROC with the change, mean over classes, one value per seed.
        difference: `auroc` minus that of the reference, paired by seed, in [-1, 1]; above 0 = the
            change helps.
        test: the sign-flip test over all classes and seeds.
        verdict: the decision after Holm's correction over the effects of the baseline.
        parts: the difference and its coverage if one part of the score alone scores the images, by
            the name of the part; its test is not used. Empty if the score has no parts, or none
            was measured.
    """

    baseline: str
    parameter: str
    value: Any
    reference: Any
    pairs: int
    auroc: Estimate
    difference: Estimate
    test: Paired
    verdict: HolmDecision
    parts: Mapping[str, Paired] = MappingProxyType({})


class _Change(NamedTuple):
    """A change of one parameter, before the correction for the family of tests.

    Attributes:
        parameter: the name of the parameter.
        value: the value after the change.
        reference: the value before the change.
        pairs: the number of pairs of trials.
        differences: the differences of test AUROC, by class and seed.
        aurocs: test AUROC with the change, by seed.
        error: the standard error of the mean difference that is due to the sampling of test
            images; unknown without stored ranks.
        failure: why there is no difference; empty if there is one.
    """

    parameter: str
    value: Any
    reference: Any
    pairs: int
    differences: pd.Series
    aurocs: pd.Series
    error: ImageError = ImageError()
    failure: str = ""


def change_text(parameter: str, value: object, reference: object) -> str:
    """A change of one parameter in words.

    >>> change_text("width", 2.0, 1.0)
    'width = 2 (from 1)'
    """
    return f"{parameter} = {short(value)} (from {short(reference)})"


UNCHANGED = "none (default parameters)"
"""What stands in place of a change for the default itself."""


def changes(study: StudyRecords) -> dict[int, str]:
    """In what each trial differs from the default parameters of its baseline, by its number."""
    return {record.number: _change_of(study, record) for record in study.trials}


def _change_of(study: StudyRecords, record: TrialRecord) -> str:
    default = study.defaults[record.baseline]
    names = changed_parameters(default, record.params)
    texts = (change_text(name, record.params[name], default.get(name)) for name in names)
    return ", ".join(texts) or UNCHANGED


def effects(study: StudyRecords) -> list[Effect]:
    """All effects of single changes, by baseline, the largest difference first.

    A seed is left out if one of its classes is missing on either side. A change whose trial failed
    has no difference, but is still counted in Holm's correction, as are changes that the study is
    still to run. Changes of its plan that are left out by its number of trials are not.
    """
    return [effect for name in study.baselines for effect in _effects_of(study, name)]


def auroc(record: TrialRecord) -> pd.Series:
    """Test AUROC of a tested trial by seed, as in `frame.by_seed`."""
    return frame.by_seed(frame.replicas([record]))


def _effects_of(study: StudyRecords, baseline: str) -> list[Effect]:
    records = tested_trials(study.of(baseline))
    if not records:
        return []
    parts = _parts_of(records)
    table = frame.replicas(records, parts)
    ranks = {record.number: ImageRanks.read(study, [record]) for record in records}

    def changes_by(cells: pd.DataFrame, ranks: Mapping[int, ImageRanks]) -> list[_Change]:
        return [
            change
            for name in study.spaces[baseline]
            for change in _changes(name, records, study.defaults[baseline], cells, ranks)
            if len(change.differences)
        ]

    changes = changes_by(frame.cells(table), ranks)
    by_part: dict[tuple[str, Any], dict[str, Paired]] = {}
    for part in parts:
        cells = frame.cells(table, frame.score_column(part, frame.AUROC))
        of_part = {
            number: all_scores.by_variant(str(part)) for number, all_scores in ranks.items()
        }
        for change in changes_by(cells, of_part):
            key = change.parameter, change.value
            by_part.setdefault(key, {})[str(part)] = _test(change)
    changes += list(_failed_changes(study, baseline))
    tests = [_test(change) for change in changes]
    family = len(changes) + missing_changes(study, baseline, len(changes))
    corrected = [
        Effect(
            baseline=baseline,
            parameter=change.parameter,
            value=change.value,
            reference=change.reference,
            pairs=change.pairs,
            auroc=estimate(list(change.aurocs)),
            difference=test.difference,
            test=test,
            verdict=verdict,
            parts=by_part.get((change.parameter, change.value), {}),
        )
        for change, test, verdict in zip(changes, tests, holm(tests, family), strict=True)
    ]
    return sorted(corrected, key=lambda e: -e.difference.mean if e.difference.n else math.inf)


def _parts_of(records: Sequence[TrialRecord]) -> list[ScoreVariant]:
    """The parts of the score, without the score itself, by which records have a test AUROC."""
    variants = (
        variant
        for record in records
        for variant, metrics in record.variants.items()
        if not variant.parameter and TEST_AUROC in metrics
    )
    return [v for v in dict.fromkeys(variants) if not all(r.scored_by(v) for r in records)]


def missing_changes(study: StudyRecords, baseline: str, changes: int) -> int:
    """The number of planned changes of a baseline that have not finished.

    It is 0 for a plan that does not change one parameter at a time.

    Args:
        study: the records.
        baseline: the name of the baseline.
        changes: the number of its finished changes.
    """
    planned = (study.stored.get("planned") or {}).get(baseline)
    if not study.plan.is_ablation or planned is None:
        return 0
    wanted = min(int(planned), int(study.budget["trials"]))
    return max(0, wanted - 1 - changes)  # one of these trials is the default


def _test(change: _Change) -> Paired:
    if change.failure:
        return Paired(_NO_DIFFERENCE, math.nan, "none", 0, change.failure)
    per_seed = list(_by_seed(change.differences))
    return sign_flip(list(change.differences), per_seed, change.error)


def _failed_changes(study: StudyRecords, baseline: str) -> Iterator[_Change]:
    """The changes whose trial failed or was not tested, if one parameter changes at a time.

    In a grid, a failed trial only removes one of several pairs.
    """
    if not study.plan.is_ablation:
        return
    default, none = study.defaults[baseline], pd.Series(dtype=float)
    for record in study.trials:
        changed = changed_parameters(default, record.params)
        if record.baseline == baseline and len(changed) == 1 and not tested_trials([record]):
            name = changed[0]
            why = record.reason or f"the trial is {record.state} and has no test result"
            value, reference = record.params[name], default.get(name)
            yield _Change(
                parameter=name,
                value=value,
                reference=reference,
                pairs=0,
                differences=none,
                aurocs=none,
                failure=f"failed: {why}",
            )


def _changes(
    name: str,
    records: Sequence[TrialRecord],
    default: Mapping[str, Any],
    cells: pd.DataFrame,
    ranks: Mapping[int, ImageRanks],
) -> Iterator[_Change]:
    """The changes of one parameter from its reference to every other value.

    Args:
        name: the name of the parameter.
        records: the tested trials.
        default: the default parameters.
        cells: test AUROC by trial, as in `frame.cells`.
        ranks: the ranks of test images by the number of the trial.
    """
    groups = _alike_but_for(name, records)
    values = list(dict.fromkeys(value for group in groups for value in group))
    if len(values) < 2:
        return
    reference = default.get(name)
    if reference not in values:
        reference = values[0]
    for value in values:
        pairs = [(g[value], g[reference]) for g in groups if {value, reference} <= {*g}]
        if value != reference and pairs:
            numbers = [(changed.number, unchanged.number) for changed, unchanged in pairs]
            after = _average(cells, [changed for changed, _ in numbers])
            before = _average(cells, [unchanged for _, unchanged in numbers])
            differences = _differences(after, before)
            yield _Change(
                parameter=name,
                value=value,
                reference=reference,
                pairs=len(pairs),
                differences=differences,
                aurocs=_by_seed(_whole_seeds(after)),
                error=_image_error(numbers, differences, ranks),
            )


def _image_error(
    pairs: Sequence[tuple[int, int]], differences: pd.Series, ranks: Mapping[int, ImageRanks]
) -> ImageError:
    """The error of the mean difference over pairs of trials that is due to the test images.

    Args:
        pairs: the numbers of the changed and of the unchanged trial of each pair.
        differences: the differences by class and seed, of which only the index is used.
        ranks: the ranks of test images by the number of the trial.
    """
    contrast = [
        (ranks[number], sign / len(pairs))
        for pair in pairs
        for number, sign in zip(pair, (1.0, -1.0), strict=True)
    ]
    tasks, seeds = (differences.index.unique(level) for level in ("task", "seed"))
    return image_error(contrast, list(tasks), list(seeds))


def _alike_but_for(name: str, records: Sequence[TrialRecord]) -> list[dict[Hashable, TrialRecord]]:
    """Groups of trials that differ in one parameter only, by its value."""
    groups: dict[Hashable, dict[Hashable, TrialRecord]] = {}
    for record in records:
        others = tuple(item for item in sorted(record.params.items()) if item[0] != name)
        groups.setdefault(others, {})[record.params.get(name)] = record
    return list(groups.values())


def _average(cells: pd.DataFrame, numbers: Sequence[int]) -> pd.Series:
    """The mean over trials for each class and seed; NaN if one of the trials has none."""
    means: pd.Series = cells.loc[list(numbers)].mean(axis="index", skipna=False)
    return means


def _differences(after: pd.Series, before: pd.Series) -> pd.Series:
    """Differences by class and seed; only of the first seed for deterministic detectors."""
    differences = _whole_seeds(after - before)
    cells = differences.index
    if seeds_alike(after[cells].unstack()) and seeds_alike(before[cells].unstack()):
        seeds = cells.get_level_values("seed")
        differences = differences[seeds == seeds.min()]
    return differences


def _whole_seeds(cells: pd.Series) -> pd.Series:
    """The values of the seeds that have a value for every class."""
    whole: pd.Series = cells.notna().groupby(level="seed").transform("all")
    return cells[whole]


def _by_seed(cells: pd.Series) -> pd.Series:
    means: pd.Series = cells.groupby(level="seed").mean()
    return means


def foremost(effects: Sequence[Effect], most: int) -> list[Effect]:
    """The effects to look at first: significant ones, then the largest; in their order.

    Args:
        effects: the effects; those without a difference are left out.
        most: how many are kept.
    """
    measured = [effect for effect in effects if effect.difference.n]
    ranked = sorted(measured, key=lambda e: (e.verdict.tone not in TONES, -abs(e.difference.mean)))
    kept = {id(effect) for effect in ranked[:most]}
    return [effect for effect in measured if id(effect) in kept]


def draw_effects(effects: Sequence[Effect]) -> Figure:
    """Differences of test AUROC in points with their intervals, one row per change."""
    drawing = theme.canvas(0.8 + 0.28 * len(effects))
    axes, rows = drawing.one, np.arange(len(effects))[::-1]
    several = len({effect.baseline for effect in effects}) > 1
    axes.axvline(0, color=theme.FAINT, linewidth=1)
    for row, effect in zip(rows, effects, strict=True):
        ink = TONES.get(effect.verdict.tone, theme.INK)
        marker = MARKERS.get(effect.verdict.tone, "o")
        ends = [effect.difference.low, effect.difference.mean, effect.difference.high]
        style: dict[str, Any] = {"color": ink, "linewidth": 2, "marker": marker, "markersize": 7}
        at = 100 * np.array(ends if not math.isnan(ends[0]) else ends[1:2])
        (drawn,) = axes.plot(at, np.full(len(at), row), markevery=[len(at) // 2], **style)
        theme.describe(drawn, [_described(effect)])
    labels = [f"{e.parameter} = {short(e.value)}" for e in effects]
    if several:
        labels = [f"{e.baseline}, {label}" for e, label in zip(effects, labels, strict=True)]
    axes.set_yticks(rows, labels)
    axes.set_xlabel("difference of test AUROC, points")
    return drawing.figure


def _described(effect: Effect) -> str:
    """An effect with its interval, its p and its n, for readers who point at it."""
    values = f"{short(effect.value)} instead of {short(effect.reference)}"
    difference = effect.difference.mean_interval(PERCENTAGE_POINTS)
    tone = f", {effect.verdict.tone}" if effect.verdict.tone in TONES else ""
    return (
        f"{effect.baseline}, {effect.parameter} = {values}: {difference} points, p = "
        f"{p_text(effect.verdict.p)} (Holm){tone}, n = {count(effect.difference.n, 'seed')}"
    )
