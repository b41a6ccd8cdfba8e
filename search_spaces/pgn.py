"""PGN: code size, dropout p, width, learning rate, weight decay, prior variance, layers, epochs.

T, the number of passes of a score, and p at scoring act on trained models: one of them is chosen
for the models of each trial on held-out images.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import QUICK, QUICK_COLOUR, STANDARD, Baseline, Search

SMALL_COLOUR = replace(
    QUICK_COLOUR,
    only={"batch_size": (20,), "width": (0.5, 1.0), "epochs": (10, 20)},
)

SEARCHED_PGN = Baseline(
    PGN,
    space={
        "latent_dim": CategoricalDistribution([8, 16, 32, 64, 128, 256]),
        "dropout": FloatDistribution(0.1, 0.8),
        "width": CategoricalDistribution([0.5, 1.0, 2.0, 4.0]),
        "learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
        "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
        "prior_variance": FloatDistribution(0.1, 10.0, log=True),
        "extra_layer": CategoricalDistribution([True, False]),
        "bias": CategoricalDistribution([True, False]),
        "epochs": CategoricalDistribution([10, 20, 40, 50, 100, 200]),
    },
    score_space={
        "mc_samples": (0, 1, 5, 10, 20, 50, "inf"),
        "dropout": (0.1, 0.3, 0.5, 0.7),
    },
)

pgn = Search(
    name="pgn_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(SEARCHED_PGN,),
    budgets={
        "quick": replace(QUICK, only={"width": (0.5, 1.0, 2.0), "epochs": (10, 20, 40)}),
        "standard": replace(STANDARD, only={"epochs": (50, 100, 200)}),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
