"""beta-VAE on all classes, eleven values of beta: rate-distortion curve, no anomalies, no AUROC.

The learning rate, the 101 epochs and the ten samples are those of the released script; the batch
size of 200 is the paper's. For the batch size of the script, and its targets, which are 1 only for
pixels of value 255, use `--set batch_size=1000 --set saturated_target=true`; for the schedule of
the paper use `--epochs 1000 --set learning_rate=5e-5`.
"""

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.search import PAPER, STANDARD, Baseline, Budget, Grid, Search

SMALL = Budget(
    trials=11,
    epochs=15,
    seeds=1,
    train_images=2000,
    validation_images=500,
    test_images=1000,
    evaluation_seeds=0,
)
SMALL_COLOUR = replace(
    SMALL,
    epochs=10,
    seeds=2,
    train_images=1000,
    validation_images=200,
    test_images=500,
    only={"batch_size": (20,), "width": (0.5,)},
)

rate_distortion = Search(
    name="rd_{data}",
    data=("mnist", "fmnist", "cifar"),
    whole=True,
    plan=Grid(),
    baselines=(
        Baseline(
            VAE,
            name="beta-VAE",
            settings={
                "samples": 10,
                "score_samples": 10,
                "reduction": "mean",
                "learning_rate": 1e-3,
                "milestones": (),
                "epochs": 101,
            },
            space={
                "beta": CategoricalDistribution(
                    [10.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1]
                ),
            },
        ),
    ),
    budgets={
        "quick": SMALL,
        "standard": replace(STANDARD, trials=11, epochs=101, evaluation_seeds=0),
        "paper": replace(PAPER, trials=11, epochs=None, seeds=1, test_curve=False),
    },
    budgets_on={"cifar": {"quick": SMALL_COLOUR}},
)
