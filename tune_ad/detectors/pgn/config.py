"""The hyperparameters of PGN."""

from dataclasses import dataclass
from typing import Literal

from tune_ad.detectors.config import MOST_DRAWS, NetworkConfig, choice, number, require
from tune_ad.storage.metric import LOSS

NO_CLOSED_FORM = "if dropout_on is 'both' and spread is 'softplus': there is no closed form"
Samples = int | Literal["inf"]
"""T, the number of stochastic passes of a score; "inf" is the exact limit."""


@dataclass(frozen=True)
class PGNConfig(NetworkConfig):
    r"""Hyperparameters of `PGN`.

    Attributes:
        dropout: probability p of dropping a feature, in training and scoring.
        mc_samples: T, the number of stochastic passes over which a score is averaged; 0 turns
            dropout off when scoring, "inf" is the exact limit. Affects only scoring.
        extra_layer: whether a linear layer from F to F features, without nonlinearity, follows the
            convolutions, as in the released code; the paper does not mention it.
        bias: whether layers have biases, as in the released code; those of the paper have none.
        spread: how the standard deviation s of the posterior, in units of that of the prior, is
            computed from the output v of the second head: "log_variance", s^2 = exp(v), as
            released, or "softplus", s = log(1 + exp(v)); in the paper the encoder's output is
            sigma.
        dropout_on: the heads whose input has dropout: only "mean", as released, or "both".
        expected_loss: whether training minimises the expectation of the loss over all dropout
            masks, without noise.
        prior_variance: epsilon of the prior N(c, epsilon I); 1 as released.
        prior_centre: c of the prior: "zero", as released, or "mean", the mean code of the training
            images at the initial weights, as in Deep SVDD.
        centre_epsilon: minimum absolute value of every nonzero coordinate of the mean code.
    """

    dropout: float = number(0.5, "[0, 1)")
    mc_samples: Samples = number(20, f"[0, {MOST_DRAWS}]", word="inf")
    extra_layer: bool = True
    bias: bool = True
    reduction: str = "sum"
    spread: str = choice("log_variance", "softplus")
    dropout_on: str = choice("mean", "both")
    expected_loss: bool = False
    prior_variance: float = number(1.0, "(0, inf)", measures=(LOSS,))
    prior_centre: str = choice("zero", "mean")
    centre_epsilon: float = number(0.1, "[0, inf)", when={"prior_centre": "mean"})

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: with the field, its value and the rule that it breaks.
        """
        super().__post_init__()
        self.refuse_infinite(self.mc_samples)
        is_possible = self.closed_form or not self.expected_loss
        require(is_possible, "expected_loss", self.expected_loss, f"False {NO_CLOSED_FORM}")

    @property
    def closed_form(self) -> bool:
        """Whether the expectation of the KL divergence over all masks has a closed form."""
        return self.dropout_on == "mean" or self.spread == "log_variance"

    def refuse_infinite(self, samples: Samples) -> None:
        """Refuse T = inf if that limit has no closed form.

        Raises:
            UserError: if dropout acts before a softplus.
        """
        is_possible = self.closed_form or samples != "inf"
        require(is_possible, "mc_samples", samples, f"finite {NO_CLOSED_FORM}")
