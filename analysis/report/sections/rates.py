"""Rates and distortions: what a code costs, and what it loses."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Figure, Section, Table, Text
from analysis.document.format import short
from analysis.questions.rates import Curve, curves, draw_rate_distortion, rates
from analysis.report.findings import Findings

PLACE = 60
SHOWN = 40
PARTS = {"test": "test images (normals)", "validation": "held-out normals"}


def section(findings: Findings) -> Section | None:
    """Rates and distortions of all complete trials; None where no trial has them."""
    study = findings.study
    table = rates(study.trials)
    if table.empty:
        return None
    found = curves(table)
    drawn = Figure("rate_distortion", partial(draw_rate_distortion, found), _drawn(found))
    blocks: list[Block] = [
        *([drawn] if any(len(each.points) > 1 for each in found) else []),
        *_bounds(found),
        Table("rates", _shown(table), _about(table), data=table),
    ]
    return Section("Rate and distortion", blocks)


def _drawn(found: Sequence[Curve]) -> str:
    return (
        "Rate R and distortion D of each trial, means over replicas with their standard "
        "deviations. Line: lower left convex hull, which mixtures of the trials' codes reach. "
        "Dashed, where D is a likelihood: R + D = its least value found, so that by construction "
        "no point lies below. After the PGN paper's Fig. 3."
        + ("" if len(found) == 1 else " One colour a baseline and error: errors share no scale.")
    )


def _bounds(found: Sequence[Curve]) -> list[Block]:
    """What the least R + D says of the images."""
    known = [each for each in found if each.bound == each.bound]
    if not known:
        said = (
            "The distortion is a likelihood up to a constant only (squared error, L1), so R + D "
            "bounds nothing and no dashed line is drawn."
        )
        return [Text(said, "note")]
    lines = [
        f"- {each.baseline}, {PARTS[each.part]}: H ≤ {each.bound:,.1f} nats per image"
        for each in known
    ]
    said = (
        "The entropy H of the images is at most R + D of any model (Alemi et al. 2018, Fixing a "
        "Broken ELBO: H - D ≤ I ≤ R). The least found is an upper estimate of H, not H; it holds "
        "for the images as the distortion takes them (continuous grey values have a differential "
        "entropy, and a cross-entropy on them is no proper likelihood)."
    )
    return [Text("\n".join([said, "", *lines]))]


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shown = table.head(SHOWN).drop(columns="part").astype(object).map(short)
    shown.columns = shown.columns.str.removeprefix("param/")
    return shown


def _about(table: pd.DataFrame) -> str:
    where = ", ".join(PARTS[part] for part in table["part"].unique())
    first = f" The first {SHOWN} of {len(table):,} rows." if len(table) > SHOWN else ""
    return (
        f"Means over replicas (n) on {where}; nats per image, and bits per dimension (none for "
        "squared error and L1, which are likelihoods up to a constant). All complete trials of "
        f"which every replica has a number; none was selected by these numbers.{first}"
    )
