"""A detector that can die, on digits: what is run as users do, while its processes are killed."""

from mortal import Mortal
from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.search import Baseline, Budget, Search

faulted = Search(
    name="faulted",
    data=("digits",),
    baselines=(
        Baseline(
            Mortal,
            space={
                "latent_dim": CategoricalDistribution([4, 8]),
                "dropout": FloatDistribution(0.1, 0.7),
            },
            settings={"latent_dim": 4, "batch_size": 20, "learning_rate": 1e-3},
        ),
    ),
    budgets={
        "quick": Budget(
            trials=3,
            epochs=100,
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
