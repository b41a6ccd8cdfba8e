"""How many importance weights train the encoder of a likelihood VAE: was it by forward KL at all?

The forward KL is estimated with self-normalised weights of K codes. If almost all weight is on one
of them, training fits the best of K codes instead.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from analysis.document import theme
from analysis.stats.estimates import Estimate, estimate
from tune_ad.sample_sizes import LEAST_EFFECTIVE, least_effective
from tune_ad.storage.metric import TEST_AUROC, Metric
from tune_ad.storage.records import TrialRecord

USED, RAW = Metric("train", "effective_share"), Metric("train", "raw_effective_share")
DIVERGENCE = Metric("train", "forward_kl")
CODES, LATENT, LIKELIHOOD = "samples", "latent_dim", "likelihood"


class Weights(NamedTuple):
    """The importance weights of a trial in its last epoch of training, over its models.

    Attributes:
        number: the number of the trial.
        likelihood: the pixel likelihood.
        latent_dim: the length of a code.
        codes: K, the number of codes per image.
        others: the other searched parameters.
        effective: the effective number of weights, in [1, K].
        used: that of the weights after tempering and truncation, in [1, K].
        divergence: the estimate of the forward KL in nats, at most log K.
        auroc: the test AUROC of the reported score; without values if it was not tested.
    """

    number: int
    likelihood: str
    latent_dim: int
    codes: int
    others: dict[str, object]
    effective: Estimate
    used: Estimate
    divergence: Estimate
    auroc: Estimate

    @property
    def alive(self) -> bool:
        """Whether the effective number of weights is large enough for the forward KL."""
        return self.effective.mean >= least_effective(self.codes)


def importance_weights(records: Sequence[TrialRecord]) -> list[Weights]:
    """The weights of every complete trial that recorded them, by likelihood, code size and K."""
    rows = [
        _weights(record)
        for record in records
        if record.state == "complete" and _values(record, RAW)
    ]
    return sorted(rows, key=lambda row: (row.likelihood, row.latent_dim, row.codes, row.number))


def _weights(record: TrialRecord) -> Weights:
    codes = int(record.params[CODES])
    named = (CODES, LATENT, LIKELIHOOD)
    return Weights(
        number=record.number,
        likelihood=str(record.params[LIKELIHOOD]),
        latent_dim=int(record.params[LATENT]),
        codes=codes,
        others={k: record.params[k] for k in record.searched if k not in named},
        effective=estimate([codes * share for share in _values(record, RAW)], (1, codes)),
        used=estimate([codes * share for share in _values(record, USED)], (1, codes)),
        divergence=estimate(_values(record, DIVERGENCE), (0, math.inf)),
        auroc=estimate(_values(record, TEST_AUROC)),
    )


def _values(record: TrialRecord, metric: Metric) -> list[float]:
    """The values of a metric, one for each model that has one."""
    return [value for value in record.metrics.get(metric, []) if value is not None]


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
            label=f"{kind[0]}, {kind[1]} codes",
        )
    axes.axhline(LEAST_EFFECTIVE, color=theme.INK, linewidth=1.0, linestyle=(0, (5, 3)))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel("K, number of codes per image")
    axes.set_ylabel("effective number of weights")
    axes.legend(frameon=False)
    return canvas.figure
