"""By which number the configurations of a study are compared: the one that its rule looks at."""

from typing import NamedTuple

from analysis.study import StudyRecords
from tune_ad.search.selection import BOUND


class Kind(NamedTuple):
    """A response.

    Attributes:
        name: as people read it.
        metric: the replicas' number that it averages.
        sign: -1 where less is better.
        percent: whether it is an AUROC, in [0, 1] and shown in per cent.
    """

    name: str
    metric: str
    sign: float
    percent: bool

    @property
    def scale(self) -> float:
        """By which a value is multiplied to be shown."""
        return 100.0 if self.percent else 1.0

    @property
    def axis(self) -> str:
        """The name with its unit."""
        return f"{self.name} (%)" if self.percent else self.name

    def text(self, value: float) -> str:
        """A value as people read it."""
        return f"{100 * value:.1f}" if self.percent else f"{value:.4g}"


TEST = Kind("test AUROC", "test_auroc", 1.0, True)
VALIDATION = Kind("validation AUROC", "validation_auroc", 1.0, True)
BITS = Kind(
    "minus the bits per dimension of held-out normals", f"{BOUND}_bits_per_dim", -1.0, False
)
NATS = Kind("minus the nats per held-out normal", BOUND, -1.0, False)
LOSS = Kind("minus the loss of held-out normals", "validation_loss", -1.0, False)
KINDS = {
    "validation": (VALIDATION,),
    "normal_only": (LOSS,),
    "likelihood": (BITS, NATS),
    "oracle": (TEST,),
    "random": (VALIDATION,),
}
"""What each rule looks at, by preference; `random` looks at nothing."""


def kind_of(study: StudyRecords) -> Kind:
    """The response of a study, one for all its baselines: what its rule looks at.

    Validation AUROC under `random`, which looks at nothing. Test AUROC where no complete trial has
    what the rule looks at, as where nothing was held out.
    """
    seen = KINDS[study.rule]
    return next((kind for kind in (*seen, TEST) if measured(study, kind)), seen[0])


def measured(study: StudyRecords, kind: Kind) -> bool:
    """Whether any complete trial has such a number, finite or not."""
    return any(kind.metric in record.metrics for record in study.complete)


def reason(study: StudyRecords) -> str:
    """Why the response is what it is, in a sentence."""
    kind = kind_of(study)
    chosen = "a value chosen from these numbers is chosen on the test set"
    if study.rule == "oracle":
        return f"The rule oracle looks at {kind.name}: {chosen}."
    if kind is TEST:
        return f"No trial has what the rule {study.rule} looks at, so it is {kind.name}: {chosen}."
    if study.rule == "random":
        return f"The rule random looks at nothing; {kind.name} stands in."
    return f"It is what the rule {study.rule} looks at."
