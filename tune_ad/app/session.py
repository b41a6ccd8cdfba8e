"""A study that is ready to run: trains the missing trials, then the winner on fresh seeds."""

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tune_ad.app.command_line.options import Options
from tune_ad.app.description import RunNote, write_description
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.app.estimates.remaining import Retraining, is_complete, missing_evaluations
from tune_ad.app.keeping import NotKeptError, keep_best
from tune_ad.app.preparation.resources import trials_at_a_time
from tune_ad.app.preparation.runs import this_run, with_run
from tune_ad.app.winner_board import show_winner
from tune_ad.data import Contents, Task
from tune_ad.errors import MachineError, UserError, one_line, unusable
from tune_ad.execution import serial
from tune_ad.execution.callbacks import (
    Ahead,
    Announcer,
    Callback,
    ProgressBar,
    RecordWriter,
    TensorBoardCallback,
)
from tune_ad.execution.lifeline import UNWATCHED, Lifeline
from tune_ad.execution.loop import FixedTrials, Scheduler, TrialLoop
from tune_ad.execution.machine import Machine
from tune_ad.execution.time_limit import TimeLimit
from tune_ad.execution.trackers.optuna_journal import OptunaJournal
from tune_ad.execution.trackers.tracking import TrackerCallback, Tracking
from tune_ad.models.folder import Preprocessing
from tune_ad.search.checks.records import check_records
from tune_ad.search.checks.shortfalls import HeldOut, shortfalls
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.search.study import Study
from tune_ad.selection import RULES
from tune_ad.signals import INTERRUPTED
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import CONVERSION
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.suite import Suite
from tune_ad.wording import count

Train = Callable[[TrialLoop], None]
"""A function that trains all trials of a loop: the backend."""


def _interrupted(train: Train, loop: TrialLoop) -> bool:
    """Train the trials of a loop, and return whether the user has interrupted that."""
    try:
        train(loop)
    except KeyboardInterrupt:  # also after the last trial
        return True
    return loop.interrupted


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes:
        interrupted: whether Ctrl-C ended it; `--resume` continues.
        out_of_time: whether the time budget ran out.
        failed: number of trials and evaluation seeds that failed.
        kept: False if the winner's models could not be kept.
        fault: what the machine could not do, so that training stopped; empty otherwise.
    """

    interrupted: bool
    out_of_time: bool
    failed: int
    kept: bool = True
    fault: str = ""

    @property
    def exit_code(self) -> int:
        """0: done; 1: trials failed, or the winner is not kept; 3: fault; 130: interrupted."""
        if self.fault:
            return MachineError.exit_code
        return INTERRUPTED if self.interrupted else int(self.failed > 0 or not self.kept)


@dataclass(frozen=True)
class Session:
    """A study that is ready to run.

    Attributes:
        options: options with "auto" resolved.
        machine: machine or cluster that runs the trials.
        study: the search under its budget.
        suite: tasks and images, the same for the search and for the winner on fresh seeds.
        sources: what the image sets contain from which the suite was split.
        folder: folder of the study.
        say: prints a line for the user.
        begins: whether the study is new.
        asked_trials: number of trials that the user or the budget asks for; the search space may
            have fewer configurations.
        preprocessing: how an image file becomes an array like those of the study.
        digests: the digest of the images of each image set, by its name.
        gpu_line: a line on the number of GPUs per trial and its reason; empty if it was given.
        lifeline: the way to the process that watches over this one.
        time_limit: how long a trial may run; None = for ever.
    """

    options: Options
    machine: Machine
    study: Study
    suite: Suite
    sources: tuple[Contents, ...]
    folder: StudyFolder
    say: Callable[[str], None]
    begins: bool
    asked_trials: int
    preprocessing: Preprocessing
    digests: Mapping[str, str]
    gpu_line: str = ""
    lifeline: Lifeline = UNWATCHED
    time_limit: TimeLimit | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the suite: every trial trains one model per task and seed."""
        return self.suite.tasks

    @property
    def concurrent(self) -> int:
        """The number of parallel trials."""
        return trials_at_a_time(self.options, self.machine)

    @property
    def least_seeds(self) -> int:
        """The number of seeds that the search itself declares for the budget."""
        budgets = self.study.search.budgets_for(self.study.data_set)
        return budgets[self.study.budget_name].seeds

    @property
    def shortfalls(self) -> list[str]:
        """What the study is too small to answer, in sentences without a full stop."""
        splits = [self.suite.splits[task.name].validation for task in self.tasks]
        groups = [(len(v.normal), sum(map(len, v.outsiders.values()))) for v in splits]
        held_out = HeldOut(*min(groups, key=lambda numbers: numbers[1]))
        return shortfalls(self.study, Pricing(self).train_images, len(self.tasks), held_out)

    @property
    def is_complete(self) -> bool:
        """Whether a study exists of which neither a trial nor a fresh seed is missing."""
        study = self.study
        return (
            not self.repeated
            and self.folder.exists()
            and is_complete(self.folder, study.trials, study.selection, self._fresh_seeds)
        )

    @property
    def repeated(self) -> int:
        """The number of failed trials and evaluation seeds that are trained again."""
        return self._failures() if self.options.retry_failed else 0

    @property
    def _fresh_seeds(self) -> tuple[int, ...]:
        """The seeds of the final evaluation; none if it is not wanted."""
        return self.study.fresh_seeds if self.options.evaluate else ()

    def retraining(self) -> list[Retraining]:
        """The final evaluation of each winner; empty if it is not wanted or has no winner."""
        if not self._fresh_seeds:
            return []
        return missing_evaluations(self.folder, self.study.selection, self._fresh_seeds)

    def run(self) -> Outcome:
        """Train the trials that are missing, then the winner on fresh seeds.

        Raises:
            UserError: if another process writes the folder, or a record is damaged.
            MachineError: if no Ray cluster or no tracker answers, a node of it cannot run the
                study, Ray has no folder for its sockets, or the folder of the study is gone.
            OSError: if the folder cannot be written before anything is trained.
        """
        if not self.is_complete:
            self.tracking.check()
            if self.options.backend == "ray":
                self._check_ray()
        with self.folder.locked():
            scheduler = self.scheduler()  # a damaged record is found before anything is written
            self.folder.read_evaluation()
            is_complete = self.is_complete
            description = write_description(self)  # an interruption can be resumed
            with self.removals_noticed():
                return self._trained_and_kept(scheduler, is_complete, description)

    def _trained_and_kept(
        self, scheduler: TrialScheduler, is_complete: bool, description: Mapping[str, Any]
    ) -> Outcome:
        """Train what is missing, and keep the winner; what became of the study."""
        if self.repeated:
            self.folder.withdraw_failed()
            scheduler = self.scheduler()
        self.journal.rebuild()
        if is_complete:
            return self._kept(Outcome(False, out_of_time=False, failed=self._failures()))
        note = RunNote(self, description)
        self.tracking.begin(self.runs[-1]["versions"]["commit"])
        with self.backend() as train:
            try:
                outcome = self._train_missing(train, scheduler, note)
            except (MachineError, OSError) as error:
                outcome = self._stopped(error)
        return outcome if outcome.interrupted or outcome.fault else self._kept(outcome)

    @contextmanager
    def removals_noticed(self) -> Iterator[None]:
        """Context manager: what is removed or replaced in the block is the machine's fault.

        Raises:
            MachineError: if there is no study afterwards where there was one, or a folder in the
                place of its records.
        """
        try:
            yield
        except UserError as error:
            if any(file.path.is_dir() for file in self.folder.journals):
                raise MachineError(str(error)) from error
            if self.folder.exists():
                raise
            gone = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.folder.study)
            raise unusable(gone, self.folder.path) from error

    def _stopped(self, error: MachineError | OSError) -> Outcome:
        """The outcome of a study that the machine has stopped.

        Raises:
            MachineError: if the study is no longer there, so that it cannot be continued.
        """
        fault = unusable(error, self.folder.path) if isinstance(error, OSError) else error
        if not self.folder.exists():
            raise fault
        return Outcome(False, out_of_time=False, failed=self._failures(), fault=str(fault))

    def _check_ray(self) -> None:
        """Check that Ray can start here, or that the nodes of its cluster can run the study.

        Raises:
            MachineError: in one line; nothing has been written.
        """
        from tune_ad.execution.ray.own_folder import check_place

        options = self.options
        if options.address == "local":
            check_place()
            return
        from tune_ad.execution.ray.preflight import check_nodes

        check_nodes(options.address, self.folder.path, options.cpus, options.gpus or 0.0)

    def _train_missing(self, train: Train, scheduler: TrialScheduler, note: RunNote) -> Outcome:
        trials, interrupted = self.folder.read_trials(), False
        with closing(self.trial_loop(scheduler, scheduler.trials, trials, note=note)) as loop:
            if scheduler.remaining:
                interrupted = _interrupted(train, loop)
        self._require_kept(loop)
        if scheduler.exhausted:
            tried = count(len(scheduler.suggested), "configuration")
            self.say(f"the search space has only {tried}, and all were tried")
        if not interrupted and self._fresh_seeds:
            interrupted = self.evaluate(train, note)
        return Outcome(interrupted, loop.out_of_time and scheduler.remaining > 0, self._failures())

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The runs of the study, of which this one is the last.

        Raises:
            UserError: if it was trained by other code or versions, or on another device, and the
                user does not accept that.
        """
        ended = 0 if self.begins else len(self.folder.read_trials())
        run = this_run(self.study, self.options.own_files, self.options.device, ended)
        if self.begins:
            return [run]
        return with_run(self.folder.read_study(), run, self.options.accept_changes, self.folder)

    @cached_property
    def journal(self) -> OptunaJournal:
        """The copy of the study for Optuna's dashboard."""
        return OptunaJournal(self.study, self.folder, self.say)

    @cached_property
    def tracking(self) -> Tracking:
        """The trackers of `--log-to`."""
        return Tracking(self.options.log_to, self.study, self.folder, self.say)

    def end_tracking(self, outcome: Outcome) -> None:
        """Give the trackers the report, if it is written and the study has ended, and end.

        Args:
            outcome: how the session has ended.
        """
        if outcome.fault or outcome.interrupted or outcome.out_of_time:
            self.tracking.close("interrupted")
        else:
            self.tracking.close("complete", sorted(self.folder.path.glob("report.*")))

    def scheduler(self) -> TrialScheduler:
        """The state of the search, rebuilt from the records.

        Raises:
            UserError: if they are damaged, or not those of the search.
        """
        study = self.study
        scheduler = TrialScheduler(
            study.search.plan,
            study.resolved_baselines,
            study.budget.trials,
            study.seed,
            study.search.pruning,
        )
        if self.folder.exists():
            check_records(self.folder)
        specs, records = self.folder.read_trial_specs(), self.folder.read_trials()
        try:
            scheduler.restore(specs, records)
        except CONVERSION as error:
            raise UserError(
                f"{self.folder.suggested.path} does not fit the search ({one_line(error)}); "
                "restore it from a backup"
            ) from error
        return scheduler

    def evaluate(self, train: Train, note: RunNote) -> bool:
        """Train each winner on the fresh seeds that are missing; return whether interrupted.

        Args:
            train: trains the trials of a loop.
            note: notes the run.
        """
        retraining = self.retraining()
        if not retraining:
            self.say(
                "the winner is not trained again, because no trial can be selected: no completed "
                "trial has a value for the selection rule"
            )
            return False
        specs = {spec.number: spec for spec in self.folder.read_trial_specs()}
        missing = [
            TrialSpec(number, specs[winner.number].baseline, specs[winner.number].params, (seed,))
            for winner in retraining
            for number, seed in winner.seeds.items()
        ]
        if not missing:
            return False
        finished = [record for winner in retraining for record in winner.finished]
        scheduler = FixedTrials(missing)
        trials = len(missing) + len(finished)
        with closing(self.trial_loop(scheduler, trials, finished, True, note)) as loop:
            interrupted = _interrupted(train, loop)
        self._require_kept(loop)
        self.journal.evaluated()
        return interrupted

    def _require_kept(self, loop: TrialLoop) -> None:
        """Check that all results of a loop could be kept.

        Raises:
            OSError: with what could not be written.
        """
        if loop.fault is not None:
            raise loop.fault

    def trial_loop(
        self,
        scheduler: Scheduler,
        trials: int,
        ended: Sequence[TrialRecord] = (),
        evaluation: bool = False,
        note: RunNote | None = None,
    ) -> TrialLoop:
        """The loop over the trials of a scheduler, with callbacks that store and show them.

        Args:
            scheduler: proposes the trials.
            trials: number of trials, including those that have finished.
            ended: trials that finished in an earlier run.
            evaluation: whether the trials are the winner on fresh seeds.
            note: notes the run; None if nobody does.
        """
        study, options = self.study, self.options
        several = evaluation and study.winners > 1
        title = ("winners" if several else "winner") if evaluation else study.name
        has_best = study.chooses and study.selection != "random" and not evaluation
        callbacks: list[Callback] = [
            *([note] if note else []),
            RecordWriter(self.folder, evaluation),
            TensorBoardCallback(study, self.folder, self.tasks, evaluation),
            *([] if evaluation else [self.journal]),
        ]
        if options.progress:
            rule = RULES[study.selection] if has_best else None
            noun = "fresh seed" if evaluation else "trial"
            ahead = self._ahead(evaluation)
            bar = ProgressBar(title, trials, study.epochs_of, ended, rule, noun, ahead)
            callbacks.append(bar)
        if options.log_to:
            callbacks.append(TrackerCallback(self.tracking, evaluation))
        callbacks.append(Announcer(self.lifeline, evaluation, self.say))
        minutes = None if evaluation else options.time_budget
        deadline = None if minutes is None else time.monotonic() + 60 * minutes
        doomed = self.lifeline.doomed_of(evaluation)
        limit = self.time_limit
        if self.lifeline.is_watched and options.backend == "serial":
            limit = None  # the process that watches stops what hangs
        return TrialLoop(study, scheduler, callbacks, self.tasks, deadline, doomed, limit)

    def _ahead(self, evaluation: bool) -> Ahead:
        """What is known about how long trials take.

        A fresh seed is a trial of one seed, and as long as that of the winner.

        Args:
            evaluation: whether the trials are the winner on fresh seeds.
        """
        study, workers = self.study, self.concurrent
        if not evaluation:
            after = len(self._fresh_seeds) * study.winners
            return Ahead(workers, after, 1 / len(study.seeds))
        winners = {winner.number for winner in self.retraining()}
        seconds = [r.seconds for r in self.folder.read_trials() if r.number in winners]
        prior = sum(seconds) / len(seconds) / len(study.seeds) if seconds else None
        return Ahead(workers, prior=prior)

    def _kept(self, outcome: Outcome) -> Outcome:
        """Write the winner's models with their thresholds to `best/`; what became of the study."""
        try:
            lines = keep_best(self)
            show_winner(self)
        except NotKeptError as error:
            self.say(str(error))
            return replace(outcome, kept=False)
        except OSError as error:
            return replace(self._stopped(error), kept=False)
        for line in lines:
            self.say(line)
        return outcome

    def is_repeated(self, record: TrialRecord) -> bool:
        """Whether a trial or an evaluation seed that has ended is trained again."""
        return self.options.retry_failed and record.state == "failed"

    def _failures(self) -> int:
        records = self.folder.read_trials() + self.folder.read_evaluation()
        return sum(record.state == "failed" for record in records)

    @contextmanager
    def backend(self) -> Iterator[Train]:
        """Context manager: the function that trains trials, in this process or by Ray."""
        options = self.options
        if options.backend == "serial":
            yield self._train_serially
            return
        from tune_ad.execution.ray import runner
        from tune_ad.execution.ray.connection import processes

        resources = runner.Resources(
            self.concurrent,
            options.cpus,
            options.gpus or 0.0,
            options.address,
            options.retries,
        )
        if options.address == "local":
            self.say(f"starting Ray for {count(self.concurrent * options.cpus, 'core')} ...")
        self.lifeline.starts_ray()
        with runner.cluster(resources), self.lifeline.resting_on(processes()):
            yield lambda loop: runner.run(loop, self.suite, resources, self.folder.ray)

    def _train_serially(self, loop: TrialLoop) -> None:
        serial.run(loop, self.suite, self.options.device, self.options.cpus)
