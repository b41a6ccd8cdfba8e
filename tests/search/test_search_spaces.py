"""Each file of `search_spaces` is data, and each search in it can run."""

import ast
import inspect
import math
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from optuna import distributions

import search_spaces
from tests.naming import short
from tests.training.cases import stepped
from tune_ad.data import ImageSet, find
from tune_ad.data.controls import CONTROLS
from tune_ad.data.resolution import side_by_side
from tune_ad.detectors.base import skeleton
from tune_ad.detectors.config import NetworkConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.randomness import numpy_stream, torch_stream
from tune_ad.sample_sizes import LEAST_STEPS
from tune_ad.search import catalogue, plans
from tune_ad.search.budgets import BUDGETS
from tune_ad.search.checks.rules import check_selection
from tune_ad.search.checks.shortfalls import optimiser_steps, shortfalls
from tune_ad.search.plans import Plan, contains
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.search.study import Study
from tune_ad.storage.records import TrialSpec
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Trial

FILES = sorted(Path(search_spaces.__file__).parent.glob("[!_]*.py"))
DATA_CALLS = {
    "Baseline",
    "Budget",
    "Claim",
    "replace",  # one budget from another
    *(name for name in vars(distributions) if name.endswith("Distribution")),
    *(
        name
        for name, value in vars(plans).items()
        if inspect.isclass(value) and issubclass(value, Plan) and value is not Plan
    ),
}


def is_data(node, names):
    """Whether an expression is a literal, an imported name, or a call that makes a plain value."""
    if isinstance(node, ast.Call):
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        called = getattr(node.func, "id", "")
        named = all(keyword.arg for keyword in node.keywords)
        return called in DATA_CALLS and named and all(is_data(value, names) for value in arguments)
    if isinstance(node, ast.Dict):
        return all(is_data(part, names) for part in (*node.keys, *node.values))
    if isinstance(node, ast.Tuple | ast.List):
        return all(is_data(element, names) for element in node.elts)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in names)


def is_search(node, names):
    """Whether a statement is `name = Search(...)` whose arguments are data."""
    call = getattr(node, "value", None)
    return (
        isinstance(node, ast.Assign)
        and isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "Search"
        and not call.args
        and all(keyword.arg and is_data(keyword.value, names) for keyword in call.keywords)
    )


def constant(node, names):
    """The name of a statement `NAME = data`; None for another statement."""
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        return None
    name = node.targets[0].id
    return name if name.isupper() and is_data(node.value, names) else None


def faults(source):
    """The lines of a search file that are more than data."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    body = tree.body[1:] if ast.get_docstring(tree) else tree.body
    lines = []
    for node in body:
        if name := constant(node, names):
            names.add(name)
        elif node not in imports and not is_search(node, names):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_search_file_is_a_docstring_imports_and_search_values(path):
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert faults(source) == []


@pytest.mark.parametrize(
    "line",
    [
        "x = 3",
        "x = Search(name='a'.upper())",
        "x = Search(name='a', data=tuple('ab'))",
        "x = Search(name='a', baselines=[Baseline(b) for b in c])",
        "x = Search(name='a', budgets={**BUDGETS})",
        "x = Search(name='a', data=DATA)",
        "x = Search(**given)",
        "x = Search('a')",
        "for x in y: pass",
        "def f(): pass",
        "if True: import os",
        "print(1)",
        "x = Search(name='a', seed=1 + 1)",
        "x = Search(name='a', seed=lambda: 1)",
        "QUICK = b.c",
        "QUICK = 1 + 1",
    ],
)
def test_the_check_sees_what_is_more_than_data(line):
    assert faults(f'"""A."""\nfrom a import b, c, d\n{line}') == [3]


def searches():
    """Every search on every one of its data sets."""
    return [
        pytest.param(catalogue.declaration(entry), entry.data, name, id=name)
        for name, entry in sorted(catalogue.entries().items())
    ]


def has_colour(case):
    """Whether the data set of a search has colour images."""
    return ImageShape(*find(case.values[1]).shape).is_colour


def is_slow(case):
    """Whether the images of a search are in colour, or another data set of it comes first."""
    search, data, _ = case.values
    return has_colour(case) or any(find(name).shape == find(data).shape for name in before(case))


def before(case):
    """The data sets of a search before this one."""
    search, data, _ = case.values
    return search.data[: search.data.index(data)]


every_search = pytest.mark.parametrize(("search", "data", "name"), searches())
trained_searches = pytest.mark.parametrize(
    ("search", "data", "name"),
    # Networks for colour images are a hundred times as large as those for grey ones, and a search
    # on a further grey data set trains the same networks.
    [
        pytest.param(*case.values, id=case.id, marks=[pytest.mark.slow] * is_slow(case))
        for case in searches()
    ],
)


def under_budget(search, data, name, budget_name):
    """The study as declared."""
    budget, shape = (
        search.budgets_for(data)[budget_name],
        ImageShape(*sets_of(search, data)[0].shape),
    )
    return Study(name, search, find(data).name, shape, budget_name, budget, search.selection)


def tiny(search, data, name, budget_name="quick"):
    """The study with one epoch on a suite of one class."""
    study = under_budget(search, data, name, budget_name)
    budget = study.budget
    classes = None if search.of_whole_sets else (1,)
    only = {**budget.only, "width": (0.25,)} if search.outsiders else budget.only
    few = {"seeds": 1, "train_images": 24, "test_images": 20}
    small = replace(budget, **few, classes=classes, only=only).with_epochs(1)
    parameters = {entry.name for b in search.baselines for entry in fields(b.detector.Config)}
    searched = {parameter for b in search.baselines for parameter in b.space}
    fewer = {"batch_size": 12, "regret_steps": 6}
    settings = {name: fewer[name] for name in fewer.keys() & (parameters - searched)}
    if "epochs" in searched:
        settings["epochs"] = 1
    return replace(study, budget=small, settings=settings)


def images(data):
    """Two classes of made-up images: dim and bright noise."""
    count, shape = 40, find(data).shape
    stream = torch_stream(0, "made-up images", data)
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 120, (count, *shape), generator=stream)
    pictures = (noise + 120 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    return ImageSet(find(data).name, ("dim", "bright"), pictures, labels, pictures, labels)


def sets_of(search, data):
    """The made-up images of a data set, and of the outsiders against which the search sets it."""
    outsiders = search.outsiders.get(data, ())
    read = [images(name) for name in (data, *outsiders) if name not in CONTROLS]
    return side_by_side(read, outsiders) if outsiders else tuple(read)


@every_search
def test_the_data_set_is_declared(search, data, name):
    assert find(data).alias == data


@every_search
def test_the_space_is_one_of_parameters_and_holds_the_default(search, data, name):
    study = tiny(search, data, name)
    for resolved, baseline in zip(study.resolved_baselines, study.baselines.values(), strict=True):
        parameters = {entry.name for entry in fields(baseline.detector.Config)}
        assert resolved.space == baseline.space
        for budget in BUDGETS:  # also the searched epochs, which the tiny study fixes
            assert under_budget(search, data, name, budget).resolved_baselines
        assert set(baseline.space) | set(baseline.settings) <= parameters
        config = asdict(baseline.config(study.shape, {}))
        for parameter, distribution in baseline.space.items():
            assert contains(distribution, config[parameter])
            assert not distribution.single()


CLASS_IMAGES = 4500  # of CIFAR-10 that are not held out


@pytest.mark.parametrize(
    ("search", "data", "name"), [case for case in searches() if has_colour(case)]
)
def test_a_quick_budget_in_colour_trains_long_enough_to_rank(search, data, name):
    study = under_budget(search, data, name, "quick")
    images = study.budget.train_images or CLASS_IMAGES
    steps = optimiser_steps(study, images)
    for title, number in steps.items():
        per_epoch = number / study.epochs()[title]
        for params in study.baselines[title].each_epochs():
            spec = TrialSpec(0, title, params)
            assert study.epochs_of(spec) * per_epoch >= LEAST_STEPS
    assert all(number >= LEAST_STEPS for number in steps.values())
    if steps:  # a detector that is only fitted hardly depends on the seed
        assert study.budget.seeds >= 2
    tasks = len(study.budget.classes or range(1))
    small = shortfalls(study, images, tasks)
    assert not small or study.search.plan.traits.quotes == "configurations"


@every_search
def test_the_budgets(search, data, name):
    quick, standard, paper = (search.budgets_for(data)[budget] for budget in BUDGETS)
    assert quick.trials <= standard.trials
    epochs, published = (
        under_budget(search, data, name, budget).epochs() for budget in ("quick", "standard")
    )
    assert all(epochs[baseline] <= published[baseline] for baseline in epochs)
    if not any(published.values()):
        named = {quick.epochs, standard.epochs, paper.epochs}
        assert named == {None}, "nothing is trained, so no budget names epochs"
    study = tiny(search, data, name)
    if study.planned is None:
        for budget in (quick, standard):
            assert budget.validation_fraction > 0, "something must be held out to choose by"
            assert budget.evaluation_seeds > 0, "the winner's number is not the one that chose it"
    assert (paper.classes, paper.train_images) == (None, None)
    if search.patience:  # a protocol of our own, which watches held-out images
        assert paper.evaluation_seeds == 0, "every trial is quoted"
    else:
        assert paper.validation_fraction == 0.0
    check_selection(under_budget(search, data, name, "paper"))


@pytest.mark.parametrize(
    ("search", "data", "name"),
    [case for case in searches() if len(case.values[0].baselines) > 1 and not before(case)],
)
def test_each_baseline_of_a_search_can_be_run_alone(search, data, name):
    for baseline in search.baselines:
        some = search.of_baselines([baseline.title], "alone")
        for budget in BUDGETS:
            study = under_budget(some, data, name, budget)
            check_selection(study)
            assert study.trials >= 1
            if study.planned is not None:
                configurations = study.planned[: study.trials]
                assert {c.baseline for c in configurations} == {baseline.title}


def test_only_budgets_of_the_published_protocol_have_the_released_batches_and_updates():
    """They are `paper`, and `standard` of the tables, which differs from it in the seeds alone."""
    for name in ("table1_mnist", "table2_cifar", "ablate_pgn_fmnist", "aae_mnist", "rd_mnist"):
        search, data = catalogue.find(name)
        for budget in BUDGETS:
            study = under_budget(search, data, name, budget)
            configs = [b.config(study.shape, {}) for b in study.baselines.values()]
            trained = [config for config in configs if isinstance(config, NetworkConfig)]
            last, updates = "filled", "alternating"
            if budget == "paper" or (budget == "standard" and name.startswith("table")):
                last, updates = "short", "simultaneous"
            assert {config.last_batch for config in trained} == {last}
            assert {getattr(config, "updates", updates) for config in trained} == {updates}


def test_the_changes_between_paper_and_code_include_the_last_batch():
    search, data = catalogue.find("ablate_pgn_mnist")
    for budget, released, other in (("quick", "filled", "short"), ("paper", "short", "filled")):
        study = under_budget(search, data, "ablate_pgn_mnist", budget)
        assert len(study.planned) == study.budget.trials, "every change is run"
        tried = [c.params for c in study.planned if c.baseline == "released"]
        assert tried[0]["last_batch"] == released
        assert {**tried[0], "last_batch": other} in tried


def random_points(study, count):
    """The default of each baseline, then random ones of the configurations that it may try."""
    proposals = study.planned
    if proposals is not None:
        chosen = numpy_stream(1, "points").permutation(len(proposals))[:count]
        defaults = [
            (baseline.name, dict(baseline.default)) for baseline in study.resolved_baselines
        ]
        points = [*defaults, *(proposals[k] for k in chosen)]
        return [TrialSpec(number, *point) for number, point in enumerate(points)]
    count += len(study.resolved_baselines)
    scheduler = TrialScheduler(
        plans.Optuna(random_trials=count), study.resolved_baselines, count, seed=1
    )
    return [spec for _ in range(count) if (spec := scheduler.ask()) is not None]


def on_test_images(search):
    """The metrics on test images that a search is about."""
    if not search.whole:
        return ["test_auroc"]
    return ["test_rate", "test_distortion"]


@trained_searches
@pytest.mark.slow
def test_a_short_trial_runs_at_the_default_and_at_three_random_points(search, data, name):
    study = tiny(search, data, name)
    image_sets = sets_of(search, data)
    suite = Suite.prepare(image_sets, study.tasks(image_sets[0]), study.budget, study.seed)
    torch.set_num_threads(1)
    for spec in random_points(study, 3):
        trial = Trial(study, suite, spec, "cpu")
        report = stepped(trial)
        while not report.done:
            report = stepped(trial)
        assert report.record.state == "complete", report.record.reason
        numbers = [report.objective] if study.selects else []
        metrics = short(report.metrics)
        numbers += [value for name in on_test_images(search) for value in metrics[name]]
        assert all(value is not None and math.isfinite(value) for value in numbers)
        tried = study.baselines[spec.baseline].score_space
        variants = {f"{p}={value}" for p, values in tried.items() for value in values}
        assert variants <= set(short(report.record.variants))


def corners(study):
    """Configurations at the ends of every parameter; where the plan knows all of its own, those.

    A design that varies one parameter at a time need not cross those that exclude each other.
    """
    proposals = study.planned
    if proposals is not None:
        yield from proposals
        return
    stream = numpy_stream(0, "corners")
    for baseline in study.resolved_baselines:
        for _ in range(8):
            ends = {name: plans.grid_values(d, 2) for name, d in baseline.space.items()}
            yield baseline.name, {n: v[stream.integers(len(v))] for n, v in ends.items()}


@every_search
def test_no_adaptive_plan_compares_likelihoods(search, data, name):
    adaptive = isinstance(search.plan, plans.Optuna)
    assert not (adaptive and any("likelihood" in baseline.space for baseline in search.baselines))


@every_search
def test_every_corner_of_the_space_can_be_built(search, data, name):
    study = tiny(search, data, name)
    for baseline, params in corners(study):
        config = study.config(TrialSpec(0, baseline, params))
        detector = study.baselines[baseline].detector
        assert skeleton(detector, config, study.shape).config == config
