"""Rate and distortion: rate-distortion curves and the bound on the entropy of the images."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Figure, Section, Table, Text
from analysis.document.format import short
from analysis.frame import PARAMS
from analysis.questions.ablation import changes
from analysis.questions.rate_claims import RateClaim, RateParts, rate_claims, rate_parts
from analysis.questions.rates import (
    RateDistortionCurve,
    draw_rate_distortion,
    rate_distortion_curves,
    rates,
)
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.sample_sizes import LEAST_SEEDS

PLACE = 60
MOST_ROWS = 40
IMAGES = {"test": "normal test images", "validation": "held-out normal images"}


def section(findings: Findings) -> Section | None:
    """Rate and distortion of all complete trials, and the parts of the rate; None without any."""
    table, parts = rates(findings.study.trials), rate_parts(findings.study.trials)
    if table.empty:
        return Section("Rate", [_parts(findings.study, parts)]) if parts else None
    curves = rate_distortion_curves(table)
    figure = Figure("rate_distortion", partial(draw_rate_distortion, curves), _caption(curves))
    blocks: list[Block] = [
        *([figure] if any(len(curve.points) > 1 for curve in curves) else []),
        *_bounds(curves),
        Table("rates", _shown(table), _about(table), data=table),
        *([_claims(claims)] if (claims := rate_claims(curves)) else []),
        *([_parts(findings.study, parts)] if parts else []),
    ]
    return Section("Rate and distortion", blocks)


def _claims(claims: Sequence[RateClaim]) -> Table:
    """The claims of the PGN paper about the points of the study."""
    rows = [
        {
            "curve": claim.label,
            "claim": claim.claim,
            "holds for": f"{claim.holds} of {claim.of}",
            "verdict": claim.verdict,
            "where": claim.detail,
        }
        for claim in claims
    ]
    about = (
        "What the PGN paper says of its Fig. 3 and of distortion-rate functions, counted over the "
        "steps between neighbouring values of beta, or over the points. A step is a difference "
        f"of means over models; with fewer than {LEAST_SEEDS} seeds it may be chance, and the "
        "claim is inconclusive. R + D and the curve leave out beta = inf, which trains no decoder."
    )
    return Table("rate_claims", pd.DataFrame(rows), about)


def _parts(study: StudyRecords, parts: Sequence[RateParts]) -> Table:
    """The parts of the rate of each trial; of a designed plan with the configuration."""
    baselines = {record.number: record.baseline for record in study.trials}
    changed = changes(study)
    rows = [
        {
            "trial": part.number,
            **({"baseline": baselines[part.number]} if len(study.baselines) > 1 else {}),
            **({"change": changed[part.number]} if study.plan.is_designed else {}),
            "rate": short(part.rate),
            "mutual information": ("≥ " if part.bounded else "") + short(part.mutual_information),
            "KL(q(z) || p(z))": ("≤ " if part.bounded else "") + short(part.aggregate_divergence),
            "log N": short(part.bound),
            "n": part.n,
        }
        for part in parts[:MOST_ROWS]
    ]
    about = (
        "The rate of training images in nats and its parts (PGN paper, equation 13): the mutual "
        "information of images and codes, and the divergence of all codes together from the "
        "prior; means over n models. Estimated with one code of each of N images, so that the "
        "estimate of the mutual information is at most log N"
        + (
            "; near it, ≥ and ≤ say that the true value may be larger or smaller."
            if any(part.bounded for part in parts[:MOST_ROWS])
            else "."
        )
        + " An estimate of a divergence near 0 may be negative." * any(map(_is_negative, parts))
    )
    return Table("rate_parts", pd.DataFrame(rows), about, data=pd.DataFrame(parts))


def _is_negative(part: RateParts) -> bool:
    return part.aggregate_divergence < 0


def _caption(curves: Sequence[RateDistortionCurve]) -> str:
    colours = " Each baseline and error has its own colour: errors have no common scale."
    return (
        "Rate R and distortion D of each trial, means over models with their standard "
        "deviations. Line: lower left convex hull. Dashed (only if D is a negative "
        "log-likelihood): R + D = its minimum over all trials. After Fig. 3 of the PGN paper."
        + ("" if len(curves) == 1 else colours)
    )


def _bounds(curves: Sequence[RateDistortionCurve]) -> list[Block]:
    """The bound on the entropy of the images by the smallest R + D."""
    bounded = [curve for curve in curves if curve.bound == curve.bound]
    if not bounded:
        text = (
            "The distortion is not minus the log-probability of an image (cross-entropy of grey "
            "values, squared error, L1), so R + D is not a bound of the entropy and no dashed "
            "line is drawn."
        )
        return [Text(text, "note")]
    lines = [
        f"- {curve.label}, {IMAGES[curve.part]}: H ≤ {curve.bound:,.1f} nats per image"
        for curve in bounded
    ]
    text = (
        "The entropy H of the images is at most R + D of any model (Alemi et al. 2018, Fixing a "
        "Broken ELBO: H - D ≤ I ≤ R). The smallest R + D of the trials is an upper estimate of H, "
        "not H itself. Caution: for continuous grey values, H is a differential entropy, and a "
        "cross-entropy is not a proper likelihood."
    )
    return [Text("\n".join([text, "", *lines]))]


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shown = table.head(MOST_ROWS).drop(columns=["part", "seeds"]).astype(object).map(short)
    shown.columns = shown.columns.str.removeprefix(PARAMS)
    return shown


def _about(table: pd.DataFrame) -> str:
    where = ", ".join(IMAGES[part] for part in table["part"].unique())
    first = f" The first {MOST_ROWS} of {len(table):,} rows." if len(table) > MOST_ROWS else ""
    return (
        f"Means over models (n) on {where}; in nats per image, and in bits per dimension only "
        "if the likelihood is a probability of the image: not for the cross-entropy of grey "
        "values, squared error and L1. All complete "
        "trials with a value for every model. These numbers were not used for selection."
        f"{first}"
    )
