"""PGN: code size, dropout p, number of passes T, width, learning rate; T and p at scoring."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import QUICK, QUICK_COLOUR, Baseline, Search

pgn = Search(
    name="pgn_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(
        Baseline(
            PGN,
            space={
                "latent_dim": CategoricalDistribution([8, 16, 32, 64, 128, 256]),
                "dropout": FloatDistribution(0.1, 0.8),
                "mc_samples": CategoricalDistribution([0, 1, 5, 10, 20, 50, "inf"]),
                "width": CategoricalDistribution([0.5, 1.0, 2.0]),
                "learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
            },
            score_space={
                "mc_samples": (0, 1, 5, 10, 20, 50, "inf"),
                "dropout": (0.1, 0.3, 0.5, 0.7),
            },
        ),
    ),
    budgets={"quick": QUICK},
    budgets_on={"cifar": {"quick": QUICK_COLOUR}},
)
