"""What the command line prints before and after a study."""

import shlex
from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution

from tune_ad.app.cost import Size
from tune_ad.app.options import OPTIONS, Options, defaults
from tune_ad.app.parser import program
from tune_ad.app.session import Outcome, Session
from tune_ad.search.budgets import BUDGETS
from tune_ad.search.declaration import Baseline
from tune_ad.search.selection import RULES


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(95), duration(5000), duration(2e6)
    ('1.6 min', '1.4 h', '23.1 days')
    """
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def opening(session: Session) -> str:
    """What will be run, and how to watch it."""
    study, options = session.study, session.options
    reason = ""
    if options.budget == "auto" and not session.folder.exists():
        reason = " (a GPU was found)" if options.device == "cuda" else " (no GPU was found)"
    ended = len(session.folder.read_trials())
    continued = f", of which {_count(ended, 'trial')} have run" if ended else ""
    return "\n".join(
        [
            f"{study.name}: {_ablation(session)}{_size(session.size())}{continued}; budget "
            f"{study.budget_name}{reason}; {_count(session.concurrent, 'trial')} at a time",
            _selection(session),
            f"watch: {_tensorboard(session)}",
        ]
    )


def plan(session: Session) -> str:
    """What a study would run: space, tasks, number of models, estimated time and disk space."""
    study = session.study
    data = f"{study.data_set}, images {'x'.join(map(str, study.shape))}"
    lines = [
        f"{study.name}: {_ablation(session)}{data}",
        f"tasks: {', '.join(task.title for task in session.tasks)}; seeds: "
        f"{', '.join(map(str, study.seeds))}",
        f"plan: {study.search.plan.traits.title}",
        _selection(session),
        *_protocol(session),
        *(f"{images.name}: {images.about}" for images in session.image_sets if images.about),
    ]
    for baseline in study.baselines.values():
        lines += _space(baseline)
    lines += _budgets(session)
    return "\n".join(
        [*lines, f"nothing was run; a study would be written to {session.folder.path}"]
    )


def closing(session: Session, outcome: Outcome) -> str:
    """What was cut short, what failed, and what to look at next."""
    lines = []
    resume = f"{program()} --search {_again(session.options)}"
    if outcome.interrupted:
        lines.append(f"interrupted; continue with: {resume}")
    elif outcome.late:
        lines.append(f"the time budget is used up; continue with: {resume}")
    lines += _warnings(session)
    if outcome.failed:
        lines.append(f"{_count(outcome.failed, 'trial')} failed; the report gives the reasons")
    page = shlex.quote(str(session.folder.path / "report.html"))
    return "\n".join([*lines, f"next: open {page}; {_tensorboard(session)}"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(size: Size) -> str:
    return f"{_count(size.trials, 'trial')}, {_count(size.models, 'model')}"


def _ablation(session: Session) -> str:
    if session.options.ablate is None:
        return ""
    return f"ablation of {session.options.search}, {session.study.search.plan.traits.title}; "


def _tensorboard(session: Session) -> str:
    return f"tensorboard --logdir {shlex.quote(str(session.folder.tensorboard))}"


def _selection(session: Session) -> str:
    """How trials are ranked, or that none is selected, and on which weights they are tested."""
    study = session.study
    tested = "at its last epoch"
    if study.search.patience:
        tested = "with its best weights"
    if not study.selects:
        reason = "nothing is anomalous" if study.search.whole else "nothing is held out"
        return f"No trial is selected: {reason}. Each trial is tested {tested}."
    if not study.chooses:
        return f"Every configuration is tested {tested} and reported; none is selected."
    ranked = f"Trials are ranked by {RULES[study.selection].title}."
    if study.selection == "oracle":
        return ranked
    return f"{ranked} Test scores are recorded, never used to choose."


def _protocol(session: Session) -> list[str]:
    """Early stopping and the claim, where the search has them."""
    search, lines = session.study.search, []
    if search.patience:
        lines.append(
            "early stopping: a model stops once its loss of held-out normal images has not "
            f"fallen for {search.patience} reports; its best weights are tested"
        )
    if search.claim:
        lines.append(
            f"claim: {search.claim.kind}; the report judges it by rules fixed before the run"
        )
    return lines


def _budgets(session: Session) -> list[str]:
    """What each budget would take, and the one that is chosen."""
    study, budget, costs = session.study, session.study.budget, session.costs()
    lines = [
        f"{'*' if name == study.budget_name else ' '} {name}: {_size(cost.size)}, about "
        f"{duration(cost.total)} on this machine with {session.concurrent} at a time, "
        f"{cost.bytes / 1e6:.0f} MB"
        for name, cost in sorted(costs.items(), key=lambda item: BUDGETS.index(item[0]))
    ]
    epochs = " or ".join(map(str, sorted(set(study.epochs().values()))))
    again = "the winner is not trained again"
    if budget.evaluation_seeds and session.options.evaluate:
        again = f"the winner is trained again on {_count(budget.evaluation_seeds, 'fresh seed')}"
    images = f"{budget.train_images or 'all'} training images per model"
    return ["budgets:", *lines, f"budget {study.budget_name}: {epochs} epochs, {images}; {again}"]


def _space(baseline: Baseline) -> list[str]:
    """The search space of a baseline, a parameter per line."""
    lines = [f"search space of {baseline.title}:"]
    lines += [f"    {name}: {_range(values)}" for name, values in baseline.space.items()]
    lines += [
        f"    {name}, when scoring: {_listed(values)}"
        for name, values in baseline.score_space.items()
    ]
    return lines


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {_listed(distribution.choices)}"
    scale = ", logarithmic" if distribution.log else ""
    step = f", step {distribution.step}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low} to {distribution.high}{step}{scale}"


def _again(options: Options) -> str:
    """The search with the options that a resume needs again."""
    words = [options.search, *(["--ablate", options.ablate] if options.ablate else []), "--resume"]
    for name, default in defaults().items():
        value = getattr(options, name)
        if OPTIONS[name].kept and value != default:
            words += [OPTIONS[name].flag, str(value)]
    return shlex.join(words)


def _warnings(session: Session) -> list[str]:
    """What detectors warn of in trained models, each warning once with its trials."""
    records = session.folder.read_trials() + session.folder.read_evaluation()
    warned: dict[str, set[int]] = {}
    for record in records:
        for warning in record.warnings:
            warned.setdefault(warning.text, set()).add(record.number)
    return [
        f"warning in trials {', '.join(map(str, sorted(numbers)))}: {text}"
        for text, numbers in warned.items()
    ]
