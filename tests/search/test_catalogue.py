import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces
from tune_ad.errors import UserError
from tune_ad.search import catalogue, own_code
from tune_ad.search.catalogue import entries, find, find_entry, read_catalogue
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
    searches = {}
    for path in Path(search_spaces.__file__).parent.glob("[!_]*.py"):
        module = importlib.import_module(f"search_spaces.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, Search):
                searches |= {name: (data, path.stem) for name, data in value.names().items()}
    return searches


def test_the_names_are_those_of_the_search_values():
    listed = {name: (entry.data, entry.source.path.stem) for name, entry in entries().items()}
    assert listed == declared()
    assert all(name == entry.name for name, entry in entries().items())


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
    [
        ("pgn_minst", "pgn_mnist"),
        ("quickstrat", "quickstart"),
        ("pgn-cifar", "pgn_cifar"),
        ("PGN_MNIST", "did you mean pgn_mnist?"),
        ("pgn", "did you mean pgn_mnist, pgn_fmnist or pgn_cifar?"),
    ],
)
def test_an_unknown_name_gets_the_nearest(wrong, near):
    with pytest.raises(UserError) as refusal:
        find(wrong)
    message = str(refusal.value)
    assert repr(wrong) in message
    assert near in message
    assert "--list" in message
    assert "\n" not in message


def test_a_name_that_is_near_to_none_gets_the_way_to_all():
    with pytest.raises(UserError) as refusal:
        find("!!!!")
    assert str(refusal.value) == "there is no search '!!!!'; --list shows every search"


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
    source = (package / "mine.py", "their_spaces/mine.py", "their_spaces.mine", "")
    assert entries() == {
        "mine_a": ("mine_a", "a", "Mine.", source, True),
        "mine_b": ("mine_b", "b", "Mine.", source, True),
    }


@pytest.fixture
def spaces(tmp_path, monkeypatch):
    """A function that writes a search file of a package of its own."""
    package = tmp_path / "other_spaces"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "PACKAGE", "other_spaces")

    def write(module, text):
        importlib.invalidate_caches()
        for name in [name for name in sys.modules if name.startswith("other_spaces")]:
            del sys.modules[name]
        (package / f"{module}.py").write_text(text)

    return write


def declaration(name, data='("digits",)'):
    return f"from tune_ad.search import Search\nx = Search(name={name!r}, data={data})\n"


def test_no_search_file_of_the_project_is_faulty():
    assert read_catalogue().faults == ()


def test_a_name_that_is_declared_twice_is_refused_and_names_both_files(spaces):
    spaces("one", declaration("same") + declaration("first"))
    spaces("two", declaration("same") + declaration("second"))
    listed = read_catalogue()
    assert sorted(listed.entries) == ["first", "second"]
    assert listed.faults == (
        "the search 'same' is declared twice, in other_spaces/one.py and in other_spaces/two.py; "
        "rename one of them",
    )
    with pytest.raises(UserError, match="'same' is declared twice"):
        find("same")
    assert find_entry("second").source.path.stem == "two"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"""A file."""\n\nx = = 3\n', "faulty.py, line 3: invalid syntax; correct the file"),
        (
            "NAME = 'a'\nx = Search(name=NAME, data=('d',))",
            "line 2: name of a Search is read without running the file, so it must be written "
            'out, as in name="mine_{data}"',
        ),
        (
            "x = Search(name='a')",
            'line 1: data is missing; give it to Search by keyword, as in data=("mnist", "cifar")',
        ),
        (
            "x = Search('a', ('d',))",
            'line 1: name is missing; give it to Search by keyword, as in name="mine_{data}"',
        ),
        (
            "x = Search(name='a', data='mnist')",
            "line 1: data must be a tuple, (\"mnist\",), got 'mnist'",
        ),
        ("x = Search(name='a', data=['d'])", "data must be a tuple of names, got ['d']"),
        ("x = Search(name='{set}', data=('d',))", "may contain {data} and no other braces"),
        ("x = Search(name=3, data=('d',))", "line 1: name must be a string, got 3"),
        (
            "x = Search(name='a', data=('d',), name_on={'d': 3})",
            "name_on['d'] must be a string, got 3",
        ),
        ("x = Search(name='a', data=('d',), name_on=3)", "name_on must be a dictionary"),
        ("x = Search(name='a', data=('d', 'e'))", "the search 'a' has several data sets and one"),
        ("x = search.Search(name='a')", "line 1: data is missing"),
        ("x = '\ud800'", "faulty.py: "),
    ],
)
def test_a_faulty_file_does_not_hide_the_searches_of_others(spaces, text, fault):
    spaces("good", declaration("fine"))
    spaces("faulty", "")
    path = Path(importlib.util.find_spec("other_spaces.faulty").origin)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    listed = read_catalogue()
    assert list(listed.entries) == ["fine"] == list(entries())
    (line,) = listed.faults
    assert fault in line
    assert "\n" not in line
    with pytest.raises(UserError) as refusal:
        find("not_there")
    assert str(refusal.value) == (
        f"there is no search 'not_there' in the readable files; one file cannot be read: {line}"
    )


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (
            "import nowhere",
            "No module named 'nowhere'; install it with pip, or correct the import",
        ),
        (
            "from tune_ad.budgets import Budget",
            "No module named 'tune_ad.budgets'; import it from tune_ad.search",
        ),
        (
            "from tune_ad.plans import Grid",
            "No module named 'tune_ad.plans'; import it from tune_ad.search",
        ),
        (
            "from tune_ad.search.grids import Grid",
            "No module named 'tune_ad.search.grids'; import it from tune_ad.search",
        ),
        *(
            (
                f"from tune_ad.detectors.{name} import X",
                f"No module named 'tune_ad.detectors.{name}'; import it from "
                f"tune_ad.detectors.{folder}.{name}",
            )
            for folder, names in (
                ("autoencoders", ("ae", "aae", "vae")),
                ("shallow", ("ocsvm", "kde", "isolation_forest")),
            )
            for name in names
        ),
        (
            "from tune_ad.detectors.gpnd import NoSuchName",
            "cannot import name 'NoSuchName' from 'tune_ad.detectors.gpnd'; correct the import",
        ),
        (
            "from tune_ad.detectors.deep_svdd import DeepSDVV",
            "cannot import name 'DeepSDVV' from 'tune_ad.detectors.deep_svdd'; correct the import",
        ),
        ("raise SystemExit", "SystemExit; correct the file"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt; correct the file"),
        ("raise SystemExit('no licence')", "SystemExit: no licence; correct the file"),
        (
            "from tune_ad.search import Budget\nBudget(trial=8, epochs=1, seeds=1)",
            "TypeError: Budget.__init__() got an unexpected keyword argument 'trial'; did you "
            "mean trials?",
        ),
        (
            "from tune_ad.search import Search\n"
            "Search(name='other', data=('digits',), baseline=())",
            "TypeError: Search.__init__() got an unexpected keyword argument 'baseline'; did you "
            "mean baselines?",
        ),
        ("x = 1 / 0", "ZeroDivisionError: division by zero; correct the file"),
        ("return 3", "SyntaxError: 'return' outside function"),
        ("from tune_ad.search import Budget\nBudget(0, 1, 1)", "trials must be at least 1, got 0"),
        (
            "from tune_ad.search import Budget\nBudget(trials='8', epochs=1, seeds=1)",
            "trials must be an integer, got '8'",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(spaces, first, reason):
    spaces("broken", f'"""A file."""\n\n{first}\nx = Search(name="mine", data=("digits",))\n')
    assert "mine" in entries()
    with pytest.raises(UserError) as refusal:
        find("mine")
    message = str(refusal.value)
    assert message.startswith(f"other_spaces/broken.py, line {3 + first.count(chr(10))}: {reason}")
    assert "\n" not in message


def test_a_file_that_hangs_is_one_line(spaces, monkeypatch):
    monkeypatch.setattr(own_code, "IMPORT_SECONDS", 2.0)
    spaces(
        "hanging",
        '"""A file."""\n\nimport time\n\ntime.sleep(60)\n'
        'mine = Search(name="mine", data=("digits",))\n',
    )
    with pytest.raises(UserError, match=r"hanging\.py, line 5: TimeoutError: it takes more than"):
        find("mine")


WITH_BASELINE = """from optuna.distributions import CategoricalDistribution
from tune_ad.detectors.pgn import PGN
from tune_ad.search import Baseline, Budget, Search
x = Search(
    name="mine",
    data=("digits",),
    baselines=(
        Baseline(
            PGN,
            space={{"{parameter}": CategoricalDistribution({choices})}},
        ),
    ),
    budgets={{"{budget}": Budget(trials=1, epochs=1, seeds=1)}},
)
"""


@pytest.mark.parametrize(
    ("changes", "line", "reason"),
    [
        (
            {"parameter": "latent_dims"},
            8,
            "PGN has no parameter 'latent_dims'; did you mean latent_dim?",
        ),
        (
            {"choices": [8, "a"]},
            8,
            "the search space of latent_dim of PGN contains 'a'; a value must be an integer in "
            "[1, 100000]",
        ),
        (
            {"budget": "quik"},
            4,
            "search mine: budgets names an unknown budget 'quik'; did you mean quick?",
        ),
    ],
)
def test_a_faulty_declaration_is_refused_with_its_file_and_line(spaces, changes, line, reason):
    values = {"parameter": "latent_dim", "choices": [8, 16], "budget": "quick"}
    spaces("mine", WITH_BASELINE.format(**{**values, **changes}))
    with pytest.raises(UserError) as refusal:
        find("mine")
    assert str(refusal.value) == f"other_spaces/mine.py, line {line}: {reason}"


def test_a_file_with_such_an_import_does_not_keep_other_searches_from_being_found(spaces):
    spaces("broken", "import nowhere\nx = Search(name='mine', data=('digits',))\n")
    budget = "budgets={'quick': Budget(trials=1, epochs=1, seeds=1)}"
    spaces(
        "good",
        "from tune_ad.detectors.pgn import PGN\n"
        "from tune_ad.search import Baseline, Budget, Search\n"
        f"x = Search(name='fine', data=('digits',), baselines=(Baseline(PGN),), {budget})\n",
    )
    search, data = find("fine")
    assert (search.name, data) == ("fine", "digits")


def test_a_search_that_is_no_variable_of_its_module_is_refused(spaces):
    spaces("hidden", "def later():\n    return Search(name='mine', data=('digits',))\n")
    with pytest.raises(UserError, match="hidden.py: the search 'mine' must be assigned to a var"):
        find("mine")


@pytest.mark.parametrize("name", ["a/b", "../up", ".hidden", "-x", "two words", "", "a\\\\b"])
def test_a_name_that_is_unfit_for_a_folder_is_refused(spaces, name):
    spaces("mine", declaration(name))
    (fault,) = catalogue.read_catalogue().faults
    assert fault.startswith("other_spaces/mine.py, line 2: name of a Search becomes the name of a")
    assert "\n" not in fault
