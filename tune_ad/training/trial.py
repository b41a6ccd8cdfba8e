"""One trial: trains all replicas of a configuration, and reports after each evaluation interval.

Test images are scored after the last epoch, or after every interval if the budget has
`test_curve`. The serial backend and the Ray Trainable use the same class, which does not use Ray.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np

from tune_ad.data import ScaledImages
from tune_ad.data.groups import Groups
from tune_ad.detectors.base import Numbers, skeleton
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import forward_operations
from tune_ad.errors import UserError, one_line
from tune_ad.search.study import Study
from tune_ad.selection import RULES
from tune_ad.storage.metric import Metric, ScoreVariant, Values
from tune_ad.storage.records import (
    SCHEMA,
    DetectorWarning,
    ReplicaRecord,
    State,
    TrialRecord,
    TrialSpec,
)
from tune_ad.storage.score_ranks import to_bytes
from tune_ad.training.artifacts import histograms, pictures, thinned_scores, thinned_steps
from tune_ad.training.history import History
from tune_ad.training.kept_ranks import KEPT_RANKS, kept_ranks
from tune_ad.training.replicas.kept import KeptState, model_name
from tune_ad.training.replicas.paths import Limits, Load, limits
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.report import Progress, Report
from tune_ad.training.scoring import PartScores, ScoreKey, by_metric, by_variant
from tune_ad.training.suite import Suite
from tune_ad.training.trial_scores import NO_DIAGNOSIS, TrialScores

SHOWN_PICTURES = 8


class Trial:
    """One configuration, trained on all tasks and seeds of a study.

    Args:
        study: the search with its budget.
        suite: tasks and images.
        spec: the configuration.
        device: "cpu" or "cuda".
        gpu_share: the share of the memory of the GPU that the trial may use, in (0, 1].

    Raises:
        UserError: if the configuration cannot be built for the images.
    """

    def __init__(
        self, study: Study, suite: Suite, spec: TrialSpec, device: str, gpu_share: float = 1.0
    ) -> None:
        self.study, self.suite, self.spec = study, suite, spec
        self.device = device
        self.baseline = study.baselines[spec.baseline]
        self.config = study.config(spec)
        self.identity = study.identity(spec)
        self.precision = study.precision_of(spec.baseline)
        pixels = suite.pixels_on(device)
        images = ScaledImages(pixels, self.config.scaling, suite.statistics)
        self.replica_specs = [
            ReplicaSpec(task.name, seed, suite.split(task.name).train, task.title)
            for seed in spec.seeds or study.seeds
            for task in suite.tasks
        ]
        self.replica_set = ReplicaSet(
            self.baseline.detector,
            self.config,
            images,
            self.replica_specs,
            self.baseline.score_space,
            study.search.patience,
            self.precision,
            *self.limits(gpu_share),
        )
        choices = study.chosen_at_scoring(spec.baseline)
        self.scores = TrialScores(study, suite, self.replica_set, self.quoted, choices)
        self.history = History()
        self.advancing: Iterator[Progress | Report] | None = None

    def limits(self, gpu_share: float) -> Limits:
        """How many replicas and images are processed at the same time.

        Args:
            gpu_share: the share of the memory of the GPU that the trial may use, in (0, 1].
        """
        shape, detector = ImageShape(*self.suite.shape), self.baseline.detector
        count, images = len(self.replica_specs), self.suite.images.nbytes
        load = Load(detector, self.config, shape, self.baseline.score_space, count, images)
        return limits(load, self.device, gpu_share)

    def advance(self, seconds: float = 0.0) -> Progress | Report:
        """Train for about `seconds`: the report if the interval ends by then, else the progress.

        At least one epoch of one stack is trained, or the interval is scored. The end of training
        is always told, since the last scores may take long. Between two reports the trial cannot
        be stored.
        """
        until = time.monotonic() + seconds
        self.advancing = self.advancing or self._interval()
        while True:
            message = next(self.advancing)
            if isinstance(message, Report):
                self.advancing = None
                return message
            if time.monotonic() >= until or message.epochs >= self.replica_set.epochs:
                return message

    def _interval(self) -> Iterator[Progress | Report]:
        """Train for one interval, one epoch of one stack at a time, then report."""
        started, paused = time.perf_counter(), 0.0
        interval = self.study.interval(self.replica_set.replicas[0].stages)
        training = self.replica_set.train_by_epochs(interval)
        end = min(self.replica_set.epoch + interval, self.replica_set.epochs)
        while True:
            try:
                left = next(training)
            except StopIteration as over:
                terms: list[Numbers] = over.value
                break
            before = time.perf_counter()
            yield Progress(end - left / len(self.replica_specs))
            paused += time.perf_counter() - before
        yield self._report(terms, started + paused)

    def _report(self, terms: list[Numbers], started: float) -> Report:
        """Score the images that are due after an interval, and build the report.

        Args:
            terms: the training terms of each replica.
            started: the start of the interval, without pauses (`time.perf_counter`).
        """
        replica_set = self.replica_set
        if replica_set.early_stopping:
            splits = [self.suite.split(spec.task) for spec in self.replica_specs]
            replica_set.watch([split.validation.normal for split in splits])
        steps = self.history.follow(replica_set.take_steps())
        done = replica_set.finished
        if self.scores.parts(done):
            replica_set.prepare_scoring()
        parts = self.scores.score(done)
        trained = self.history.overall() | by_metric(terms)
        diagnosed = done and replica_set.scorable
        diagnosis = self.scores.diagnose(parts) if diagnosed else NO_DIAGNOSIS
        metrics = self.scores.merged(trained, parts, diagnosis, done)
        variants = merged_variants(parts) if done else {}
        objective = None
        if not replica_set.failures:
            objective = RULES[self.study.selection].value(metrics, self.identity)
        self.history.add(replica_set.epoch, replica_set.learning_rate, objective, metrics)
        self.history.seconds += time.perf_counter() - started
        done = replica_set.finished  # scoring may have failed the last replica
        warnings = self.scores.warnings(metrics, diagnosis) if done else []
        kept = _of_most_groups(parts)
        record = self.record(metrics, variants, objective)
        models, not_kept = self._models() if done and self.study.keeps(self.spec) else ({}, [])
        return Report(
            epoch=replica_set.epoch,
            epochs=replica_set.epochs,
            objective=objective,
            learning_rate=replica_set.learning_rate,
            metrics=metrics,
            scores={scored: thinned_scores(groups) for scored, groups in kept.items()},
            steps=steps,
            pictures=pictures(replica_set, self.suite, SHOWN_PICTURES) if done else {},
            done=done,
            record=replace(record, warnings=[*warnings, *not_kept]),
            details=self.details(parts),
            ranks=self._ranks(parts) if done else b"",
            models=models,
        )

    def _ranks(self, parts: Mapping[str, PartScores]) -> bytes:
        """The content of the file of ranks; those by score variants if results are reported."""
        most = None if self.spec.seeds else KEPT_RANKS
        return to_bytes(kept_ranks(self.replica_set, self.suite, parts, most, self.quoted))

    def _models(self) -> tuple[dict[str, bytes], list[DetectorWarning]]:
        """The contents of the files of the models, and a warning if one cannot be stored.

        None of a trial of which a model has failed, or cannot be stored: that loses no result.
        """
        if self.replica_set.failures:
            return {}, []
        try:
            return self._model_files(), []
        except Exception as error:  # a detector is a user's own code and may raise anything
            reason = str(error) if isinstance(error, UserError) else one_line(error)
            every = tuple(range(len(self.replica_specs)))
            return {}, [DetectorWarning(f"its models are not kept: {reason}", every)]

    def _model_files(self) -> dict[str, bytes]:
        """The contents of the files of the models, by name below the folder of the trial."""
        files: dict[str, bytes] = {}
        for replica in self.replica_set.replicas:
            of_task = [task.name for task in self.suite.tasks].index(replica.spec.task)
            name = model_name(of_task, self.suite.tasks[of_task])
            for suffix, content in KeptState.of(replica).to_files().items():
                files[f"seed-{replica.spec.seed}/{name}{suffix}"] = content
        return files

    @property
    def quoted(self) -> bool:
        """Whether the test results of this trial itself are reported; it fails without them.

        Otherwise they must not influence the trial, because selection must not depend on them.
        """
        study = self.study
        return bool(self.spec.seeds) or study.selection == "oracle" or not study.chooses

    def record(
        self,
        metrics: dict[Metric, Values],
        variants: dict[ScoreVariant, dict[Metric, Values]],
        objective: float | None,
    ) -> TrialRecord:
        """The record of the trial so far; its state is "pruned" until it has finished or failed.

        Args:
            metrics: one number per replica.
            variants: the AUROCs of each score variant.
            objective: the value of the study's selection rule.
        """
        replicas = [self.replica_record(k) for k in range(len(self.replica_specs))]
        state, reason = self.state(replicas)
        return TrialRecord(
            number=self.spec.number,
            identity=self.identity,
            baseline=self.spec.baseline,
            detector=self.baseline.detector.__name__,
            params=asdict(self.config),
            searched=sorted(self.spec.params),
            state=state,
            reason=reason,
            objective=objective,
            reports=list(zip(self.history.epochs, self.history.objectives, strict=True)),
            replicas=replicas,
            metrics=metrics,
            variants=variants,
            chosen=self.scores.chosen if state == "complete" else {},
            models=self.models,
            main_score=self.replica_set.replicas[0].module.main_score,
            scales=self.baseline.detector.scales(self.config),
            seconds=self.history.seconds,
            device=self.device,
            precision=self.precision,
        )

    def state(self, replicas: list[ReplicaRecord]) -> tuple[State, str]:
        """The state of the trial, and the reason if it failed."""
        failed = [replica for replica in replicas if replica.state == "failed"]
        if not failed:
            return "complete" if self.replica_set.finished else "pruned", ""
        first = replicas.index(failed[0])
        reason = (
            f"{len(failed)} of {len(replicas)} replicas failed, first "
            f"{self.replica_specs[first].title} with seed {failed[0].seed}: {failed[0].reason}"
        )
        return "failed", reason

    @cached_property
    def models(self) -> dict[str, float]:
        """The numbers of parameters, and of operations of a forward pass of one image."""
        module = skeleton(self.baseline.detector, self.config, ImageShape(*self.suite.shape))
        operations = {"flops": forward_operations(module)} if module.stages() else {}
        return {"parameters": self.replica_set.parameters, **operations}

    def replica_record(self, k: int) -> ReplicaRecord:
        """The record of one replica so far."""
        task, seed = self.replica_specs[k].task, self.replica_specs[k].seed
        if k in self.replica_set.failures:
            failure = self.replica_set.failures[k]
            return ReplicaRecord(task, seed, "failed", failure.reason, failure.epoch)
        state: State = "complete" if self.replica_set.finished else "pruned"
        untested = self.scores.untested.get(k, "")
        return ReplicaRecord(task, seed, state, untested, self.replica_set.epoch_of(k))

    def details(self, parts: Mapping[str, PartScores]) -> dict[str, Any]:
        """Curves, histograms (of test scores if there are any) and steps, for the details file."""
        histograms_of = "test" if "test" in parts and parts["test"].kept else "validation"
        kept = parts[histograms_of].kept if histograms_of in parts else {}
        return no_details() | {
            "curves": self.history.curves(),
            "histograms_of": histograms_of,
            "histograms": [
                row for scored, groups in kept.items() for row in histograms(scored, groups)
            ],
            "steps": thinned_steps(self.history.steps) if self.replica_set.finished else {},
        }

    def state_dict(self) -> dict[str, Any]:
        """The state from which the trial can continue; available only right after a report."""
        return {
            "replica_set": self.replica_set.state_dict(),
            "history": self.history.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`."""
        self.replica_set.load_state_dict(state["replica_set"])
        self.history = History.from_state(state["history"])


def merged_variants(
    parts: Mapping[str, PartScores],
) -> dict[ScoreVariant, dict[Metric, Values]]:
    """The AUROCs of each score variant on all parts."""
    merged: dict[ScoreVariant, dict[Metric, Values]] = {}
    for scores in parts.values():
        for variant, aurocs in by_variant(scores.variants).items():
            merged.setdefault(variant, {}).update(aurocs)
    return merged


def _of_most_groups(
    parts: Mapping[str, PartScores],
) -> dict[ScoreKey, Groups[np.ndarray]]:
    """The scores of the part, validation or test, that has more groups; of validation if equal.

    If anomalies come from other data sets, validation scores are of normal images only.
    """
    kept: dict[ScoreKey, Groups[np.ndarray]] = {}
    for part in ("validation", "test"):
        for scored, groups in parts[part].kept.items() if part in parts else ():
            held_out = kept.get(scored)
            if held_out is None or len(groups.outsiders) > len(held_out.outsiders):
                kept[scored] = groups
    return kept


def no_details() -> dict[str, Any]:
    """The details of a trial that ended with an exception: empty curves and no histograms."""
    return {
        "schema": SCHEMA,
        "curves": History().curves(),
        "histograms_of": "validation",
        "histograms": [],
        "steps": {},
    }


def failed_record(study: Study, spec: TrialSpec, tasks: list[str], reason: str) -> TrialRecord:
    """The record of a trial that ended with an exception before it could report."""
    detector = study.baselines[spec.baseline].detector
    return TrialRecord(
        number=spec.number,
        identity=study.identity(spec),
        baseline=spec.baseline,
        detector=detector.__name__,
        params=study.params(spec),
        searched=sorted(spec.params),
        state="failed",
        reason=reason,
        objective=None,
        reports=[],
        replicas=[
            ReplicaRecord(task, seed, "failed", reason, 0)
            for seed in spec.seeds or study.seeds
            for task in tasks
        ],
        metrics={},
        precision=study.precision_of(spec.baseline),
    )
