"""Deep SVDD, one-class, soft-boundary and pretrained: code size, width, learning rate, nu."""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.search import PAPER, QUICK, QUICK_COLOUR, Baseline, Search

SEARCHED_ONE_CLASS = Baseline(
    DeepSVDD,
    name="one-class",
    space={
        "latent_dim": CategoricalDistribution([8, 16, 32, 64, 128, 256]),
        "width": CategoricalDistribution([0.5, 1.0, 2.0]),
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "weight_decay": FloatDistribution(1e-7, 1e-2, log=True),
    },
)
SEARCHED_SOFT_BOUNDARY = Baseline(
    DeepSVDD,
    name="soft-boundary",
    settings={"objective": "soft-boundary"},
    space={
        "latent_dim": CategoricalDistribution([8, 16, 32, 64, 128, 256]),
        "width": CategoricalDistribution([0.5, 1.0, 2.0]),
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "nu": FloatDistribution(0.01, 0.5, log=True),
    },
)
SEARCHED_PRETRAINED = Baseline(
    DeepSVDD,
    name="pretrained",
    settings={
        "pretraining": 1.0,
        "scaling": "gcn",
        "milestones": (0.333,),
        "weight_decay": 5e-7,
        "beta1": 0.9,
    },
    space={
        "latent_dim": CategoricalDistribution([16, 32, 64, 128, 256]),
        "width": CategoricalDistribution([0.5, 1.0, 2.0]),
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "scaling": CategoricalDistribution(["unit", "minmax", "gcn"]),
    },
)

svdd = Search(
    name="svdd_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(SEARCHED_ONE_CLASS, SEARCHED_SOFT_BOUNDARY, SEARCHED_PRETRAINED),
    budgets={"quick": QUICK, "paper": replace(PAPER, trials=3)},
    budgets_on={"cifar": {"quick": QUICK_COLOUR}},
)
