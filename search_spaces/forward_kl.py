"""Does training the encoder by forward KL improve OOD detection by a VAE's likelihood?

Four ways of training are compared, with equally many latent samples: the ELBO; forward KL (wake)
after an ELBO warm start, with the decoder trained on the IWAE bound; as a control, an ELBO model
whose encoder is afterwards refitted by forward KL with the decoder frozen; and forward KL and
sleep. Encoders are a Gaussian, or a mixture of three Gaussians that is built one component at a
time (Jerfel et al., arXiv 2106.15980; an ELBO model has one). The score is minus the IWAE bound,
because an encoder that was not trained by the ELBO has a looser ELBO.

Under the cross-entropy of grey values ("bernoulli") with codes of length 4 the importance weights
are spread, as `importance_weights_*` measures, and on Fashion-MNIST against MNIST the likelihood
fails, so that there is something to mend. Under the discretised logistic almost all weight is on
one code, and there is no verdict. "quick" runs the first three ways and "standard" all four, under
"bernoulli"; "paper" runs the discretised logistic as well.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, IntDistribution

from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.search import Baseline, Budget, Claim, Listed, Search

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
        "width": (0.25,),
        "samples": (16,),
        "importance_samples": (32,),
    },
)
SMALL_COLOUR = replace(SMALL, epochs=8, train_images=2000, validation_images=100, test_images=250)
MIDDLE = Budget(
    trials=8,
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
    trials=16,
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
            {
                "objective": "elbo",
                "refit": 0.0,
                "mixture_components": 1,
                "likelihood": "bernoulli",
            },
            {
                "objective": "elbo",
                "refit": 0.0,
                "mixture_components": 3,
                "likelihood": "bernoulli",
            },
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "mixture_components": 1,
                "likelihood": "bernoulli",
            },
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "mixture_components": 3,
                "likelihood": "bernoulli",
            },
            {
                "objective": "elbo",
                "refit": 0.5,
                "mixture_components": 1,
                "likelihood": "bernoulli",
            },
            {
                "objective": "elbo",
                "refit": 0.5,
                "mixture_components": 3,
                "likelihood": "bernoulli",
            },
            {
                "objective": "mixed",
                "refit": 0.0,
                "mixture_components": 1,
                "likelihood": "bernoulli",
            },
            {
                "objective": "mixed",
                "refit": 0.0,
                "mixture_components": 3,
                "likelihood": "bernoulli",
            },
            {
                "objective": "elbo",
                "refit": 0.0,
                "mixture_components": 1,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "elbo",
                "refit": 0.0,
                "mixture_components": 3,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "mixture_components": 1,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "forward_kl",
                "refit": 0.0,
                "mixture_components": 3,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "elbo",
                "refit": 0.5,
                "mixture_components": 1,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "elbo",
                "refit": 0.5,
                "mixture_components": 3,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "mixed",
                "refit": 0.0,
                "mixture_components": 1,
                "likelihood": "discretised_logistic",
            },
            {
                "objective": "mixed",
                "refit": 0.0,
                "mixture_components": 3,
                "likelihood": "discretised_logistic",
            },
        ]
    ),
    selection="likelihood",
    patience=4,
    claim=Claim(
        "forward_kl",
        factor="objective",
        strata=("likelihood", "mixture_components"),
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
                "latent_dim": 4,
                "samples": 16,
                "importance_samples": 64,
                "likelihood": "bernoulli",
                "score_by": "negative_iwae",
            },
            space={
                "objective": CategoricalDistribution(["elbo", "forward_kl", "mixed"]),
                "refit": CategoricalDistribution([0.0, 0.5]),
                "mixture_components": IntDistribution(1, 3),
                "likelihood": CategoricalDistribution(["bernoulli", "discretised_logistic"]),
            },
        ),
    ),
    budgets={"quick": SMALL, "standard": MIDDLE, "paper": LARGE},
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
