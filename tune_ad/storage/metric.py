"""Names of numbers as fields: which part, term, outsider set and unit; and under which score."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tune_ad.storage.values import decode, encode

Values = Sequence[float | None]
"""One number per replica, in the suite's order; None where the replica has none.

Compact values, of eight bytes each, have NaN there (`StudyFolder.read_trials`).
"""
LOSS, LIKELIHOOD, DISTORTION = "loss", "likelihood", "distortion"
"""Quantities whose values can be compared only where they measure the same.

A detector says what each is measured in (`Detector.scales`), and a record keeps it.
"""
BITS_PER_DIM = "bits_per_dim"
"""The unit of a likelihood in bits per channel of a pixel; other units are the term's own."""
PARTS = ("train", "validation", "test", "oracle", "overall", "early_stopping")
"""The parts that every detector has; any other names a diagnostic of its own."""


class Metric(NamedTuple):
    """Which number of a replica.

    Attributes:
        part: of what: "train", "validation" or "test" images; "oracle" for test images after each
            interval; "overall" for the mean over all training steps; "early_stopping"; or the
            name of a diagnostic of the detector, such as "gap".
        term: what was measured, such as "auroc", "loss" or "rate".
        outsider: name of the set of outsiders against which an AUROC or average precision is;
            empty where they are the other classes of the data set. Where they are other data sets,
            the metric without a name is that of the first.
        unit: `BITS_PER_DIM`, or empty for the term's own: AUROC and shares lie in [0, 1],
            likelihoods and rates are in nats per image.
        stage: of training, for terms of an earlier stage than the last; otherwise empty.
        phase: of that stage, where it has several; otherwise empty.
    """

    part: str
    term: str
    outsider: str = ""
    unit: str = ""
    stage: str = ""
    phase: str = ""

    def __str__(self) -> str:
        """The name for a column of a table, as in "test_auroc/svhn"; it is never read back."""
        before = "".join(f"{name}/" for name in (self.stage, self.phase) if name)
        after = f"/{self.outsider}" if self.outsider else ""
        unit = f"_{self.unit}" if self.unit else ""
        return f"{self.part}_{before}{self.term}{after}{unit}"

    @property
    def tag(self) -> str:
        """The name in TensorBoard, as in "test/auroc/svhn": the part makes the group."""
        return str(self).replace(f"{self.part}_", f"{self.part}/", 1)

    @property
    def is_diagnostic(self) -> bool:
        """Whether a detector reports it about itself."""
        return self.part not in PARTS

    @property
    def is_auroc(self) -> bool:
        """Whether it is an area under the ROC curve."""
        return self.term == "auroc"

    @property
    def is_test_auroc(self) -> bool:
        """Whether it is the test AUROC of the last stage, against any outsider set."""
        return self == TEST_AUROC._replace(outsider=self.outsider)


TEST_AUROC = Metric("test", "auroc")
VALIDATION_AUROC = Metric("validation", "auroc")
STOPPED = Metric("early_stopping", "stopped")
"""1 where a model stopped improving before its epochs were over, else 0."""


class ScoreVariant(NamedTuple):
    """Another score of the same trained model than its configuration's own.

    Attributes:
        parameter: the score-time parameter that has another value; empty for a part of the score.
        value: of the parameter; for a part of the score, the part's name.
    """

    parameter: str
    value: Any

    def __str__(self) -> str:
        """The name for people: "mc_samples=5", or "rate" for a part of the score."""
        return f"{self.parameter}={self.value}" if self.parameter else str(self.value)

    @classmethod
    def of_part(cls, name: str) -> "ScoreVariant":
        """The variant that is a part of the score, such as its rate."""
        return cls("", name)


Metrics = Mapping[Metric, Values]


def metrics_to_json(metrics: Metrics) -> list[dict[str, Any]]:
    """Metrics as plain data: a list of their fields that are not empty, and the values."""
    return [
        {name: text for name, text in metric._asdict().items() if text} | {"values": list(values)}
        for metric, values in metrics.items()
    ]


def metrics_from_json(rows: Iterable[Mapping[str, Any]]) -> dict[Metric, list[float | None]]:
    """What `metrics_to_json` wrote."""
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
    """What `variants_to_json` wrote."""
    return {
        ScoreVariant(row["parameter"], decode(row["value"])): metrics_from_json(row["metrics"])
        for row in rows
    }
