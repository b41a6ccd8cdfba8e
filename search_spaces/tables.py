"""The PGN paper's tables: every method at its published settings, plus shallow baselines.

"paper" and "standard" have the batches and the updates of the released code. "standard" has fewer
seeds, and also records the test AUROC over the epochs, which selects nothing. The methods that the
paper compares come first, and the slowest last, so that an interrupted study answers most.
"""

from dataclasses import replace

from tune_ad.detectors.autoencoders.aae import AAE
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.gpnd import GPND
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.isolation_forest import IsolationForest
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.detectors.shallow.ocsvm import OCSVM
from tune_ad.search import PAPER, Baseline, Budget, Listed, Search

SMALL = Budget(
    trials=9,
    epochs=10,
    seeds=1,
    classes=(2, 8),
    train_images=2000,
    test_images=1000,
    evaluation_seeds=0,
    validation_fraction=0.0,
)
SMALL_COLOUR = replace(
    SMALL,
    seeds=2,
    classes=(0, 8),
    train_images=1000,
    test_images=200,
    only={"batch_size": (20,)},
)
WHOLE = replace(PAPER, trials=9, epochs=None, test_curve=False)

tables = Search(
    name="table1_{data}",
    name_on={"cifar": "table2_cifar"},
    data=("mnist", "fmnist", "cifar"),
    plan=Listed(),
    baselines=(
        Baseline(
            PGN,
            score_space={"mc_samples": (0, 1, 5, 10, 20, 50, "inf"), "dropout": (0.1, 0.3, 0.5)},
        ),
        Baseline(DeepSVDD),
        Baseline(AE),
        Baseline(OCSVM),
        Baseline(IsolationForest),
        Baseline(KDE),
        Baseline(VAE, score_space={"score_samples": (0, 1, 10)}),
        Baseline(AAE),
        Baseline(GPND, settings={"networks": "lenet", "reconstruction_weight": 0.5}),
    ),
    budgets={"quick": SMALL, "standard": replace(WHOLE, seeds=3, test_curve=True), "paper": WHOLE},
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
