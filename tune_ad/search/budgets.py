"""The size of a study: numbers of trials, epochs, seeds, classes and images.

Also the budgets that search files share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tune_ad.errors import UserError
from tune_ad.search.checks.fields import check_flag, check_integer, check_mapping
from tune_ad.wording import either

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
MAY_BE_NONE = ("epochs", "train_images", "validation_images", "test_images")


@dataclass(frozen=True)
class Budget:
    """The size of a study.

    Attributes:
        trials: maximum number of configurations; a plan of fixed length may have fewer.
        epochs: epochs of each model's main stage; None = as published for its detector. Where a
            baseline searches `epochs`, they are its default, and `only` restricts the others.
        seeds: models per class and configuration during the search.
        classes: numbers of the normal classes; None = all.
        train_images: maximum number of training images per model; None = all.
        validation_images: maximum number of normal images, and of anomalous images, for
            validation; None = all that are held out.
        test_images: maximum number of normal images, and of anomalous images, for the test;
            None = the whole test set.
        evaluation_seeds: fresh seeds on which the winner is trained again; 0 = the trials
            themselves are reported, which is unbiased only if none is selected.
        validation_fraction: share of the training files that is held out, in [0, 1); 0 = none, the
            protocol of the papers.
        evaluations: the reports per trial, evenly spaced over the epochs, at most so many. With
            patience they are those of the longest stage, and the other stages have some more.
        test_curve: whether to record test AUROC over epochs as well, under the name "oracle"; it
            must not be used to select anything, in particular not the epoch.
        only: allowed values of parameters, by name. A searched parameter keeps only these choices;
            a fixed parameter takes the first of them. A parameter that the user fixes ignores
            them.
        settings: values of parameters, by name, that replace the defaults of every detector which
            has them. A searched parameter keeps its choices and takes the value as its default; a
            parameter that the user fixes ignores it.
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
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: naming the field and its value.
        """
        for name, (least, most) in LIMITS.items():
            number = getattr(self, name)
            if number is not None or name not in MAY_BE_NONE:
                check_integer(name, number, least, most)
        fraction = self.validation_fraction
        if not isinstance(fraction, int | float) or not 0 <= fraction < 1:
            raise UserError(f"validation_fraction must lie in [0, 1), got {fraction!r}")
        check_flag("test_curve", self.test_curve)
        check_mapping("settings", self.settings)
        if "epochs" in self.settings:
            raise UserError("settings of a budget must not name epochs; it has a field for them")
        self._check_classes()
        self._check_only()

    def _check_classes(self) -> None:
        if self.classes is None:
            return
        if not isinstance(self.classes, tuple):
            raise UserError(
                f"classes must be a tuple of class numbers, such as (0, 3), got {self.classes!r}"
            )
        if not self.classes:
            raise UserError("classes must name at least one class, got none")
        for label in self.classes:
            check_integer("a class number", label, least=0)

    def _check_only(self) -> None:
        check_mapping("only", self.only)
        for name, values in self.only.items():
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise UserError(f"only must give a tuple of values for {name}, got {values!r}")
        if empty := [name for name, values in self.only.items() if not values]:
            raise UserError(f"only must name at least one value of {', '.join(empty)}, got none")
        allowed = self.only.get("epochs", (self.epochs,))
        if self.epochs is not None and self.epochs not in allowed:
            raise UserError(
                f"epochs must be one of the epochs that only allows, {either(map(str, allowed))}, "
                f"got {self.epochs}"
            )

    def with_epochs(self, epochs: int | None) -> "Budget":
        """The budget with other epochs, and without the restriction of searched epochs."""
        only = {name: values for name, values in self.only.items() if name != "epochs"}
        return replace(self, epochs=epochs, only=only)

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """The seeds of the final evaluation, which are not used during the search."""
        return tuple(FIRST_FRESH_SEED + k for k in range(self.evaluation_seeds))

    def interval(self, epochs: int) -> int:
        """The number of epochs between two of the reports that are spaced over `epochs`."""
        return max(1, -(-epochs // self.evaluations))


QUICK = Budget(
    trials=16, epochs=20, seeds=1, classes=(0, 3, 8), validation_images=500, evaluation_seeds=3
)
"""A rough first result for small grey images: minutes on two cores."""
QUICK_COLOUR = replace(
    QUICK,
    epochs=10,
    seeds=2,
    classes=(0, 8),
    train_images=1000,
    validation_images=300,
    test_images=1000,
    only={"batch_size": (20,), "width": (0.5, 1.0)},
)
"""The same for colour images, whose networks are a hundred times larger.

Small batches make 500 optimiser steps out of 1,000 images and 10 epochs. The order of PGN's
configurations after them agrees with that after 2,500 steps (`benchmarks/NOTES.md`).
"""
QUICK_RECONSTRUCTION = replace(
    QUICK, trials=12, train_images=2000, validation_images=300, test_images=1000
)
"""The same for detectors with a decoder, which are about three times as slow."""
QUICK_RECONSTRUCTION_COLOUR = replace(QUICK_COLOUR, trials=12, test_images=500)
"""The same for colour images and detectors with a decoder, which are up to twice as slow."""
STANDARD = Budget(trials=100, epochs=100, seeds=3, evaluation_seeds=10)
PAPER = Budget(
    trials=1,
    epochs=100,
    seeds=10,
    evaluation_seeds=0,
    validation_fraction=0.0,
    test_curve=True,
    settings={"last_batch": "short", "updates": "simultaneous"},
)
"""The protocol of the papers: the published configuration, ten seeds, no image held out, and the
last batch and the updates of AAE as in the released code of the PGN paper."""
