"""Do wider VAEs detect out-of-distribution images by likelihood? Tests a retracted claim.

Width scales the channels at fixed depth and code size; each combination of likelihood and code
size is tested separately (a stratum). Every model is trained at a constant learning rate until its
validation loss stops decreasing (early stopping). The score is minus the ELBO; minus the IWAE
bound, rate, distortion and image statistics are recorded as well. MNIST against Fashion-MNIST is
the control for Fashion-MNIST against MNIST: the same two data sets with swapped roles.

The budget "standard" trains two likelihoods, four widths and six seeds until the validation loss
stops improving, without which there is no verdict: about five hours on two cores for grey images,
sixteen for colour images. "quick" stops too early for a verdict; "paper" runs every combination.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.search import Baseline, Budget, Claim, Grid, Search

SMALL = Budget(
    trials=6,
    epochs=12,
    seeds=6,
    train_images=4000,
    validation_images=200,
    test_images=500,
    evaluation_seeds=0,
    only={
        "batch_size": (20,),
        "width": (0.25, 0.5, 1.0),
        "latent_dim": (32,),
        "likelihood": ("discretised_logistic", "gaussian_learned"),
        "importance_samples": (8,),
    },
)
SMALL_COLOUR = replace(SMALL, epochs=10, train_images=2000, validation_images=100, test_images=250)
MIDDLE = Budget(
    trials=8,
    epochs=100,
    seeds=6,
    train_images=10_000,
    validation_images=1000,
    test_images=2000,
    evaluation_seeds=0,
    evaluations=50,
    only={
        "batch_size": (50,),
        "width": (0.25, 0.5, 1.0, 2.0),
        "latent_dim": (32,),
        "likelihood": ("discretised_logistic", "gaussian_learned"),
        "importance_samples": (16,),
    },
)
LARGE = Budget(trials=72, epochs=200, seeds=10, evaluation_seeds=0, evaluations=40)

capacity = Search(
    name="capacity_{data}",
    name_on={
        "cifar": "capacity_cifar_svhn",
        "fmnist": "capacity_fmnist_mnist",
        "mnist": "capacity_mnist_fmnist",
    },
    data=("cifar", "fmnist", "mnist"),
    outsiders={
        "cifar": ("svhn", "constant", "noise"),
        "fmnist": ("mnist", "constant", "noise"),
        "mnist": ("fmnist", "constant", "noise"),
    },
    plan=Grid(),
    selection="likelihood",
    patience=4,
    claim=Claim("capacity", factor="width", strata=("likelihood", "latent_dim")),
    baselines=(
        Baseline(
            LikelihoodVAE,
            settings={
                "batch_size": 100,
                "milestones": (),
                "latent_dim": 32,
                "likelihood": "discretised_logistic",
                "importance_samples": 64,
            },
            space={
                "width": CategoricalDistribution([0.25, 0.5, 1.0, 2.0, 4.0, 8.0]),
                "latent_dim": CategoricalDistribution([32, 128]),
                "likelihood": CategoricalDistribution(
                    [
                        "bernoulli",
                        "continuous_bernoulli",
                        "gaussian",
                        "gaussian_learned",
                        "discretised_logistic",
                        "categorical",
                    ]
                ),
            },
        ),
    ),
    budgets={"quick": SMALL, "standard": MIDDLE, "paper": LARGE},
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
