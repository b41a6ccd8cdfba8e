"""How many importance weights train the encoder of a likelihood VAE: was it by forward KL at all?

The forward KL is estimated with self-normalised weights of K codes. If almost all weight is on one
of them, training fits the best of K codes instead.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis import frame
from analysis.document import theme
from analysis.stats.estimates import Estimate, estimate
from tune_ad.sample_sizes import LEAST_EFFECTIVE, least_effective
from tune_ad.storage.metric import Metric
from tune_ad.storage.records import TrialRecord

RAW, USED = Metric("train", "raw_effective_share"), Metric("train", "effective_share")
SHARES = (RAW, USED, Metric("overall", RAW.term), Metric("overall", USED.term))
"""Effective share of the importance weights in training: of the last epoch, and of all steps.

Also of the weights before tempering and truncation: weights that are flattened enough are always
spread, but training by them follows the forward KL only a little.
"""
DIVERGENCE = Metric("train", "forward_kl")
CODES, LATENT, LIKELIHOOD = "samples", "latent_dim", "likelihood"


def effective_numbers(models: pd.DataFrame, codes: pd.Series) -> pd.Series:
    """The effective number of codes that train each model: K times its smallest recorded share.

    Args:
        models: one row per model, as of `frame.replicas`.
        codes: K of each model.

    Returns:
        numbers in [1, K]; NaN for a model without a recorded share.
    """
    return models.reindex(columns=list(map(str, SHARES))).min(axis=1) * codes


def is_spread(effective: pd.Series, codes: pd.Series) -> pd.Series:
    """1 if the weights of a model are spread enough, otherwise 0; NaN if they are unknown."""
    enough = effective.ge(codes.map(least_effective, na_action="ignore"))
    return enough.where(effective.notna()).astype(float)


class Weights(NamedTuple):
    """The importance weights of a trial; means over classes, one value for each seed.

    Attributes:
        number: the number of the trial.
        likelihood: the pixel likelihood.
        latent_dim: the length of a code.
        codes: K, the number of codes per image.
        others: the other searched parameters.
        effective: the effective number of weights in the last epoch, in [1, K].
        used: that of the weights after tempering and truncation.
        divergence: the estimate of the forward KL in the last epoch, in nats, at most log K.
        spread: the number of models whose weights are spread enough, in the last epoch and over
            all steps, before and after tempering.
        models: the number of models with recorded weights.
    """

    number: int
    likelihood: str
    latent_dim: int
    codes: int
    others: dict[str, object]
    effective: Estimate
    used: Estimate
    divergence: Estimate
    spread: int
    models: int

    @property
    def alive(self) -> bool:
        """Whether the weights of every model are spread enough for the forward KL."""
        return self.spread == self.models


def importance_weights(records: Sequence[TrialRecord]) -> list[Weights]:
    """The weights of every complete trial that recorded them, by likelihood, code size and K."""
    rows = [
        _weights(record)
        for record in records
        if record.state == "complete" and RAW in record.metrics
    ]
    return sorted(rows, key=lambda row: (row.likelihood, row.latent_dim, row.codes, row.number))


def _weights(record: TrialRecord) -> Weights:
    named = (CODES, LATENT, LIKELIHOOD)
    models = frame.replicas([record])
    codes = pd.Series(int(record.params[CODES]), models.index)
    effective = effective_numbers(models, codes)
    most = int(record.params[CODES])
    return Weights(
        number=record.number,
        likelihood=str(record.params[LIKELIHOOD]),
        latent_dim=int(record.params[LATENT]),
        codes=most,
        others={k: record.params[k] for k in record.searched if k not in named},
        effective=estimate(list(most * frame.by_seed(models, str(RAW))), (1, most)),
        used=estimate(list(most * frame.by_seed(models, str(USED))), (1, most)),
        divergence=estimate(list(frame.by_seed(models, str(DIVERGENCE))), (0, float("inf"))),
        spread=int(is_spread(effective, codes).sum()),
        models=int(effective.notna().sum()),
    )


def varied_codes(rows: Sequence[Weights]) -> bool:
    """Whether some likelihood and code size was trained with several K."""
    kinds = {(row.likelihood, row.latent_dim) for row in _plain(rows)}
    return len({(row.likelihood, row.latent_dim, row.codes) for row in _plain(rows)}) > len(kinds)


def _plain(rows: Sequence[Weights]) -> list[Weights]:
    """The rows that have the most frequent values of the other parameters."""
    others = [tuple(sorted(row.others.items(), key=str)) for row in rows]
    common = max(others, key=others.count) if others else ()
    return [row for row, of_row in zip(rows, others, strict=True) if of_row == common]


def draw_effective(rows: Sequence[Weights]) -> Figure:
    """The effective number of weights against K, a line for each likelihood and code size."""
    canvas = theme.canvas(4.0)
    axes, plain = canvas.one, _plain(rows)
    kinds = dict.fromkeys((row.likelihood, row.latent_dim) for row in plain)
    for k, kind in enumerate(kinds):
        points = [row for row in plain if (row.likelihood, row.latent_dim) == kind]
        axes.plot(
            [row.codes for row in points],
            [row.effective.mean for row in points],
            marker="o",
            color=theme.colour(k),
            label=f"{kind[0]}, codes of length {kind[1]}",
        )
    axes.axhline(LEAST_EFFECTIVE, color=theme.INK, linewidth=1.0, linestyle=(0, (5, 3)))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        theme.plain_ticks(axis)
    axes.set_xlabel("K, number of codes per image")
    axes.set_ylabel("effective number of weights")
    axes.legend(frameon=False)
    return canvas.figure
