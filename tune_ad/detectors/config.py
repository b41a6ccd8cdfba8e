"""Hyperparameter classes of detectors, and the rules for their values.

Every field declares its legal values, as in `networks: str = choice("gpnd", "lenet")` or
`nu: float = number(0.1, "(0, 1]", when={"objective": "soft-boundary"})`. `Config` refuses any
other value, and the contract test of the detectors tries the legal ones. A bool needs no rule. A
subclass that changes the default of a field keeps its rule.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeVar

from tune_ad.data.scaling import SCALINGS
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.schedule import FILLED, SHORT
from tune_ad.errors import UserError
from tune_ad.storage.metric import DISTORTION, LIKELIHOOD, LOSS

LARGEST_BATCH = 10_000
LARGEST_CODE = 100_000
LONGEST = 1_000_000  # maximum number of epochs
MOST_DRAWS = 10_000  # maximum number of noise samples for one image
WIDEST = 10_000

T = TypeVar("T")
ALWAYS: Mapping[str, Any] = MappingProxyType({})


def require(condition: bool, name: str, value: object, rule: str) -> None:
    """Check a condition on the value of a hyperparameter.

    Raises:
        UserError: unless `condition` holds.
    """
    if not condition:
        raise UserError(f"{name} must be {rule}, got {value!r}")


class Rule(NamedTuple):
    """The legal values of a hyperparameter, and when they have an effect.

    Attributes:
        options: the legal strings or bools; they may be combined with an interval, as in "inf" or
            an integer.
        interval: the interval of its number or numbers, e.g. "(0, 1]"; empty if it is not numeric.
        kind: the type of its number: int, float (ints are legal, too), or tuple (of floats);
            object for any number, any text or None, which somebody else checks.
        when: values of other fields with which the field certainly has an effect (there may be
            others); empty if it always has one.
        others: legal values for the contract test to try, if half and twice the default would have
            no effect.
        measures: quantities, such as "loss", that are not comparable between configurations that
            differ in this field.
        is_ablated: whether an ablation that varies one parameter at a time varies this field of
            every baseline that is searched, though searches do not.
    """

    options: tuple[str | bool, ...] = ()
    interval: str = ""
    kind: type = float
    when: Mapping[str, Any] = ALWAYS
    others: tuple[Any, ...] = ()
    measures: tuple[str, ...] = ()
    is_ablated: bool = False

    def __str__(self) -> str:
        """The rule in words, as in "'inf' or an integer in [0, 9]"."""
        if self.kind is object:
            return "a number, a text, True, False or None"
        if not self.interval:
            return f"one of {', '.join(map(str, self.options))}"
        names = {int: "an integer", float: "a number", tuple: "a tuple of numbers"}
        text = f"{names[self.kind]} in {self.interval}"
        low, high = interval_ends(self.interval)
        if self.kind is float and math.isinf(high) and self.interval[-1] == ")":
            bound = "of at least" if self.interval[0] == "[" else "above"
            text = f"a finite number {bound} {low:g}"
        return " or ".join([*map(repr, self.options), text])

    def allows(self, value: object) -> bool:
        """Whether the hyperparameter may have this value."""
        if self.kind is object:
            return value is None or isinstance(value, bool | int | float | str)
        if isinstance(value, str | bool):
            return value in self.options
        if self.kind is tuple:
            return isinstance(value, tuple) and all(
                isinstance(item, float) and is_inside(item, self.interval) for item in value
            )
        fits = isinstance(value, int) or (isinstance(value, float) and self.kind is float)
        return fits and self.interval != "" and is_inside(value, self.interval)

    def check(self, name: str, value: object) -> None:
        """Check that a value is legal.

        Raises:
            UserError: with the hyperparameter, its value and the rule.
        """
        require(self.allows(value), name, value, str(self))


def interval_ends(interval: str) -> tuple[float, float]:
    """The bounds of an interval.

    >>> interval_ends("(0, inf)")
    (0.0, inf)
    """
    low, high = map(float, interval[1:-1].split(","))
    return low, high


def is_inside(value: Any, interval: str) -> bool:  # noqa: ANN401
    """Whether a number lies in an interval; "(" or ")" excludes a bound, "[" or "]" includes it.

    >>> is_inside(0, "(0, 1]"), is_inside(1, "(0, 1]"), is_inside(float("nan"), "(0, 1]")
    (False, True, False)
    """
    low, high = interval_ends(interval)
    above = value >= low if interval[0] == "[" else value > low
    return bool(above and (value <= high if interval[-1] == "]" else value < high))


def choice(
    default: T,
    *others: T,
    when: Mapping[str, Any] = ALWAYS,
    measures: tuple[str, ...] = (),
    is_ablated: bool = False,
) -> T:
    """A field whose value is one of several strings, or True or False.

    Args:
        default: the default value.
        others: the other legal values; they may include the default.
        when: values of other fields with which the field has an effect; empty = always.
        measures: quantities that are not comparable between different values of the field.
        is_ablated: as in `Rule`.
    """
    options: tuple[Any, ...] = tuple(dict.fromkeys((default, *others)))
    rule = Rule(options, when=when, measures=measures, is_ablated=is_ablated)
    return field(default=default, metadata={"rule": rule})


def number(
    default: T,
    interval: str,
    *,
    word: str = "",
    when: Mapping[str, Any] = ALWAYS,
    others: tuple[T, ...] = (),
    measures: tuple[str, ...] = (),
) -> T:
    """A field whose value is a number in an interval: an integer if the default is one.

    Args:
        default: the default number, or `word`.
        interval: the interval, e.g. "(0, 1]".
        word: a string that is legal in place of the number.
        when: values of other fields with which the field has an effect; empty = always.
        others: legal values for the contract test to try, if half and twice the default would have
            no effect.
        measures: quantities that are not comparable between different values of the field.
    """
    kind = int if isinstance(default, int) else float
    rule = Rule(
        options=(word,) if word else (),
        interval=interval,
        kind=kind,
        when=when,
        others=others,
        measures=measures,
    )
    return field(default=default, metadata={"rule": rule})


def fractions(default: tuple[float, ...], when: Mapping[str, Any] = ALWAYS) -> tuple[float, ...]:
    """A field whose value is a tuple of numbers between 0 and 1, such as milestones."""
    return field(default=default, metadata={"rule": Rule((), "(0, 1)", tuple, when)})


@dataclass(frozen=True)
class Config:
    """Hyperparameters of every detector; the defaults are those published for grey images.

    Attributes:
        scaling: how uint8 pixels are scaled: a name in `tune_ad.data.scaling`.
    """

    scaling: str = choice("unit", *SCALINGS, measures=(LOSS, LIKELIHOOD, DISTORTION))

    def __post_init__(self) -> None:
        """Validate every field; a subclass adds conditions that concern several fields.

        Raises:
            UserError: with the field, its value and the rule that it breaks.
        """
        for name, rule in self.rules().items():
            rule.check(name, getattr(self, name))

    @classmethod
    def rules(cls) -> dict[str, Rule]:
        """The rule of each field, by name.

        Raises:
            TypeError: if a field has no rule and is not a bool.
        """
        rules: dict[str, Rule] = {}
        for parent in reversed(cls.__mro__):
            for entry in fields(parent) if "__dataclass_fields__" in vars(parent) else ():
                if "rule" in entry.metadata:
                    rules[entry.name] = entry.metadata["rule"]
                elif isinstance(entry.default, bool):
                    rules.setdefault(entry.name, Rule((False, True)))
        for entry in fields(cls):
            if entry.name not in rules:
                raise TypeError(
                    f"{cls.__name__}.{entry.name} has no rule; make it {entry.name} = "
                    "number(...), choice(...) or fractions(...) of tune_ad.detectors.config"
                )
        return rules

    def scale(self, quantity: str) -> str:
        """The settings that determine what a quantity measures, e.g. "reconstruction = bce".

        Empty if no field changes its meaning.
        """
        rules = self.rules().items()
        names = [name for name, rule in rules if quantity in rule.measures]
        return ", ".join(f"{name} = {getattr(self, name)}" for name in names)

    @classmethod
    def released(cls, shape: ImageShape, **settings: Any) -> Self:  # noqa: ANN401
        """The published settings for images of `shape`, overridden by `settings`.

        Raises:
            UserError: if a setting has an unknown name or an illegal value.
        """
        names = [entry.name for entry in fields(cls)]
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
        width: factor on the number of channels of every hidden layer (capacity at fixed depth and
            code size).
        epochs: number of epochs of the main stage.
        batch_size: number of images per update.
        learning_rate: learning rate of Adam, before the milestones.
        milestones: fractions of the epochs at which the learning rate is reduced.
        decay: factor by which it is multiplied at each milestone.
        weight_decay: weight of Adam's L2 penalty.
        beta1: decay rate of Adam's first moment.
        beta2: decay rate of Adam's second moment.
        reduction: whether the loss of a batch is the "sum" or the "mean". Adam is invariant to the
            scale of the loss, but weight decay is not: with "sum" it is relatively weaker.
        last_batch: the last batch of an epoch: "filled" to the full size with the first images of
            the epoch, or "short", with the images that are left, as released.
    """

    latent_dim: int = number(32, f"[1, {LARGEST_CODE}]")
    width: float = number(1.0, f"(0, {WIDEST}]")
    epochs: int = number(100, f"[1, {LONGEST}]")
    batch_size: int = number(200, f"[1, {LARGEST_BATCH}]")
    learning_rate: float = number(1e-4, "(0, inf)")
    milestones: tuple[float, ...] = fractions((0.75,))
    decay: float = number(0.1, "(0, 1]")
    weight_decay: float = number(1e-4, "[0, inf)", others=(0.01,))
    beta1: float = number(0.5, "[0, 1)")
    beta2: float = number(0.999, "[0, 1)")
    reduction: str = choice("mean", "sum")
    last_batch: str = choice(FILLED, SHORT, is_ablated=True)

    @classmethod
    def released_settings(cls, shape: ImageShape) -> dict[str, Any]:
        """The published settings for images of `shape` that differ from the defaults."""
        colour = {"latent_dim": 128} if shape.is_colour else {}
        return {**super().released_settings(shape), **colour}


ConfigT = TypeVar("ConfigT", bound=Config)
"""The hyperparameters of a detector."""
NetworkConfigT = TypeVar("NetworkConfigT", bound=NetworkConfig)
"""The hyperparameters of a detector that trains networks."""
