"""Scores images with the models of a trial after an interval, and collects all metrics."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from tune_ad.detectors.base import Numbers, Terms
from tune_ad.errors import UserError, one_line
from tune_ad.search.study import Study
from tune_ad.storage.metric import BEST_EPOCH, BITS_PER_DIM, PARTS, STOPPED, Metric, Values
from tune_ad.storage.records import DetectorWarning
from tune_ad.training.bits import with_bits
from tune_ad.training.labelled import labelled
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.scoring import PartScores, by_metric, score_part
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

    Attributes:
        untested: the reason why a replica that has not failed has no test results, by replica.
    """

    def __init__(self, study: Study, suite: Suite, replica_set: ReplicaSet, quoted: bool) -> None:
        self.study, self.suite, self.replica_set = study, suite, replica_set
        self.quoted = quoted
        self.untested: dict[int, str] = {}

    def parts(self, done: bool) -> list[str]:
        """The parts of the images that are scored after an interval.

        Test images are scored at the end, or after every interval if the budget has `test_curve`.
        """
        if not self.replica_set.scorable:
            return []
        budget = self.study.budget
        held_out = ["validation"] if budget.validation_fraction else []
        return [*held_out, *(["test"] if done or budget.test_curve else [])]

    def score_validation(self, every_variant: bool) -> PartScores:
        """Score validation images; a replica whose scores are not finite fails."""
        scores = score_part(self.replica_set, self.suite, "validation", every_variant)
        for k, fault in scores.faults.items():
            self.replica_set.fail(k, self.replica_set.epoch, fault)
        return scores

    def score_test(self, done: bool) -> PartScores:
        """Score test images.

        A replica whose scores are not finite fails if the test results of the trial are reported;
        otherwise only the reason is kept in `untested`.
        """
        scores = score_part(self.replica_set, self.suite, "test", every_variant=done)
        self.untested = {}
        for k, fault in scores.faults.items():
            if self.quoted:
                self.replica_set.fail(k, self.replica_set.epoch, fault)
            else:
                self.untested[k] = f"not tested: {fault}"
        return scores

    def merged(
        self,
        trained: Mapping[Metric, Values],
        validation: PartScores,
        test: PartScores,
        diagnosis: Diagnosis,
        done: bool,
    ) -> dict[Metric, Values]:
        """All metrics, one number per replica; None for replicas that have failed.

        Args:
            trained: the training terms.
            validation: the results on validation images.
            test: the results on test images.
            diagnosis: the diagnostics.
            done: whether the trial is finished; before that, test results are included only as
                the curve "oracle".
        """
        metrics = {**trained, **by_metric(validation.metrics)}
        tested = by_metric(test.metrics)
        metrics |= tested if done else {}
        if self.study.budget.test_curve:
            metrics |= {m._replace(part="oracle"): v for m, v in tested.items() if m.is_auroc}
        if done and self.replica_set.scorable:
            metrics |= by_metric(diagnosis.numbers) | self.stopping_metrics()
        living = set(self.replica_set.living())
        known = {
            metric: [value if k in living else None for k, value in enumerate(values)]
            for metric, values in metrics.items()
        }
        return with_bits(known, self.replica_set.replicas[0].module.nats, self.suite.shape)

    def diagnose(self, validation: PartScores, test: PartScores) -> Diagnosis:
        """The diagnostics of every trained model.

        Training images are scored only if the detector uses them. An error of `Detector.diagnose`
        loses the diagnostics of the model, but no other number.

        Args:
            validation: the results on validation images.
            test: the results on test images.
        """
        numbers: list[Numbers] = [{} for _ in self.replica_set.replicas]
        errors: dict[int, str] = {}
        for k in self.replica_set.living():
            module = self.replica_set.replicas[k].module
            try:
                diagnostics = module.diagnose(self.scored_normals(k, validation, test))
                numbers[k] = legal_diagnostics(type(module).__name__, diagnostics, module.nats)
            except Exception as error:  # a detector is a user's own code and may raise anything
                errors[k] = f"its diagnostics are missing, diagnose raised {one_line(error)}"
        return Diagnosis(numbers, errors)

    def scored_normals(
        self, k: int, validation: PartScores, test: PartScores
    ) -> Callable[[str], Terms]:
        """The function that `Detector.diagnose` receives: the scores of normal images by part.

        Training images are scored when it is called with "train".
        """
        task = self.replica_set.replicas[k].spec.task

        def scored(part: str) -> Terms:
            if part == "train":
                return self.replica_set.score(k, self.training_sample(task))
            return {"validation": validation, "test": test}[part].normals.get(k, {})

        return scored

    def training_sample(self, task: str) -> torch.Tensor:
        """Evenly spaced training images of a task, at most as many as its normal test images."""
        split = self.suite.split(task)
        train, count = split.train, min(len(split.train), len(split.test.normal))
        return train[torch.arange(count) * len(train) // count]

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

    def labelled(self, validation: PartScores) -> dict[str, list[float | None]]:
        """The mean validation AUROC with only a few anomalies, by their number and draw."""
        living = self.replica_set.living()
        placed = {k: values for k, values in validation.placements.items() if k in living}
        tasks = [replica.spec.task for replica in self.replica_set.replicas]
        return labelled(self.suite, tasks, placed, self.study.seed)
