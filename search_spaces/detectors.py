"""Every detector at its best: each has its own search and winner; the winners are compared.

The detectors take turns, so that each has the same number of trials, with the search space of its
own search. The best configuration of each is trained again on fresh seeds, and these models are
compared in pairs.
"""

from dataclasses import replace

from search_spaces.aae import SEARCHED_AAE
from search_spaces.ae import SEARCHED_AE
from search_spaces.beta_vae import SEARCHED_BETA_VAE
from search_spaces.gpnd import SEARCHED_GPND
from search_spaces.pgn import SEARCHED_PGN
from search_spaces.shallow import SEARCHED_FOREST, SEARCHED_KDE, SEARCHED_OCSVM
from search_spaces.svdd import SEARCHED_ONE_CLASS
from tune_ad.search import PAPER, STANDARD, Budget, OptunaInTurns, Search

SMALL = Budget(
    trials=54,
    epochs=10,
    seeds=2,
    classes=(0, 3, 8),
    train_images=1000,
    validation_images=200,
    test_images=250,
    evaluation_seeds=4,
    evaluations=1,
    only={"batch_size": (20,), "width": (0.5, 1.0), "epochs": (10, 20)},
)
SMALL_COLOUR = replace(
    SMALL,
    trials=27,
    classes=(0, 8),
    train_images=500,
    validation_images=40,
    test_images=60,
    evaluation_seeds=6,
    only={"batch_size": (10,), "width": (0.5,), "epochs": (10, 20)},
)

detectors = Search(
    name="detectors_{data}",
    data=("mnist", "fmnist", "cifar"),
    plan=OptunaInTurns(),
    baselines=(
        SEARCHED_GPND,
        replace(SEARCHED_ONE_CLASS, name="DeepSVDD"),
        SEARCHED_AE,
        SEARCHED_BETA_VAE,
        SEARCHED_AAE,
        SEARCHED_PGN,
        SEARCHED_OCSVM,
        SEARCHED_FOREST,
        SEARCHED_KDE,
    ),
    budgets={
        "quick": SMALL,
        "standard": replace(STANDARD, trials=270, seeds=1, only={"epochs": (50, 100, 200)}),
        "paper": replace(PAPER, trials=9, epochs=None, test_curve=False),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
