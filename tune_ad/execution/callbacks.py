"""Callbacks that store and show results while a study runs, in the process that drives it."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tune_ad.data import Task
from tune_ad.execution.lifeline import Lifeline, TrialKey
from tune_ad.execution.progress_line import ProgressLine
from tune_ad.search.study import Study
from tune_ad.selection import SelectionRule
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import JsonLines, to_text, write_atomically
from tune_ad.storage.metric import (
    TEST_AUROC,
    TRAIN_LOSS,
    VALIDATION_AUROC,
    VALIDATION_DISTINCT,
    Metric,
    outsider_title,
)
from tune_ad.storage.records import DetectorWarning, TrialRecord, TrialSpec
from tune_ad.tensorboard import Choices, TrialBoard, domains_of, merge_domains, write_study
from tune_ad.training.report import Progress, Report
from tune_ad.training.scoring import ScoreKey
from tune_ad.wording import count


class Callback:
    """Base class of callbacks: every method does nothing by default."""

    def started(self, spec: TrialSpec) -> None:
        """Called when a trial starts."""

    def progressed(self, spec: TrialSpec, progress: Progress) -> None:
        """Called while a trial trains, between two reports."""

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Called after each evaluation of a trial."""

    def repeats(self, spec: TrialSpec, reason: str) -> None:
        """Called when the process of a trial has died, and the trial is trained again."""

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Called when a trial has finished, pruned and failed ones included."""

    def close(self) -> None:
        """Called once after the last trial, or after an interruption."""


class RecordWriter(Callback):
    """Writes the records of trials; nothing else writes them.

    Args:
        folder: folder of the study.
        evaluation: whether the trials are the winner on fresh seeds.
    """

    def __init__(self, folder: StudyFolder, evaluation: bool = False) -> None:
        self.folder, self.evaluation = folder, evaluation
        self.lines: JsonLines = folder.evaluation if evaluation else folder.trials
        self.known = {spec.number for spec in folder.read_trial_specs()}

    def started(self, spec: TrialSpec) -> None:
        """Write down a configuration when it is first proposed."""
        self._require_folder()
        if not self.evaluation and spec.number not in self.known:
            self.known.add(spec.number)
            self.folder.suggested.append(spec)

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Write ranks of scores and kept models of a finished trial, before its record."""
        self._require_folder()
        if report.ranks:
            path = self.folder.ranks(report.record.identity, self._seed(spec))
            write_atomically(path, report.ranks)
        for name, content in report.models.items():
            write_atomically(self.folder.models(report.record.identity) / name, content)

    def _require_folder(self) -> None:
        """Refuse to write records of a study that is no longer there.

        Raises:
            FileNotFoundError: if `study.json` is gone.
        """
        if not self.folder.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.folder.study)

    def _seed(self, spec: TrialSpec) -> int | None:
        """The seed of the file names of a trial of the evaluation; otherwise None."""
        return spec.seeds[0] if self.evaluation else None

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Write the details, then the record: every record has its details."""
        self._require_folder()
        path = self.folder.details(record.identity, self._seed(spec))
        write_atomically(path, to_text(details))
        self.lines.append(record)


class Announcer(Callback):
    """Tells who watches over the study which trials run, and the user which run again.

    Args:
        lifeline: the way to that process.
        evaluation: whether the trials are the winner on fresh seeds.
        say: prints a line for the user.
    """

    def __init__(self, lifeline: Lifeline, evaluation: bool, say: Callable[[str], None]) -> None:
        self.lifeline, self.evaluation, self.say = lifeline, evaluation, say

    def started(self, spec: TrialSpec) -> None:
        """Tell that a trial runs."""
        self.lifeline.started(TrialKey(self.evaluation, spec.number))

    def repeats(self, spec: TrialSpec, reason: str) -> None:
        """Say why a trial is trained again."""
        key = TrialKey(self.evaluation, spec.number)
        self.say(f"{key}: {reason}; it is trained again")

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Tell that a trial has ended; its record is written."""
        self.lifeline.ended(TrialKey(self.evaluation, spec.number))


class ProgressBar(Callback):
    """One line: the number of finished trials, the best so far, a bar and the time left.

    The bar counts trials; an unfinished one counts as the share of its epochs that is over.

    Args:
        title: title of the line.
        trials: number of trials, including those that finished in an earlier run.
        epochs: function that gives the number of epochs of a trial.
        records: records of the trials that finished in an earlier run.
        rule: selection rule by which the best trial is shown; None = no trial is the best.
        noun: singular of what the trials are called on the line.
    """

    def __init__(
        self,
        title: str,
        trials: int,
        epochs: Callable[[TrialSpec], int],
        records: Sequence[TrialRecord] = (),
        rule: SelectionRule | None = None,
        noun: str = "trial",
    ) -> None:
        self.title, self.trials, self.epochs = title, trials, epochs
        self.of_trial: dict[int, int] = {}
        self.rule, self.noun = rule, noun
        self.counts = {"complete": 0, "pruned": 0, "failed": 0}
        self.best: TrialRecord | None = None
        self.seen: dict[int, float] = {}
        for record in records:
            self._count(record)
        self.bar = ProgressLine(self._text(), trials, len(records), self._is_complete())

    def progressed(self, spec: TrialSpec, progress: Progress) -> None:
        """Advance the bar by the finished epochs, including fractions of an epoch."""
        self._advance(spec.number, progress.epochs / self._epochs_of(spec))

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Advance the bar to the epoch of the report."""
        self._advance(spec.number, report.epoch / self._epochs_of(spec))

    def repeats(self, spec: TrialSpec, reason: str) -> None:
        """Keep the line, since another one follows."""
        self.bar.break_line()

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Count the trial, and advance the bar by the epochs that it skipped."""
        self._advance(spec.number, 1.0)
        self._count(record)
        self.bar.complete = self._is_complete()
        self.bar.set_text(self._text())

    def close(self) -> None:
        """Close the bar and keep the line on the screen."""
        self.bar.close()

    def _epochs_of(self, spec: TrialSpec) -> int:
        """The number of epochs of a trial; 1 if it is only fitted."""
        if spec.number not in self.of_trial:
            self.of_trial[spec.number] = max(1, self.epochs(spec))
        return self.of_trial[spec.number]

    def _advance(self, number: int, share: float) -> None:
        share = max(min(share, 1.0), self.seen.get(number, 0.0))
        self.bar.advance(share - self.seen.get(number, 0.0))
        self.seen[number] = share

    def _count(self, record: TrialRecord) -> None:
        self.counts[record.state] += 1
        if self.rule is None or record.state != "complete" or record.objective is None:
            return
        if self.best is None or record.objective > (self.best.objective or 0.0):
            self.best = record

    def _is_complete(self) -> bool:
        return sum(self.counts.values()) >= self.trials

    def _text(self) -> str:
        failed = self.counts["failed"]
        parts = [f"{sum(self.counts.values())} of {count(self.trials, self.noun)}"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{self.counts['pruned']} pruned"] if self.counts["pruned"] else []
        if self.rule and self.best and self.best.objective is not None:
            best = self.rule.shown(self.best.metrics, self.best.objective)
            parts.append(f"best {best}")
        return f"{self.title}: {', '.join(parts)}"


class TensorBoardCallback(Callback):
    """TensorBoard: one run per trial, live, and the study's HPARAMS columns.

    Args:
        study: the study that is run.
        folder: folder of the study, for the event files.
        tasks: tasks of the suite.
        prefix: prefix of the names of the runs.
    """

    def __init__(
        self, study: Study, folder: StudyFolder, tasks: Sequence[Task], prefix: str = ""
    ) -> None:
        self.study, self.root, self.prefix = study, folder.tensorboard, prefix
        self.titles = {task.name: task.title for task in tasks}
        has_classes = all(task.normal_class is not None for task in tasks)
        self.task_noun = "class" if has_classes else "task"
        self.boards: dict[int, TrialBoard] = {}
        detectors = [baseline.detector.__name__ for baseline in study.baselines.values()]
        self.domains = merge_domains(
            [
                {"detector": Choices(tuple(dict.fromkeys(detectors)))},
                *(
                    domains_of(baseline.space, asdict(baseline.config(study.shape, {})))
                    for baseline in study.baselines.values()
                ),
            ]
        )
        titles = {
            VALIDATION_AUROC: "AUROC",
            TEST_AUROC: "oracle AUROC (test images)" if study.chooses else "test AUROC",
            TRAIN_LOSS: "training loss",
            VALIDATION_DISTINCT: "distinct scores",
        }
        metrics = [(metric.tag, title) for metric, title in titles.items()]
        objective = "objective", f"objective ({study.selection})"
        write_study(self.root, self.domains, [objective, *metrics])

    def started(self, spec: TrialSpec) -> None:
        """Open the run: its row appears in the table at once, one row for all evaluation seeds."""
        detector = self.study.baselines[spec.baseline].detector.__name__
        params = {"detector": detector, **self.study.params(spec)}
        title = f"{spec.baseline}-{self.study.identity(spec)}"
        name = f"{self.prefix}{spec.number:03d}-{title}"
        group = f"{self.prefix}{title}" if spec.seeds else name
        self.boards[spec.number] = TrialBoard(self.root / name, params, self.domains, group)

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Write curves, averaged over replicas and classes, histograms and images."""
        board, step = self.boards[spec.number], report.epoch
        scalars = {"train/learning_rate": report.learning_rate}
        if report.objective is not None:
            scalars["objective"] = report.objective
        for metric, values in report.metrics.items():
            scalars |= self._averages(metric, values, report.record)
        board.scalars(scalars, step)
        if warnings := report.record.warnings:
            board.text("health/warning", "\n\n".join(map(self._sentence, warnings)), step)
        for name, steps in report.steps.items():
            tags = (f"steps/{name}", f"steps/{name} (minimum over replicas)")
            for number, *values in zip(*steps.values(), strict=True):
                board.scalars(dict(zip(tags, values, strict=True)), number)
        self._images_and_scores(board, report)

    def _images_and_scores(self, board: TrialBoard, report: Report) -> None:
        """Write histograms of scores, and images."""
        step = report.epoch
        for scored, groups in report.scores.items():
            tag = f"scores/{self._title(scored)}"
            board.histogram(f"{tag}/normal", groups.normal, step)
            for name, scores in groups.outsiders.items():
                board.histogram(f"{tag}/anomalous ({outsider_title(name)})", scores, step)
        for task, images in report.pictures.items():
            rows = [_without_grey_axis(row) for row in images.values()]
            if rows:
                board.image_grid(f"{' above '.join(images)}/{self.titles[task]}", rows, step)

    def _title(self, scored: ScoreKey) -> str:
        title = self.titles[scored.task]
        return f"{title}, {scored.component}" if scored.component else title

    def _sentence(self, warning: DetectorWarning) -> str:
        return f"{count(len(warning.replicas), 'replica')}: {warning.text}"

    def _averages(
        self, metric: Metric, values: Sequence[float | None], record: TrialRecord
    ) -> dict[str, float]:
        """The mean over replicas, and for AUROCs the mean over the seeds of each task."""
        present = [value for value in values if value is not None]
        if len(present) < len(values) or not present:
            return {}
        averages = {metric.tag: float(np.mean(present))}
        if metric.is_auroc:
            of_tasks: dict[str, list[float]] = {}
            for replica, value in zip(record.replicas, present, strict=True):
                of_tasks.setdefault(replica.task, []).append(value)
            for task, of_task in of_tasks.items():
                tag = f"{metric.tag} by {self.task_noun}/{self.titles[task]}"
                averages[tag] = float(np.mean(of_task))
        return averages

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Close the run with its status."""
        board = self.boards.pop(spec.number)
        if record.reason:
            board.text("health/failure", record.reason, record.replicas[0].epoch)
        board.finish(succeeded=record.state != "failed")

    def close(self) -> None:
        """Close the event files; unfinished runs stay marked as running."""
        for board in self.boards.values():
            board.close()


def _without_grey_axis(images: np.ndarray) -> np.ndarray:
    return images[..., 0] if images.shape[-1] == 1 else images
