"""The lines that the command line prints before and after a study."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tune_ad.app.command_line.parser import going_on, program, resume_command
from tune_ad.app.estimates.cost import kept_bytes
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.app.estimates.remaining import progress
from tune_ad.app.session import Outcome, Session
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import BUDGETS
from tune_ad.search.checks.shortfalls import single_changes
from tune_ad.search.distributions import range_text
from tune_ad.selection import RULES
from tune_ad.storage.budget import restrictions
from tune_ad.storage.kept_models import KEEP_MODELS
from tune_ad.storage.precision import AUTO, FLOAT32, in_words
from tune_ad.training.replicas.paths import bfloat16_is_faster, why_float32
from tune_ad.wording import count, duration, either


def opening(session: Session) -> str:
    """The first lines of a run: how many models it trains, and how to watch it."""
    study, options = session.study, session.options
    if session.is_complete:
        return (
            f"{study.name}: this study is complete ({progress(session.folder)}). Nothing is "
            "trained; its report is written again."
        )
    reason = ""
    if options.budget == "auto" and session.begins:
        reason = " (a GPU was found)" if options.device == "cuda" else " (no GPU was found)"
    done = "" if session.begins else f" ({progress(session.folder)})"
    return "\n".join(
        [
            f"{study.name}: {_ablation(session)}{_size(session)}{done}",
            *_repeated(session),
            *_raised_seeds(session),
            *_shortfalls(session),
            *_small_space(session),
            f"budget {study.budget_name}{reason}, {_parallel(session)}",
            *([session.gpu_line] if session.gpu_line else []),
            _selection(session),
            f"each model: {_each_model(session)}",
            *_precision(session),
            *_kept(session),
            f"watch: {_tensorboard(session)}",
            *(f"log: {place}" for place in session.tracking.places),
        ]
    )


def plan(session: Session) -> str:
    """What a study would train: space, tasks, number of models, estimated time and disk space."""
    study = session.study
    data = f"{study.data_set}, images {'x'.join(map(str, study.shape))}"
    seeds = count(len(study.seeds), "seed")
    lines = [
        f"{study.name}: {_ablation(session)}{data}",
        f"tasks: {', '.join(task.title for task in session.tasks)}; {seeds} per task and trial",
        f"plan: {study.search.plan.traits.title}",
        *_small_space(session),
        _selection(session),
        *_precision(session),
        *_protocol(session),
        *_raised_seeds(session),
        *_shortfalls(session),
        *(f"{source.name}: {source.about}" for source in session.sources if source.about),
    ]
    for baseline in study.baselines.values():
        lines += _space(baseline)
    lines += _budgets(session)
    folder = session.folder
    lines.append(f"dry run: nothing was trained; the study would be written to {folder.path}")
    if session.begins and folder.exists():
        lines[-1] = (
            f"dry run: nothing was trained. {folder.path} already contains a study "
            f"({progress(folder)}); a new one needs another --results"
        )
    return "\n".join(lines)


def closing(session: Session, outcome: Outcome) -> str:
    """The last lines of a run: interruptions, failures, and how to open the report."""
    lines = []
    resume = going_on(session.options)
    if outcome.fault:
        lines.append(f"error: {outcome.fault}; then {resume}")
    elif outcome.interrupted:
        lines.append(f"interrupted; {resume}")
    elif outcome.out_of_time:
        lines.append(f"the time budget is used up; {resume}")
    lines += _warnings(session)
    if outcome.failed:
        lines.append(
            f"{count(outcome.failed, 'trial')} failed; the report gives the reasons; "
            "--retry-failed trains failed trials again"
        )
    elif not lines and _is_left_untested(session):
        lines.append(
            "the winner was not trained again on fresh seeds (--no-evaluation); that is done "
            f"later by: {resume_command(replace(session.options, evaluate=True))}"
        )
    page = shlex.quote(str(session.folder.path / "report.html"))
    best = session.folder.best
    if best.is_dir():
        example = shlex.join(["--score", str(best), "--input", "IMAGES", "--output", "scores.csv"])
        lines.append(f"score new images: {program()} {example}")
    return "\n".join([*lines, f"next: open {page}; {_tensorboard(session)}"])


def _is_left_untested(session: Session) -> bool:
    """Whether a winner is known whose final test is left out by --no-evaluation."""
    return (
        not session.options.evaluate and session.study.chooses and bool(session.study.fresh_seeds)
    )


def _size(session: Session) -> str:
    by_class = not session.study.search.of_whole_sets
    return Pricing(session).size().in_words(is_by_class=by_class)


def _repeated(session: Session) -> list[str]:
    return [f"trained again: {count(session.repeated, 'failed trial')}"] * bool(session.repeated)


def _parallel(session: Session) -> str:
    if session.concurrent == 1:
        return "one trial at a time"
    return f"{session.concurrent} trials in parallel"


def _shortfalls(session: Session) -> list[str]:
    """A line on each question that the study is too small to answer."""
    return [f"too small: {sentence}" for sentence in session.shortfalls]


def _raised_seeds(session: Session) -> list[str]:
    """A line if an ablation has more seeds than its budget, so that a change is testable."""
    seeds = session.study.budget.seeds
    if not (session.begins and session.options.chooses_seeds) or seeds == session.least_seeds:
        return []
    changes = count(single_changes(session.study), "change")
    return [
        f"{count(seeds, 'seed')}, the fewest with which one of {changes} can be significant "
        f"(--seeds {session.least_seeds} only ranks them, with "
        f"{1 - session.least_seeds / seeds:.0%} fewer models)"
    ]


def _small_space(session: Session) -> list[str]:
    """A line if the search space has fewer configurations than trials were asked for."""
    asked, trials = session.asked_trials, session.study.trials
    is_meant = session.study.search.plan.traits.adapts or session.options.changes.get("trials")
    if asked <= trials or not is_meant:
        return []
    runs = f"{count(trials, 'trial')} instead of {asked}"
    return [f"the search space has only {count(trials, 'configuration')}, so it runs {runs}"]


def _ablation(session: Session) -> str:
    if session.options.ablate is None:
        return ""
    return f"ablation of {session.options.search}, {session.study.search.plan.traits.title}; "


def _kept(session: Session) -> list[str]:
    """A line on the models that will be kept, with their disk space, or that none will be."""
    study = session.study
    if study.chooses and study.keep_models != "none" and not study.fresh_seeds:
        return [
            "kept models: none, because the winner is not trained on fresh seeds "
            "(--evaluation-seeds 3 keeps it, with a threshold)"
        ]
    size = kept_bytes(study, Pricing(session).left())
    if not size or not study.chooses:
        return []
    which = KEEP_MODELS[study.keep_models]
    return [
        f"kept models: {which}, at most {size / 1e6:.1f} MB, in {session.folder.best} "
        "(--keep-models none turns this off)"
    ]


def _tensorboard(session: Session) -> str:
    return f"tensorboard --logdir {shlex.quote(str(session.folder.tensorboard))}"


def _selection(session: Session) -> str:
    """One or two sentences on how a trial is selected, and which weights are tested."""
    study = session.study
    tested = "at its last epoch"
    if study.search.patience:
        tested = "with its best weights"
    if not study.selects:
        reason = "there are no validation images"
        if study.search.whole:
            reason = "the task has no anomalies"
        elif study.budget.seeds < RULES[study.selection].seeds:
            reason = f"{study.selection} compares several seeds of a configuration"
        return f"No trial is selected, because {reason}. Each trial is tested {tested}."
    if not study.chooses:
        return f"Every configuration is tested {tested} and reported; none is selected."
    if study.trials == 1 and study.quotes == "winner":
        return "The only trial is trained again on fresh seeds and then tested."
    ranked = f"Trials are ranked by {RULES[study.selection].title}."
    if study.selection == "oracle":
        return ranked
    return f"{ranked} Test scores are recorded, but never used to select."


def _precision(session: Session) -> list[str]:
    """Lines on the precision of training, and on the reason if "auto" chose float32."""
    words = in_words(session.study.precision)
    chosen = session.begins and session.options.precision == AUTO
    lines = []
    if words != FLOAT32:
        lines = [f"precision: {words}" + " (--precision float32 turns this off)" * chosen]
    return [*lines, *_float32(session)] if chosen else lines


def _float32(session: Session) -> Iterator[str]:
    """The baselines that "auto" trains in float32, a line per reason."""
    study, device = session.study, session.options.device
    is_faster = bfloat16_is_faster(device)
    reasons: dict[str, list[str]] = {}
    for name, precision in study.precision.items():
        detector = study.baselines[name].detector
        if precision == FLOAT32 and (why := why_float32(detector, study.shape, is_faster, device)):
            reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        of = "" if len(names) == len(study.precision) else f" for {', '.join(names)}"
        yield f"precision: float32{of}, because {why}"


def _each_model(session: Session) -> str:
    """What the budget gives each model: epochs, images, and values that it restricts."""
    study = session.study
    numbers = [number for number in study.epochs_tried() if number] or [0]
    epochs = either([*map(str, numbers[:-1]), count(numbers[-1], "epoch")])
    known = {name for b in study.baselines.values() for name in b.detector.Config.rules()}
    values = {name: (value,) for name, value in study.budget.settings.items()}
    free = known - study.settings.keys() - {"epochs"}
    limited = restrictions({**values, **study.budget.only}, free)
    return ", ".join([epochs, _training_images(session), *limited])


def _protocol(session: Session) -> list[str]:
    """Lines on early stopping and on the claim, if the search has them."""
    search, lines = session.study.search, []
    if search.patience:
        lines.append(
            "early stopping: a model stops when its validation loss has not decreased for "
            f"{count(search.patience, 'evaluation')}; its best weights are tested"
        )
    if search.claim:
        lines.append(
            f"claim: {search.claim.kind}; the report gives a verdict by rules fixed before the run"
        )
    return lines


def _budgets(session: Session) -> list[str]:
    """The estimated cost of each budget (* = the one in use), and what the one in use means.

    Of a study that continues, the cost of what is left.
    """
    study, budget, costs = session.study, session.study.budget, Pricing(session).costs()
    is_by_class = not study.search.of_whole_sets
    lines = [
        f"{'*' if name == study.budget_name else ' '} {name}: {cost.size.in_words(is_by_class)}; "
        f"about {duration(cost.total)}, {_megabytes(cost.bytes)}"
        for name, cost in sorted(costs.items(), key=lambda item: BUDGETS.index(item[0]))
    ]
    title = "budgets" if session.begins else "left to train"
    again = "the winner is not trained again"
    if budget.evaluation_seeds and session.options.evaluate:
        winner = "the winner of each baseline" if study.winners > 1 else "the winner"
        again = f"{winner} is trained again on {count(budget.evaluation_seeds, 'fresh seed')}"
    return [
        f"{title}, with the time on this machine at its current load, {_parallel(session)}:",
        *lines,
        *_by_baseline(study.budget_name, costs[study.budget_name].trial_seconds),
        f"budget {study.budget_name}: {_each_model(session)}; {again}",
    ]


def _by_baseline(budget: str, trial_seconds: Mapping[str, float]) -> list[str]:
    """A line on the time of a trial of each baseline, if there are several."""
    times = [f"{name} {duration(seconds)}" for name, seconds in trial_seconds.items()]
    return [f"budget {budget}, one trial: {', '.join(times)}"] * (len(times) > 1)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB on disk" if size >= 1e6 else "less than 1 MB on disk"


def _training_images(session: Session) -> str:
    """How many training images a model uses: the budget's number, or all that there are."""
    used, budget = Pricing(session).train_images, session.study.budget
    if budget.train_images is not None and budget.train_images <= used:
        return f"{count(used, 'training image')} per model"
    source = "data set" if session.study.search.of_whole_sets else "class"
    text = f"all training images of the {source}"
    if budget.validation_fraction:
        text += " that are not held out for validation"
    return f"{text} (about {used} per model)"


def _space(baseline: Baseline) -> list[str]:
    """The search space of a baseline, one parameter per line."""
    lines = [f"search space of {baseline.title}:"]
    lines += [f"    {name}: {range_text(values)}" for name, values in baseline.space.items()]
    lines += [
        f"    {name} (score-time, no retraining): {', '.join(map(str, values))}"
        for name, values in baseline.score_space.items()
    ]
    return lines


def _warnings(session: Session) -> list[str]:
    """The warnings of detectors about trained models, each once with its trials."""
    records = session.folder.read_trials() + session.folder.read_evaluation()
    warned: dict[str, set[int]] = {}
    for record in records:
        for warning in record.warnings:
            warned.setdefault(warning.text, set()).add(record.number)
    return [
        f"warning in {'trial' if len(numbers) == 1 else 'trials'} "
        f"{', '.join(map(str, sorted(numbers)))}: {text}"
        for text, numbers in warned.items()
    ]
