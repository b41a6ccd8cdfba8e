"""beta-VAE: beta, code size, width and prior; number of latent samples at scoring."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.search import (
    QUICK_RECONSTRUCTION,
    QUICK_RECONSTRUCTION_COLOUR,
    Baseline,
    Search,
)

SEARCHED_BETA_VAE = Baseline(
    VAE,
    name="beta-VAE",
    settings={"reduction": "mean", "learning_rate": 1e-3, "milestones": ()},
    space={
        "beta": FloatDistribution(0.1, 10.0, log=True),
        "latent_dim": CategoricalDistribution([16, 32, 64, 128, 256]),
        "width": CategoricalDistribution([0.5, 1.0, 2.0]),
        "prior": CategoricalDistribution(["standard", "vamp"]),
    },
    score_space={"score_samples": (0, 1, 10)},
)

beta_vae = Search(
    name="beta_vae_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(SEARCHED_BETA_VAE,),
    budgets={"quick": QUICK_RECONSTRUCTION},
    budgets_on={"cifar": {"quick": QUICK_RECONSTRUCTION_COLOUR}},
)
