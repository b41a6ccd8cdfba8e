"""Which files of a user's own code a study knows, so that it does not go on with others."""

import sys
from types import SimpleNamespace

import pytest

from tests.search.test_own_code import DETECTOR, POWER
from tune_ad.app.preparation.runs import this_run, with_run
from tune_ad.detectors.shallow.estimator import Estimator
from tune_ad.errors import UserError
from tune_ad.models.writing import kept_reference
from tune_ad.search.own_detector import find_detector
from tune_ad.search.plans import Optuna
from tune_ad.storage.folder import StudyFolder

IN_POWERS = "from powers import of_distance"
IN_PACKAGE = (
    DETECTOR.replace("import power_of_distance", IN_POWERS)
    .replace("import power_of_distance", "from powers import of_distance")
    .replace("power_of_distance.", "of_distance.")
)


def write(folder, packages=(), **files):
    """Python files by their paths, in which "__" stands for a slash, and packages."""
    files |= {f"{package}__*": "" for package in packages}
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/').replace('*', '__init__')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def forgotten(tmp_path):
    """Modules that a test has written are not those of the next."""
    yield
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(
            getattr(module, "__file__", "") or getattr(module, "__path__", "")
        ):
            del sys.modules[name]


def run_of(*detectors, **own_files):
    """A run of a study with these detectors."""
    baselines = {d.__name__: SimpleNamespace(detector=d) for d in detectors}
    study = SimpleNamespace(baselines=baselines, search=SimpleNamespace(plan=Optuna()))
    return this_run(study, own_files, "cpu", 0)


def names(run):
    return set(run["code"]) - {"tune_ad"}


def changed(before, now, tmp_path):
    """What `--resume` refuses."""
    try:
        with_run({"versions": {}, "runs": [before]}, now, False, StudyFolder(tmp_path))
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("packages", [("powers",), ()])
def test_modules_of_packages_beside_a_file_are_known(tmp_path, packages):
    """With `__init__.py` or without one."""
    files = {"sphere": IN_PACKAGE, "powers__of_distance": POWER, "powers__other": "", "beside": ""}
    write(tmp_path, packages, **files)
    reference = f"{tmp_path / 'sphere.py'}:Sphere"
    before = run_of(find_detector(reference), detector_file=tmp_path / "sphere.py")
    inits = {f"{package}/__init__.py" for package in packages}
    assert names(before) == {"sphere.py", "powers/of_distance.py"} | inits
    write(tmp_path, powers__other="X = 1", beside="X = 1")  # which nothing imports
    now = run_of(find_detector(reference), detector_file=tmp_path / "sphere.py")
    assert changed(before, now, tmp_path) == ""
    write(tmp_path, powers__of_distance=POWER.replace("1e-6", "1e-3"))
    now = run_of(find_detector(reference), detector_file=tmp_path / "sphere.py")
    assert "the code of powers/of_distance.py has changed" in changed(before, now, tmp_path)


def test_modules_of_the_working_directory_are_known(tmp_path, monkeypatch):
    """They stay imported, since the path has them also without the file."""
    write(tmp_path, dets__sphere=DETECTOR, power_of_distance=f"import more\n{POWER}", more="A = 1")
    monkeypatch.syspath_prepend(tmp_path)
    reference = f"{tmp_path / 'dets' / 'sphere.py'}:Sphere"
    for _ in range(2):  # also when they have been imported before
        run = run_of(find_detector(reference))
        assert "power_of_distance" in sys.modules
        assert names(run) == {"sphere.py", "power_of_distance.py", "more.py"}
    write(tmp_path, more="A = 2")
    assert "the code of more.py" in changed(run, run_of(find_detector(reference)), tmp_path)


def test_files_of_one_name_in_two_folders_are_not_mixed_up(tmp_path):
    texts = {"one": POWER, "two": POWER}
    for name, power in texts.items():
        write(tmp_path / name, own=DETECTOR, power_of_distance=power)

    def run():
        pair = [find_detector(f"{tmp_path / name / 'own.py'}:Sphere") for name in texts]
        renamed = type("Other", (pair[1],), {"__module__": pair[1].__module__})
        return run_of(pair[0], renamed, detector_file=tmp_path / "one" / "own.py")

    before = run()
    both = {"own.py", "power_of_distance.py"}
    assert names(before) == both | {f"{name} (Other)" for name in both}
    write(tmp_path / "two", power_of_distance=POWER.replace("1e-6", "1e-3"))
    told = changed(before, run(), tmp_path)
    assert "the code of power_of_distance.py (Other) has changed; trials of both" in told
    write(tmp_path / "two", power_of_distance=POWER)
    write(tmp_path / "one", power_of_distance=POWER.replace("1e-6", "1e-3"))
    assert "the code of power_of_distance.py has changed" in changed(before, run(), tmp_path)


def test_a_class_is_that_of_its_own_folder_though_modules_have_one_name(tmp_path):
    found = []
    for name, power in (("one", POWER), ("two", f"{POWER}\nMORE = 1\n")):
        folder = write(tmp_path / name, my_own=DETECTOR, power_of_distance=power)
        write(folder, named="from my_own import Sphere\n")
        found.append(find_detector(f"{folder / 'named.py'}:Sphere"))
    first, second = map(run_of, found)
    assert found[0].__module__ == found[1].__module__
    assert first["code"]["my_own.py"] == second["code"]["my_own.py"]
    assert first["code"]["power_of_distance.py"] != second["code"]["power_of_distance.py"]


def test_of_an_installed_package_every_file_is_known(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    inner = DETECTOR.replace("import power_of_distance", "from an_own_package import powers")
    inner = inner.replace("power_of_distance.", "powers.")
    write(site, ("an_own_package",), an_own_package__powers=POWER)
    write(site, an_own_package__sphere=inner, an_own_package__a__later="", another="")
    (site / "an_own_package" / "template.py").write_text("{{ no python }}")
    monkeypatch.syspath_prepend(site)
    detector = find_detector("an_own_package.sphere:Sphere")
    before = run_of(detector)
    assert names(before) == {"an_own_package"}
    write(site, another="X = 1")
    assert changed(before, run_of(detector), tmp_path) == ""
    write(site, an_own_package__a__later="X = 1")
    told = changed(before, run_of(detector), tmp_path)
    assert "the code of an_own_package has changed" in told


def test_the_estimator_of_a_made_detector_is_known_unless_its_version_is(tmp_path, monkeypatch):
    assert names(run_of(Estimator("sklearn.neighbors:LocalOutlierFactor"))) == set()
    text = (
        "from helping import SHIFT\n"
        "class Centre:\n"
        "    def __init__(self, power=2.0): self.power = power\n"
        "    def fit(self, X): return self\n"
        "    def decision_function(self, X): return X.sum(1) + SHIFT\n"
    )
    write(tmp_path, centre_of_a_test=text, helping="SHIFT = 1")
    monkeypatch.syspath_prepend(tmp_path)
    made = Estimator("centre_of_a_test:Centre", sign="larger_is_anomalous")
    assert names(run_of(made)) == {"centre_of_a_test.py", "helping.py"}


def test_a_kept_model_has_the_packages_beside_its_detector(tmp_path):
    write(tmp_path, named="from mine.sphere import Sphere\n", mine__sphere=IN_PACKAGE)
    write(tmp_path, powers__of_distance=POWER)
    detector = find_detector(f"{tmp_path / 'named.py'}:Sphere")
    kept = tmp_path / "kept"
    kept.mkdir()
    reference = kept_reference(kept, detector)
    for name in ("named.py", "mine/sphere.py", "powers/of_distance.py"):
        assert (kept / "code" / name).is_file()
    for name in ("mine", "powers"):
        (tmp_path / name).rename(tmp_path / f"moved_{name}")
    assert find_detector(f"{kept / reference}").__name__ == "Sphere"
