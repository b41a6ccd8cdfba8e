"""How much a study may spend, and on what suite; the budgets that searches share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tune_ad.errors import UserError

BUDGETS = ("quick", "standard", "paper")
FIRST_FRESH_SEED = 1000
"""The seeds of the winner's final evaluation begin here, above every seed of the search."""
LIMITS: Mapping[str, tuple[int, int]] = {
    "trials": (1, 1_000_000),
    "epochs": (1, 1_000_000),
    "seeds": (1, FIRST_FRESH_SEED),
    "evaluation_seeds": (0, 1000),
    "evaluations": (1, 1_000_000),
    "train_images": (1, 1_000_000_000),
    "validation_images": (1, 1_000_000_000),
    "test_images": (1, 1_000_000_000),
}
"""The smallest and the largest legal number, by field of `Budget`."""


@dataclass(frozen=True)
class Budget:
    """How much a study may spend, and on what suite.

    Attributes:
        trials: configurations; a plan that knows all of its own may have fewer.
        epochs: of each model's main stage; None = as published for its detector.
        seeds: replicas per class during the search.
        classes: numbers of the normal classes; None = all.
        train_images: at most so many per model; None = all.
        validation_images: at most so many normals and as many anomalies; None = all held out.
        test_images: at most so many normals and as many anomalies; None = the whole test set.
        evaluation_seeds: fresh seeds on which the winner is trained again; 0 = the trials
            themselves are quoted, which is honest only where nothing is selected.
        validation_fraction: share of the training files held out; 0 = none, the papers' protocol.
        evaluations: reports per trial, evenly spaced over the epochs.
        test_curve: also record test AUROC over epochs, under the name "oracle": nothing may be
            selected by it, the epoch least of all.
        only: by name of a parameter, the values that the budget can afford: of one that is
            searched, the choices that are left; of another, the first is taken. A setting of the
            user goes before.
    """

    trials: int
    epochs: int | None
    seeds: int
    classes: tuple[int, ...] | None = None
    train_images: int | None = None
    validation_images: int | None = None
    test_images: int | None = None
    evaluation_seeds: int = 5
    validation_fraction: float = 0.1
    evaluations: int = 10
    test_curve: bool = False
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: naming the field and its value.
        """
        for name, (least, most) in LIMITS.items():
            number = getattr(self, name)
            if number is not None and not least <= number <= most:
                bound = f"at least {least}" if number < least else f"at most {most}"
                raise UserError(f"{name} must be {bound}, got {number}")
        if not 0 <= self.validation_fraction < 1:
            raise UserError(
                f"validation_fraction must lie in [0, 1), got {self.validation_fraction}"
            )
        if self.classes is not None and not self.classes:
            raise UserError("classes must name at least one class, got none")
        if empty := [name for name, values in self.only.items() if not values]:
            raise UserError(f"only must name at least one value of {', '.join(empty)}, got none")

    def interval(self, epochs: int) -> int:
        """Epochs between two reports of a model that trains so many, in all its stages."""
        return max(1, -(-epochs // self.evaluations))


QUICK = Budget(
    trials=16, epochs=20, seeds=1, classes=(0, 3, 8), validation_images=500, evaluation_seeds=3
)
"""A coarse answer for small grey images: minutes on two cores."""
QUICK_COLOUR = replace(
    QUICK, trials=10, epochs=8, train_images=600, validation_images=300, test_images=1000
)
"""The same for colour images, whose networks are a hundred times larger."""
QUICK_RECONSTRUCTION = replace(
    QUICK, trials=12, train_images=2000, validation_images=300, test_images=1000
)
"""A coarse answer for small grey images and detectors with a decoder, three times as dear."""
QUICK_RECONSTRUCTION_COLOUR = replace(
    QUICK_RECONSTRUCTION, trials=8, epochs=10, train_images=600, test_images=500
)
"""The same for colour images and detectors with a decoder, twice as dear."""
STANDARD = Budget(trials=100, epochs=100, seeds=3, evaluation_seeds=10)
PAPER = Budget(
    trials=1,
    epochs=100,
    seeds=10,
    evaluation_seeds=0,
    validation_fraction=0.0,
    test_curve=True,
)
"""The papers' protocol: the published configuration, ten seeds, all images, none held out."""
