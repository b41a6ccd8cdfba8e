"""PGN on digits, as small as a study can be: what the campaign of faults runs."""

from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import Baseline, Budget, Search

faulted = Search(
    name="faulted",
    data=("digits",),
    baselines=(
        Baseline(
            PGN,
            space={
                "latent_dim": CategoricalDistribution([4, 8]),
                "dropout": FloatDistribution(0.1, 0.7),
            },
            settings={"latent_dim": 4, "batch_size": 20, "learning_rate": 1e-3},
        ),
    ),
    budgets={
        "quick": Budget(
            trials=2,
            epochs=2,
            seeds=1,
            classes=(0,),
            train_images=40,
            validation_images=20,
            test_images=30,
            evaluation_seeds=2,
            evaluations=2,
        ),
    },
)
