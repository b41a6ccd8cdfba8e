"""Whether the encoder was trained by the forward KL: effective numbers of weights."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Figure, Section, Table, Text
from analysis.document.format import Unit, short
from analysis.frame import PARAMS, columns
from analysis.questions.importance_weights import (
    Weights,
    draw_effective,
    importance_weights,
    varied_codes,
)
from analysis.report.findings import Findings
from tune_ad.wording import count

PLACE = 9
NUMBER = Unit(1, ".1f")
ABOUT = (
    "In the last epoch of training: mean over n seeds [95 % interval of Student's t]. K: number "
    "of codes per image. Effective number of weights: 1 = a single code has all the weight, so "
    "that training fits the best of K codes; K = all weights are equal. Used: after tempering and "
    "truncation. Forward KL: its estimate in nats, which cannot exceed log K; near it, the true "
    "value may be far larger. Spread: number of models whose effective number is at least 2 (1.5 "
    "for K = 2) in the last epoch and on average over all steps, before and after tempering."
)
CURVES = (
    "Effective number of importance weights against K, for each likelihood and length of a code, "
    "without other variations. Dashed: 2, below which training does not follow the forward KL. A "
    "line that stays flat shows that more codes do not help."
)


def section(findings: Findings) -> Section | None:
    """The weights of every complete trial that recorded them; None without such."""
    rows = importance_weights(findings.study.trials)
    if not rows:
        return None
    blocks: list[Block] = [Text(_sentence(rows))]
    if varied_codes(rows):
        blocks.append(Figure("effective_weights", partial(draw_effective, rows), CURVES))
    return Section("Are the importance weights spread?", [*blocks, _table(rows)])


def _sentence(rows: Sequence[Weights]) -> str:
    spread = sum(row.alive for row in rows)
    return (
        f"{spread} of {count(len(rows), 'configuration')} with importance weights "
        f"{'has' if spread == 1 else 'have'} enough of them for training by the forward KL."
    )


def _table(rows: Sequence[Weights]) -> Table:
    shown = [
        {
            "trial": row.number,
            "likelihood": row.likelihood,
            "latent_dim": row.latent_dim,
            "K": row.codes,
            "with": ", ".join(f"{name} = {short(value)}" for name, value in row.others.items()),
            "effective number": row.effective.interval_cell(NUMBER),
            "used": row.used.interval_cell(NUMBER),
            "forward KL": row.divergence.interval_cell(NUMBER),
            "spread": f"{row.spread} of {row.models}",
            "n": row.effective.n,
        }
        for row in rows
    ]
    data = [
        {
            "number": row.number,
            "likelihood": row.likelihood,
            "latent_dim": row.latent_dim,
            "codes": row.codes,
            **columns(PARAMS, row.others),
            **row.effective.columns("effective"),
            **row.used.columns("used"),
            **row.divergence.columns("divergence"),
            "spread": row.spread,
            "models": row.models,
        }
        for row in rows
    ]
    return Table("importance_weights", pd.DataFrame(shown), ABOUT, data=pd.DataFrame(data))
