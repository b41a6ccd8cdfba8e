"""When does the forward KL train an encoder? Effective number of weights by K, code, likelihood.

Log-weights are sums over all pixels. If they spread over many nats, one of K codes has all the
weight, and training fits the best of K codes instead of following the forward KL. This search
varies what may help: the pixel likelihood, the length of the code, K, tempered weights, a
defensive proposal, and a mixture of Gaussians that is built one component at a time (Jerfel et
al., arXiv 2106.15980). Nothing is selected: every configuration is reported.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.search import Baseline, Budget, Listed, Search

SMALL = Budget(
    trials=22,
    epochs=10,
    seeds=2,
    train_images=2000,
    validation_images=200,
    test_images=500,
    evaluation_seeds=0,
    only={"batch_size": (20,), "width": (0.25,), "importance_samples": (16,)},
)
MIDDLE = replace(
    SMALL,
    epochs=20,
    seeds=3,
    train_images=4000,
    only={"batch_size": (20,), "width": (0.5,), "importance_samples": (16,)},
)
LARGE = replace(
    MIDDLE,
    epochs=60,
    train_images=None,
    validation_images=None,
    validation_fraction=0.0,
    test_images=None,
    only={"batch_size": (50,), "width": (0.5,)},
)

importance_weights = Search(
    name="importance_weights_{data}",
    name_on={
        "cifar": "importance_weights_cifar_svhn",
        "fmnist": "importance_weights_fmnist_mnist",
    },
    data=("cifar", "fmnist"),
    outsiders={"cifar": ("svhn",), "fmnist": ("mnist",)},
    plan=Listed(
        [
            {"likelihood": "bernoulli", "latent_dim": 4},
            {"likelihood": "bernoulli", "latent_dim": 16},
            {"likelihood": "continuous_bernoulli", "latent_dim": 4},
            {"likelihood": "continuous_bernoulli", "latent_dim": 16},
            {"likelihood": "gaussian", "latent_dim": 4},
            {"likelihood": "gaussian", "latent_dim": 16},
            {"likelihood": "discretised_logistic", "latent_dim": 4},
            {"likelihood": "discretised_logistic", "latent_dim": 16},
            {"likelihood": "bernoulli", "samples": 4},
            {"likelihood": "bernoulli", "samples": 64},
            {"likelihood": "bernoulli", "latent_dim": 16, "samples": 4},
            {"likelihood": "bernoulli", "latent_dim": 16, "samples": 64},
            {"likelihood": "bernoulli", "tempering": 0.25},
            {"likelihood": "bernoulli", "defensive": 0.2},
            {"likelihood": "bernoulli", "mixture_components": 3},
            {"likelihood": "discretised_logistic", "samples": 4},
            {"likelihood": "discretised_logistic", "samples": 64},
            {"likelihood": "discretised_logistic", "latent_dim": 16, "samples": 4},
            {"likelihood": "discretised_logistic", "latent_dim": 16, "samples": 64},
            {"likelihood": "discretised_logistic", "tempering": 0.25},
            {"likelihood": "discretised_logistic", "defensive": 0.2},
            {"likelihood": "discretised_logistic", "mixture_components": 3},
        ]
    ),
    selection="likelihood",
    baselines=(
        Baseline(
            LikelihoodVAE,
            settings={
                "objective": "forward_kl",
                "warm_start": 0.5,
                "likelihood": "bernoulli",
                "latent_dim": 4,
                "sigma": 0.3,
                "samples": 16,
                "batch_size": 100,
                "milestones": (),
                "importance_samples": 64,
                "score_by": "negative_iwae",
            },
            space={
                "likelihood": CategoricalDistribution(
                    ["bernoulli", "continuous_bernoulli", "gaussian", "discretised_logistic"]
                ),
                "latent_dim": CategoricalDistribution([4, 16]),
                "samples": CategoricalDistribution([4, 16, 64]),
                "tempering": FloatDistribution(0.1, 1.0),
                "defensive": FloatDistribution(0.0, 0.5),
                "mixture_components": IntDistribution(1, 3),
            },
        ),
    ),
    budgets={"quick": SMALL, "standard": MIDDLE, "paper": LARGE},
)
