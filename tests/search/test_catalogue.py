import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces
from tune_ad.errors import UserError
from tune_ad.search import catalogue
from tune_ad.search.catalogue import entries, find
from tune_ad.search.declaration import Search

HEAVY = ("torch", "optuna", "ray", "numpy", "pandas", "sklearn", "matplotlib", "tensorboard")


def test_listing_imports_nothing_heavy():
    script = (
        "import sys; from tune_ad.search.catalogue import entries\n"
        "assert entries()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('search_spaces')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["[]", "[]"]


def declared():
    """The names and data sets of all `Search` values, by import."""
    import importlib

    found = {}
    for path in Path(search_spaces.__file__).parent.glob("[!_]*.py"):
        module = importlib.import_module(f"search_spaces.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, Search):
                found |= {name: (data, path.stem) for name, data in value.names().items()}
    return found


def test_the_names_are_those_of_the_search_values():
    listed = {name: (entry.data, entry.module) for name, entry in entries().items()}
    assert listed == declared()
    assert all(name == entry.name for name, entry in entries().items())


def test_every_search_has_a_name_of_its_own():
    folder = Path(search_spaces.__file__).parent
    names = [each.name for path in folder.glob("[!_]*.py") for each in catalogue._declared(path)]
    assert len(names) == len(set(names))


def test_each_search_has_a_line_about_it():
    for entry in entries().values():
        assert len(entry.title) > 10
        assert "\n" not in entry.title


@pytest.mark.parametrize("name", sorted(entries()))
def test_each_name_finds_its_search(name):
    search, data = find(name)
    assert isinstance(search, Search)
    assert search.names()[name] == data == entries()[name].data


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("pgn_minst", "pgn_mnist"), ("quickstrat", "quickstart"), ("pgn-cifar", "pgn_cifar")],
)
def test_an_unknown_name_gets_the_nearest(wrong, near):
    with pytest.raises(UserError) as refusal:
        find(wrong)
    message = str(refusal.value)
    assert repr(wrong) in message
    assert near in message
    assert "--list" in message
    assert "\n" not in message


def test_a_name_that_is_near_to_none_gets_all():
    with pytest.raises(UserError) as refusal:
        find("!!!!")
    assert all(name in str(refusal.value) for name in entries())


def test_a_new_file_is_found_without_being_named_anywhere(tmp_path, monkeypatch):
    package = tmp_path / "their_spaces"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_draft.py").write_text("Search(name='draft', data=('x',))")
    (package / "mine.py").write_text(
        '"""Mine.\n\nMore."""\nmine = Search(name="mine_{data}", data=("a", "b"), baselines=())\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "PACKAGE", "their_spaces")
    assert entries() == {
        "mine_a": ("mine_a", "a", "mine", "Mine."),
        "mine_b": ("mine_b", "b", "mine", "Mine."),
    }
