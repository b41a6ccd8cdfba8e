"""A study that is ready to run: trains what is missing, then the winner on fresh seeds."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from tune_ad.app.cost import Cost, Sizes, cost, image_sizes, measured_speed, relative_operations
from tune_ad.app.options import Options
from tune_ad.app.provenance import hardware, versions
from tune_ad.data import ImageSet, Task
from tune_ad.errors import UserError
from tune_ad.execution import serial
from tune_ad.execution.callbacks import Callback, ProgressBar, RecordWriter, TensorBoardCallback
from tune_ad.execution.loop import FixedTrials, Scheduler, TrialLoop
from tune_ad.execution.machine import Machine
from tune_ad.search.budgets import Budget
from tune_ad.search.plans import Optuna
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.search.selection import ranked
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text, write_atomically
from tune_ad.storage.records import SCHEMA, TrialRecord, TrialSpec
from tune_ad.training.suite import Suite

Train = Callable[[TrialLoop, Suite], None]


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
        tasks: of the suite.
        image_sets: that the tasks name.
        folder: of the study.
        say: prints a line.
    """

    options: Options
    machine: Machine
    study: Study
    tasks: tuple[Task, ...]
    image_sets: tuple[ImageSet, ...]
    folder: StudyFolder
    say: Callable[[str], None]

    @property
    def concurrent(self) -> int:
        """Trials at a time."""
        options = self.options
        if options.backend == "serial":
            return 1
        if options.concurrent is not None:
            return options.concurrent
        return self.machine.slots(options.cpus, options.gpus or 0.0)

    def costs(self) -> dict[str, Cost]:
        """What the study would take under each budget, on this machine."""
        speeds = measured_speed(self.study, self.options.device)
        alias = self.study.search.names()[self.options.search]
        budgets = self.study.search.budgets_for(alias)
        budgets[self.study.budget_name] = self.study.budget
        at_a_time = min(self.concurrent, self.machine.slots(1, self.options.gpus or 0.0))
        costs = {}
        for name, budget in budgets.items():
            study = replace(self.study, budget=budget, budget_name=name)
            ratio = relative_operations(study, self.study)
            costs[name] = cost(study, self._sizes(budget), speeds, ratio, at_a_time)
        return costs

    def _sizes(self, budget: Budget) -> Sizes:
        source, *others = self.image_sets
        classes = 1 if self.study.search.of_whole_sets else len(source.classes)
        each = len(source.train_images) // classes
        outsiders = [len(each.test_images) for each in others]
        return image_sizes(budget, each, len(source.test_images), classes, outsiders)

    def run(self) -> Outcome:
        """Run what is missing of the study, then the evaluation.

        Raises:
            UserError: if another process writes the folder, or no Ray cluster answers.
        """
        with self.folder.locked():
            self._describe()  # before the backend starts, so that an interruption can be resumed
            with self.backend() as train:
                return self._trained(train)

    def _trained(self, train: Train) -> Outcome:
        scheduler = self.scheduler()
        trials = self.folder.read_trials()
        search = self._conductor(scheduler, scheduler.trials, trials, evaluation=False)
        interrupted = False
        if scheduler.remaining:
            train(search, self.suite())
            interrupted = search.interrupted
        search.close()
        if scheduler.exhausted:
            self.say(f"the space holds no more than {len(scheduler.suggested)} configurations")
        if not interrupted and self.options.evaluate and self.study.budget.evaluation_seeds:
            interrupted = self.evaluate(train)
        return Outcome(interrupted, search.late and scheduler.remaining > 0, self._failures())

    def _describe(self) -> None:
        """Write what is asked, once; of a study that goes on, only a larger number of trials.

        Raises:
            UserError: if a study has appeared since the options were checked.
        """
        description = self.description()
        if self.folder.exists():
            if not (self.options.resume or self.options.extend):
                raise UserError(
                    f"another process has begun a study in {self.folder.path}; go on with "
                    "--resume, or name another --results"
                )
            description = self.folder.read_study()
            asked = description["study"]["budget"]
            if asked["trials"] == self.study.budget.trials:
                return
            asked["trials"] = self.study.budget.trials
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
        best = ranked(self.folder.read_trials(), self.study.selection)
        if not best:
            self.say("no trial can be evaluated: none is complete with a number to select by")
            return False
        winner = best[0]
        chosen = next(
            each for each in self.folder.read_trial_specs() if each.number == winner.number
        )
        done = self.folder.read_evaluation()
        have = {r.replicas[0].seed for r in done if r.identity == winner.identity}
        missing = [seed for seed in self.study.fresh_seeds if seed not in have]
        if not missing:
            return False
        number = self.study.fresh_seeds.index
        again = [TrialSpec(number(s), chosen.baseline, chosen.params, (s,)) for s in missing]
        loop = self._conductor(FixedTrials(again), len(again), [], evaluation=True)
        train(loop, self.suite())
        loop.close()
        return loop.interrupted

    def _conductor(
        self, scheduler: Scheduler, trials: int, before: list[TrialRecord], evaluation: bool
    ) -> TrialLoop:
        study, options = self.study, self.options
        names = [task.name for task in self.tasks]
        epochs = max(1, *study.epochs().values())
        title = "winner on fresh seeds" if evaluation else study.name
        ranked = study.chooses and study.selection != "random" and not evaluation
        missing = trials if evaluation else trials - len(before)
        callbacks: list[Callback] = [
            RecordWriter(self.folder, evaluation),
            TensorBoardCallback(
                study, self.folder, self.tasks, "evaluation-" if evaluation else ""
            ),
            ProgressBar(title, missing, epochs, before, options.progress, ranked),
        ]
        limit = None if evaluation else options.time_budget
        deadline = None if limit is None else time.monotonic() + 60 * limit
        return TrialLoop(study, scheduler, callbacks, names, deadline)

    def suite(self) -> Suite:
        """The tasks with the images that they use.

        Raises:
            UserError: if a class has too few images.
        """
        return Suite.prepare(self.image_sets, self.tasks, self.study.budget, self.study.seed)

    def _failures(self) -> int:
        records = self.folder.read_trials() + self.folder.read_evaluation()
        return sum(record.state == "failed" for record in records)

    @contextmanager
    def backend(self) -> Iterator[Train]:
        """How trials are trained: in this process, or by Ray."""
        options = self.options
        if options.backend == "serial":
            yield lambda loop, suite: _serially(loop, suite, options.device, options.cpus)
            return
        from tune_ad.execution.ray import runner

        resources = runner.Resources(
            self.concurrent, options.cpus, options.gpus or 0.0, options.address
        )
        with runner.cluster(resources):
            yield lambda loop, suite: runner.run(loop, suite, resources, self.folder.ray)

    def description(self) -> dict[str, Any]:
        """What `study.json` holds."""
        options = self.options
        return {
            "schema": SCHEMA,
            "search": options.search,
            "ablation": options.ablate,
            "study": self.study.describe(),
            "tasks": [{**asdict(task), "title": task.title} for task in self.tasks],
            "data": {
                each.name: {
                    "about": each.about,
                    "train_images": len(each.train_images),
                    "test_images": len(each.test_images),
                }
                for each in self.image_sets
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
        """How many trials are random before the plan adapts; else how many each baseline has."""
        study = self.study
        plan, trials = study.search.plan, study.budget.trials
        if isinstance(plan, Optuna):
            return {"startup": plan.startup(trials)}
        proposals = plan.all_configurations(study.resolved_baselines, study.seed, trials) or ()
        return {"planned": dict(Counter(each.baseline for each in proposals))}


def _serially(loop: TrialLoop, suite: Suite, device: str, threads: int) -> None:
    try:
        serial.run(loop, suite, device, threads)
    except KeyboardInterrupt:
        return  # `loop.interrupted` tells the caller
