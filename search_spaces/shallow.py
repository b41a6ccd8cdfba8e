"""One-class SVM, isolation forest and kernel density on principal components.

Only the isolation forest depends noticeably on the seed.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tune_ad.detectors.shallow.isolation_forest import IsolationForest
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.detectors.shallow.ocsvm import OCSVM
from tune_ad.search import PAPER, QUICK, STANDARD, Baseline, Search

SEARCHED_OCSVM = Baseline(
    OCSVM,
    space={
        "nu": FloatDistribution(0.01, 0.5, log=True),
        "gamma": CategoricalDistribution(
            [
                "scale",
                0.0009765625,
                0.001953125,
                0.00390625,
                0.0078125,
                0.015625,
                0.03125,
                0.0625,
                0.125,
                0.25,
                0.5,
            ]
        ),
        "components": CategoricalDistribution([0.5, 0.8, 0.9, 0.95, 0.99]),
        "scaling": CategoricalDistribution(["unit", "minmax", "gcn"]),
    },
)
SEARCHED_FOREST = Baseline(
    IsolationForest,
    space={
        "trees": IntDistribution(25, 400, log=True),
        "samples": CategoricalDistribution([32, 64, 128, 256, 512]),
        "components": CategoricalDistribution([0.8, 0.95, 1.0]),
        "scaling": CategoricalDistribution(["unit", "minmax", "gcn"]),
    },
)
SEARCHED_KDE = Baseline(
    KDE,
    space={
        "bandwidth": CategoricalDistribution(["cv", 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0]),
        "components": CategoricalDistribution([0.5, 0.8, 0.9, 0.95, 0.99]),
        "scaling": CategoricalDistribution(["unit", "minmax", "gcn"]),
    },
)

shallow = Search(
    name="shallow_{data}",
    data=("mnist", "fmnist", "cifar"),
    baselines=(SEARCHED_OCSVM, SEARCHED_FOREST, SEARCHED_KDE),
    budgets={
        "quick": replace(QUICK, trials=24, epochs=None, train_images=1000, test_images=1000),
        "standard": replace(STANDARD, epochs=None, seeds=1),
        "paper": replace(PAPER, trials=3, epochs=None, test_curve=False),
    },
)
