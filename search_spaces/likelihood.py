"""Likelihood VAE for OOD detection: beta, code size, width, samples K, tempering; by bits/dim.

Trained by the ELBO, or by forward KL after an ELBO warm start, which is all that beta affects
there; K and tempering affect only the forward KL. The pixel likelihood is fixed, since values of
different likelihoods cannot be compared; `--set likelihood=categorical` searches with another one.
The score is minus the IWAE bound, because an encoder that was not trained by the ELBO has a looser
ELBO. Trials are selected by bits per dimension; OOD data is used only for testing.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.search import STANDARD, Baseline, Budget, Search

SMALL = Budget(
    trials=12,
    epochs=15,
    seeds=1,
    train_images=2000,
    validation_images=300,
    test_images=500,
    evaluation_seeds=3,
    only={
        "batch_size": (20,),
        "width": (0.25, 0.5, 1.0),
        "samples": (1, 4, 16),
        "importance_samples": (8,),
    },
)
SMALL_COLOUR = replace(
    SMALL,
    trials=8,
    epochs=10,
    seeds=2,
    train_images=1000,
    validation_images=100,
    test_images=100,
    evaluations=4,
    only={
        "batch_size": (20,),
        "width": (0.25, 0.5),
        "samples": (1, 4),
        "importance_samples": (8,),
    },
)

likelihood = Search(
    name="likelihood_{data}",
    name_on={"cifar": "likelihood_cifar_svhn", "fmnist": "likelihood_fmnist_mnist"},
    data=("cifar", "fmnist"),
    outsiders={"cifar": ("svhn", "constant", "noise"), "fmnist": ("mnist", "constant", "noise")},
    selection="likelihood",
    baselines=(
        Baseline(
            LikelihoodVAE,
            name="ELBO",
            settings={
                "likelihood": "discretised_logistic",
                "batch_size": 100,
                "latent_dim": 32,
                "score_by": "negative_iwae",
            },
            score_space={"score_by": ("regret",)},
            space={
                "beta": FloatDistribution(0.1, 10.0, log=True),
                "latent_dim": CategoricalDistribution([16, 32, 64, 128]),
                "width": CategoricalDistribution([0.25, 0.5, 1.0, 2.0, 4.0]),
            },
        ),
        Baseline(
            LikelihoodVAE,
            name="forward KL",
            settings={
                "likelihood": "discretised_logistic",
                "objective": "forward_kl",
                "batch_size": 100,
                "latent_dim": 32,
                "score_by": "negative_iwae",
                "samples": 4,
            },
            score_space={"score_by": ("regret",)},
            space={
                "beta": FloatDistribution(0.1, 10.0, log=True),
                "latent_dim": CategoricalDistribution([16, 32, 64, 128]),
                "width": CategoricalDistribution([0.25, 0.5, 1.0, 2.0, 4.0]),
                "samples": CategoricalDistribution([4, 16, 64]),
                "tempering": FloatDistribution(0.1, 2.0, log=True),
            },
        ),
    ),
    budgets={"quick": SMALL, "standard": replace(STANDARD, validation_images=2000)},
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
