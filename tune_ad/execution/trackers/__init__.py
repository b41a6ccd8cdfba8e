"""What follows a study besides its records: Optuna's journal, MLflow, Weights & Biases.

Nothing depends on it: the records of the study stay the truth, and what fails here is said once
and then left out. `TRACKERS` are the values of `--log-to`; nothing here imports their packages
before they are wanted.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tune_ad.errors import UserError


class Package(NamedTuple):
    """The package by which a tracker is reached.

    Attributes:
        title: the name of the tracker.
        module: the module that is imported.
        name: the name of the package for pip.
    """

    title: str
    module: str
    name: str


TRACKERS: Mapping[str, Package] = {
    "mlflow": Package("MLflow", "mlflow", "mlflow-skinny"),
    "wandb": Package("Weights & Biases", "wandb", "wandb"),
}
"""The trackers by the names that `--log-to` takes."""


def require_installed(names: Sequence[str]) -> None:
    """Check that the packages of trackers are installed; imports none of them.

    Raises:
        UserError: with the first that is not.
    """
    for name in names:
        package = TRACKERS[name]
        if importlib.util.find_spec(package.module) is None:
            raise UserError(
                f"--log-to {name} needs the package {package.name}, which is not installed; "
                'install it by pip install "tune_ad[track]", or leave it out of --log-to'
            )
