"""Which rule selects without labels? PGN, Deep SVDD and beta-VAE, 20 or 40 configurations each.

The configurations fill the space of each detector evenly and do not depend on results, so every
selection rule has the same ones to choose from, and their sensitivities are not biased by a
search. The report says what each rule would have selected, and what it would have lost. The quick
budget has the odd classes: the rules were devised on even ones (`benchmarks/NOTES.md`).
"""

from dataclasses import replace

from search_spaces.beta_vae import SEARCHED_BETA_VAE
from search_spaces.pgn import SEARCHED_PGN
from search_spaces.svdd import SEARCHED_ONE_CLASS
from tune_ad.search import PAPER, STANDARD, Budget, Search, Sobol

SMALL = Budget(
    trials=120,
    epochs=10,
    seeds=2,
    classes=(1, 3, 5, 7, 9),
    train_images=1000,
    validation_images=250,
    test_images=500,
    evaluation_seeds=0,
    evaluations=1,
    only={"batch_size": (20,), "width": (0.5, 1.0), "epochs": (10, 20)},
)
SMALL_COLOUR = replace(
    SMALL,
    trials=60,
    seeds=4,
    classes=(0, 8),
    validation_images=150,
    only={"batch_size": (20,), "width": (0.5,), "epochs": (10, 20)},
)

rules = Search(
    name="rules_{data}",
    data=("mnist", "fmnist", "cifar"),
    plan=Sobol(),
    baselines=(
        SEARCHED_PGN,
        replace(SEARCHED_ONE_CLASS, name="DeepSVDD"),
        SEARCHED_BETA_VAE,
    ),
    budgets={
        "quick": SMALL,
        "standard": replace(
            STANDARD,
            trials=120,
            seeds=2,
            evaluation_seeds=0,
            test_images=1000,
            only={"epochs": (50, 100)},
        ),
        "paper": replace(PAPER, trials=3, epochs=None),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
