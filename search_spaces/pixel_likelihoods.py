"""Compares six pixel likelihoods: which OOD images a VAE detects depends on them.

Networks, code size, images and epochs are the same for all; the score is minus the ELBO. Values of
different likelihoods cannot be compared, so none is selected. MNIST against Fashion-MNIST is the
control for Fashion-MNIST against MNIST: the same two data sets with swapped roles.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.search import Baseline, Budget, Listed, Search

LIKELIHOODS = (
    "bernoulli",
    "continuous_bernoulli",
    "gaussian",
    "gaussian_learned",
    "discretised_logistic",
    "categorical",
)
SMALL = Budget(
    trials=6,
    epochs=16,
    seeds=3,
    train_images=5000,
    validation_images=250,
    test_images=1000,
    evaluation_seeds=0,
    only={"batch_size": (20,), "width": (0.25,), "importance_samples": (8,)},
)
SMALL_COLOUR = replace(SMALL, epochs=12, train_images=3000, validation_images=150, test_images=500)
LARGE = Budget(
    trials=6, epochs=100, seeds=6, validation_images=2000, evaluation_seeds=0, evaluations=25
)
LARGEST = replace(LARGE, epochs=200, seeds=10, validation_images=None, evaluations=40)

pixel_likelihoods = Search(
    name="pixel_likelihoods_{data}",
    name_on={
        "cifar": "pixel_likelihoods_cifar_svhn",
        "fmnist": "pixel_likelihoods_fmnist_mnist",
        "mnist": "pixel_likelihoods_mnist_fmnist",
    },
    data=("cifar", "fmnist", "mnist"),
    outsiders={
        "cifar": ("svhn", "constant", "noise"),
        "fmnist": ("mnist", "constant", "noise"),
        "mnist": ("fmnist", "constant", "noise"),
    },
    plan=Listed(
        [
            {"likelihood": "bernoulli"},
            {"likelihood": "continuous_bernoulli"},
            {"likelihood": "gaussian"},
            {"likelihood": "gaussian_learned"},
            {"likelihood": "discretised_logistic"},
            {"likelihood": "categorical"},
        ]
    ),
    selection="likelihood",
    patience=4,
    baselines=(
        Baseline(
            LikelihoodVAE,
            settings={
                "batch_size": 100,
                "milestones": (),
                "latent_dim": 32,
                "importance_samples": 64,
            },
            space={
                "likelihood": CategoricalDistribution(LIKELIHOODS),
            },
        ),
    ),
    budgets={"quick": SMALL, "standard": LARGE, "paper": LARGEST},
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
