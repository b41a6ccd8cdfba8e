"""Autoencoder: code size, width, learning rate and weight decay; poor trials are pruned."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.search import QUICK, QUICK_RECONSTRUCTION_COLOUR, Baseline, Search

SEARCHED_AE = Baseline(
    AE,
    space={
        "latent_dim": CategoricalDistribution([16, 32, 64, 128, 256]),
        "width": CategoricalDistribution([0.5, 1.0, 2.0]),
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "weight_decay": FloatDistribution(1e-7, 1e-2, log=True),
    },
)

ae = Search(
    name="ae_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(SEARCHED_AE,),
    pruning=True,
    budgets={"quick": QUICK},
    budgets_on={"cifar": {"quick": QUICK_RECONSTRUCTION_COLOUR}},
)
