"""Turns the options into a session that can run.

All invalid input is refused here, before Ray starts and before anything is written; errors that do
not depend on the images are found before any image is loaded.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tune_ad.app.command_line.options import Options
from tune_ad.app.preparation.request import Request, continued, resolve
from tune_ad.app.preparation.resources import check_concurrent, resolve_gpus, trials_at_a_time
from tune_ad.app.preparation.resuming import (
    check_folder,
    check_same_images,
    check_unchanged,
    continues,
    stored_study,
)
from tune_ad.app.preparation.runs import device_of_last_run
from tune_ad.app.session import Session
from tune_ad.data import ImageSet, NoSourceError, Task, content_digest, find, locate
from tune_ad.data.controls import CONTROLS
from tune_ad.data.own.decoding import EXACT
from tune_ad.data.resolution import check_sets, load_sets
from tune_ad.detectors.answers import BUILD_SECONDS, answering
from tune_ad.detectors.config import NetworkConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.execution.gpu_probe import gpu_demand
from tune_ad.execution.lifeline import UNWATCHED, Lifeline
from tune_ad.execution.time_limit import TimeLimit
from tune_ad.execution.trackers import require_installed
from tune_ad.models.folder import Preprocessing
from tune_ad.search.ablation import with_enough_seeds
from tune_ad.search.checks.batches import batches_tried
from tune_ad.search.checks.rules import check_selection, usable_rules
from tune_ad.search.declaration import Search
from tune_ad.search.study import Study
from tune_ad.selection import RULES
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.precision import BFLOAT16
from tune_ad.training.largest import most_weights
from tune_ad.training.replicas.device_memory import footprint
from tune_ad.training.replicas.last_batch import check_last_batch
from tune_ad.training.suite import Suite
from tune_ad.wording import count

SMALL_IMAGE = 64 * 64  # pixels up to which the feature maps of a batch need little memory
BYTES_PER_WEIGHT = 16  # weight, gradient and Adam's two moments


def prepare(
    options: Options,
    say: Callable[[str], None] = print,
    dry_run: bool = False,
    given: Search | None = None,
    lifeline: Lifeline = UNWATCHED,
    time_limit: TimeLimit | None = None,
) -> Session:
    """Check the options against the search, the data and the machine.

    Args:
        options: options of the run.
        say: prints a line for the user.
        dry_run: whether the session is only shown, so that the folder may contain a study.
        given: the search itself, if no search file declares it.
        lifeline: the way to the process that watches over this one.
        time_limit: how long a trial may run; None = for ever.

    Raises:
        UserError: for any invalid input, in one line; nothing has been written.
    """
    check_folder(options, dry_run)
    require_installed(options.log_to)
    request = resolve(_as_trained(options), say, given)
    if not continues(options):
        _check_declaration(request)
    stored = stored_study(request.options, request.folder, dry_run)
    if stored is not None:
        request = continued(request, stored)
        _check_declaration(request)
    image_sets = _load(request, say)
    own = request.own  # its digest also covers names and choices, and is known already
    digests = {source.name: own.digest if own else content_digest(source) for source in image_sets}
    if stored is not None:
        check_same_images(digests, request.folder)
    study, tasks = _study(request, image_sets[0])
    models = len(tasks) * len(study.seeds)
    request, gpu_line = _with_gpus(request, study, models, image_sets, say)
    is_local = request.options.address == "local"
    trials = trials_at_a_time(request.options, request.machine) if is_local else 1
    pixels = sum(s.train_images.nbytes + s.test_images.nbytes for s in image_sets)
    _check_study(study, models * trials, trials, request.machine.node_memory - pixels)
    if request.stored:
        check_unchanged(study, request.stored, request.folder)
    suite = Suite.prepare(image_sets, tasks, study.budget, study.seed)
    _check_labels(study, suite)
    sizes = {len(suite.split(task.name).train) for task in suite.tasks}
    for name, baseline in study.baselines.items():
        batches = batches_tried(study, name) if request.stored is None else [{}]
        check_last_batch(baseline.skeleton(study.shape), sizes, batches)
    session = Session(
        options=request.options,
        machine=request.machine,
        study=study,
        suite=suite,
        sources=tuple(image_set.contents for image_set in image_sets),
        folder=request.folder,
        say=say,
        begins=request.stored is None,
        asked_trials=request.budget.trials,
        preprocessing=_preprocessing(request, study.shape),
        digests=digests,
        gpu_line=gpu_line,
        lifeline=lifeline,
        time_limit=time_limit,
    )
    if not (session.begins or session.is_complete):
        _ = session.runs  # refuses other code, versions and devices
    return session


def _as_trained(options: Options) -> Options:
    """The options of a study that goes on, with the device of its last run unless one is given.

    Only the CPU is there for certain; without the GPU of the last run, the change is refused.
    """
    if not continues(options) or options.device != "auto" or options.gpus is not None:
        return options
    stored = StudyFolder(options.results / options.study).read_study()
    return replace(options, device="cpu") if device_of_last_run(stored) == "cpu" else options


def _preprocessing(request: Request, shape: ImageShape) -> Preprocessing:
    """How an image file becomes an array like those of the study."""
    resize = EXACT if request.options.image_size is None else request.options.resize
    return Preprocessing.of(shape, resize)


def _with_gpus(
    request: Request,
    study: Study,
    models: int,
    image_sets: Sequence[ImageSet],
    say: Callable[[str], None],
) -> tuple[Request, str]:
    """The request with the number of GPUs per trial, and a line that says why.

    Args:
        request: the request, on the machine or cluster that runs the trials.
        study: the study on the loaded images.
        models: number of models of a trial.
        image_sets: the image sets of the study.
        say: prints a line for the user.

    Raises:
        UserError: if a configuration does not fit into a GPU, or the machine has no room for the
            given number of parallel trials.
    """
    options, machine = request.options, request.machine
    images = sum(s.train_images.nbytes + s.test_images.nbytes for s in image_sets)
    stored = request.folder.read_study().get("resources") if request.stored else None
    options, line = resolve_gpus(
        options,
        machine,
        stored,
        lambda: gpu_demand(study, models, images, say) if options.address == "local" else None,
    )
    check_concurrent(options, machine)
    return request._replace(options=options), line


def _check_declaration(request: Request) -> None:
    """Check everything that does not depend on the images.

    Raises:
        UserError: with the first fault.
    """
    options, search = request.options, request.search
    titles = ", ".join(baseline.title for baseline in search.baselines)
    if options.ablate is not None and not any(map(request.varies, search.baselines)):
        remedy = "; leave out --set" if options.settings else ""
        raise UserError(
            f"--ablate: {options.search_name} searches no parameter of {titles}, so there is "
            f"nothing to ablate{remedy}"
        )
    trained = [issubclass(b.detector.Config, NetworkConfig) for b in search.baselines]
    if options.changes.get("epochs") and not any(trained):
        verb = "have" if len(trained) > 1 else "has"
        raise UserError(f"{titles} {verb} no training epochs; leave --epochs out")
    if options.precision == BFLOAT16 and not any(trained):
        verb = "train" if len(trained) > 1 else "trains"
        raise UserError(
            f"{titles} {verb} no networks, so --precision {BFLOAT16} has no effect; leave it out"
        )
    if request.own is not None:
        images = request.own.image_set
        _check_spaces(request.study(images.name, ImageShape(*images.shape)))
        return
    check_sets(request.data, request.outsiders, options.data_root)
    declared = find(request.data, options.data_root)
    if declared.shape:  # padding to the size of other data sets does not matter here
        _check_spaces(request.study(declared.name, ImageShape(*declared.shape)))


def _load(request: Request, say: Callable[[str], None]) -> tuple[ImageSet, ...]:
    """The image sets of the study, of which missing ones are downloaded.

    Raises:
        UserError: if a data set cannot be loaded; the message names a search that needs none.
    """
    if request.own is not None:
        return (request.own.image_set,)
    try:
        return load_sets(request.data, request.outsiders, request.options.data_root, say)
    except NoSourceError as error:
        raise UserError(
            f"{error}, or run another search, e.g. --search {_runnable(request)}"
        ) from error


def _runnable(request: Request) -> str:
    """A search whose data sets are all present: the same one on other data, or quickstart."""
    root = request.options.data_root
    for name, alias in request.search.names().items():
        others = [set_ for set_ in request.search.outsiders_for(alias) if set_ not in CONTROLS]
        if all(locate(data_set, root) for data_set in (alias, *others)):
            return name
    return "quickstart"


def _study(request: Request, source: ImageSet) -> tuple[Study, tuple[Task, ...]]:
    """The study on the loaded images, and its tasks."""
    options, stored = request.options, request.stored
    study = request.study(source.name, ImageShape(*source.shape))
    tasks = study.tasks(source)
    if options.extend and stored and study.trials <= stored["budget"]["trials"]:
        raise UserError(
            f"--extend {options.extend}: the search space of {study.name} has only "
            f"{count(study.trials, 'configuration')}, and none is left to add; continue it with "
            "--resume"
        )
    study = replace(study, budget=replace(study.budget, trials=study.trials))
    if stored is None and options.chooses_seeds:
        study = with_enough_seeds(study, len(tasks))
    return study, tasks


def _check_labels(study: Study, suite: Suite) -> None:
    """Check that every task has the held-out anomalies that the selection rule needs.

    Raises:
        UserError: with the first task that has none.
    """
    if RULES[study.selection].looks_at != "held-out anomalies" or not study.chooses:
        return
    for task in suite.tasks:
        if not suite.splits[task.name].validation.outsiders:
            raise UserError(
                f"task {task.title}: its training images contain too few anomalies to hold one "
                f"out, so --selection {study.selection} cannot choose; use another rule: "
                f"{', '.join(name for name in usable_rules(study) if name != study.selection)}"
            )


def _check_spaces(study: Study) -> None:
    """Check the search spaces, the plan and the selection rule.

    Raises:
        UserError: with the first fault.
    """
    for baseline in study.baselines.values():
        baseline.resolved(study.shape)
    _ = study.planned  # refuses a plan that does not fit the spaces
    check_selection(study)


def _check_study(study: Study, models: int, trials: int, memory: int) -> None:
    """Check the search spaces, the selection rule and the networks.

    Of the memory, that of the largest configuration of the search space.

    Args:
        study: the study on the loaded images.
        models: number of models that must fit into memory at the same time.
        trials: number of trials that train at the same time, each one model after the other.
        memory: main memory of the node with most, without that of the images, in bytes.

    Raises:
        UserError: with the first fault.
    """
    _check_spaces(study)
    for baseline in study.baselines.values():
        baseline.skeleton(study.shape)  # refuses a default that cannot be built
    most = most_weights(study)
    needed = BYTES_PER_WEIGHT * most.weights * models
    if study.shape.height * study.shape.width > SMALL_IMAGE:  # feature maps outweigh weights
        detector = study.baselines[most.baseline].detector
        with answering(detector, "cannot be sized", BUILD_SECONDS):
            needed += trials * footprint(detector, most.config, study.shape).step
    if needed > memory:
        chosen = ", ".join(f"{name}={value}" for name, value in most.params.items())
        raise UserError(
            f"{count(models, 'model')} of {most.baseline} in parallel with {most.weights:,} "
            f"weights each{chosen and f' (the largest of the search space: {chosen})'} need "
            f"{needed / 1e9:.0f} GB of memory, and the images leave "
            f"{max(memory, 0) / 1e9:.0f} GB; use smaller models (--set width or latent_dim, or a "
            "smaller --image-size) or fewer (--seeds, --classes or --concurrent)"
        )
