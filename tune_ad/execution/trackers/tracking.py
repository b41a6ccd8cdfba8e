"""Tells trackers what a study does: its trials, the winners' fresh seeds, its report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tune_ad.errors import one_line
from tune_ad.execution.callbacks import Callback
from tune_ad.execution.lifeline import TrialKey
from tune_ad.execution.trackers import TRACKERS
from tune_ad.execution.trackers.mlflow_runs import MlflowTracker
from tune_ad.execution.trackers.tracker import TrackedRun, Tracker
from tune_ad.execution.trackers.wandb_runs import WandbTracker
from tune_ad.execution.trackers.worker import Worker, ignore_warnings_of_clients
from tune_ad.search.study import Study
from tune_ad.selection import mean
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.report import Report

STUDY = "study"
"""The run of the study as a whole, which has its report."""


class _Tracked(NamedTuple):
    """A tracker in use."""

    title: str
    tracker: Tracker
    worker: Worker


class Tracking:
    """The trackers of a study. One that fails is left out from then on, which is said once.

    Args:
        names: keys of `TRACKERS`.
        study: the study that is run.
        folder: its folder.
        say: prints a line for the user.
    """

    def __init__(
        self,
        names: Sequence[str],
        study: Study,
        folder: StudyFolder,
        say: Callable[[str], None],
    ) -> None:
        self.study, self.folder, self.say = study, folder, say
        made: Mapping[str, Callable[[], Tracker]] = {
            "mlflow": lambda: MlflowTracker(study.name, folder.mlflow),
            "wandb": lambda: WandbTracker(study.name, folder.path),
        }
        self.trackers = {TRACKERS[name].title: made[name]() for name in names}
        self.active: list[_Tracked] = []
        self.tags: dict[str, str] = {}
        self.prefix = ""

    @property
    def places(self) -> list[str]:
        """Where each tracker shows the study, in words."""
        return [f"{title}, {tracker.place}" for title, tracker in self.trackers.items()]

    def check(self) -> None:
        """Check that every tracker can be reached.

        Raises:
            UserError: if one lacks a setting.
            MachineError: if one does not answer.
        """
        for tracker in self.trackers.values():
            tracker.check()

    def begin(self, commit: str) -> None:
        """Begin the run of the study as a whole.

        Args:
            commit: the commit of the code.
        """
        study = self.study
        if self.trackers:
            ignore_warnings_of_clients()
        self.active = [_Tracked(t, tracker, Worker()) for t, tracker in self.trackers.items()]
        self.tags = {
            "study": study.name,
            "data set": study.data_set,
            "selection": study.selection,
            "budget": study.budget_name,
            "commit": commit,
        }
        created = self.folder.read_study()["created"]  # tells it from others of the same name
        self.prefix = f"{created} {study.name}"
        detectors = {b.detector.__name__ for b in study.baselines.values()}
        tags = {**self.tags, "detector": ", ".join(sorted(detectors))}
        settings = {"trials": study.trials, "seeds": len(study.seeds)}
        self._tell_all(lambda tracker: tracker.begin(self._run(STUDY, STUDY, settings, tags)))

    def _run(
        self, name: str, kind: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> TrackedRun:
        shown = self.study.name if kind == STUDY else name
        return TrackedRun(self.key(name), shown, kind, params, tags)

    def key(self, name: str) -> str:
        """The key of a run, which no other study has."""
        return f"{self.prefix} {name}".replace("'", "_")  # MLflow looks for it between these

    def begin_trial(self, name: str, kind: str, spec: TrialSpec) -> None:
        """Begin the run of a trial."""
        detector = self.study.baselines[spec.baseline].detector.__name__
        seeds = ", ".join(map(str, spec.seeds or self.study.seeds))
        tags = {**self.tags, "detector": detector, "baseline": spec.baseline, "seed": seeds}
        run = self._run(name, kind, self.study.params(spec), tags)
        self._tell_all(lambda tracker: tracker.begin(run))

    def log(self, name: str, metrics: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of a run after an epoch."""
        self._tell_all(lambda tracker: tracker.log(self.key(name), metrics, epoch))

    def end(self, name: str, state: str, summary: Mapping[str, Any]) -> None:
        """End a run."""
        self._tell_all(lambda tracker: tracker.end(self.key(name), state, summary))

    def close(self, state: str, report: Sequence[Path] = ()) -> None:
        """Keep the report, end the run of the study, and wait for what is still to be sent.

        Args:
            state: how the study has ended, as in `Tracker.end`.
            report: the files of the report.
        """
        if report:
            self._tell_all(lambda tracker: tracker.keep(self.key(STUDY), report))
        self.end(STUDY, state, {})
        self._tell_all(lambda tracker: tracker.close())
        for tracked in self.active:
            tracked.worker.close()
        self._leave_out_what_failed()
        self.active = []

    def _tell_all(self, call: Callable[[Tracker], None]) -> None:
        for tracked in self.active:
            tracked.worker.do(lambda tracker=tracked.tracker: call(tracker))  # type: ignore[misc]
        self._leave_out_what_failed()

    def _leave_out_what_failed(self) -> None:
        for tracked in [t for t in self.active if t.worker.fault is not None]:
            self.active.remove(tracked)
            assert tracked.worker.fault is not None
            self.say(
                f"{tracked.title} has failed ({one_line(tracked.worker.fault)}); the study goes "
                "on without it"
            )


class TrackerCallback(Callback):
    """Tells the trackers of a study what its trials do.

    Args:
        tracking: the trackers.
        evaluation: whether the trials are the winner on fresh seeds.
    """

    def __init__(self, tracking: Tracking, evaluation: bool) -> None:
        self.tracking, self.evaluation = tracking, evaluation
        self.running: dict[int, str] = {}

    def started(self, spec: TrialSpec) -> None:
        """Begin the run of a trial."""
        kind = "fresh seed" if self.evaluation else "trial"
        name = str(TrialKey(self.evaluation, spec.number))
        if self.evaluation:
            name = f"{kind} {spec.seeds[0]}, {spec.baseline}"
        self.running[spec.number] = name
        self.tracking.begin_trial(name, kind, spec)

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Log the objective and the means of all metrics over the models of a trial."""
        self.tracking.log(self.running[spec.number], logged(report), report.epoch)

    def ended(self, spec: TrialSpec, record: TrialRecord, details: Mapping[str, Any]) -> None:
        """End the run of a trial."""
        summary = {"reason": record.reason} if record.reason else {}
        self.tracking.end(self.running.pop(spec.number), record.state, summary)

    def close(self) -> None:
        """End the runs of trials that have not ended."""
        for name in self.running.values():
            self.tracking.end(name, "interrupted", {})
        self.running.clear()


def logged(report: Report) -> dict[str, float]:
    """The numbers of a report: means over the models, of metrics that all of them have."""
    numbers = {"learning_rate": report.learning_rate}
    if report.objective is not None:
        numbers["objective"] = report.objective
    for metric, values in report.metrics.items():
        average = mean(values, only_finite=False)
        if average is not None:
            numbers[metric.tag] = average
    return numbers
