"""A search with a detector of a user's own: --detector."""

import json

import pytest

from tests.search.test_own_code import DETECTOR, POWER
from tune_ad.app.command_line.options import Options
from tune_ad.app.command_line.parser import resume_command
from tune_ad.app.preparation.validation import prepare
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.search.catalogue import find
from tune_ad.search.own_detector import find_detector, reference_of, with_detector
from tune_ad.storage.folder import StudyFolder

SPACE = """    space = {"power": CategoricalDistribution(["square", "root"])}
    Config = SphereConfig
"""
FILE = DETECTOR.replace("    Config = SphereConfig\n", SPACE).replace(
    "import power_of_distance\n",
    "import power_of_distance\nfrom optuna.distributions import CategoricalDistribution\n",
)
MORE = """

from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config
from tune_ad.detectors.shallow.estimator import Estimator

LOF = Estimator("sklearn.neighbors:LocalOutlierFactor")


class Near(LOF):
    space = {"n_neighbors": CategoricalDistribution([5, 20])}


class Unfinished(Detector):
    Config = Config


class Plain(Sphere):
    Config = None


@dataclass(frozen=True)
class Unruled(Config):
    depth: int = 3


class Lawless(Sphere):
    Config = Unruled
"""


@pytest.fixture
def file(tmp_path):
    """A file with detectors, and the module beside it that one of them imports."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "power_of_distance.py").write_text(POWER, encoding="utf-8")
    file = folder / "mine.py"
    file.write_text(FILE + MORE, encoding="utf-8")
    return file


def options(file, results, name="Sphere", **changes):
    usual = {"budget": "quick", "backend": "serial", "device": "cpu", "progress": False}
    sizes = {"epochs": 1, "train_images": 40, "evaluation_seeds": 0, "classes": ("0", "1")}
    return Options(
        "quickstart",
        detector=f"{file}:{name}",
        results=results,
        **{**usual, "changes": sizes, **changes},
    )


def test_the_search_keeps_its_budgets_and_plan_and_gets_the_detector(file):
    search, data = find("pgn_cifar")
    moved = with_detector(search, f"{file}:Sphere")
    (baseline,) = moved.baselines
    assert baseline.title == "Sphere"
    assert set(baseline.space) == {"power"}
    assert (moved.plan, moved.selection) == (search.plan, search.selection)
    quick, before = moved.budgets_for(data)["quick"], search.budgets_for(data)["quick"]
    assert (quick.trials, quick.classes) == (before.trials, before.classes)
    assert set(moved.names()) == {f"{name}_sphere" for name in search.names()}


@pytest.mark.parametrize("name", ["rate_mnist", "pgn_mnist", "shallow_mnist", "table1_mnist"])
def test_budgets_lose_parameters_that_the_detector_lacks(file, name):
    search, data = find(name)
    moved = with_detector(search, f"{file}:LOF")
    names = moved.baselines[0].detector.Config.rules()
    for budget in moved.budgets_for(data).values():
        assert {*budget.only, *budget.settings} <= set(names)


def test_a_study_of_it_has_its_own_name_and_says_which_file(file, tmp_path):
    chosen = options(file, tmp_path)
    assert chosen.study == "quickstart_sphere"
    assert options(file, tmp_path, ablate="one", evaluate=True).study == (
        "quickstart_sphere-ablation"
    )
    assert f"--detector {file}:Sphere" in resume_command(chosen)
    session = prepare(chosen, say=lambda line: None)
    assert session.run().failed == 0
    folder = StudyFolder(tmp_path / "quickstart_sphere")
    records = folder.read_trials()
    assert sorted(record.params["power"] for record in records) == ["root", "square"]
    stored = json.loads(folder.study.read_text(encoding="utf-8"))
    assert stored["search"] == "quickstart"
    assert stored["detector"] == f"{file}:Sphere"
    assert stored["detector_file"]["path"] == str(file)


def test_without_a_space_it_is_run_once_at_its_defaults(file, tmp_path):
    said = []
    session = prepare(
        options(file, tmp_path, "LOF", changes={"train_images": 40, "evaluation_seeds": 0}),
        say=said.append,
    )
    assert f"{file}:LOF has no search space, so it is run at its default settings" in said
    assert session.study.trials == 1
    assert session.study.name == "quickstart_lof"
    assert session.run().failed == 0
    (record,) = session.folder.read_trials()
    assert record.params["n_neighbors"] == 20


def test_a_detector_of_the_project_or_of_a_module_is_found_by_its_name():
    assert find_detector("PGN") is PGN
    assert find_detector("tune_ad.detectors.pgn:PGN") is PGN
    assert Options("pgn_mnist", detector="DeepSVDD").study == "pgn_mnist_deepsvdd"


def test_a_kept_model_finds_its_detector_again(file):
    sphere, lof = find_detector(f"{file}:Sphere"), find_detector(f"{file}:LOF")
    assert reference_of(sphere) == f"{file}:Sphere"
    assert find_detector(reference_of(sphere)).__name__ == "Sphere"
    assert find_detector(reference_of(lof)) is lof
    near = find_detector(f"{file}:Near")
    assert reference_of(near) == f"{file}:Near"
    assert near.reference() == f"{near.__module__}:Near"
    assert reference_of(PGN) == "tune_ad.detectors.pgn.detector:PGN"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("{file}:Spere", "mine.py has no 'Spere'; did you mean Sphere?"),
        ("{folder}/mien.py:Sphere", "there is no file '{folder}/mien.py'; did you mean mine.py?"),
        ("{file}:Unfinished", "mine.py:Unfinished lacks score_variants; define it as"),
        ("{file}:Plain", "mine.py:Plain has no Config; set Config to its hyperparameters"),
        ("{file}:Lawless", "Unruled.depth has no rule; make it depth = number(...), choice"),
        ("{file}:SphereConfig", "mine.py:SphereConfig is no detector, but <class"),
        (
            "sklearn.neighbors:LocalOutlierFactor",
            "becomes one by Estimator(...) of tune_ad.detectors.shallow.estimator",
        ),
        ("nowhere.at_all:X", "needs the package nowhere, which is not installed; install it with"),
        ("tune_ad.detectors.pgm:PGN", "there is no module 'tune_ad.detectors.pgm'; correct its"),
        ("tune_ad.detectors.pgn:PNG", "tune_ad.detectors.pgn has no 'PNG'; correct the name"),
        ("PGNN", "there is no detector 'PGNN'; did you mean PGN?"),
        ("Deep", "there is no detector 'Deep'; did you mean DeepSVDD?"),
        ("os:system('true')", "os:system('true') names no detector; it must be a file and a cl"),
        (
            "tune_ad.detectors.shallow.estimator:Estimator(open('x'))",
            "names no detector (ValueError: malformed node or string",
        ),
    ],
)
def test_a_wrong_detector_is_one_line(file, name, fault):
    reference = name.format(file=file, folder=file.parent)
    with pytest.raises(UserError) as refusal:
        find_detector(reference)
    assert fault.format(folder=file.parent) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_fault_of_the_file_names_its_line(file):
    file.write_text("\n1 / 0", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine.py, line 2: ZeroDivisionError: division by zero"):
        find_detector(f"{file}:Sphere")


@pytest.mark.parametrize("reference", ["mine.py", "mine.py:", "my_package.lof:", "a:b/c"])
def test_a_reference_without_a_class_is_refused_at_once(reference):
    with pytest.raises(UserError, match="--detector"):
        Options("quickstart", detector=reference)


def test_a_plan_that_lists_parameters_that_it_lacks_is_refused(file, tmp_path):
    search = "rate_mnist"
    with pytest.raises(UserError, match="no baseline searches all parameters of the listed conf"):
        prepare(
            Options(search, detector=f"{file}:LOF", results=tmp_path, budget="quick"),
            say=lambda line: None,
        )
