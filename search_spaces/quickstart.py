"""PGN on 8x8 digits: a complete small study without download (quick: under a minute)."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import Baseline, Budget, Search

quickstart = Search(
    name="quickstart",
    data=("digits",),
    baselines=(
        Baseline(
            PGN,
            space={
                "latent_dim": CategoricalDistribution([8, 16, 32, 64]),
                "dropout": FloatDistribution(0.1, 0.7),
                "width": CategoricalDistribution([1.0, 2.0, 4.0]),
                "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
            },
            score_space={"mc_samples": (0, 1, 5, 10, 20, 50, "inf")},
            settings={"batch_size": 50, "learning_rate": 1e-3},
        ),
    ),
    budgets={
        "quick": Budget(
            trials=8,
            epochs=84,
            seeds=2,
            classes=(0, 2, 8),
            evaluation_seeds=3,
            only={"batch_size": (20,)},
        ),
        "standard": Budget(trials=40, epochs=100, seeds=3, evaluation_seeds=10),
    },
)
