"""Everything that is computed about the sensitivity of one baseline to its parameters."""

from typing import NamedTuple

import pandas as pd

from analysis.questions.sensitivity.importances import Importances, importances, suited
from analysis.questions.sensitivity.observations import Observations
from analysis.questions.sensitivity.surrogate import Surrogate, fit, permutation


class BaselineSensitivity(NamedTuple):
    """The sensitivity of the response of a baseline to its parameters.

    Attributes:
        observations: the trials.
        importances: the parameter importances, from the non-adaptive trials if they suffice.
        surrogate: the surrogate of the response, fitted to all trials.
        permutation: the importances from the surrogate, parameter x (mean, std); None if the
            surrogate is not trusted.
        prefix: the first words of captions: the baseline's name if there are several.
    """

    observations: Observations
    importances: Importances
    surrogate: Surrogate
    permutation: pd.DataFrame | None
    prefix: str


def baseline_sensitivity(observations: Observations, several: bool = False) -> BaselineSensitivity:
    """Compute importances and surrogate of a baseline.

    Args:
        observations: the trials of the baseline.
        several: whether the report has several baselines, so that captions name this one.

    Raises:
        DegenerateInputError: with the reason in `importances.refusal`.
    """
    surrogate = fit(observations)
    return BaselineSensitivity(
        observations=observations,
        importances=importances(suited(observations)),
        surrogate=surrogate,
        permutation=permutation(surrogate) if surrogate.trusted else None,
        prefix=f"{observations.baseline}: " if several else "",
    )
