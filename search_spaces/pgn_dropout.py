"""PGN with and without dropout, with and without the extra layer: what does each do to its score?

With the extra layer, dropout acts on its outputs; without it, on those of the last convolution.
The score of PGN is the KL divergence of the code from the prior plus the variance of the code over
passes of dropout; without dropout, it is the KL divergence alone. Nothing is selected: every trial
is tested, and none is trained again.
"""

from dataclasses import replace

from tune_ad.detectors.pgn import PGN
from tune_ad.search import PAPER, QUICK, QUICK_COLOUR, STANDARD, Baseline, Listed, Search

SCORE_SPACE = {"mc_samples": (0, 1, 5, 10, 20, 50, "inf")}
SMALL = replace(QUICK, trials=4, epochs=10, seeds=3, evaluations=4, evaluation_seeds=0)
SMALL_COLOUR = replace(
    QUICK_COLOUR,
    trials=4,
    seeds=5,
    evaluations=2,
    evaluation_seeds=0,
    only={"batch_size": (20,), "width": (0.5,)},
)

dropout_pgn = Search(
    name="dropout_pgn_{data}",
    data=("mnist", "fmnist", "cifar"),
    plan=Listed(),
    baselines=(
        Baseline(PGN, name="released", score_space=SCORE_SPACE),
        Baseline(PGN, name="no_layer", settings={"extra_layer": False}, score_space=SCORE_SPACE),
        Baseline(PGN, name="no_dropout", settings={"dropout": 0.0}),
        Baseline(PGN, name="neither", settings={"extra_layer": False, "dropout": 0.0}),
    ),
    budgets={
        "quick": SMALL,
        "standard": replace(STANDARD, trials=4, evaluation_seeds=0),
        "paper": replace(PAPER, trials=4),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
