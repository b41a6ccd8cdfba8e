"""Installed packages add detectors, searches and data sets by entry points."""

import importlib
import sys
from importlib.metadata import EntryPoint

import pytest

from tests.search.test_own_code import DETECTOR, POWER
from tune_ad.app.command_line.cli import main
from tune_ad.app.command_line.options import Options
from tune_ad.app.preparation.validation import prepare
from tune_ad.data import available, find, load
from tune_ad.data.discovery import of_packages
from tune_ad.errors import UserError
from tune_ad.extensions import DATA_SETS, DETECTORS, SEARCHES, extensions
from tune_ad.search import catalogue
from tune_ad.search.own_detector import find_detector

SEARCHES_FILE = '''"""Searches of a package."""

from demo_code.sphere import Sphere
from tune_ad.search import Baseline, Budget, Search

sphere = Search(
    name="sphere_{data}",
    data=("demo_blobs", "mnist"),
    baselines=(Baseline(Sphere, settings={"latent_dim": 4, "batch_size": 20}),),
    budgets={
        "quick": Budget(trials=1, epochs=1, seeds=1, classes=(0,), evaluation_seeds=0,
                        validation_images=5, test_images=10),
    },
)
'''
DATA_FILE = '''"""A data set of a package."""

import numpy as np

from tune_ad.data import Arrays, DataSet


def blobs():
    stream = np.random.default_rng(0)
    images = stream.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    labels = np.arange(60) % 2
    return Arrays(images[:40], labels[:40], images[40:], labels[40:])


BLOBS = DataSet("demo_blobs", ("dark", "bright"), "Noise.", shape=(1, 8, 8), embedded=blobs)
CLASH = DataSet("mnist")
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a package with entry points: their lines by group."""
    site = tmp_path / "site"
    code = site / "demo_code"
    code.mkdir(parents=True)
    (code / "__init__.py").write_text("raise RuntimeError('the package itself is imported')\n")
    files = {
        "sphere": DETECTOR.replace("import power_of_distance", "from demo_code import powers"),
        "powers": POWER,
        "searches": SEARCHES_FILE,
        "data": DATA_FILE,
        "broken": "import nowhere_at_all\n",
    }
    for name, text in files.items():
        text = text.replace("power_of_distance.", "powers.")
        (code / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(site)

    def installed(package="demo-package", **groups):
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        names = {"detectors": DETECTORS, "searches": SEARCHES, "datasets": DATA_SETS}
        lines = [f"[{names[group]}]\n{text}\n" for group, text in groups.items()]
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        importlib.invalidate_caches()
        of_packages.cache_clear()
        return code

    yield installed
    for name in [name for name in sys.modules if name.partition(".")[0] == "demo_code"]:
        del sys.modules[name]
    of_packages.cache_clear()


def importable(code):
    """Mend the package, which until then refuses to be imported."""
    (code / "__init__.py").write_text("", encoding="utf-8")
    importlib.invalidate_caches()


def test_nothing_is_imported_to_list_the_searches_of_a_package(install, capsys):
    install(searches="mine = demo_code.searches")
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("sphere_mnist ")]
    assert line.endswith(" Searches of a package. (package demo-package)")
    assert "demo_code.searches" not in sys.modules


def test_a_study_of_a_packages_search_and_data_set_runs(install, tmp_path):
    importable(
        install(searches="mine = demo_code.searches:sphere", datasets="b = demo_code.data:BLOBS")
    )
    assert available()["demo_blobs"].classes == ("dark", "bright")
    assert load("demo_blobs", tmp_path).train_images.shape == (40, 1, 8, 8)
    options = Options(
        "sphere_demo_blobs",
        budget="quick",
        backend="serial",
        device="cpu",
        progress=False,
        results=tmp_path,
        data_root=str(tmp_path),
    )
    session = prepare(options, say=lambda line: None)
    assert session.run().failed == 0


def test_a_detector_of_a_package_is_found_by_its_name(install):
    importable(install(detectors="Ball = demo_code.sphere:Sphere"))
    assert find_detector("Ball").__name__ == "Sphere"
    assert Options("pgn_mnist", detector="Ball").study == "pgn_mnist_ball"
    with pytest.raises(UserError, match="there is no detector 'Bal'; did you mean Ball?"):
        find_detector("Bal")


@pytest.mark.parametrize(
    ("group", "line", "ask", "fault"),
    [
        (
            "detectors",
            "Ball = demo_code.broken:X",
            lambda: find_detector("Ball"),
            "the package demo-package adds Ball = 'demo_code.broken:X' to tune_ad.detectors, but "
            "it cannot be imported (ModuleNotFoundError: No module named 'nowhere_at_all'); "
            "update or uninstall demo-package",
        ),
        (
            "detectors",
            "PGN = demo_code.sphere:Sphere",
            lambda: find_detector("PGN"),
            "but the project has a detector PGN itself; update or uninstall demo-package",
        ),
        (
            "datasets",
            "blobs = demo_code.broken:X",
            lambda: find("blobs"),
            "adds blobs = 'demo_code.broken:X' to tune_ad.datasets, but it cannot be imported",
        ),
        (
            "datasets",
            "blobs = demo_code.data:blobs",
            lambda: find("blobs"),
            "but it is no DataSet, but <function blobs",
        ),
    ],
)
def test_what_a_package_breaks_is_one_line_that_names_it(install, group, line, ask, fault):
    importable(install(**{group: line}))
    with pytest.raises(UserError) as refusal:
        ask()
    assert fault in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_broken_package_hides_nothing(install, capsys):
    install("broken-package", searches="x = demo_code.no_such_module", datasets="x = no_module:X")
    code = install(
        "good-package", searches="x = demo_code.searches", datasets="b = demo_code.data:BLOBS"
    )
    importable(code)
    assert "demo_blobs" in available()
    assert {"mnist", "cifar"} <= set(available())
    assert main(["--list"]) == 2
    written = capsys.readouterr()
    assert "sphere_mnist" in written.out
    assert "pgn_mnist" in written.out
    assert written.err == (
        "error: the package broken-package adds x = 'demo_code.no_such_module' to "
        "tune_ad.searches, but there is no module demo_code.no_such_module; update or uninstall "
        "broken-package\n"
    )


def test_a_faulty_search_file_of_a_package_names_the_package(install):
    code = install(searches="x = demo_code.searches")
    importable(code)
    (code / "searches.py").write_text("import nowhere_at_all\n" + SEARCHES_FILE)
    with pytest.raises(UserError) as refusal:
        catalogue.find("sphere_mnist")
    assert str(refusal.value) == (
        "demo_code/searches.py of the package demo-package, line 1: No module named "
        "'nowhere_at_all'; install it with pip, or correct the import"
    )


def test_names_of_the_project_stay_its_own(install):
    code = install(searches="x = demo_code.searches", datasets="x = demo_code.data:CLASH")
    importable(code)
    text = SEARCHES_FILE.replace('"sphere_{data}"', '"pgn_{data}"')
    (code / "searches.py").write_text(text, encoding="utf-8")
    listed = catalogue.read_catalogue()
    assert listed.entries["pgn_mnist"].source.shown == "search_spaces/pgn.py"
    assert listed.entries["pgn_demo_blobs"].source.package == "demo-package"
    assert listed.faults == (
        "the search 'pgn_mnist' is declared twice, in search_spaces/pgn.py and in "
        "demo_code/searches.py of the package demo-package; rename one of them",
    )
    assert available()["mnist"].classes
    (fault,) = of_packages().faults
    assert "the project has a data set mnist itself; update or uninstall demo-package" in fault


def test_two_packages_with_one_name_are_both_named(install):
    install("one-package", detectors="Ball = demo_code.sphere:Sphere")
    importable(install("two-package", detectors="Ball = demo_code.sphere:Sphere"))
    with pytest.raises(UserError, match="the package one-package.*so does the package two-packag"):
        find_detector("Ball")


def test_an_extension_knows_its_package(install):
    install(detectors="Ball = demo_code.sphere:Sphere\nDisc = demo_code.sphere:Sphere")
    found = [e for e in extensions(DETECTORS) if e.package == "demo-package"]
    assert [extension.name for extension in found] == ["Ball", "Disc"]
    assert EntryPoint(found[0].name, found[0].target, found[0].group).attr == "Sphere"
