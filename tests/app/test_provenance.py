"""What a study stores of the code that computed its numbers."""

import fnmatch
import tomllib
from pathlib import Path

import tune_ad
from tune_ad.app.provenance import _commit, versions

CHECKOUT = Path(tune_ad.__file__).parents[1]


def test_versions_name_the_project_and_its_checkout():
    stored = versions()
    assert stored["tune_ad"] == tune_ad.__version__
    assert stored["commit"] == _commit(CHECKOUT)


def test_the_commit_of_a_folder_around_an_installation_is_not_taken_for_its_own(tmp_path):
    installed = CHECKOUT / "tune_ad"  # inside a checkout, as a virtual environment often is
    assert _commit(installed) == _commit(tmp_path) == "none (installed as a package)"


def test_a_wheel_holds_every_file_that_is_no_module():
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]
    for package in ("tune_ad", "analysis", "search_spaces"):
        data = [
            path.relative_to(CHECKOUT / package).as_posix()
            for path in (CHECKOUT / package).rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")
        ]
        for name in data:
            matched = [p for p in patterns.get(package, []) if fnmatch.fnmatch(name, p)]
            assert matched, f"{package}/{name} is in no wheel; name it under package-data"
