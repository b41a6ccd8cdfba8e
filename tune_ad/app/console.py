"""What the command line says before and after a study."""

from optuna.distributions import BaseDistribution, CategoricalDistribution

from tune_ad.app.cost import Cost
from tune_ad.app.options import RESULTS, Options
from tune_ad.app.session import Outcome, Session
from tune_ad.search.ablation import ABLATIONS
from tune_ad.search.declaration import Baseline
from tune_ad.search.selection import describe


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(95), duration(5000), duration(2e6)
    ('1.6 min', '1.4 h', '23.1 days')
    """
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def opening(session: Session) -> str:
    """What will be run, why that budget, what it and the others would take."""
    costs = session.costs()
    study, options = session.study, session.options
    own = costs.pop(study.budget_name)
    why = ""
    if options.budget == "auto" and not session.folder.exists():
        why = " (a GPU was found)" if options.device == "cuda" else " (no GPU was found)"
    others = ", ".join(f"{name} about {duration(each.seconds)}" for name, each in costs.items())
    ended = len(session.folder.read_trials())
    going_on = f", {ended} of them have ended" if ended else ""
    lines = [
        f"{study.name}: {_ablation(options)}budget {study.budget_name}{why}, "
        f"{_size(own)}{going_on}; "
        f"about {duration(own.seconds)} here, {others}",
        _selection(session),
        f"watch: tensorboard --logdir {session.folder.tensorboard}",
    ]
    lines += [f"{each.name}: {each.about}" for each in session.image_sets if each.about]
    return "\n".join(lines)


def _ablation(options: Options) -> str:
    if options.ablate is None:
        return ""
    return f"ablation of {options.search}, {ABLATIONS[options.ablate].about}; "


def _size(cost: Cost) -> str:
    trials = "1 trial" if cost.trials == 1 else f"{cost.trials} trials"
    return f"{trials}, {cost.models} models"


def _selection(session: Session) -> str:
    study = session.study
    tested = "each trial is tested at its last epoch"
    if study.search.patience:
        tested = "each trial is tested with its best weights"
    if not study.selects:
        why = "nothing is anomalous" if study.search.whole else "nothing is held out"
        return f"selection: none, {why}; {tested}"
    if not study.chooses:
        return f"selection: none, nothing is chosen between the configurations; {tested}"
    said = f"selection: {describe(study.selection)}"
    if study.selection == "oracle":
        return said
    return f"{said} Each trial is tested, too, which selects nothing."


def plan(session: Session) -> str:
    """What a study would run: space, suite, trials, models, estimated time and disk."""
    study, budget = session.study, session.study.budget
    lines = [
        f"{study.name}: {_ablation(session.options)}{study.data_set}, "
        f"images {'x'.join(map(str, study.shape))}",
        f"suite: {', '.join(task.name for task in session.tasks)}; seeds {list(study.seeds)}",
        f"plan: {type(study.search.plan).__name__}; {_selection(session)}",
    ]
    if patience := study.search.patience:
        lines.append(
            f"patience: a model is done after {patience} reports without a lower loss of held-out "
            "normals; its best weights are tested"
        )
    if study.search.claim:
        lines.append(f"claim: {study.search.claim['kind']}, judged by the rule in the report")
    lines += [f"{each.name}: {each.about}" for each in session.image_sets if each.about]
    for baseline in study.baselines.values():
        lines += _space(baseline)
    for name, each in session.costs().items():
        mark = "*" if name == study.budget_name else " "
        lines.append(
            f"{mark} {name}: {_size(each)}, about {duration(each.seconds)} here with "
            f"{session.concurrent} at a time, {each.bytes / 1e6:.0f} MB"
        )
    fresh = f"{budget.evaluation_seeds} fresh seeds for the winner"
    lines.append(
        f"budget {study.budget_name}: {_epochs(session)} epochs, "
        f"{budget.train_images or 'all'} training images a model, "
        + (fresh if budget.evaluation_seeds else "no winner is trained again")
    )
    lines.append(f"would be written to {session.folder.path}; nothing was run")
    return "\n".join(lines)


def _epochs(session: Session) -> str:
    return " or ".join(map(str, sorted(set(session.study.epochs().values()))))


def _space(baseline: Baseline) -> list[str]:
    lines = [f"{baseline.title}:"]
    lines += [f"    {name}: {_range(each)}" for name, each in baseline.space.items()]
    lines += [
        f"    {name}, when scoring: {', '.join(map(str, values))}"
        for name, values in baseline.score_space.items()
    ]
    return lines


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return "one of " + ", ".join(map(str, distribution.choices))
    scale = ", logarithmic" if distribution.log else ""
    step = f", step {distribution.step}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low} to {distribution.high}{step}{scale}"


def _same_place(options: Options) -> str:
    """The options that a resume needs again."""
    given = {
        "--results": str(options.results) if options.results != RESULTS else None,
        "--data-root": options.data_root,
        "--backend": options.backend if options.backend != "ray" else None,
        "--address": options.address if options.address != "local" else None,
    }
    return "".join(f" {flag} {value}" for flag, value in given.items() if value)


def _warnings(session: Session) -> list[str]:
    """What detectors warn of, each warning once with its trials."""
    records = session.folder.read_trials() + session.folder.read_evaluation()
    warned: dict[str, list[int]] = {}
    for record in records:
        for warning in record.warnings:
            warned.setdefault(warning.text, []).append(record.number)
    return [
        f"warning in trials {', '.join(map(str, sorted(set(numbers))))}: {text}"
        for text, numbers in warned.items()
    ]


def closing(session: Session, outcome: Outcome) -> str:
    """How to look at the study and what is left to do."""
    lines = [f"TensorBoard: tensorboard --logdir {session.folder.tensorboard}"]
    options = session.options
    ablate = f" --ablate {options.ablate}" if options.ablate else ""
    again = f"python run.py --search {options.search}{ablate} --resume{_same_place(options)}"
    if outcome.interrupted:
        lines.append(f"interrupted; go on with: {again}")
    elif outcome.late:
        lines.append(f"the time budget ran out; go on with: {again}")
    lines += _warnings(session)
    if outcome.failed:
        lines.append(f"{outcome.failed} trials failed; the report names the reasons")
    return "\n".join(lines)
