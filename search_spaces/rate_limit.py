"""VAE with beta from 0.1 to infinity, and PGN without dropout: does the rate rank anomalies?

With beta = inf the decoder vanishes and the rate alone is trained, which is PGN's objective (PGN
paper, section 3). Biases let such an encoder map every image to the prior; both detectors are
also tried without an extra layer or without biases where they can be.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.detectors.pgn import PGN
from tune_ad.search import (
    PAPER,
    QUICK,
    QUICK_RECONSTRUCTION_COLOUR,
    STANDARD,
    Baseline,
    Listed,
    Search,
)

SMALL = replace(
    QUICK,
    trials=9,
    epochs=25,
    seeds=4,
    evaluation_seeds=0,
    train_images=1000,
    only={"batch_size": (50,)},
)
COLOUR = replace(QUICK_RECONSTRUCTION_COLOUR, trials=9, seeds=4, evaluation_seeds=0)

rate_limit = Search(
    name="rate_{data}",
    data=("mnist", "fmnist", "cifar"),
    plan=Listed(
        [
            {"beta": 0.1},
            {"beta": 1.0},
            {"beta": 10.0},
            {"beta": 100.0},
            {"beta": "inf"},
            {"bias": False, "extra_layer": False},
            {"bias": True, "extra_layer": False},
            {"bias": True, "extra_layer": True},
            {"bias": False, "extra_layer": True},
        ]
    ),
    baselines=(
        Baseline(VAE, space={"beta": CategoricalDistribution([0.1, 1.0, 10.0, 100.0, "inf"])}),
        Baseline(
            PGN,
            settings={"dropout": 0.0, "mc_samples": 0},
            space={
                "bias": CategoricalDistribution([False, True]),
                "extra_layer": CategoricalDistribution([False, True]),
            },
        ),
    ),
    budgets={
        "quick": SMALL,
        "standard": replace(STANDARD, trials=9, evaluation_seeds=0),
        "paper": replace(PAPER, trials=9),
    },
    budgets_on={"cifar": {"quick": COLOUR}},
)
