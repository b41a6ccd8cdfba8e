"""What each single change of a baseline does to its test AUROC, over paired classes and seeds.

An effect compares trials that differ in one parameter alone. Where one factor at a time is changed
there is one such pair; a grid has one for every combination of the other parameters, and the
effect is the mean over them.

Declared before anything runs: the test of an effect is a sign flip over class x seed (under no
effect, either sign of each difference is as likely), two-sided, with Holm's correction over all
effects of a baseline.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import frame
from analysis.document import theme
from analysis.document.format import short
from analysis.stats.estimates import Estimate, estimate, seeds_alike
from analysis.stats.paired import HolmDecision, Paired, holm, sign_flip
from analysis.study import StudyRecords
from analysis.trials import changed_parameters, hashable, tested_trials
from tune_ad.storage.records import TrialRecord

TONES = {"better": theme.colour(2), "worse": theme.colour(6)}
_NEVER = Paired(estimate([], bounds=(-1.0, 1.0)), math.nan, "none", 0, "not run yet")


class Effect(NamedTuple):
    """One parameter of a baseline at another value than its reference.

    Attributes:
        baseline: whose parameter is changed.
        parameter: the only one that differs.
        value: of it.
        reference: the default; the first value of a grid that lacks the default.
        pairs: trials that differ in nothing else, over which the effect is averaged.
        auroc: test AUROC with the change, mean over classes, one value per seed.
        difference: that minus the reference's, paired by seed, in [-1, 1]; above 0 = it helps.
        test: the sign flip over class x seed.
        verdict: after Holm's correction over the effects of the baseline.
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


class _Matched(NamedTuple):
    """An effect before the family is known; `lost` says why there is none."""

    parameter: str
    value: Any
    reference: Any
    pairs: int
    cells: pd.Series
    aurocs: pd.Series
    lost: str = ""


def effects(study: StudyRecords) -> list[Effect]:
    """All effects of single changes, by baseline, largest difference first.

    A seed of which a class is missing on either side is left out. A change of one parameter that
    failed has no difference, and counts as one of the family: a lost test is a test.
    """
    return [each for name in study.baselines for each in _of_one(study, name)]


def auroc(record: TrialRecord) -> pd.Series:
    """Test AUROC of a tested trial by seed, as in `frame.by_seed`."""
    return frame.by_seed(frame.replicas([record]))


def _of_one(study: StudyRecords, baseline: str) -> list[Effect]:
    records = tested_trials(study.of(baseline))
    if not records:
        return []
    cells = frame.cells(frame.replicas(records))
    matched = [
        each
        for name in study.spaces[baseline]
        for each in _along(name, records, study.defaults[baseline], cells)
        if len(each.cells)
    ]
    matched += list(_lost(study, baseline))
    tests = [_test(each) for each in matched]
    family = [*tests, *[_NEVER] * unrun(study, baseline, len(matched))]
    found = [
        Effect(
            baseline,
            each.parameter,
            each.value,
            each.reference,
            each.pairs,
            estimate(list(each.aurocs)),
            test.difference,
            test,
            verdict,
        )
        for each, test, verdict in zip(matched, tests, holm(family), strict=False)
    ]
    return sorted(found, key=lambda each: -each.difference.mean if each.difference.n else math.inf)


def unrun(study: StudyRecords, baseline: str, changes: int) -> int:
    """How many changes of a baseline one at a time are planned and have no row yet."""
    planned = (study.stored.get("planned") or {}).get(baseline)
    if not study.is_ablation or planned is None:
        return 0
    return max(0, int(planned) - 1 - changes)  # one of them changes nothing


def _test(matched: _Matched) -> Paired:
    if matched.lost:
        return Paired(estimate([], bounds=(-1.0, 1.0)), math.nan, "none", 0, matched.lost)
    return sign_flip(list(matched.cells), per_seed=list(_by_seed(matched.cells)))


def _lost(study: StudyRecords, baseline: str) -> Iterator[_Matched]:
    """The changes one at a time whose trial failed or was never tested.

    A grid loses pairs by such a trial, and no row.
    """
    if not study.is_ablation:
        return
    default, none = study.defaults[baseline], pd.Series(dtype=float)
    for record in study.trials:
        changed = changed_parameters(default, record.params)
        if record.baseline == baseline and len(changed) == 1 and not tested_trials([record]):
            name = changed[0]
            why = record.reason or f"its trial is {record.state}, without a test"
            value, reference = hashable(record.params[name]), hashable(default.get(name))
            yield _Matched(name, value, reference, 0, none, none, f"failed: {why}")


def _along(
    name: str, records: Sequence[TrialRecord], default: Mapping[str, Any], cells: pd.DataFrame
) -> Iterator[_Matched]:
    """The effects of one parameter's values."""
    groups: dict[Hashable, dict[Hashable, TrialRecord]] = {}
    for record in records:
        others = tuple((k, hashable(v)) for k, v in sorted(record.params.items()) if k != name)
        groups.setdefault(others, {})[hashable(record.params.get(name))] = record
    values = list(dict.fromkeys(value for group in groups.values() for value in group))
    if len(values) < 2:
        return
    reference = hashable(default.get(name))
    if reference not in values:
        reference = values[0]
    for value in values:
        pairs = [(g[value], g[reference]) for g in groups.values() if {value, reference} <= {*g}]
        if value != reference and pairs:
            after = _average(cells, [each.number for each, _ in pairs])
            before = _average(cells, [each.number for _, each in pairs])
            yield _Matched(
                name,
                value,
                reference,
                len(pairs),
                _differences(after, before),
                _by_seed(_whole_seeds(after)),
            )


def _average(cells: pd.DataFrame, numbers: Sequence[int]) -> pd.Series:
    """Cell by cell the mean over trials; NaN where one of them has none."""
    means: pd.Series = cells.loc[list(numbers)].mean(axis="index", skipna=False)
    return means


def _differences(after: pd.Series, before: pd.Series) -> pd.Series:
    """By class and seed; of one seed where the seeds are copies of each other."""
    found = _whole_seeds(after - before)
    kept = found.index
    if seeds_alike(after[kept].unstack()) and seeds_alike(before[kept].unstack()):
        found = found[kept.get_level_values("seed") == kept.get_level_values("seed").min()]
    return found


def _whole_seeds(cells: pd.Series) -> pd.Series:
    """The cells of the seeds of which no class is missing."""
    known: pd.Series = cells.notna().groupby(level="seed").transform("all")
    return cells[known]


def _by_seed(cells: pd.Series) -> pd.Series:
    means: pd.Series = cells.groupby(level="seed").mean()
    return means


def draw_effects(found: Sequence[Effect]) -> Figure:
    """Differences of AUROC in points with their intervals, one row per change."""
    made = theme.canvas(0.8 + 0.28 * len(found))
    axes, rows = made.one, np.arange(len(found))[::-1]
    axes.axvline(0, color=theme.FAINT, linewidth=1)
    for row, each in zip(rows, found, strict=True):
        ink = TONES.get(each.verdict.tone, theme.FAINT)
        ends = [100 * each.difference.low, 100 * each.difference.high]
        axes.plot(ends, [row, row], color=ink, linewidth=2)
        axes.plot([100 * each.difference.mean], [row], "o", color=ink)
    axes.set_yticks(rows, [f"{each.parameter} = {short(each.value)}" for each in found])
    axes.set_xlabel("difference of test AUROC, points")
    return made.figure
