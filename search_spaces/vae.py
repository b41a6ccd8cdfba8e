"""VAE, beta-VAE (beta, code size, width), and rates and distortions over a grid of beta."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.budgets import QUICK, QUICK_RECONSTRUCTION, Budget
from tune_ad.detectors.vae import VAE
from tune_ad.plans import Grid
from tune_ad.search import Baseline, Search

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
    budgets={"quick": QUICK},
    budgets_on={"cifar": {"quick": QUICK_RECONSTRUCTION}},
)
beta_vae = Search(
    name="beta_vae_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(
        Baseline(
            VAE,
            name="beta-VAE",
            settings={"reduction": "mean", "learning_rate": 1e-3, "milestones": ()},
            space={
                "beta": FloatDistribution(0.1, 10.0, log=True),
                "latent_dim": CategoricalDistribution([16, 32, 64, 128, 256]),
                "width": CategoricalDistribution([0.5, 1.0, 2.0]),
            },
            score_space={"score_samples": (0, 1, 10)},
        ),
    ),
    budgets={"quick": QUICK},
    budgets_on={"cifar": {"quick": QUICK_RECONSTRUCTION}},
)
rate_distortion = Search(
    name="rd_{data}",
    data=("mnist", "fmnist", "cifar"),
    whole=True,
    plan=Grid(),
    baselines=(
        Baseline(
            VAE,
            name="beta-VAE",
            settings={
                "samples": 10,
                "score_samples": 10,
                "reduction": "mean",
                "learning_rate": 1e-3,
                "milestones": (),
                "epochs": 101,
            },
            space={
                "beta": CategoricalDistribution(
                    [10.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1]
                ),
            },
        ),
    ),
    budgets={
        "quick": Budget(
            trials=11,
            epochs=15,
            seeds=1,
            train_images=2000,
            validation_images=500,
            test_images=1000,
            evaluation_seeds=0,
        ),
        "standard": Budget(trials=11, epochs=101, seeds=3, evaluation_seeds=0),
        "paper": Budget(
            trials=11, epochs=None, seeds=1, evaluation_seeds=0, validation_fraction=0.0
        ),
    },
    budgets_on={
        "cifar": {
            "quick": Budget(
                trials=11,
                epochs=8,
                seeds=1,
                train_images=800,
                validation_images=200,
                test_images=500,
                evaluation_seeds=0,
            ),
        },
    },
)
