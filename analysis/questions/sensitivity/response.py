"""The response variable of a sensitivity analysis: the number by which configurations compare."""

from typing import NamedTuple

from analysis.document.format import PERCENT, Unit
from analysis.study import StudyRecords
from tune_ad.selection import RULES
from tune_ad.storage.metric import Metric

FOUR_DIGITS = Unit(1, ".4g")


class Response(NamedTuple):
    """A number that every trial has once it is averaged over replicas; larger is better.

    Attributes:
        name: the displayed name.
        metric: the metric of the replicas that is averaged.
        sign: the factor of the mean: -1 if a smaller metric is better.
        percent: whether it is an AUROC, in [0, 1] and shown in per cent.
    """

    name: str
    metric: Metric
    sign: float
    percent: bool

    @property
    def unit(self) -> Unit:
        """The unit in which its values are written."""
        return PERCENT if self.percent else FOUR_DIGITS

    @property
    def axis(self) -> str:
        """The name with its unit, as the label of an axis."""
        return f"{self.name} (%)" if self.percent else self.name

    @property
    def scale(self) -> float:
        """The factor by which a value is multiplied before it is shown."""
        return self.unit.scale

    def text(self, value: float) -> str:
        """A value as text, without the name of its unit."""
        return self.unit.text(value)


def responses_of(rule: str) -> tuple[Response, ...]:
    """The metrics that a selection rule uses, the preferred one first; none for `random`.

    Args:
        rule: the name of the rule.
    """
    declared = RULES[rule]
    return tuple(
        Response(name, metric, declared.sign, declared.is_auroc)
        for name, metric in zip(declared.responses, declared.metrics, strict=True)
    )


(TEST,) = responses_of("oracle")
(VALIDATION,) = responses_of("validation")


def response_of(study: StudyRecords) -> Response:
    """The response of a study, the same for all its baselines: the metric of its selection rule.

    Validation AUROC for `random`, which uses no metric. Test AUROC if no complete trial has the
    metric of the rule, for example if no images were held out.
    """
    preferred = responses_of(study.rule) or (VALIDATION,)
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
        return f"The selection rule oracle uses {response.name}: {warning}."
    if response == TEST:
        return (
            f"No trial has the metric that the selection rule {study.rule} uses, so the "
            f"response is {response.name}: {warning}."
        )
    if study.rule == "random":
        return f"The selection rule random uses no result; {response.name} is analysed instead."
    return f"The selection rule {study.rule} uses the same number, {response.name}."
