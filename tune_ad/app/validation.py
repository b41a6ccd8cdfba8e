"""From the options to a session that can run.

Whatever is wrong with the input is found here, before Ray starts and before anything is written;
what is wrong whatever the images are, before any of them is fetched.
"""

from collections.abc import Callable
from dataclasses import replace

from tune_ad.app.options import Options
from tune_ad.app.request import Request, resolve
from tune_ad.app.resources import trials_at_a_time
from tune_ad.app.resuming import check_unchanged
from tune_ad.app.session import Session
from tune_ad.data import ImageSet, Task, find
from tune_ad.data.resolution import check_sets, load_sets
from tune_ad.detectors.config import NetworkConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.execution.machine import memory
from tune_ad.search.study import Study
from tune_ad.search.usable_rules import check_selection
from tune_ad.training.suite import Suite

BYTES_PER_PARAMETER = 16  # weight, gradient and Adam's two moments


def prepare(options: Options, say: Callable[[str], None] = print) -> Session:
    """Check the options against the search, the data and the machine.

    Raises:
        UserError: for whatever is wrong, in one line; nothing has been written.
    """
    request = resolve(options)
    _check_declaration(request)
    image_sets = load_sets(request.data, request.outsiders, request.options.data_root, say)
    study, tasks = _study(request, image_sets[0])
    models = len(tasks) * len(study.seeds)
    if request.options.address == "local":
        models *= trials_at_a_time(request.options, request.machine)
    _check_study(study, models)
    if request.stored:
        check_unchanged(study, request.stored, request.folder)
    suite = Suite.prepare(image_sets, tasks, study.budget, study.seed)
    return Session(
        options=request.options,
        machine=request.machine,
        study=study,
        suite=suite,
        image_sets=image_sets,
        folder=request.folder,
        say=say,
    )


def _check_declaration(request: Request) -> None:
    """Refuse what is wrong whatever the images are, before any are fetched.

    Raises:
        UserError: naming the fault.
    """
    options, search = request.options, request.search
    titles = ", ".join(baseline.title for baseline in search.baselines)
    if options.ablate is not None and not any(map(request.varies, search.baselines)):
        remedy = "; leave out --set" if options.settings else ""
        raise UserError(
            f"--ablate: {options.search} varies no parameter of {titles}, so there is nothing to "
            f"ablate{remedy}"
        )
    trained = [issubclass(b.detector.Config, NetworkConfig) for b in search.baselines]
    if options.changes.get("epochs") and not any(trained):
        raise UserError(f"--epochs: {titles} are fitted, not trained; leave the option out")
    check_sets(request.data, request.outsiders, options.data_root)
    declared = find(request.data, options.data_root)
    if declared.shape:  # outsiders may pad the images, which changes no rule
        check_selection(request.study(declared.name, ImageShape(*declared.shape)))


def _study(request: Request, source: ImageSet) -> tuple[Study, tuple[Task, ...]]:
    """The study and its tasks, once the images are there."""
    options, stored = request.options, request.stored
    study = request.study(source.name, ImageShape(*source.shape))
    tasks = study.tasks(source)
    if options.extend and stored and study.trials <= stored["budget"]["trials"]:
        raise UserError(
            f"--extend {options.extend}: {study.name} has {study.trials} configurations in all, "
            "and none is left to add; continue it with --resume alone"
        )
    return replace(study, budget=replace(study.budget, trials=study.trials)), tasks


def _check_study(study: Study, models: int) -> None:
    """Refuse spaces, plans and networks that cannot be, `models` of them in memory at a time.

    Raises:
        UserError: naming the fault.
    """
    check_selection(study)
    for baseline in study.baselines.values():
        module = baseline.skeleton(study.shape)
        parameters = sum(tensor.numel() for tensor in module.parameters())
        needed = BYTES_PER_PARAMETER * parameters * models
        if needed > memory():
            raise UserError(
                f"{models} models at a time of {baseline.title} with {parameters:,} parameters "
                f"need {needed / 1e9:.0f} GB of memory, and there are {memory() / 1e9:.0f} GB; "
                "use smaller models by --set width or latent_dim, or fewer by --seeds, --classes "
                "or --concurrent"
            )
