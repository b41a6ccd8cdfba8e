"""Identifies metrics by part, term, outsider set and unit, and score variants by parameter."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tune_ad.storage.values import decode, encode

Values = Sequence[float | None]
"""One number per replica, in the suite's order; None if the replica has none.

Compact values, float64 arrays, have NaN instead of None (`StudyFolder.read_trials`).
"""
LOSS, LIKELIHOOD, DISTORTION = "loss", "likelihood", "distortion"
"""Quantities that are comparable only between configurations for which they measure the same.

A detector describes what each measures (`Detector.scales`), and a record stores that text.
"""
BITS_PER_DIM = "bits_per_dim"
"""The unit bits per dimension (per channel of a pixel); other units follow from the term."""
OTHER_CLASSES = ""
"""The name of the outsider set that is the other classes of the source of the normal images."""
RESUBSTITUTION = "resubstitution"
"""The part of diagnostics that are computed on training images with the trained model.

Terms of "train" are computed in training mode: means over the last epoch, while weights change.
"""
PSEUDO = "pseudo"
"""The part of numbers of held-out normal images and pseudo-outliers made from them.

The outsider set of an AUROC is then the generator that made them; empty for the median over all.
"""
SEED_AGREEMENT = "seed_agreement"
"""The term of the rank correlation between a model and those of other seeds."""
PARTS = ("train", "validation", PSEUDO, "test", "oracle", "overall", "early_stopping")
"""The parts shared by all detectors; any other part is a diagnostic of the detector."""


class Metric(NamedTuple):
    """The name of a number of a replica.

    Attributes:
        part: the images or the kind of number: "train", "validation" or "test" images; `PSEUDO`
            for held-out normal images and pseudo-outliers; "oracle" for test images after each
            evaluation interval; "overall" for the mean over all training steps; "early_stopping";
            or the name of a diagnostic, such as "gap".
        term: the quantity, such as "auroc", "loss" or "rate".
        outsider: name of the outsider set of an AUROC or average precision; `OTHER_CLASSES`
            (empty) if the other classes of the data set are anomalous. With several outsider sets,
            the metric with an empty name is that of the first.
        unit: `BITS_PER_DIM`, or empty for the unit of the term: AUROCs and shares lie in [0, 1],
            likelihoods and rates are in nats per image.
        stage: the training stage, for terms of a stage before the last; otherwise empty.
        phase: the phase of the stage, if it has several; otherwise empty.
    """

    part: str
    term: str
    outsider: str = ""
    unit: str = ""
    stage: str = ""
    phase: str = ""

    def __str__(self) -> str:
        """The name for a column of a table, e.g. "test_auroc/svhn"; it is never parsed."""
        return f"{self.part}_{self.name}"

    @property
    def tag(self) -> str:
        """The tag in TensorBoard, e.g. "test/auroc/svhn"; the part is the group."""
        return f"{self.part}/{self.name}"

    @property
    def name(self) -> str:
        """The name without the part, e.g. "auroc/svhn" or "pretraining/loss"."""
        before = "".join(f"{name}/" for name in (self.stage, self.phase) if name)
        after = f"/{self.outsider}" if self.outsider else ""
        unit = f"_{self.unit}" if self.unit else ""
        return f"{before}{self.term}{after}{unit}"

    @property
    def is_diagnostic(self) -> bool:
        """Whether it is a diagnostic of the detector."""
        return self.part not in PARTS

    @property
    def is_auroc(self) -> bool:
        """Whether it is an area under the ROC curve."""
        return self.term == "auroc"

    @property
    def is_test_auroc(self) -> bool:
        """Whether it is the test AUROC of the last stage, against any outsider set."""
        return self == TEST_AUROC._replace(outsider=self.outsider)


def outsider_title(name: str) -> str:
    """The title of an outsider set in reports and TensorBoard.

    >>> outsider_title("svhn"), outsider_title(OTHER_CLASSES)
    ('svhn', 'other classes')
    """
    return name or "other classes"


TRAIN_LOSS = Metric("train", "loss")
TEST_AUROC = Metric("test", "auroc")
CHANCE_AUROC = 0.5
"""The AUROC of a score that tells nothing."""
VALIDATION_AUROC = Metric("validation", "auroc")
VALIDATION_DISTINCT = Metric("validation", "distinct")
"""Distinct scores of held-out images."""
BEST_EPOCH = Metric("early_stopping", "best_epoch")
"""Epochs after which a model had the weights that are tested."""
STOPPED = Metric("early_stopping", "stopped")
"""1 if early stopping ended the training of a model before its last epoch, otherwise 0."""


class ScoreVariant(NamedTuple):
    """An alternative score of the same trained model.

    Attributes:
        parameter: the score-time parameter that has another value; empty for a component.
        value: the value of that parameter; for a component of the score, its name.
    """

    parameter: str
    value: Any

    def __str__(self) -> str:
        """The name for users: "mc_samples=5", or "rate" for a component."""
        return f"{self.parameter}={self.value}" if self.parameter else str(self.value)

    @classmethod
    def of_component(cls, name: str) -> "ScoreVariant":
        """The variant that is a component of the score, such as its rate."""
        return cls("", name)


def is_component(name: str) -> bool:
    """Whether the name of a score variant is that of a component of the score.

    >>> is_component("kl"), is_component(str(ScoreVariant("mc_samples", 5)))
    (True, False)
    """
    return "=" not in name


Metrics = Mapping[Metric, Values]


def metrics_to_json(metrics: Metrics) -> list[dict[str, Any]]:
    """Metrics as plain data: for each its nonempty fields and its values."""
    return [
        {name: text for name, text in metric._asdict().items() if text} | {"values": list(values)}
        for metric, values in metrics.items()
    ]


def metrics_from_json(rows: Iterable[Mapping[str, Any]]) -> dict[Metric, list[float | None]]:
    """The inverse of `metrics_to_json`."""
    return {
        Metric(**{name: text for name, text in row.items() if name != "values"}): row["values"]
        for row in rows
    }


def variants_to_json(variants: Mapping[ScoreVariant, Metrics]) -> list[dict[str, Any]]:
    """Score variants as plain data: parameter, value and metrics of each."""
    return [
        {
            "parameter": variant.parameter,
            "value": encode(variant.value),
            "metrics": metrics_to_json(metrics),
        }
        for variant, metrics in variants.items()
    ]


def variants_from_json(
    rows: Iterable[Mapping[str, Any]],
) -> dict[ScoreVariant, dict[Metric, list[float | None]]]:
    """The inverse of `variants_to_json`."""
    return {
        ScoreVariant(row["parameter"], decode(row["value"])): metrics_from_json(row["metrics"])
        for row in rows
    }
