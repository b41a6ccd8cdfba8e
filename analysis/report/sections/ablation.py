"""The effects of single changes of a baseline, and which of them survive a test."""

from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS, file_name, short
from analysis.questions.ablation import Effect, auroc, draw_effects, unrun
from analysis.report.findings import Findings
from analysis.stats.estimates import Estimate, estimate
from analysis.study import StudyRecords
from analysis.trials import unchanged_trials

PLACE = 22
ABOUT = (
    "Differences of test AUROC in points, paired by seed [95 % interval of Student's t over "
    "seeds, for its row alone]. p: sign flip over class x seed, two-sided, then Holm over the "
    "rows of a baseline, failed ones included; both were declared before anything ran. The test "
    "has more pairs than the interval has seeds, so that a change can be told apart whose "
    "interval holds 0."
)


def section(findings: Findings) -> Section | None:
    """What single changes do; None where the plan does not make them."""
    study = findings.study
    if not study.changes_single_parameters:
        return None
    found = findings.effects
    title = "One change at a time" if study.is_ablation else "Effects of single parameters"
    if not found:
        return Section(title, [Text("No change was tested beside its reference yet.")])
    blocks: list[Block] = [_table(study, found)]
    blocks += [
        Figure(
            file_name("effects", name),
            partial(draw_effects, rows),
            f"{name}: differences from the reference with 95 % intervals; coloured where they "
            "survive Holm.",
        )
        for name in study.baselines
        if (rows := [each for each in found if each.baseline == name and each.difference.n])
    ]
    return Section(title, blocks)


def _table(study: StudyRecords, found: list[Effect]) -> Table:
    unchanged: list[dict[str, object]] = [
        {
            "baseline": each.baseline,
            "change": "nothing",
            "test AUROC": _auroc_cell(estimate(list(auroc(each)))),
            "difference": "",
            "p (Holm)": "",
            "matched trials": "",
        }
        for each in unchanged_trials(study.defaults, study.trials)
    ]
    order = study.baselines
    rows: list[dict[str, object]] = [*unchanged, *map(_row, found)]
    rows.sort(key=lambda row: order.index(str(row["baseline"])))
    refused = sorted({each.verdict.reason for each in found if each.verdict.p != each.verdict.p})
    said = f" No verdict: {'; '.join(refused)}." if refused else ""
    missing = sum(unrun(study, b, sum(e.baseline == b for e in found)) for b in study.baselines)
    if missing:
        said += f" {missing} more changes are planned and not run; Holm counts them."
    return Table("effects", pd.DataFrame(rows), ABOUT + said, data=_data(found))


def _row(each: Effect) -> dict[str, object]:
    known = each.verdict.p == each.verdict.p
    return {
        "baseline": each.baseline,
        "change": f"{each.parameter} = {short(each.value)} (from {short(each.reference)})",
        "test AUROC": _auroc_cell(each.auroc),
        "difference": Cell(
            each.difference.mean_interval(PERCENTAGE_POINTS) or "none",
            each.difference.mean,
            each.verdict.tone,
            each.verdict.reason,
        ),
        "p (Holm)": Cell(f"{each.verdict.p:.3g}", each.verdict.p) if known else "none",
        "matched trials": each.pairs,
    }


def _auroc_cell(auroc: Estimate) -> Cell:
    return Cell(auroc.mean_std(), auroc.mean)


def _data(found: list[Effect]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "baseline": each.baseline,
                "parameter": each.parameter,
                "value": short(each.value),
                "reference": short(each.reference),
                "pairs": each.pairs,
                "test AUROC": each.auroc.mean,
                "difference": each.difference.mean,
                "low": each.difference.low,
                "high": each.difference.high,
                "seeds": each.difference.n,
                "cells": each.test.n,
                "p": each.test.p,
                "p Holm": each.verdict.p,
                "verdict": each.verdict.tone,
            }
            for each in found
        ]
    )
