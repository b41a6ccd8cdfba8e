"""A study that is ready to run: trains what is missing, then the winner on fresh seeds."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from tune_ad.app.cost import Cost, Size, Sizes, cost, image_sizes, overhead, size
from tune_ad.app.options import Options
from tune_ad.app.provenance import hardware, versions
from tune_ad.app.resources import trials_at_a_time
from tune_ad.app.speed import measured_speed, relative_operations
from tune_ad.data import ImageSet, Task
from tune_ad.errors import UserError
from tune_ad.execution import serial
from tune_ad.execution.callbacks import Callback, ProgressBar, RecordWriter, TensorBoardCallback
from tune_ad.execution.loop import FixedTrials, Scheduler, TrialLoop
from tune_ad.execution.machine import Machine
from tune_ad.search.budgets import Budget
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.search.selection import ranked
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text, write_atomically
from tune_ad.storage.records import SCHEMA, TrialRecord, TrialSpec
from tune_ad.training.suite import Suite

Train = Callable[[TrialLoop], None]
"""Trains what a loop hands out until there is no more."""


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes:
        interrupted: by Ctrl-C; `--resume` goes on.
        late: the time budget ran out.
        failed: trials or evaluation seeds that failed.
    """

    interrupted: bool
    late: bool
    failed: int

    @property
    def exit_code(self) -> int:
        """0 done, 1 some trials failed, 130 interrupted."""
        return 130 if self.interrupted else int(self.failed > 0)


@dataclass(frozen=True)
class Session:
    """A study that is ready to run.

    Attributes:
        options: as given, with what "auto" stands for put in.
        machine: on which trials run.
        study: the search under its budget.
        suite: tasks and images, the same for the search and for the winner on fresh seeds.
        image_sets: from which the suite is cut.
        folder: of the study.
        say: prints a line.
    """

    options: Options
    machine: Machine
    study: Study
    suite: Suite
    image_sets: tuple[ImageSet, ...]
    folder: StudyFolder
    say: Callable[[str], None]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the models of a trial learn and are tested on."""
        return self.suite.tasks

    @property
    def concurrent(self) -> int:
        """Trials at a time."""
        return trials_at_a_time(self.options, self.machine)

    def size(self) -> Size:
        """The number of trials and models of the study."""
        return size(self._under(self.study.budget_name, self.study.budget), len(self.tasks))

    def costs(self) -> dict[str, Cost]:
        """What the study would take under each budget, on this machine: trains short probes."""
        speeds = measured_speed(self.study, self.options.device)
        budgets = self.study.search.budgets_for(self.study.data_set)
        budgets[self.study.budget_name] = self.study.budget
        at_a_time = min(self.concurrent, self.machine.slots(1, self.options.gpus or 0.0))
        costs = {}
        for name, budget in budgets.items():
            study = self._under(name, budget)
            ratio = relative_operations(study, self.study)
            training = cost(study, self._sizes(budget), speeds, ratio, at_a_time)
            beside = overhead(study, training.size.trials, self.options.backend)
            costs[name] = replace(training, overhead=beside)
        return costs

    def _under(self, name: str, budget: Budget) -> Study:
        """The study under a budget, without fresh seeds where the user leaves them out."""
        if not self.options.evaluate:
            budget = replace(budget, evaluation_seeds=0)
        return replace(self.study, budget=budget, budget_name=name)

    def _sizes(self, budget: Budget) -> Sizes:
        source, *others = self.image_sets
        classes = 1 if self.study.search.of_whole_sets else len(source.classes)
        class_images = len(source.train_images) // classes
        outsiders = [len(image_set.test_images) for image_set in others]
        return image_sizes(budget, class_images, len(source.test_images), classes, outsiders)

    def run(self) -> Outcome:
        """Train the trials that are missing, then the winner on fresh seeds.

        Raises:
            UserError: if another process writes the folder, or no Ray cluster answers.
        """
        with self.folder.locked():
            self._write_description()  # before the backend: an interruption can be resumed
            with self.backend() as train:
                return self._train_missing(train)

    def _train_missing(self, train: Train) -> Outcome:
        scheduler, trials = self.scheduler(), self.folder.read_trials()
        loop = self.trial_loop(scheduler, scheduler.trials, trials)
        interrupted = False
        if scheduler.remaining:
            train(loop)
            interrupted = loop.interrupted
        loop.close()
        if scheduler.exhausted:
            count = len(scheduler.suggested)
            self.say(f"the search space has only {count} configurations, and all were tried")
        if not interrupted and self.options.evaluate and self.study.budget.evaluation_seeds:
            interrupted = self.evaluate(train)
        return Outcome(interrupted, loop.late and scheduler.remaining > 0, self._failures())

    def _write_description(self) -> None:
        """Write `study.json` once; of a study that is continued, only a larger number of trials.

        Raises:
            UserError: if a study has appeared since the options were checked.
        """
        description = self.description()
        if self.folder.exists():
            if not (self.options.resume or self.options.extend):
                raise UserError(
                    f"another process has begun a study in {self.folder.path}; continue it with "
                    "--resume, or use a new --results"
                )
            description = self.folder.read_study()
            budget = description["study"]["budget"]
            if budget["trials"] == self.study.budget.trials:
                return
            budget["trials"] = self.study.budget.trials
            description["study"]["quotes"] = self.study.quotes
        write_atomically(self.folder.study, to_text(description, indent=2))

    def scheduler(self) -> TrialScheduler:
        """The state of the search, rebuilt from the records."""
        study = self.study
        scheduler = TrialScheduler(
            study.search.plan,
            study.resolved_baselines,
            study.budget.trials,
            study.seed,
            study.search.pruning,
        )
        scheduler.restore(self.folder.read_trial_specs(), self.folder.read_trials())
        return scheduler

    def evaluate(self, train: Train) -> bool:
        """Train the winner on the fresh seeds that are missing; whether it was interrupted."""
        complete = ranked(self.folder.read_trials(), self.study.selection)
        if not complete:
            self.say("no winner to train again: no trial completed with a number to select by")
            return False
        winner = complete[0]
        specs = {spec.number: spec for spec in self.folder.read_trial_specs()}
        spec = specs[winner.number]
        trained = {
            record.replicas[0].seed
            for record in self.folder.read_evaluation()
            if record.identity == winner.identity
        }
        missing = [
            TrialSpec(number, spec.baseline, spec.params, (seed,))
            for number, seed in enumerate(self.study.fresh_seeds)
            if seed not in trained
        ]
        if not missing:
            return False
        loop = self.trial_loop(FixedTrials(missing), len(missing), evaluation=True)
        train(loop)
        loop.close()
        return loop.interrupted

    def trial_loop(
        self,
        scheduler: Scheduler,
        trials: int,
        ended: Sequence[TrialRecord] = (),
        evaluation: bool = False,
    ) -> TrialLoop:
        """The loop over the trials of a scheduler, with the callbacks that store and show them.

        Args:
            scheduler: hands out the trials.
            trials: number of trials, those that have ended included.
            ended: trials of an earlier run.
            evaluation: whether the trials are the winner on fresh seeds.
        """
        study, options = self.study, self.options
        epochs = max(1, *study.epochs().values())
        title = "winner on fresh seeds" if evaluation else study.name
        has_best = study.chooses and study.selection != "random" and not evaluation
        callbacks: list[Callback] = [
            RecordWriter(self.folder, evaluation),
            TensorBoardCallback(study, self.folder, self.tasks, "evaluation-" * evaluation),
            ProgressBar(
                title=title,
                trials=trials - len(ended),
                epochs=epochs,
                records=ended,
                visible=options.progress,
                ranked=has_best,
            ),
        ]
        limit = None if evaluation else options.time_budget
        deadline = None if limit is None else time.monotonic() + 60 * limit
        return TrialLoop(study, scheduler, callbacks, self.tasks, deadline)

    def _failures(self) -> int:
        records = self.folder.read_trials() + self.folder.read_evaluation()
        return sum(record.state == "failed" for record in records)

    @contextmanager
    def backend(self) -> Iterator[Train]:
        """How trials are trained: in this process, or by Ray."""
        options = self.options
        if options.backend == "serial":
            yield self._train_serially
            return
        from tune_ad.execution.ray import runner

        resources = runner.Resources(
            self.concurrent, options.cpus, options.gpus or 0.0, options.address
        )
        with runner.cluster(resources):
            yield lambda loop: runner.run(loop, self.suite, resources, self.folder.ray)

    def _train_serially(self, loop: TrialLoop) -> None:
        try:
            serial.run(loop, self.suite, self.options.device, self.options.cpus)
        except KeyboardInterrupt:
            return  # `loop.interrupted` tells the caller

    def description(self) -> dict[str, Any]:
        """The content of `study.json`: what is run, on what, by which versions and machine."""
        options = self.options
        return {
            "schema": SCHEMA,
            "search": options.search,
            "ablation": options.ablate,
            "study": self.study.describe(),
            "tasks": [{**asdict(task), "title": task.title} for task in self.tasks],
            "data": {
                image_set.name: {
                    "about": image_set.about,
                    "train_images": len(image_set.train_images),
                    "test_images": len(image_set.test_images),
                }
                for image_set in self.image_sets
            },
            "seeds": list(self.study.seeds),
            "fresh_seeds": list(self.study.fresh_seeds),
            "changes": {
                name: list(value) if name == "classes" else value
                for name, value in options.changes.items()
                if value is not None
            },
            "evaluate": options.evaluate,
            **self._planned(),
            "backend": options.backend,
            "resources": {
                "cpus": options.cpus,
                "gpus": options.gpus or 0.0,
                "concurrent": self.concurrent,
            },
            "versions": versions(),
            "hardware": hardware(options.device),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def _planned(self) -> dict[str, Any]:
        """How many trials are random before the plan adapts, or how many each baseline has."""
        plan = self.study.search.plan
        if plan.traits.adapts:
            return {"startup": plan.startup(self.study.budget.trials)}
        planned = self.study.planned or ()
        return {"planned": dict(Counter(configuration.baseline for configuration in planned))}
