"""Scores images with the models of a trial after an interval, and collects all metrics."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from tune_ad.detectors.base import Numbers, ScoreSpace, Terms
from tune_ad.errors import UserError, one_line
from tune_ad.sampling import evenly_spaced
from tune_ad.search.study import Study
from tune_ad.selection import RULES
from tune_ad.storage.metric import (
    BEST_EPOCH,
    BITS_PER_DIM,
    PARTS,
    PSEUDO,
    STOPPED,
    Metric,
    ScoreVariant,
    Values,
)
from tune_ad.storage.records import DetectorWarning
from tune_ad.training.bits import with_bits
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.score_metrics import SCORE, auroc_metrics, component_aurocs, variant_names
from tune_ad.training.scoring import (
    PartScores,
    Scored,
    by_metric,
    measure,
    score_images,
    scored_as,
)
from tune_ad.training.suite import Suite


class Diagnosis(NamedTuple):
    """The diagnostics of trained models, as `Detector.diagnose` returns them.

    Attributes:
        numbers: the diagnostics of each replica; {} if it failed or `diagnose` raised an error.
        errors: that error in one line, by replica.
    """

    numbers: list[Numbers]
    errors: dict[int, str]


NO_DIAGNOSIS = Diagnosis([], {})


def legal_diagnostics(detector: str, diagnostics: Numbers, nats: Sequence[str]) -> Numbers:
    """The diagnostics of a model, as floats.

    Args:
        detector: the name of the class, for the message.
        diagnostics: the result of `Detector.diagnose`.
        nats: the terms that are also reported in bits per dimension.

    Raises:
        UserError: if a diagnostic would replace a number of the engine.
    """
    for metric in diagnostics:
        if not metric.is_diagnostic:
            raise UserError(
                f"{detector} returns {metric} as a diagnostic, but the part {metric.part!r} "
                f"belongs to the engine; name another part than {', '.join(PARTS)}"
            )
        plain = metric._replace(unit="")
        if metric.unit == BITS_PER_DIM and metric.term in nats and plain in diagnostics:
            raise UserError(
                f"{detector} returns {metric} as a diagnostic, but the engine derives it from "
                f"{plain}; leave it out"
            )
    return {metric: float(value) for metric, value in diagnostics.items()}


class TrialScores:
    """Scores the images of a suite with the models of one trial; invalid scores make them fail.

    Args:
        study: the search with its budget.
        suite: tasks and images.
        replica_set: the models.
        quoted: whether the test results of the trial are reported, as in `Trial.quoted`.
        choices: the values of score-time parameters among which the rule chooses after training.

    Attributes:
        untested: the reason why a replica that has not failed has no test results, by replica.
        choice: the score variant that was chosen instead of the declared score, if any.
    """

    def __init__(
        self,
        study: Study,
        suite: Suite,
        replica_set: ReplicaSet,
        quoted: bool,
        choices: ScoreSpace | None = None,
    ) -> None:
        self.study, self.suite, self.replica_set = study, suite, replica_set
        self.quoted, self.choices = quoted, choices or {}
        self.choice: ScoreVariant | None = None
        self.untested: dict[int, str] = {}

    def parts(self, done: bool) -> list[str]:
        """The parts of the images that are scored after an interval: first those to select by.

        Test images are scored at the end, or after every interval if the budget has `test_curve`;
        pseudo-outliers at the end, or after every interval if the selection rule uses them.
        """
        if not self.replica_set.scorable:
            return []
        budget, ranked_by = self.study.budget, RULES[self.study.selection].parts
        due = {
            "validation": budget.validation_fraction > 0,
            PSEUDO: bool(self.suite.pseudo) and (done or PSEUDO in ranked_by),
            "test": done or budget.test_curve,
        }
        parts = [part for part, is_due in due.items() if is_due]
        return sorted(parts, key=lambda part: (part == "test", part not in ranked_by))

    def score(self, done: bool) -> dict[str, PartScores]:
        """Score the parts of the images that are due, by part.

        A replica whose scores of validation images or pseudo-outliers are not finite fails. One
        whose scores of test images are not finite fails only if the test results of the trial are
        reported; otherwise the reason is kept in `untested`.

        Args:
            done: whether the trial is finished.
        """
        parts: dict[str, PartScores] = {}
        self.untested, self.choice = {}, None
        for part in self.parts(done):
            scored = score_images(self.replica_set, self.suite, part, every_variant=done)
            parts[part] = self._measure(part, scored, done)
            for k, fault in parts[part].faults.items():
                if part == "test" and not self.quoted:
                    self.untested[k] = f"not tested: {fault}"
                else:
                    self.replica_set.fail(k, self.replica_set.epoch, fault)
        return parts

    def _measure(self, part: str, scored: Scored, done: bool) -> PartScores:
        """Measure the scores of a part; by those that rank trials, first choose a variant.

        Test images come last, so that nothing can be chosen by them.
        """
        if done and self.choices and part == self._ranked_by().part:
            self.choice = self._best_variant(scored)
        if self.choice is None:
            return measure(self.replica_set, self.suite, part, scored, done)
        declared = self.choice._replace(value=self.declared(self.choice.parameter))
        exchanged = scored_as(scored, self.choice, declared)
        return measure(self.replica_set, self.suite, part, exchanged, done, [declared])

    def _ranked_by(self) -> Metric:
        """The metric by which the study's rule ranks trials, if it is an AUROC."""
        rule = RULES[self.study.selection]
        return rule.metrics[0] if rule.is_auroc else Metric("", "")

    def declared(self, parameter: str) -> Any:  # noqa: ANN401
        """The value of a parameter in the configuration."""
        return getattr(self.replica_set.replicas[0].module.config, parameter)

    @property
    def chosen(self) -> dict[str, Any]:
        """The values of the score-time parameters that are chosen after training, by name."""
        values = {name: self.declared(name) for name in self.choices}
        return values | ({self.choice.parameter: self.choice.value} if self.choice else {})

    def _best_variant(self, scored: Scored) -> ScoreVariant | None:
        """The variant by which the rule ranks the models best; None if it is the score itself.

        One parameter at a time differs from the configuration. Of equal variants the first in the
        score space is chosen, and the configuration itself before all.

        Args:
            scored: the scores of the part by which the rule ranks trials, with all variants.
        """
        metric, by_replica = self._ranked_by(), component_aurocs(scored)

        def average(component: str) -> float:
            values = [auroc_metrics(metric.part, a, component) for a in by_replica.values()]
            return sum(numbers[metric] for numbers in values) / len(values)

        if len(by_replica) < len(self.replica_set.replicas):
            return None  # the trial has failed
        best, choice = average(SCORE), None
        for name, variant in variant_names(self.choices).items():
            if (value := average(name)) > best:
                best, choice = value, variant
        return choice

    def merged(
        self,
        trained: Mapping[Metric, Values],
        parts: Mapping[str, PartScores],
        diagnosis: Diagnosis,
        done: bool,
    ) -> dict[Metric, Values]:
        """All metrics, one number per replica; None for replicas that have failed.

        Args:
            trained: the training terms.
            parts: the results by part of the images.
            diagnosis: the diagnostics.
            done: whether the trial is finished; before that, test results are included only as
                the curve "oracle".
        """
        metrics = {**trained}
        for part, scores in parts.items():
            of_part = by_metric(scores.metrics)
            if part != "test" or done:
                metrics |= of_part
            if part == "test" and self.study.budget.test_curve:
                metrics |= {m._replace(part="oracle"): v for m, v in of_part.items() if m.is_auroc}
        if done and self.replica_set.scorable:
            metrics |= by_metric(diagnosis.numbers) | self.stopping_metrics()
        living = set(self.replica_set.living())
        known = {
            metric: [value if k in living else None for k, value in enumerate(values)]
            for metric, values in metrics.items()
        }
        return with_bits(known, self.replica_set.replicas[0].module.nats, self.suite.shape)

    def diagnose(self, parts: Mapping[str, PartScores]) -> Diagnosis:
        """The diagnostics of every trained model.

        Training images are scored only if the detector uses them. An error of `Detector.diagnose`
        loses the diagnostics of the model, but no other number.

        Args:
            parts: the results by part of the images.
        """
        numbers: list[Numbers] = [{} for _ in self.replica_set.replicas]
        errors: dict[int, str] = {}
        for k in self.replica_set.living():
            module = self.replica_set.replicas[k].module
            try:
                diagnostics = module.diagnose(self.scored_normals(k, parts))
                diagnostics = {**diagnostics, **self.replica_set.replicas[k].inspect()}
                numbers[k] = legal_diagnostics(type(module).__name__, diagnostics, module.nats)
            except Exception as error:  # a detector is a user's own code and may raise anything
                errors[k] = f"its diagnostics are missing, diagnose raised {one_line(error)}"
        return Diagnosis(numbers, errors)

    def scored_normals(self, k: int, parts: Mapping[str, PartScores]) -> Callable[[str], Terms]:
        """The function that `Detector.diagnose` receives: the scores of normal images by part.

        Training images are scored when it is called with "train".
        """
        task = self.replica_set.replicas[k].spec.task

        def scored(part: str) -> Terms:
            if part == "train":
                return self.replica_set.score(k, self.training_sample(task))
            return parts[part].normals.get(k, {}) if part in parts else {}

        return scored

    def training_sample(self, task: str) -> torch.Tensor:
        """Evenly spaced training images of a task, at most as many as its normal test images."""
        split = self.suite.split(task)
        return split.train[evenly_spaced(len(split.train), len(split.test.normal))]

    def stopping_metrics(self) -> dict[Metric, Values]:
        """With patience: the epoch of the best weights, and whether the last stage was stopped."""
        stoppings = self.replica_set.early_stopping
        if not stoppings:
            return {}
        return {
            BEST_EPOCH: [float(stopping.epoch) for stopping in stoppings],
            STOPPED: [float(stopping.stopped is not None) for stopping in stoppings],
        }

    def warnings(
        self, metrics: Mapping[Metric, Values], diagnosis: Diagnosis
    ) -> list[DetectorWarning]:
        """The warnings about trained models, each once with its replicas.

        They are those of the detector, numbers that are not finite, and errors in `diagnose` or
        `warnings` of the detector.

        Args:
            metrics: all metrics of the replicas.
            diagnosis: the diagnostics.
        """
        warned: dict[str, list[int]] = defaultdict(list)
        for k in self.replica_set.living():
            known = {metric: values[k] for metric, values in metrics.items() if values}
            numbers = {metric: value for metric, value in known.items() if value is not None}
            for text in self._detector_warnings(k, numbers):
                warned[text].append(k)
            for metric, value in numbers.items():
                if not math.isfinite(value):
                    warned[f"{metric} is {value}"].append(k)
            if k in diagnosis.errors:
                warned[diagnosis.errors[k]].append(k)
        return [DetectorWarning(text, tuple(replicas)) for text, replicas in warned.items()]

    def _detector_warnings(self, k: int, numbers: Numbers) -> list[str]:
        """The warnings of the detector about one model, or the error that it raised."""
        try:
            return list(self.replica_set.replicas[k].module.warnings(numbers))
        except Exception as error:  # a detector is a user's own code and may raise anything
            return [f"its warnings are missing, warnings raised {one_line(error)}"]
