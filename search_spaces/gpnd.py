"""GPND: code size, width, learning rate, reconstruction weight; variants of the score."""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.gpnd import GPND
from tune_ad.search import PAPER, STANDARD, Baseline, Budget, Search

SMALL = Budget(
    trials=10,
    epochs=15,
    seeds=1,
    classes=(0, 3, 8),
    train_images=1000,
    validation_images=100,
    test_images=250,
    evaluation_seeds=3,
    evaluations=3,
)
SMALL_COLOUR = replace(
    SMALL,
    trials=5,
    epochs=10,
    seeds=2,
    classes=(0, 8),
    validation_images=40,
    test_images=60,
    evaluations=1,
    only={"batch_size": (20,), "width": (0.5,)},
)

SEARCHED_GPND = Baseline(
    GPND,
    settings={"networks": "lenet"},
    space={
        "latent_dim": CategoricalDistribution([16, 32, 64, 128]),
        "width": CategoricalDistribution([0.5, 1.0, 2.0]),
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "reconstruction_weight": FloatDistribution(0.1, 100.0, log=True),
    },
    score_space={
        "jacobian": ("decoder", "encoder"),
        "volume_sign": ("theory", "reversed"),
        "residual_share": (0.2, 1.0),
    },
)

gpnd = Search(
    name="gpnd_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(SEARCHED_GPND,),
    budgets={
        "quick": SMALL,
        "standard": replace(STANDARD, trials=60, epochs=80, evaluations=4),
        "paper": replace(PAPER, epochs=None, test_curve=False),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
