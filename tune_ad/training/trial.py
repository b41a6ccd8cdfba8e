"""One configuration on its suite: trains the replica set by intervals and reports after each.

It meets the test set at its last epoch, and after every interval where the search asks for that
curve. It knows no Ray: the serial backend and the Ray Trainable drive the same object.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from tune_ad.data import scaled
from tune_ad.detectors.base import skeleton
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import forward_operations
from tune_ad.search.selection import RULES
from tune_ad.search.study import Study
from tune_ad.storage.records import ReplicaRecord, State, TrialRecord, TrialSpec, Values
from tune_ad.training.artifacts import (
    Steps,
    Told,
    fewer,
    histograms,
    over_replicas,
    pictures,
    thinned,
)
from tune_ad.training.likelihood_diagnostics import nearly_one_code, train_test_gap
from tune_ad.training.replica import ReplicaSpec
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.scoring import Examination, Key, by_name, examine, labelled, with_bits
from tune_ad.training.suite import Suite

SHOWN_PICTURES = 8


@dataclass(frozen=True)
class Report:
    """What a trial says after an evaluation interval.

    Attributes:
        epoch: epochs finished.
        epochs: epochs in all.
        objective: by the study's rule, larger = better; None where it has nothing to look at.
        learning_rate: of the last epoch.
        metrics: numbers by name, one per replica.
        scores: of held-out images of the first seed, by task (and part of the score, see
            `Examination`): "normal" and each outsider set.
        steps: of the interval: what the detector tells at every step.
        pictures: by task, what the detector makes of held-out normals; at the end only.
        done: whether the trial is over.
        record: of the trial as it stands.
        details: curves and histograms so far; at the end what is told at every step, thinned.
        warning: what a reader should know of a trial that is over; empty if nothing.
    """

    epoch: int
    epochs: int
    objective: float | None
    learning_rate: float
    metrics: dict[str, Values]
    scores: dict[str, dict[str, np.ndarray]]
    steps: dict[str, Steps]
    pictures: dict[str, dict[str, np.ndarray]]
    done: bool
    record: TrialRecord
    details: dict[str, Any]
    warning: str = ""


@dataclass
class History:
    """The curves of a trial: one entry per report.

    Attributes:
        epochs: finished at each report.
        learning_rates: of the last epoch before it.
        objectives: by the study's rule.
        metrics: numbers by name, at each report one per replica.
        steps: terms that are told at every step.
        sums: of those, by name: for each replica their sum and number.
        seconds: spent so far.
    """

    epochs: list[int] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    objectives: list[float | None] = field(default_factory=list)
    metrics: dict[str, list[Values]] = field(default_factory=dict)
    steps: dict[str, Steps] = field(default_factory=dict)
    sums: dict[str, list[list[float]]] = field(default_factory=dict)
    seconds: float = 0.0

    def follow(self, told: Sequence[Told]) -> dict[str, Steps]:
        """Append what the replicas told at every step of an interval, and return it."""
        for k, each in enumerate(told):
            for name, points in each.items():
                sums = self.sums.setdefault(name, [[0.0, 0] for _ in told])
                sums[k][0] += sum(value for _, value in points)
                sums[k][1] += len(points)
        steps = over_replicas(told)
        for name, points_of in steps.items():
            whole = self.steps.setdefault(name, {"step": [], "mean": [], "least": []})
            for key, values in points_of.items():
                whole[key].extend(values)
        return steps

    def of_steps(self) -> dict[str, Values]:
        """The mean over all steps of what is told at each, by "overall_<term>"."""
        return {
            f"overall_{name}": [total / count if count else None for total, count in sums]
            for name, sums in self.sums.items()
        }

    def add(
        self, epoch: int, rate: float, objective: float | None, metrics: dict[str, Values]
    ) -> None:
        """Append a report; a metric is an empty list at the reports that lack it."""
        before = len(self.epochs)
        self.epochs.append(epoch)
        self.learning_rates.append(rate)
        self.objectives.append(objective)
        for name in dict.fromkeys([*self.metrics, *metrics]):
            curve = self.metrics.setdefault(name, [[] for _ in range(before)])
            curve.append(metrics.get(name, []))


class Trial:
    """One configuration on its suite.

    Args:
        study: the search under its budget.
        suite: tasks and images.
        spec: the configuration.
        device: "cpu" or "cuda".

    Raises:
        UserError: if the configuration cannot be built for the images.
    """

    def __init__(self, study: Study, suite: Suite, spec: TrialSpec, device: str) -> None:
        self.study, self.suite, self.spec = study, suite, spec
        self.device = device
        torch.backends.cudnn.allow_tf32 = False  # scores rank by residuals below its precision
        self.baseline = study.baselines[spec.baseline]
        self.config = study.config(spec)
        self.identity = study.identity(spec)
        images = scaled(torch.tensor(suite.images).to(device), self.config.scaling)
        self.keys = [
            Key(task, seed)
            for seed in spec.seeds or study.seeds
            for task in range(len(suite.tasks))
        ]
        replica_specs = [
            ReplicaSpec(suite.tasks[key.task].name, key.seed, suite.positions(key.task, "train"))
            for key in self.keys
        ]
        self.replica_set = ReplicaSet(
            self.baseline.detector,
            self.config,
            images,
            replica_specs,
            self.baseline.score_space,
            study.search.patience,
        )
        self.history = History()
        self.untested: dict[int, str] = {}

    def step(self) -> Report:
        """Train one interval, examine, report."""
        started = time.perf_counter()
        terms = self.replica_set.train(self.interval())
        self.replica_set.watch(
            [self.suite.positions(key.task, "validation_normal") for key in self.keys]
        )
        steps = self.history.follow(self.replica_set.take_steps())
        found = self.examined()
        train = self.history.of_steps() | by_name(
            [{f"train_{name}": v for name, v in each.items()} for each in terms]
        )
        nats = self.replica_set.replicas[0].module.nats
        metrics = with_bits(self.without_failed(train | found.metrics), nats, self.suite.shape)
        variants = {name: self.without_failed(each) for name, each in found.variants.items()}
        objective = None
        if not self.replica_set.failures:
            objective = RULES[self.study.selection](metrics, self.identity)
        rate = self.replica_set.learning_rate
        self.history.add(self.replica_set.epoch, rate, objective, metrics)
        self.history.seconds += time.perf_counter() - started
        done = self.replica_set.finished
        return Report(
            self.replica_set.epoch,
            self.replica_set.epochs,
            objective,
            rate,
            metrics,
            {task: thinned(scores) for task, scores in found.scores.items()},
            steps,
            self.pictures() if done else {},
            done,
            self.record(metrics, variants, objective, self.labelled(found) if done else {}),
            self.details(found),
            self.warning(metrics) if done else "",
        )

    def interval(self) -> int:
        """Epochs between two reports; with patience as many in every configuration of a stage."""
        epochs = self.replica_set.epochs
        if self.replica_set.plateaus:
            stages = self.replica_set.replicas[0].stages
            epochs = max((stage.epochs for stage in stages), default=epochs)
        return self.study.budget.interval(epochs)

    def warning(self, metrics: dict[str, Values]) -> str:
        """What a reader should know of the trained models; empty if nothing."""
        count = nearly_one_code(metrics, asdict(self.config))
        if not count:
            return ""
        return (
            f"{count} of {len(self.keys)} replicas: the importance weights lie on nearly one of "
            f"{asdict(self.config)['samples']} codes (effective share below 2/K), which is hardly "
            "the forward KL; more samples, a smaller code or a smaller tempering help"
        )

    def examined(self) -> Examination:
        """Held-out images, and test images when they are wanted."""
        done, budget = self.replica_set.finished, self.study.budget
        parts = ["validation"] if budget.validation_fraction else []
        if done or budget.test_curve:
            parts.append("test")
        found = Examination()
        if not (parts and self.replica_set.scorable):
            return found
        self.replica_set.prepare_scoring()
        for part in parts:
            ends = part == "validation" or self.quoted
            new = examine(
                self.replica_set, self.suite, self.keys, part, every_variant=done, ends=ends
            )
            if part == "validation":
                found.placements = new.placements
            else:
                self.untested, found.tested = new.untested, new.scores
                oracle = _as_oracle(new.metrics) if budget.test_curve else {}
                new.metrics = (new.metrics if done else {}) | oracle
            found.add(new)
        if done:
            found.metrics |= train_test_gap(self.replica_set, self.suite, self.keys, found.metrics)
            found.metrics |= self.kept()
        return found

    def kept(self) -> dict[str, Values]:
        """With patience: the epoch of the weights of each replica, and whether it stopped."""
        plateaus = self.replica_set.plateaus
        if not plateaus:
            return {}
        return {
            "best_epoch": [float(each.epoch) for each in plateaus],
            "plateau": [float(each.stopped is not None) for each in plateaus],
        }

    @property
    def quoted(self) -> bool:
        """Whether its numbers on test images count, so that it fails where it has none.

        Otherwise they may change nothing: what is selected must not depend on the test set.
        """
        study = self.study
        return bool(self.spec.seeds) or study.selection == "oracle" or not study.chooses

    def labelled(self, found: Examination) -> dict[str, list[float | None]]:
        """The mean AUROC against a few held-out anomalies, by their number and draw."""
        living = self.replica_set.living()
        placed = {k: each for k, each in found.placements.items() if k in living}
        return labelled(self.suite, self.keys, placed, self.study.seed)

    def without_failed(self, metrics: dict[str, Values]) -> dict[str, Values]:
        """The metrics with None in the place of every replica that has failed by now."""
        living = set(self.replica_set.living())
        return {
            name: [value if k in living else None for k, value in enumerate(values)]
            for name, values in metrics.items()
        }

    def pictures(self) -> dict[str, dict[str, np.ndarray]]:
        """What the detector makes of held-out normals, uint8, shape (n, h, w, c)."""
        shown = pictures(self.replica_set, self.suite, self.keys, SHOWN_PICTURES)
        return {
            task: {title: image.numpy() for title, image in each.items()}
            for task, each in shown.items()
        }

    def record(
        self,
        metrics: dict[str, Values],
        variants: dict[str, dict[str, Values]],
        objective: float | None,
        labelled: dict[str, list[float | None]],
    ) -> TrialRecord:
        """The trial as it stands; "pruned" unless it is over or has failed."""
        replicas = [self.replica(k) for k in range(len(self.keys))]
        failed = [each for each in replicas if each.state == "failed"]
        state: State = "complete" if self.replica_set.finished else "pruned"
        reason = ""
        if failed:
            state, first = "failed", failed[0]
            reason = (
                f"{len(failed)} of {len(replicas)} replicas failed, first {first.task} with seed "
                f"{first.seed}: {first.reason}"
            )
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
            labelled=labelled,
            models=self.models,
            seconds=self.history.seconds,
            device=self.device,
        )

    @cached_property
    def models(self) -> dict[str, float]:
        """Parameters, and operations of a forward pass of one image in the last stage."""
        module = skeleton(self.baseline.detector, self.config, ImageShape(*self.suite.shape))
        operations = {"flops": forward_operations(module)} if module.stages() else {}
        return {"parameters": self.replica_set.parameters, **operations}

    def replica(self, k: int) -> ReplicaRecord:
        """One replica as it stands."""
        key = self.keys[k]
        name = self.suite.tasks[key.task].name
        if k in self.replica_set.failures:
            failure = self.replica_set.failures[k]
            return ReplicaRecord(name, key.seed, "failed", failure.reason, failure.epoch)
        state: State = "complete" if self.replica_set.finished else "pruned"
        return ReplicaRecord(
            name, key.seed, state, self.untested.get(k, ""), self.replica_set.epoch_of(k)
        )

    def details(self, found: Examination) -> dict[str, Any]:
        """Curves and histograms, of test scores where there are any, for the file of details."""
        scores = found.tested or found.scores
        return {
            "curves": {
                "epoch": self.history.epochs,
                "learning_rate": self.history.learning_rates,
                "objective": self.history.objectives,
                "replicas": self.history.metrics,
            },
            "histograms_of": "test" if found.tested else "validation",
            "histograms": {
                name: each
                for title, sides in scores.items()
                for name, each in histograms(title, sides).items()
            },
            "steps": fewer(self.history.steps) if self.replica_set.finished else {},
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that the trial goes on from."""
        return {"cohort": self.replica_set.state_dict(), "history": asdict(self.history)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.replica_set.load_state_dict(state["cohort"])
        self.history = History(**state["history"])


def _as_oracle(metrics: dict[str, Values]) -> dict[str, Values]:
    """Test AUROCs under the name that their curves have."""
    return {
        name.replace("test_", "oracle_", 1): values
        for name, values in metrics.items()
        if name.startswith("test_auroc")
    }


def failed_record(study: Study, spec: TrialSpec, tasks: list[str], reason: str) -> TrialRecord:
    """The record of a trial that ended with an exception before it could report."""
    return TrialRecord(
        number=spec.number,
        identity=study.identity(spec),
        baseline=spec.baseline,
        detector=study.baselines[spec.baseline].detector.__name__,
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
    )
