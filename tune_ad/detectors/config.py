"""Hyperparameters: what every detector has, and what every trained network has besides."""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

from tune_ad.data.scaling import SCALINGS
from tune_ad.errors import UserError
from tune_ad.nets import ImageShape

LARGEST_BATCH = 10_000
WIDEST = 10_000


def require(condition: bool, name: str, value: object, rule: str) -> None:
    """Refuse the value of a hyperparameter.

    Raises:
        UserError: unless `condition` holds.
    """
    if not condition:
        raise UserError(f"{name} must be {rule}, got {value!r}")


@dataclass(frozen=True)
class Config:
    """Hyperparameters that every detector has; the defaults are the published ones on grey images.

    Attributes:
        scaling: how uint8 pixels become [0, 1]: a name in `tune_ad.data.scaling`.
    """

    scaling: str = "unit"

    self_typed: ClassVar[frozenset[str]] = frozenset()
    """Fields whose type is not that of their default; the subclass checks them."""

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: naming the field, its value and the rule it breaks.
        """
        for each in fields(self):
            if each.name not in self.self_typed:
                check_type(each.name, getattr(self, each.name), each.default)
        require(self.scaling in SCALINGS, "scaling", self.scaling, f"one of {sorted(SCALINGS)}")

    @classmethod
    def released(cls, shape: ImageShape, **settings: Any) -> Self:  # noqa: ANN401
        """The published settings for images of `shape`, with `settings` in their place.

        Raises:
            UserError: if a setting has no such name or an illegal value.
        """
        names = [each.name for each in fields(cls)]
        for name in settings:
            require(name in names, "a parameter's name", name, f"one of {', '.join(names)}")
        return cls(**{**cls.released_settings(shape), **settings})

    @classmethod
    def released_settings(cls, shape: ImageShape) -> dict[str, Any]:
        """The published settings for images of `shape` that differ from the defaults."""
        return {"scaling": "minmax"} if shape.is_colour else {}


@dataclass(frozen=True)
class NetworkConfig(Config):
    """Hyperparameters of every detector that trains networks.

    Attributes:
        latent_dim: size of the code.
        width: factor on every hidden channel count (capacity at fixed depth and code size).
        epochs: passes over the training images of the main stage.
        batch_size: images per update.
        learning_rate: of Adam, before the milestones.
        milestones: fractions of the epochs at which the learning rate falls.
        decay: factor by which it falls at each milestone.
        weight_decay: L2 penalty inside Adam.
        beta1: decay rate of Adam's first moment.
        beta2: decay rate of Adam's second moment.
        reduction: "sum" or "mean" of the loss over a batch. Adam cancels the scale of the loss but
            not against weight decay, which the sum makes weaker.
    """

    latent_dim: int = 32
    width: float = 1.0
    epochs: int = 100
    batch_size: int = 200
    learning_rate: float = 1e-4
    milestones: tuple[float, ...] = (0.75,)
    decay: float = 0.1
    weight_decay: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.999
    reduction: str = "mean"

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: naming the field, its value and the rule it breaks.
        """
        super().__post_init__()
        for name in ("latent_dim", "width", "epochs", "batch_size", "learning_rate"):
            require(getattr(self, name) > 0, name, getattr(self, name), "positive")
        require(self.width <= WIDEST, "width", self.width, f"at most {WIDEST}")
        require(
            self.batch_size <= LARGEST_BATCH,
            "batch_size",
            self.batch_size,
            f"at most {LARGEST_BATCH} (a smaller training set is repeated to fill a batch)",
        )
        for name in ("beta1", "beta2"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        require_fractions("milestones", self.milestones)
        require(0 < self.decay <= 1, "decay", self.decay, "in (0, 1]")
        require(self.reduction in ("sum", "mean"), "reduction", self.reduction, "'sum' or 'mean'")

    @classmethod
    def released_settings(cls, shape: ImageShape) -> dict[str, Any]:
        """The published settings for images of `shape` that differ from the defaults."""
        own = {"latent_dim": 128} if shape.is_colour else {}
        return {**super().released_settings(shape), **own}


def require_fractions(name: str, values: tuple[float, ...]) -> None:
    """Refuse milestones that are no fractions of the epochs.

    Raises:
        UserError: naming the field and its value.
    """
    legal = all(isinstance(value, float) and 0 < value < 1 for value in values)
    require(legal, name, values, "fractions of the epochs in (0, 1)")


def check_type(name: str, value: object, default: object) -> None:
    """Refuse a value of another type than the default's, and a float that is not finite.

    An int may stand for a float.

    Raises:
        UserError: naming the field, its value and the type expected.
    """
    kinds: dict[type, tuple[type, ...]] = {
        bool: (bool,),
        int: (int,),
        float: (int, float),
        str: (str,),
        tuple: (tuple,),
    }
    kind = kinds[type(default)]
    fits = isinstance(value, kind) and (bool in kind or not isinstance(value, bool))
    require(fits, name, value, f"of type {type(default).__name__}")
    require(not isinstance(value, float) or math.isfinite(value), name, value, "finite")


ConfigT = TypeVar("ConfigT", bound=Config)
"""The hyperparameters of a detector."""
NetworkConfigT = TypeVar("NetworkConfigT", bound=NetworkConfig)
"""The hyperparameters of a detector that trains networks."""
