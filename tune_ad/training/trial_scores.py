"""What the models of a trial score after an interval, and all their numbers put together."""

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
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.scoring import PartScores, by_metric, score_part
from tune_ad.training.suite import Suite


class Diagnosis(NamedTuple):
    """What a detector says about its trained models beside their scores.

    Attributes:
        numbers: by replica; {} for one that has failed, or for which the detector raised an error.
        errors: by replica, that error in one line.
    """

    numbers: list[Numbers]
    errors: dict[int, str]


NO_DIAGNOSIS = Diagnosis([], {})


def legal_diagnostics(detector: str, diagnostics: Numbers, nats: Sequence[str]) -> Numbers:
    """The diagnostics of a model, as floats.

    Args:
        detector: name of the class, for the message.
        diagnostics: what the detector says about the model.
        nats: terms that are also told in bits per dimension.

    Raises:
        UserError: if one would take the place of a number that is the engine's own.
    """
    for metric in diagnostics:
        if not metric.is_diagnostic:
            raise UserError(
                f"{detector} gives {metric} as a diagnostic, but numbers of {metric.part!r} are "
                f"the engine's own; name another part than {', '.join(PARTS)}"
            )
        plain = metric._replace(unit="")
        if metric.unit == BITS_PER_DIM and metric.term in nats and plain in diagnostics:
            raise UserError(
                f"{detector} gives {metric} as a diagnostic, but the engine derives it from "
                f"{plain}; leave it out"
            )
    return {metric: float(value) for metric, value in diagnostics.items()}


class TrialScores:
    """Scores the images of a suite with the models of one trial; lets those fail that cannot.

    Args:
        study: the search under its budget.
        suite: tasks and images.
        replica_set: the models.
        quoted: whether the trial's numbers on test images count, so that it fails where it has
            none. Otherwise they may change nothing: what is selected must not depend on them.

    Attributes:
        untested: by replica, why it has no numbers on test images although it has not failed.
    """

    def __init__(self, study: Study, suite: Suite, replica_set: ReplicaSet, quoted: bool) -> None:
        self.study, self.suite, self.replica_set = study, suite, replica_set
        self.quoted = quoted
        self.untested: dict[int, str] = {}

    def parts(self, done: bool) -> list[str]:
        """The parts of the images that are scored after an interval.

        Test images are scored at the end, or after every interval where their curve is wanted.
        """
        if not self.replica_set.scorable:
            return []
        budget = self.study.budget
        held_out = ["validation"] if budget.validation_fraction else []
        return [*held_out, *(["test"] if done or budget.test_curve else [])]

    def score_validation(self, every_variant: bool) -> PartScores:
        """Score held-out images; a replica without finite scores fails."""
        scores = score_part(self.replica_set, self.suite, "validation", every_variant)
        for k, fault in scores.faults.items():
            self.replica_set.fail(k, self.replica_set.epoch, fault)
        return scores

    def score_test(self, done: bool) -> PartScores:
        """Score test images.

        A replica without finite scores fails where the trial's test numbers are quoted; otherwise
        they may change nothing, and it is noted why the replica has none.
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
        """All numbers of the replicas; None in the place of every replica that has failed by now.

        Nothing is scored, and nothing of the replicas is changed.

        Args:
            trained: what training gave.
            validation: what held-out images gave.
            test: what test images gave.
            diagnosis: what `diagnose` gave.
            done: whether the trial is over: before, of test images only the curve is shown.
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
        """What the detector says about each trained model beside its score, by replica.

        Training images are scored where it asks for them. An error of the detector costs its
        diagnostics, not the numbers that training and scoring gave.

        Args:
            validation: what held-out images gave.
            test: what test images gave.
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
        """A function that gives the scores of normal images of a part, as in `Detector.diagnose`.

        Training images are scored when they are asked for.
        """
        task = self.replica_set.replicas[k].spec.task

        def scored(part: str) -> Terms:
            if part == "train":
                return self.replica_set.score(k, self.seen_again(task))
            return {"validation": validation, "test": test}[part].normals.get(k, {})

        return scored

    def seen_again(self, task: str) -> torch.Tensor:
        """At most as many training images of a task as it has normal test images, evenly taken."""
        split = self.suite.split(task)
        train, count = split.train, min(len(split.train), len(split.test.normal))
        return train[torch.arange(count) * len(train) // count]

    def stopping_metrics(self) -> dict[Metric, Values]:
        """With patience: the epoch of the weights of each replica, and whether it stopped."""
        watched = self.replica_set.early_stopping
        if not watched:
            return {}
        return {
            BEST_EPOCH: [float(stopping.epoch) for stopping in watched],
            STOPPED: [float(stopping.stopped is not None) for stopping in watched],
        }

    def warnings(
        self, metrics: Mapping[Metric, Values], diagnosis: Diagnosis
    ) -> list[DetectorWarning]:
        """What is to be known of trained models, each warning once with its replicas.

        The detector's own warnings; then numbers that are not finite, and errors of the detector
        that left a model without diagnostics or warnings.

        Args:
            metrics: all numbers of the replicas.
            diagnosis: what `diagnose` gave.
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
        """What the detector warns of in one model; its error, where it raises one."""
        try:
            return list(self.replica_set.replicas[k].module.warnings(numbers))
        except Exception as error:  # a detector is a user's own code and may raise anything
            return [f"its warnings are missing, warnings raised {one_line(error)}"]

    def labelled(self, validation: PartScores) -> dict[str, list[float | None]]:
        """The mean AUROC against a few held-out anomalies, by their number and draw."""
        living = self.replica_set.living()
        placed = {k: values for k, values in validation.placements.items() if k in living}
        tasks = [replica.spec.task for replica in self.replica_set.replicas]
        return labelled(self.suite, tasks, placed, self.study.seed)
