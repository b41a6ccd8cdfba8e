"""PGN: each difference between the paper and the released code, one at a time.

"limit" has a prior N(c, epsilon I) with a tiny epsilon, which approximates Deep SVDD. Nothing is
selected: every trial is tested, and none is trained again. "quick" and "standard" still hold out
images, to report validation AUROC as well; "paper" trains on all images of a class.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import PAPER, QUICK, QUICK_COLOUR, STANDARD, Baseline, OneAtATime, Search

SMALL = replace(QUICK, trials=21, epochs=10, seeds=3, evaluations=4, evaluation_seeds=0)
SMALL_COLOUR = replace(
    QUICK_COLOUR,
    trials=21,
    seeds=5,
    evaluations=2,
    evaluation_seeds=0,
    only={"batch_size": (20,), "width": (0.5,)},
)

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
                "last_batch": CategoricalDistribution(["filled", "short"]),
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
        "quick": SMALL,
        "standard": replace(STANDARD, trials=21, evaluation_seeds=0),
        "paper": replace(PAPER, trials=21),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
