"""VAE: code size, width, learning rate, reconstruction error; latent samples at scoring."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.search import (
    QUICK_RECONSTRUCTION,
    QUICK_RECONSTRUCTION_COLOUR,
    Baseline,
    Search,
)

vae = Search(
    name="vae_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(
        Baseline(
            VAE,
            space={
                "latent_dim": CategoricalDistribution([16, 32, 64, 128, 256]),
                "width": CategoricalDistribution([0.5, 1.0, 2.0]),
                "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
                "reconstruction": CategoricalDistribution(["bce", "squared_error", "l1"]),
            },
            score_space={"score_samples": (0, 1, 10)},
        ),
    ),
    budgets={"quick": QUICK_RECONSTRUCTION},
    budgets_on={"cifar": {"quick": QUICK_RECONSTRUCTION_COLOUR}},
)
