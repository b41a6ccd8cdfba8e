"""Does training the encoder by forward KL improve OOD detection by a VAE's likelihood?

Four ways of training are compared, with equally many latent samples: (1) the ELBO; (2) forward KL
(wake) after an ELBO warm start, with the decoder trained on the IWAE bound; (3) the same with
forward KL and sleep; (4) as a control, an ELBO model whose encoder is afterwards refitted by
forward KL with the decoder frozen. The score is minus the IWAE bound, because an encoder that was
not trained by the ELBO has a looser ELBO.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.search import Baseline, Budget, Claim, Listed, Search

SMALL = Budget(
    trials=3,
    epochs=8,
    seeds=6,
    train_images=4000,
    validation_images=200,
    test_images=500,
    evaluation_seeds=0,
    only={
        "batch_size": (20,),
        "width": (0.25,),
        "samples": (8,),
        "importance_samples": (16,),
    },
)
SMALL_COLOUR = replace(SMALL, epochs=6, train_images=2000, validation_images=100, test_images=250)
LARGE = Budget(
    trials=8, epochs=100, seeds=6, validation_images=2000, evaluation_seeds=0, evaluations=40
)
LARGEST = replace(LARGE, epochs=200, seeds=10, validation_images=None)

forward_kl = Search(
    name="forward_kl_{data}",
    name_on={"cifar": "forward_kl_cifar_svhn", "fmnist": "forward_kl_fmnist_mnist"},
    data=("cifar", "fmnist"),
    outsiders={"cifar": ("svhn", "constant", "noise"), "fmnist": ("mnist", "constant", "noise")},
    plan=Listed(
        [
            {"objective": "elbo", "refit": 0.0, "likelihood": "discretised_logistic"},
            {"objective": "forward_kl", "refit": 0.0, "likelihood": "discretised_logistic"},
            {"objective": "elbo", "refit": 0.5, "likelihood": "discretised_logistic"},
            {"objective": "mixed", "refit": 0.0, "likelihood": "discretised_logistic"},
            {"objective": "elbo", "refit": 0.0, "likelihood": "gaussian_learned"},
            {"objective": "forward_kl", "refit": 0.0, "likelihood": "gaussian_learned"},
            {"objective": "elbo", "refit": 0.5, "likelihood": "gaussian_learned"},
            {"objective": "mixed", "refit": 0.0, "likelihood": "gaussian_learned"},
        ]
    ),
    selection="likelihood",
    patience=4,
    claim=Claim(
        "forward_kl",
        factor="objective",
        strata=("likelihood",),
        baseline_level="elbo",
        control_level="refit",
        levels={
            "elbo": {"objective": "elbo", "refit": 0.0},
            "forward_kl": {"objective": "forward_kl", "refit": 0.0},
            "mixed": {"objective": "mixed", "refit": 0.0},
            "refit": {"objective": "elbo", "refit": 0.5},
        },
    ),
    baselines=(
        Baseline(
            LikelihoodVAE,
            settings={
                "batch_size": 100,
                "milestones": (),
                "latent_dim": 16,
                "samples": 16,
                "importance_samples": 64,
                "likelihood": "discretised_logistic",
                "score_by": "negative_iwae",
            },
            space={
                "objective": CategoricalDistribution(["elbo", "forward_kl", "mixed"]),
                "refit": CategoricalDistribution([0.0, 0.5]),
                "likelihood": CategoricalDistribution(
                    ["discretised_logistic", "gaussian_learned"]
                ),
            },
        ),
    ),
    budgets={"quick": SMALL, "standard": LARGE, "paper": LARGEST},
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
