"""PGN with and without biases and extra layer, trained longer and longer: does its score collapse?

With the prior N(0, I) the loss is 0, its minimum, if the weights and biases of both heads are 0,
and then every image has the same score. Nothing is selected: every trial is tested, and none is
trained again. There is no dropout, so that the score is the loss that is trained.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import PAPER, QUICK, QUICK_COLOUR, STANDARD, Baseline, Grid, Search

SMALL = replace(
    QUICK,
    trials=12,
    epochs=25,
    seeds=6,
    classes=(0, 8),
    evaluations=4,
    evaluation_seeds=0,
    train_images=1000,
    test_images=1000,
    only={"batch_size": (50,), "epochs": (25, 50, 100)},
)
SMALL_COLOUR = replace(
    QUICK_COLOUR,
    trials=12,
    seeds=6,
    evaluations=2,
    evaluation_seeds=0,
    only={"batch_size": (20,), "width": (0.5,), "epochs": (10, 20, 40)},
)
LONG = {"epochs": (100, 200, 400)}

collapse = Search(
    name="collapse_{data}",
    data=("mnist", "fmnist", "cifar"),
    plan=Grid(),
    baselines=(
        Baseline(
            PGN,
            settings={"dropout": 0.0, "mc_samples": 0},
            space={
                "bias": CategoricalDistribution([False, True]),
                "extra_layer": CategoricalDistribution([False, True]),
                "epochs": CategoricalDistribution([10, 20, 25, 40, 50, 100, 200, 400]),
            },
        ),
    ),
    budgets={
        "quick": SMALL,
        "standard": replace(STANDARD, trials=12, seeds=6, evaluation_seeds=0, only=LONG),
        "paper": replace(PAPER, trials=12, only=LONG),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
