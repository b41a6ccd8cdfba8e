"""Shows trials in TensorBoard while they run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tune_ad.data import Task
from tune_ad.execution.callbacks.base import Callback
from tune_ad.search.study import Study
from tune_ad.selection import mean
from tune_ad.storage import score_ranks
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import (
    LOSS,
    TEST_AUROC,
    TRAIN_LOSS,
    VALIDATION_AUROC,
    VALIDATION_DISTINCT,
    Metric,
    outsider_title,
)
from tune_ad.storage.records import DetectorWarning, TrialRecord, TrialSpec
from tune_ad.tensorboard import (
    Band,
    Chart,
    Choices,
    Panel,
    Rest,
    TrialBoard,
    aligned,
    domains_of,
    merge_domains,
    run_name,
    without_grey_axis,
    write_layout,
    write_study,
)
from tune_ad.tensorboard.board import NON_FINITE
from tune_ad.training.report import Report
from tune_ad.training.scoring import ScoreKey
from tune_ad.wording import count

OBJECTIVE, LEARNING_RATE = "objective", "train/learning_rate"
RESULT = "result"
WINNER = "winner"
SHOWN_TASKS = 20
"""The largest number of tasks that pictures show."""
VALIDATION_LOSS = Metric("validation", LOSS)
COLUMNS = {
    OBJECTIVE,
    *(m.tag for m in (VALIDATION_AUROC, TEST_AUROC, TRAIN_LOSS, VALIDATION_DISTINCT)),
}
"""Tags of the metrics in the HPARAMS table, which reads nothing but scalars."""
ABOUT_SCORES = {"ap", "tied", "relative_range", "collapsed", "seed_agreement"}
"""Terms that say more about scores than a first look needs; they are in the text `RESULT`."""
LOWEST, HIGHEST = " (lowest {})", " (highest {})"


def charts(task_noun: str, tasks: int) -> Mapping[str, Mapping[str, Chart]]:
    """What the Custom Scalars tab shows in one chart.

    Args:
        task_noun: what a task is called.
        tasks: the number of tasks.
    """
    auroc = VALIDATION_AUROC.tag
    aurocs: dict[str, Chart] = {"validation AUROC": [auroc]}
    if tasks > 1:
        aurocs = {
            f"validation AUROC, and that of the lowest and highest {task_noun}": Band(
                auroc, auroc + LOWEST.format(task_noun), auroc + HIGHEST.format(task_noun)
            )
        }
    return {
        "Selection": {"objective (larger is better)": [OBJECTIVE], **aurocs},
        "Training": {
            "loss, of training and of held-out normal images": [
                TRAIN_LOSS.tag,
                VALIDATION_LOSS.tag,
            ],
            "learning rate": [LEARNING_RATE],
            "terms that are recorded at every step": [Rest("steps/")],
        },
        "Scores of held-out images": {
            "means of the score and of its components": [
                Rest("validation/", ("auroc", "loss", "distinct"))
            ],
            "distinct scores": [VALIDATION_DISTINCT.tag],
        },
        "Result": {
            "test AUROC": [TEST_AUROC.tag],
            "numbers that could not be shown": [NON_FINITE],
        },
    }


class TensorBoardCallback(Callback):
    """TensorBoard: one run per trial, live, and the study's HPARAMS columns.

    Args:
        study: the study that is run.
        folder: folder of the study, for the event files.
        tasks: tasks of the suite.
        evaluation: whether the trials are the winner on fresh seeds.
    """

    def __init__(
        self, study: Study, folder: StudyFolder, tasks: Sequence[Task], evaluation: bool = False
    ) -> None:
        self.study, self.folder, self.evaluation = study, folder, evaluation
        self.root = folder.tensorboard
        self.curves: dict[int, set[str]] = {}
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
        objective = OBJECTIVE, f"objective ({study.selection})"
        write_study(self.root, self.domains, [objective, *metrics])
        write_layout(self.root, charts(self.task_noun, len(tasks)))

    def started(self, spec: TrialSpec) -> None:
        """Open the run: its row appears in the table at once, one row for all evaluation seeds."""
        detector = self.study.baselines[spec.baseline].detector.__name__
        params = {"detector": detector, **self.study.params(spec)}
        group = self._name(spec, WINNER) if spec.seeds else self._run(spec).name
        self.boards[spec.number] = TrialBoard(self._run(spec), params, self.domains, group)
        self.curves[spec.number] = set()

    def _run(self, spec: TrialSpec) -> Path:
        """The folder of the run of a trial: that of an earlier version, if there is one."""
        title = f"{spec.baseline}-{self.study.identity(spec)}"
        earlier = self.root / f"{'evaluation-' * self.evaluation}{spec.number:03d}-{title}"
        start = f"{spec.number:03d}"
        if self.evaluation:
            seeds = ",".join(map(str, spec.seeds))
            start = f"{WINNER} {start} seed={seeds}"
        return earlier if earlier.is_dir() else self.root / self._name(spec, start)

    def _name(self, spec: TrialSpec, start: str) -> str:
        """The name of a run: the baseline, if there are several, and what is searched."""
        baseline = self.study.baselines[spec.baseline]
        names = [name for name in baseline.space if self.domains[name].varies]
        params = self.study.params(spec)
        several = len(self.study.baselines) > 1
        return run_name(
            f"{start} {spec.baseline}" if several else start,
            {name: params[name] for name in names if name in params},
            asdict(baseline.config(self.study.shape, {})),
        )

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Write curves, averaged over replicas and classes, and pictures."""
        board, step = self.boards[spec.number], report.epoch
        scalars = {LEARNING_RATE: report.learning_rate}
        if report.objective is not None:
            scalars[OBJECTIVE] = report.objective
        for metric, values in report.metrics.items():
            scalars |= self._averages(metric, values, report.record)
        curves = self.curves[spec.number]
        if not report.done:  # what the last report alone has is a point, and no curve
            curves.update(scalars)
        shown = curves | COLUMNS
        if VALIDATION_AUROC.tag in scalars:  # a band needs its three curves at every step
            shown |= {tag for tag in scalars if tag.startswith(f"{VALIDATION_AUROC.tag} (")}
        board.scalars({tag: value for tag, value in scalars.items() if tag in shown}, step)
        for name, steps in report.steps.items():
            tags = (f"steps/{name}", f"steps/{name} (minimum over replicas)")
            for number, *values in zip(*steps.values(), strict=True):
                board.scalars(dict(zip(tags, values, strict=True)), number)
        self._show_scores(board, report)
        if report.done:
            self._show_result(board, spec, report)

    def _show_scores(self, board: TrialBoard, report: Report) -> None:
        """Write the scores of normal and of anomalous images in one picture."""
        panels = []
        for scored, groups in report.scores.items():
            shown = {"normal": groups.normal}
            for name, scores in groups.outsiders.items():
                shown[f"anomalous ({outsider_title(name)})"] = scores
            panels.append(Panel(self._title(scored), shown))
        if panels:
            board.scores("scores", panels[:SHOWN_TASKS], report.epoch)

    def _show_result(self, board: TrialBoard, spec: TrialSpec, report: Report) -> None:
        """Write what a finished trial has: pictures, curves of test images, all its numbers."""
        step = report.epoch
        kinds: dict[str, list[np.ndarray]] = {}
        for images in list(report.pictures.values())[:SHOWN_TASKS]:
            rows = [without_grey_axis(row) for row in images.values()]
            if rows:
                kinds.setdefault(" above ".join(images), []).extend(rows)
        for tag, rows in kinds.items():
            board.image_grid(tag, aligned(rows), step)
        seed = spec.seeds[0] if self.evaluation else None
        ranks = score_ranks.read(self.folder.ranks(report.record.identity, seed))
        for (part, task), of_task in ranks.items():
            for name, anomalous in of_task.outsiders.items() if part == "test" else ():
                tag = f"{part}/{self.titles[task]} (anomalies: {outsider_title(name)})"
                board.precision_recall(tag, of_task.normal[0], anomalous[0], step)
        board.text(RESULT, self._table(report), step)
        if warnings := report.record.warnings:
            board.text("health/warning", "\n\n".join(map(self._sentence, warnings)), step)

    def _table(self, report: Report) -> str:
        """All numbers of a report as a table in Markdown: means, and those of each task."""
        rows = [["number", "mean", *self.titles.values()]]
        rows.append(["---"] * len(rows[0]))
        for metric, values in report.metrics.items():
            of_tasks = _by_task(values, report.record)
            cells = [_cell(values), *(_cell(of_tasks.get(task, ())) for task in self.titles)]
            rows.append([f"`{metric.tag}`", *cells])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _title(self, scored: ScoreKey) -> str:
        title = self.titles[scored.task]
        return f"{title}, {scored.component}" if scored.component else title

    def _sentence(self, warning: DetectorWarning) -> str:
        return f"{count(len(warning.replicas), 'replica')}: {warning.text}"

    def _averages(
        self, metric: Metric, values: Sequence[float | None], record: TrialRecord
    ) -> dict[str, float]:
        """The mean over replicas, and for the validation AUROC the lowest and highest task."""
        average = mean(values, only_finite=False)
        if average is None or metric.term in ABOUT_SCORES:
            return {}
        averages = {metric.tag: average}
        of_tasks = [
            mean(of_task, only_finite=False) for of_task in _by_task(values, record).values()
        ]
        present = [value for value in of_tasks if value is not None]
        if metric == VALIDATION_AUROC and len(present) > 1:
            averages[metric.tag + LOWEST.format(self.task_noun)] = min(present)
            averages[metric.tag + HIGHEST.format(self.task_noun)] = max(present)
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


def _by_task(values: Sequence[float | None], record: TrialRecord) -> dict[str, list[float | None]]:
    """The values of the replicas of each task."""
    of_tasks: dict[str, list[float | None]] = {}
    for replica, value in zip(record.replicas, values, strict=True):
        of_tasks.setdefault(replica.task, []).append(value)
    return of_tasks


def _cell(values: Sequence[float | None]) -> str:
    """The mean of values in a table; empty if there is none."""
    average = mean(values, only_finite=False)
    return "" if average is None else f"{average:.4g}"
