"""PGN: each difference between the paper's text and the released code, one at a time.

"limit" is a prior N(c, epsilon I) that has nearly shrunk to its centre: Deep SVDD. Nothing is
selected, so every trial meets the test set and none is trained again. "quick" and "standard" hold
images out all the same, for a second number; "paper" trains on the whole class.
"""

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import Baseline, Budget, OneAtATime, Search

ablate_pgn = Search(
    name="ablate_pgn_{data}",
    data=("mnist", "fmnist", "cifar"),
    plan=OneAtATime(),
    baselines=(
        Baseline(
            PGN,
            name="released",
            space={
                "extra_layer": CategoricalDistribution([True, False]),
                "bias": CategoricalDistribution([True, False]),
                "spread": CategoricalDistribution(["log_variance", "softplus"]),
                "reduction": CategoricalDistribution(["sum", "mean"]),
                "beta1": CategoricalDistribution([0.5, 0.9]),
                "scaling": CategoricalDistribution(["unit", "minmax", "gcn"]),
                "expected_loss": CategoricalDistribution([False, True]),
                "dropout_on": CategoricalDistribution(["mean", "both"]),
                "prior_variance": CategoricalDistribution([0.01, 0.1, 1.0]),
                "prior_centre": CategoricalDistribution(["zero", "mean"]),
                "weight_decay": CategoricalDistribution([0.0, 1e-4]),
                "dropout": CategoricalDistribution([0.0, 0.1, 0.3, 0.5, 0.7]),
            },
            score_space={
                "mc_samples": (0, 1, 5, 10, 20, 50, "inf"),
                "dropout": (0.0, 0.1, 0.3, 0.5, 0.7),
            },
        ),
        Baseline(
            PGN,
            name="paper",
            settings={
                "extra_layer": False,
                "bias": False,
                "spread": "softplus",
                "beta1": 0.9,
                "scaling": "unit",
            },
            score_space={
                "mc_samples": (0, 1, 5, 10, 20, 50, "inf"),
                "dropout": (0.0, 0.1, 0.3, 0.5, 0.7),
            },
        ),
        Baseline(
            PGN,
            name="limit",
            settings={
                "extra_layer": False,
                "bias": False,
                "dropout": 0.0,
                "prior_centre": "mean",
                "prior_variance": 1e-6,
            },
        ),
    ),
    budgets={
        "quick": Budget(
            trials=20,
            epochs=10,
            seeds=3,
            classes=(0, 3, 8),
            validation_images=500,
            evaluations=4,
            evaluation_seeds=0,
        ),
        "standard": Budget(trials=20, epochs=100, seeds=3, evaluation_seeds=0),
        "paper": Budget(
            trials=20,
            epochs=100,
            seeds=10,
            evaluation_seeds=0,
            validation_fraction=0.0,
            test_curve=True,
        ),
    },
    budgets_on={
        "cifar": {
            "quick": Budget(
                trials=20,
                epochs=6,
                seeds=3,
                classes=(0, 3, 8),
                train_images=600,
                validation_images=300,
                test_images=1000,
                evaluations=2,
                evaluation_seeds=0,
            ),
        },
    },
)
