"""Adversarial autoencoder: code size, width, learning rate and weight of the adversarial loss."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.autoencoders.aae import AAE
from tune_ad.search import (
    QUICK_RECONSTRUCTION,
    QUICK_RECONSTRUCTION_COLOUR,
    Baseline,
    Search,
)

SEARCHED_AAE = Baseline(
    AAE,
    space={
        "latent_dim": CategoricalDistribution([16, 32, 64, 128, 256]),
        "width": CategoricalDistribution([0.5, 1.0, 2.0]),
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "adversarial_weight": FloatDistribution(1e-4, 0.5, log=True),
        "reconstruction": CategoricalDistribution(["l1", "squared_error", "bce"]),
    },
)

aae = Search(
    name="aae_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(SEARCHED_AAE,),
    budgets={"quick": QUICK_RECONSTRUCTION},
    budgets_on={"cifar": {"quick": QUICK_RECONSTRUCTION_COLOUR}},
)
