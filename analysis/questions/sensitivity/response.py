"""The response variable of a sensitivity analysis: the number by which configurations compare."""

from collections.abc import Mapping
from typing import NamedTuple

from analysis.document.format import PERCENT, Unit
from analysis.study import StudyRecords
from tune_ad.search.selection import BOUND

PLAIN = Unit(1, ".4g")


class Response(NamedTuple):
    """A number that every trial has once it is averaged over replicas; larger is better.

    Attributes:
        name: as people read it.
        metric: of the replicas, which is averaged.
        sign: factor of the mean: -1 where a smaller metric is better.
        percent: whether it is an AUROC, in [0, 1] and shown in per cent.
    """

    name: str
    metric: str
    sign: float
    percent: bool

    @property
    def unit(self) -> Unit:
        """How its values are written."""
        return PERCENT if self.percent else PLAIN

    @property
    def axis(self) -> str:
        """The name with its unit, as the label of an axis."""
        return f"{self.name} (%)" if self.percent else self.name

    @property
    def scale(self) -> float:
        """The factor by which a value is multiplied before it is shown."""
        return self.unit.scale

    def text(self, value: float) -> str:
        """A value as people read it, without the name of its unit."""
        return self.unit.text(value)


TEST = Response("test AUROC", "test_auroc", 1.0, True)
VALIDATION = Response("validation AUROC", "validation_auroc", 1.0, True)
BITS = Response(
    "minus the bits per dimension of held-out normals", f"{BOUND}_bits_per_dim", -1.0, False
)
NATS = Response("minus the nats per held-out normal", BOUND, -1.0, False)
LOSS = Response("minus the loss of held-out normals", "validation_loss", -1.0, False)
CANDIDATES: Mapping[str, tuple[Response, ...]] = {
    "validation": (VALIDATION,),
    "normal_only": (LOSS,),
    "likelihood": (BITS, NATS),
    "oracle": (TEST,),
    "random": (VALIDATION,),
}
"""The numbers that each selection rule looks at, the preferred one first.

`random` looks at no number; validation AUROC stands in.
"""


def response_of(study: StudyRecords) -> Response:
    """The response of a study, the same for all its baselines: what its selection rule looks at.

    Validation AUROC under `random`, which looks at nothing. Test AUROC where no complete trial has
    what the rule looks at, as where no images were held out.
    """
    preferred = CANDIDATES[study.rule]
    candidates = (*preferred, TEST)
    return next((r for r in candidates if is_measured(study, r)), preferred[0])


def is_measured(study: StudyRecords, response: Response) -> bool:
    """Whether any complete trial has the metric of a response, finite or not."""
    return any(response.metric in record.metrics for record in study.complete)


def reason(study: StudyRecords) -> str:
    """Why a study has the response that it has, in a sentence."""
    response = response_of(study)
    warning = "a value chosen from these numbers is chosen on the test set"
    if study.rule == "oracle":
        return f"The selection rule oracle looks at {response.name}: {warning}."
    if response is TEST:
        return (
            f"No trial has the number that the selection rule {study.rule} looks at, so the "
            f"response is {response.name}: {warning}."
        )
    if study.rule == "random":
        return f"The selection rule random looks at no number; {response.name} stands in."
    return f"It is the number that the selection rule {study.rule} looks at."
