"""One call of the command line: from options to a study that is checked, run and evaluated.

Everything that can be wrong with the input is found in `prepare`, before Ray starts and before
anything is written.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch

from tune_ad import __version__, catalogue, data, serial
from tune_ad.conductor import Boards, Conductor, Observer, Progress, Recorder, Rerun, Source
from tune_ad.data import ImageSet, Task, class_tasks
from tune_ad.errors import UserError
from tune_ad.estimate import Cost, cost, image_sizes, measured_speed, relative_operations
from tune_ad.nets import ImageShape
from tune_ad.panel import Panel
from tune_ad.records import SCHEMA, StudyFolder, Suggestion, TrialRecord, jsonable, to_text
from tune_ad.records import write_atomically as write
from tune_ad.search import BUDGETS, Budget, Search, Study
from tune_ad.selection import RULES, ranked
from tune_ad.sweep import Sweep

RESULTS = Path("results")
OVERRIDES = ("trials", "epochs", "seeds", "classes", "train_images", "evaluation_seeds")


@dataclass(frozen=True)
class Options:
    """What the user asked for; None = the search's own value.

    Attributes:
        search: name of the search.
        budget: "auto", "quick", "standard" or "paper".
        changes: to the budget, by the names of its fields; classes as numbers or names.
        settings: parameters fixed by the user.
        selection: name of the rule that ranks trials.
        seed: of the study.
        resume: go on with the study in the folder.
        extend: more trials to add to it.
        time_budget: minutes after which no trial starts.
        evaluate: whether to train the winner again on fresh seeds.
        backend: "ray" or "serial".
        device: "auto", "cpu" or "cuda".
        concurrent: trials at a time; None = as many as fit.
        cpus: per trial.
        gpus: per trial; None = a quarter where there is a GPU.
        address: of a Ray cluster.
        data_root: folder of the data sets.
        results: folder of the studies.
        progress: whether to show the progress line.
    """

    search: str
    budget: str = "auto"
    changes: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    selection: str | None = None
    seed: int | None = None
    resume: bool = False
    extend: int = 0
    time_budget: float | None = None
    evaluate: bool = True
    backend: Literal["ray", "serial"] = "ray"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    concurrent: int | None = None
    cpus: int = 1
    gpus: float | None = None
    address: str = "local"
    data_root: str | None = None
    results: Path = RESULTS
    progress: bool = True


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
        study: the search under its budget.
        tasks: of the panel.
        image_sets: that the tasks name.
        folder: of the study.
        say: prints a line.
    """

    options: Options
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
        by_cpu = max(1, (os.cpu_count() or 1) // options.cpus)
        by_gpu = int(torch.cuda.device_count() / options.gpus) if options.gpus else by_cpu
        return max(1, min(by_cpu, by_gpu))

    def costs(self) -> dict[str, Cost]:
        """What the study would take under each budget, on this machine."""
        speeds = measured_speed(self.study, self.options.device)
        ratio = relative_operations(self.study)
        speed = next(iter(speeds.values()))
        budgets = {**self.study.search.budgets, self.study.budget_name: self.study.budget}
        return {
            name: cost(
                replace(self.study, budget=budget, budget_name=name),
                self._sizes(budget),
                speed,
                ratio,
                self.concurrent,
            )
            for name, budget in budgets.items()
        }

    def _sizes(self, budget: Budget) -> Any:  # noqa: ANN401
        source = self.image_sets[0]
        counts = torch.bincount(source.train_labels, minlength=len(source.classes))
        return image_sizes(
            budget, int(counts.float().mean()), len(source.test_images), len(source.classes)
        )

    def run(self) -> Outcome:
        """Run what is missing of the study, then the evaluation.

        Raises:
            UserError: if another process writes the folder, or no Ray cluster answers.
        """
        with self.backend() as train, self.folder.locked():
            if not self.folder.exists():
                write(self.folder.study, to_text(self.description(), indent=2))
            sweep = self.sweep()
            trials = self.folder.read_trials()
            search = self._conductor(sweep, sweep.trials, trials, evaluation=False)
            if sweep.remaining:
                train(search, self._panel(self.study.tests_trials), self.study.tests_trials)
            search.close()
            if sweep.exhausted:
                self.say(f"the space holds no more than {len(sweep.suggested)} configurations")
            interrupted = bool(search.running)
            if not interrupted and self.options.evaluate and self.study.budget.evaluation_seeds:
                interrupted = self.evaluate(train)
            return Outcome(interrupted, search.late, self._failures())

    def sweep(self) -> Sweep:
        """The state of the search, rebuilt from the records."""
        study = self.study
        sweep = Sweep(
            study.search.plan,
            study.arms,
            study.budget.trials,
            study.seed,
            study.search.early_stopping,
            study.budget.interval,
        )
        sweep.restore(self.folder.read_suggestions(), self.folder.read_trials())
        return sweep

    def evaluate(self, train: "Train") -> bool:
        """Train the winner on the fresh seeds that are missing; whether it was interrupted."""
        best = ranked(self.folder.read_trials(), self.study.selection)
        if not best:
            self.say("no trial can be evaluated: none is complete with a number to select by")
            return False
        winner = best[0]
        chosen = next(
            each for each in self.folder.read_suggestions() if each.number == winner.number
        )
        done = self.folder.read_evaluation()
        have = {r.replicas[0].seed for r in done if r.identity == winner.identity}
        missing = [seed for seed in self.study.fresh_seeds if seed not in have]
        if not missing:
            return False
        number = self.study.fresh_seeds.index
        again = [Suggestion(number(s), chosen.baseline, chosen.params, (s,)) for s in missing]
        conductor = self._conductor(Rerun(again), len(again), [], evaluation=True)
        train(conductor, self._panel(True), True)
        conductor.close()
        return bool(conductor.running)

    def _conductor(
        self, source: Source, trials: int, before: list[TrialRecord], evaluation: bool
    ) -> Conductor:
        study, options = self.study, self.options
        names = [task.name for task in self.tasks]
        epochs = max(each.config(study.shape, {}).epochs for each in study.baselines.values())
        title = "winner on fresh seeds" if evaluation else study.name
        missing = trials if evaluation else trials - len(before)
        observers: list[Observer] = [
            Recorder(self.folder, evaluation),
            Boards(study, self.folder, names, "evaluation-" if evaluation else ""),
            Progress(title, missing, epochs, before, options.progress),
        ]
        limit = None if evaluation else options.time_budget
        deadline = None if limit is None else time.monotonic() + 60 * limit
        return Conductor(study, source, observers, names, deadline)

    def _panel(self, test: bool) -> Panel:
        return Panel.prepare(
            self.image_sets, self.tasks, self.study.budget, self.study.seed, test
        )

    def _failures(self) -> int:
        records = self.folder.read_trials() + self.folder.read_evaluation()
        return sum(record.state == "failed" for record in records)

    @contextmanager
    def backend(self) -> "Iterator[Train]":
        """How trials are trained: in this process, or by Ray."""
        options = self.options
        if options.backend == "serial":
            yield lambda conductor, panel, test: _serially(
                conductor, panel, options.device, options.cpus, test
            )
            return
        from tune_ad import runner

        resources = runner.Resources(
            self.concurrent, options.cpus, options.gpus or 0.0, options.address
        )
        with runner.cluster(resources):
            yield lambda conductor, panel, test: runner.run(
                conductor, panel, resources, test, self.folder.ray
            )

    def description(self) -> dict[str, Any]:
        """What `study.json` holds."""
        return {
            "schema": SCHEMA,
            "study": self.study.describe(),
            "tasks": [asdict(task) for task in self.tasks],
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
            "backend": self.options.backend,
            "versions": versions(),
            "hardware": hardware(self.options.device),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }


Train = Callable[[Conductor, Panel, bool], None]


def _serially(conductor: Conductor, panel: Panel, device: str, threads: int, test: bool) -> None:
    try:
        serial.run(conductor, panel, device, threads, test)
    except KeyboardInterrupt:
        return  # the trial stays in `conductor.running`, by which the caller knows


def prepare(options: Options, say: Callable[[str], None] = print) -> Session:
    """Check the options against the search, the data and the machine.

    Raises:
        UserError: for whatever is wrong, in one line; nothing has been written.
    """
    search, alias = catalogue.find(options.search)
    folder = StudyFolder(Path(options.results) / options.search)
    stored = _stored(folder, options)
    options = _with_machine(options)
    root = data.data_root(options.data_root)
    data_set = data.find(alias, root)
    data.check(alias, root)
    name = stored["budget_name"] if stored else _budget_name(options)
    budget = _budget(search, name, options, data_set, stored)
    if not data.locate(alias, root):
        say(f"{data_set.name} is not in {root}; fetching it")
    image_set = data.load(alias, root)
    study = Study(
        options.search,
        search,
        image_set.name,
        ImageShape(*image_set.shape),
        name,
        budget,
        options.selection or (stored["selection"] if stored else search.selection),
        options.seed if options.seed is not None else (stored["seed"] if stored else 0),
        options.settings or (stored["settings"] if stored else {}),
    )
    _check_study(study)
    if stored:
        _check_unchanged(study, stored, folder)
    tasks = class_tasks(image_set, budget.classes)
    session = Session(options, study, tuple(tasks), (image_set,), folder, say)
    session._panel(study.tests_trials)
    return session


def _stored(folder: StudyFolder, options: Options) -> dict[str, Any] | None:
    """What the folder's study was asked, when it is to go on.

    Raises:
        UserError: if there is a study and the user does not resume, or the other way round.
    """
    going_on = options.resume or options.extend
    if folder.exists() and not going_on:
        done = len(folder.read_trials())
        budget = folder.read_study()["study"]["budget_name"]
        raise UserError(
            f"{folder.path} already holds a study (budget {budget}, {done} trials ended); go on "
            "with --resume, report it with --report, or name another --results"
        )
    if not going_on:
        return None
    study: dict[str, Any] = folder.read_study()["study"]
    if options.budget not in ("auto", study["budget_name"]):
        raise UserError(
            f"{folder.path} was run with --budget {study['budget_name']}, not {options.budget}; "
            "a study never mixes budgets: name another --results"
        )
    return study


def _with_machine(options: Options) -> Options:
    """The options with "auto" replaced by what the machine has.

    Raises:
        UserError: if more is asked than there is.
    """
    gpus = torch.cuda.device_count()
    remote = options.address != "local"
    if options.device == "cuda" and not gpus and not remote:
        raise UserError("--device cuda: PyTorch finds no GPU here; use --device cpu")
    wanted = options.gpus or 0.0
    if wanted > gpus and not remote:
        raise UserError(
            f"--gpus-per-trial {wanted:g}: this machine has {gpus}; lower it, or name a cluster "
            "with --address"
        )
    cpus = os.cpu_count() or 1
    if options.cpus > cpus and not remote:
        raise UserError(f"--cpus-per-trial {options.cpus}: this machine has {cpus}; lower it")
    device = options.device
    if device == "auto":
        device = "cuda" if gpus or wanted else "cpu"
    if options.gpus is None:
        options = replace(options, gpus=0.25 if device == "cuda" else 0.0)
    return replace(options, device=device)


def _budget_name(options: Options) -> str:
    if options.budget != "auto":
        return options.budget
    return "standard" if options.device == "cuda" else "quick"


def _budget(
    search: Search,
    name: str,
    options: Options,
    data_set: data.DataSet,
    stored: Mapping[str, Any] | None,
) -> Budget:
    """The budget with the user's changes; a stored study keeps its own.

    Raises:
        UserError: if there is no such budget or class, or a value is out of range.
    """
    if name not in BUDGETS:
        raise UserError(f"--budget must be auto, {', '.join(BUDGETS)}; got {name!r}")
    budget = search.budgets[name]
    if stored:
        old = dict(stored["budget"])
        old["classes"] = None if old["classes"] is None else tuple(old["classes"])
        budget = Budget(**old)
    changes = {key: value for key, value in options.changes.items() if value is not None}
    if "classes" in changes:
        named = class_tasks(data_set, changes["classes"])
        changes["classes"] = tuple(int(task.normal_class or 0) for task in named)
    for key, value in changes.items() if stored else ():
        if key != "trials" and value != getattr(budget, key):
            raise UserError(
                f"the study was begun with {key} {getattr(budget, key)}, not {value}; leave the "
                "option out, or name another --results"
            )
    changed: Budget = replace(budget, **changes)
    if stored and changed.trials < budget.trials:
        raise UserError(
            f"the study was begun with {budget.trials} trials; --trials {changed.trials} would "
            "take some away: leave the option out"
        )
    return replace(changed, trials=changed.trials + options.extend)


def _check_study(study: Study) -> None:
    """Refuse settings, spaces and networks that cannot be.

    Raises:
        UserError: naming the fault.
    """
    if study.selection not in RULES:
        raise UserError(f"--selection must be one of {sorted(RULES)}, got {study.selection!r}")
    study.check_selection(study.budget.trials)
    for baseline in study.baselines.values():
        with torch.device("meta"):
            baseline.detector(baseline.config(study.shape, {}), study.shape)
    assert study.arms


def _check_unchanged(study: Study, stored: Mapping[str, Any], folder: StudyFolder) -> None:
    """Refuse to go on with a study whose search means something else today.

    Raises:
        UserError: naming what has changed.
    """
    now = json.loads(json.dumps(jsonable(study.describe())))
    before = {**stored, "budget": {**stored["budget"], "trials": now["budget"]["trials"]}}
    changed = [key for key in now if now[key] != before.get(key)]
    if changed:
        raise UserError(
            f"{folder.path} cannot be resumed: {', '.join(changed)} of the search differ from what "
            "it was begun with; name another --results"
        )


def versions() -> dict[str, str]:
    """Of this project (with its commit, if it is a checkout) and of what computes the numbers."""
    names = ("torch", "ray", "optuna", "numpy", "scikit-learn", "tensorboard")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"tune_ad": __version__, "commit": _commit(), "python": platform.python_version()} | found


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()


def hardware(device: str) -> dict[str, Any]:
    """The machine that trains."""
    gpu = torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else ""
    return {
        "device": device,
        "gpu": gpu,
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "platform": sys.platform,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
