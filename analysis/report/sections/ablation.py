"""The effects of single changes of a baseline, and which of them are significant."""

from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS, file_name, p_text, short
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.ablation import (
    UNCHANGED,
    Effect,
    auroc,
    change_text,
    draw_effects,
    missing_changes,
)
from analysis.report.findings import Findings
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.paired import ABOUT_SIGN_FLIPS
from analysis.study import StudyRecords
from analysis.trials import unchanged_trials
from tune_ad.wording import count

PLACE = 22
NO_ESTIMATE = estimate([])
ABOUT = (
    "Differences of test AUROC in points, paired by seed [95 % interval, for its row alone]. p: "
    "sign-flip test after Holm's correction over all rows of a baseline; below 0.05 it counts as "
    "better or worse. n: number of pairs of a class and a seed."
)
COMPUTED = (
    "The two-sided test is over the differences of all classes and seeds; the correction counts "
    f"failed rows, too; both were fixed before the study ran. {ABOUT_SIGN_FLIPS}"
)
OF_A_GRID = (
    " In a grid a difference is the mean over all pairs of trials that differ in this parameter "
    "alone, whatever the others are; the first row is the default alone, and the AUROC of a row "
    "is the mean over all trials with its value."
)
FEW_SEEDS = (
    "The test uses the pairs of all classes and seeds, an interval only their means over classes, "
    "one per seed; a change may therefore be significant although its interval contains 0."
)
"""Said of every interval over seeds."""


def section(findings: Findings) -> Section | None:
    """The table of effects and a figure per baseline; None without such changes or anomalies."""
    study, effects = findings.study, findings.effects
    if study.whole or not study.plan.changes_single_parameters:
        return None
    title = "One change at a time" if study.plan.is_ablation else "Effects of single parameters"
    if not effects:
        return Section(
            title,
            [Text("No changed configuration has been tested together with its reference yet.")],
        )
    blocks: list[Block] = [_table(study, effects)]
    for name in study.baselines:
        measured = [e for e in effects if e.baseline == name and e.difference.n]
        if measured:
            blocks.append(_figure(name, measured))
    if parts := _parts(effects):
        blocks.append(_table_of_parts(effects, parts))
    return Section(title, blocks)


def _figure(baseline: str, effects: list[Effect]) -> Figure:
    caption = (
        f"{baseline}: differences of test AUROC from the reference with 95 % intervals. "
        "Coloured triangles: significant, as in the table; upwards = better, downwards = worse."
    )
    return Figure(file_name("effects", baseline), partial(draw_effects, effects), caption)


def _table(study: StudyRecords, effects: list[Effect]) -> Table:
    unchanged: list[dict[str, object]] = [
        {
            "baseline": record.baseline,
            "change": UNCHANGED,
            "test AUROC": _auroc_cell(estimate(list(auroc(record)))),
            "difference": "",
            "p (Holm)": "",
            "n": "",
        }
        for record in unchanged_trials(study.defaults, study.trials)
    ]
    rows: list[dict[str, object]] = [*unchanged, *map(_row, effects)]
    rows.sort(key=lambda row: study.baselines.index(str(row["baseline"])))
    details = f"{COMPUTED} {_covers(effects)}"
    if not study.plan.is_ablation:
        details += OF_A_GRID
    caption = ABOUT + _missing(study, effects)
    shown = pd.DataFrame(rows, dtype=object).fillna("")  # object: a column of numbers refuses ""
    return Table("effects", shown, caption, _data(effects), details)


def _covers(effects: list[Effect]) -> str:
    """What the intervals cover."""
    covered = covered_by_all((_change(e), e.test.coverage) for e in effects if e.difference.n > 1)
    return f"{covers(covered)} {FEW_SEEDS}" if covered else covers(covered)


def _change(effect: Effect) -> str:
    return change_text(effect.parameter, effect.value, effect.reference)


def _missing(study: StudyRecords, effects: list[Effect]) -> str:
    """Why some changes have no verdict, and the number of changes that have not run."""
    text = ""
    reasons = sorted({e.verdict.reason for e in effects if e.verdict.p != e.verdict.p})
    if reasons:
        text += f" No verdict: {'; '.join(reasons)}."
    missing = sum(
        missing_changes(study, name, sum(effect.baseline == name for effect in effects))
        for name in study.baselines
    )
    if missing:
        are = "is" if missing == 1 else "are"
        text += (
            f" {count(missing, 'more change')} {are} still to run; Holm's correction "
            "counts them already."
        )
    return text


def _row(effect: Effect) -> dict[str, object]:
    return {
        "baseline": effect.baseline,
        "change": _change(effect),
        "test AUROC": _auroc_cell(effect.auroc),
        "difference": Cell(
            effect.difference.mean_interval(PERCENTAGE_POINTS) or "none",
            effect.difference.mean,
            effect.verdict.tone,
            effect.verdict.reason,
        ),
        "p (Holm)": Cell(p_text(effect.verdict.p), effect.verdict.p),
        "n": effect.test.n,
        **({"pairs of trials": effect.pairs} if effect.pairs > 1 else {}),
    }


def _parts(effects: list[Effect]) -> list[str]:
    """The parts of the score whose AUROC some change has changed; image statistics have none."""
    names = dict.fromkeys(part for effect in effects for part in effect.parts)
    return [n for n in names if any(n in e.parts and e.parts[n].difference.mean for e in effects)]


def _table_of_parts(effects: list[Effect], parts: list[str]) -> Table:
    """The differences by the score and by each of its parts alone."""
    measured = [effect for effect in effects if effect.difference.n]
    rows, data = [], []
    for effect in measured:
        by_part = {"score": effect.difference}
        by_part |= {
            part: effect.parts[part].difference if part in effect.parts else NO_ESTIMATE
            for part in parts
        }
        of_one: dict[str, object] = {"baseline": effect.baseline}
        cells = {part: e.interval_cell(PERCENTAGE_POINTS) for part, e in by_part.items()}
        rows.append({**of_one, "change": _change(effect), **cells})
        change = {name: short(getattr(effect, name)) for name in ("value", "reference")}
        of_one |= {"parameter": effect.parameter, **change}
        numbers = {c: n for part, e in by_part.items() for c, n in e.columns(part).items()}
        data.append({**of_one, **numbers, "seeds": effect.difference.n})
    covered = covered_by_all(
        (name, paired.coverage)
        for effect in measured
        for name, paired in [("score", effect.test), *effect.parts.items()]
        if name in ("score", *parts) and paired.difference.n > 1
    )
    caption = (
        "Where the effects come from: the same models and differences in points, paired by seed "
        "[95 % interval], if images are scored by one part of the score alone. Nothing in this "
        f"table is tested or corrected for the number of rows. {covers(covered)}"
    )
    return Table("effects_by_part", pd.DataFrame(rows), caption, pd.DataFrame(data))


def _auroc_cell(auroc: Estimate) -> Cell:
    return Cell(auroc.mean_std(), auroc.mean)


def _data(effects: list[Effect]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "baseline": effect.baseline,
                "parameter": effect.parameter,
                "value": short(effect.value),
                "reference": short(effect.reference),
                "pairs": effect.pairs,
                "test AUROC": effect.auroc.mean,
                **effect.difference.columns("difference"),
                "seeds": effect.difference.n,
                "cells": effect.test.n,
                "p": effect.test.p,
                "p Holm": effect.verdict.p,
                "verdict": effect.verdict.tone,
            }
            for effect in effects
        ]
    )
