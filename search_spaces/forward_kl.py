"""Does training the encoder by forward KL improve OOD detection by a VAE's likelihood?

Five ways of training are compared, with equally many latent samples: (1) the ELBO; (2) forward KL
(wake) after an ELBO warm start, with the decoder trained on the IWAE bound; (3) the same with an
encoder that is a mixture of three Gaussians, added one by one (Jerfel et al., arXiv 2106.15980);
(4) forward KL and sleep; (5) as a control, an ELBO model whose encoder is afterwards refitted by
forward KL with the decoder frozen. The score is minus the IWAE bound, because an encoder that was
not trained by the ELBO has a looser ELBO.

The cross-entropy of grey values ("bernoulli") with codes of length 4 is where the importance
weights are spread and the likelihood fails on Fashion-MNIST against MNIST (`importance_weights_*`
shows both); under the discretised logistic almost all weight is on one code, and there is no
verdict. "quick" runs the first four ways under the first likelihood.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, IntDistribution

from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.search import Baseline, Budget, Claim, Listed, Search

SMALL = Budget(
    trials=4,
    epochs=12,
    seeds=6,
    train_images=4000,
    validation_images=200,
    test_images=500,
    evaluation_seeds=0,
    only={
        "batch_size": (20,),
        "width": (0.25,),
        "samples": (16,),
        "importance_samples": (32,),
    },
)
SMALL_COLOUR = replace(SMALL, epochs=8, train_images=2000, validation_images=100, test_images=250)
MIDDLE = Budget(
    trials=5,
    epochs=25,
    seeds=6,
    train_images=8000,
    validation_images=1000,
    test_images=2000,
    evaluation_seeds=0,
    only={
        "batch_size": (50,),
        "width": (0.5,),
        "samples": (16,),
        "importance_samples": (64,),
    },
)
LARGE = Budget(
    trials=15,
    epochs=100,
    seeds=10,
    evaluation_seeds=0,
    evaluations=40,
)

forward_kl = Search(
    name="forward_kl_{data}",
    name_on={"cifar": "forward_kl_cifar_svhn", "fmnist": "forward_kl_fmnist_mnist"},
    data=("cifar", "fmnist"),
    outsiders={"cifar": ("svhn", "constant", "noise"), "fmnist": ("mnist", "constant", "noise")},
    plan=Listed(
        [
            {"objective": "elbo", "refit": 0.0, "components": 1, "likelihood": "bernoulli"},
            {"objective": "forward_kl", "refit": 0.0, "components": 1, "likelihood": "bernoulli"},
            {"objective": "forward_kl", "refit": 0.0, "components": 3, "likelihood": "bernoulli"},
            {"objective": "elbo", "refit": 0.5, "components": 1, "likelihood": "bernoulli"},
            {"objective": "mixed", "refit": 0.0, "components": 1, "likelihood": "bernoulli"},
            {"objective": "elbo", "refit": 0.0, "components": 1, "likelihood": "gaussian_learned"},
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "components": 1,
                "likelihood": "gaussian_learned",
            },
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "components": 3,
                "likelihood": "gaussian_learned",
            },
            {"objective": "elbo", "refit": 0.5, "components": 1, "likelihood": "gaussian_learned"},
            {
                "objective": "mixed",
                "refit": 0.0,
                "components": 1,
                "likelihood": "gaussian_learned",
            },
            {
                "objective": "elbo",
                "refit": 0.0,
                "components": 1,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "components": 1,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "components": 3,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "elbo",
                "refit": 0.5,
                "components": 1,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "mixed",
                "refit": 0.0,
                "components": 1,
                "likelihood": "discretised_logistic",
            },
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
            "elbo": {"objective": "elbo", "refit": 0.0, "components": 1},
            "forward_kl": {"objective": "forward_kl", "refit": 0.0, "components": 1},
            "mixture": {"objective": "forward_kl", "refit": 0.0, "components": 3},
            "refit": {"objective": "elbo", "refit": 0.5, "components": 1},
            "mixed": {"objective": "mixed", "refit": 0.0, "components": 1},
        },
    ),
    baselines=(
        Baseline(
            LikelihoodVAE,
            settings={
                "batch_size": 100,
                "milestones": (),
                "latent_dim": 4,
                "samples": 16,
                "importance_samples": 64,
                "likelihood": "bernoulli",
                "score_by": "negative_iwae",
            },
            space={
                "objective": CategoricalDistribution(["elbo", "forward_kl", "mixed"]),
                "refit": CategoricalDistribution([0.0, 0.5]),
                "components": IntDistribution(1, 3),
                "likelihood": CategoricalDistribution(
                    ["bernoulli", "gaussian_learned", "discretised_logistic"]
                ),
            },
        ),
    ),
    budgets={"quick": SMALL, "standard": MIDDLE, "paper": LARGE},
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
