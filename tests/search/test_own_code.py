"""Searches and detectors in files of a user's own, named by their paths."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ray import cloudpickle

from tune_ad.app.command_line.options import Options
from tune_ad.app.command_line.parser import resume_command
from tune_ad.app.preparation.validation import prepare
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.search.catalogue import find, find_entry
from tune_ad.storage.folder import StudyFolder

POWER = """def powered(squared, power):
    return squared if power == "square" else (squared + 1e-6).sqrt()
"""
DETECTOR = '''"""A detector beside the search."""

from dataclasses import dataclass

import power_of_distance
from torch import nn

from tune_ad.detectors.base import TrainedDetector
from tune_ad.detectors.config import NetworkConfig, choice


@dataclass(frozen=True)
class SphereConfig(NetworkConfig):
    power: str = choice("square", "root", measures=("loss",))


class Sphere(TrainedDetector[SphereConfig]):
    Config = SphereConfig

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.encoder = nn.Linear(shape.channels * shape.height * shape.width, config.latent_dim)

    def terms(self, phase, images, noise):
        squared = self.encoder(images.flatten(1)).square().sum(1)
        return {"loss": power_of_distance.powered(squared, self.config.power)}

    def score_variants(self, images, noise, score_space):
        return {"score": self.terms("train", images, noise)["loss"]}
'''
SEARCH = '''"""My search."""

from my_sphere import Sphere
from optuna.distributions import CategoricalDistribution

from tune_ad.search import Baseline, Budget, Search

mine = Search(
    name="mine_{data}",
    data=("digits", "mnist"),
    baselines=(
        Baseline(
            Sphere,
            space={"power": CategoricalDistribution(["square", "root"])},
            settings={"latent_dim": 4, "batch_size": 20},
        ),
    ),
    budgets={
        "quick": Budget(
            trials=2, epochs=1, seeds=1, classes=(0, 1), train_images=40, validation_images=20,
            test_images=20, evaluation_seeds=0,
        ),
    },
)
'''


@pytest.fixture
def folder(tmp_path):
    """A folder with a search, a detector beside it, and a module beside that."""
    folder = tmp_path / "code"
    folder.mkdir()
    for name, text in (
        ("power_of_distance", POWER),
        ("my_sphere", DETECTOR),
        ("mine", SEARCH),
    ):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def test_a_search_in_a_file_is_found_by_its_path(folder):
    before = set(sys.modules)
    path = list(sys.path)
    search, data = find(f"{folder / 'mine.py'}:mine_mnist")
    assert (search.name, data) == ("mine_{data}", "mnist")
    assert search.baselines[0].title == "Sphere"
    assert {"mine", "my_sphere", "power_of_distance"} & (set(sys.modules) - before) == set()
    assert sys.path == path


def test_the_name_may_be_left_out_if_there_is_one_search(folder):
    file = folder / "mine.py"
    with pytest.raises(UserError) as refusal:
        find_entry(str(file))
    assert str(refusal.value) == (
        f"{file} declares 2 searches, mine_digits, mine_mnist; choose one, as in "
        f"--search {file}:mine_digits"
    )
    file.write_text(SEARCH.replace('"digits", "mnist"', '"digits",'), encoding="utf-8")
    assert find_entry(str(file)).name == "mine_digits"


def test_on_other_data_the_name_of_the_family_is_enough(folder):
    """It may be left out, too, if the file declares a single family."""
    for name in ("", ":mine", ":mine_digits"):
        chosen = Options(f"{folder / 'mine.py'}{name}", data="fmnist")
        assert chosen.search == f"{folder / 'mine.py'}:mine_digits"
        assert chosen.study == "mine_fmnist"


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ("mine.py:mine_digit", "declares no search 'mine_digit'; did you mean mine_digits?"),
        ("mine.py:other", "declares no search 'other'; it declares mine_digits, mine_mnist"),
        ("mien.py", "there is no file '{folder}/mien.py'; did you mean mine.py?"),
        ("my_sphere.py", "declares no search; assign one to a variable: mine = Search(...)"),
    ],
)
def test_a_wrong_path_or_name_is_one_line(folder, reference, fault):
    with pytest.raises(UserError) as refusal:
        find_entry(f"{folder}/{reference}")
    assert fault.format(folder=folder) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("mine", "x = = 3", "mine.py, line 1: invalid syntax; correct the file"),
        ("mine", "\nx = Search(name='a')", "mine.py, line 2: data is missing"),
        ("mine", "import nowhere\n" + SEARCH, "mine.py, line 1: No module named 'nowhere'"),
        ("my_sphere", "\nimport nowhere", "my_sphere.py, line 2: No module named 'nowhere'"),
        ("my_sphere", "1 / 0", "my_sphere.py, line 1: ZeroDivisionError: division by zero"),
        ("my_sphere", "x = = 3", "mine.py, line 3: SyntaxError: invalid syntax (my_sphere.py, "),
        ("mine", SEARCH.replace("epochs=", "epoch="), "mine.py, line 19: TypeError: Budget.__ini"),
        ("mine", SEARCH.replace('{"power"', '{"powr"'), "mine.py, line 12: Sphere has no paramet"),
    ],
)
def test_a_fault_names_the_file_and_the_line(folder, name, text, fault):
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as refusal:
        find(f"{folder / 'mine.py'}:mine_digits")
    assert str(refusal.value).startswith(f"{folder}/{fault}")
    assert "\n" not in str(refusal.value)


def test_modules_of_the_same_name_in_two_folders_are_two_modules(tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "beside.py").write_text(f"EPOCHS = {len(name)}{len(folder.parts)}")
        (folder / "search.py").write_text(
            "from beside import EPOCHS\n"
            "from tune_ad.detectors.pgn import PGN\n"
            "from tune_ad.search import Baseline, Budget, Search\n"
            f"x = Search(name='x', data=('digits',), baselines=(Baseline(PGN, name='{name}'),),\n"
            "    budgets={'quick': Budget(trials=1, epochs=EPOCHS, seeds=1)})\n"
        )
    (tmp_path / "two" / "beside.py").write_text("EPOCHS = 77")
    searches = [find(f"{tmp_path / name / 'search.py'}")[0] for name in ("one", "two")]
    assert searches[1].budgets["quick"].epochs == 77
    assert searches[0].budgets["quick"].epochs != 77


def test_modules_that_can_be_imported_anyway_stay_imported(tmp_path, monkeypatch):
    """A file in a folder of the path, such as the checkout, shares its modules with others."""
    (tmp_path / "shared_module_of_a_test.py").write_text("VALUE = []")
    (tmp_path / "a_search.py").write_text(
        "from shared_module_of_a_test import VALUE\n"
        "from tune_ad.detectors.pgn import PGN\n"
        "from tune_ad.search import Baseline, Budget, Search\n"
        "x = Search(name='x', data=('digits',), baselines=(Baseline(PGN),),\n"
        "    budgets={'quick': Budget(trials=1, epochs=1, seeds=1)})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        find(f"{tmp_path / 'a_search.py'}")
        assert "shared_module_of_a_test" in sys.modules
    finally:
        sys.modules.pop("shared_module_of_a_test", None)


def options(folder, results, **changes):
    usual = {"budget": "quick", "backend": "serial", "device": "cpu", "progress": False}
    return Options(f"{folder / 'mine.py'}:mine_digits", results=results, **{**usual, **changes})


def test_a_study_of_a_file_has_the_searchs_name_and_says_which_file(folder, tmp_path):
    chosen = options(folder, tmp_path, extend=1)
    assert chosen.study == "mine_digits"
    assert options(folder, tmp_path, ablate="grid").study == "mine_digits-grid"
    words = resume_command(chosen)
    assert f"--search {folder / 'mine.py'}:mine_digits --resume" in words
    prepare(options(folder, tmp_path, changes={"trials": 1}), say=lambda line: None).run()
    study = StudyFolder(tmp_path / "mine_digits")
    stored = json.loads(study.study.read_text(encoding="utf-8"))
    assert stored["search"] == "mine_digits"
    assert stored["search_file"]["path"] == str(folder / "mine.py")
    assert len(stored["search_file"]["sha256"]) == 64
    (folder / "power_of_distance.py").write_text(f"{POWER}\nMORE = 1\n", encoding="utf-8")
    with pytest.raises(UserError, match="the code of power_of_distance.py has changed; trials"):
        prepare(chosen, say=lambda line: None)
    (folder / "power_of_distance.py").write_text(POWER, encoding="utf-8")
    (folder / "mine.py").write_text(f"{SEARCH}\n# a comment\n", encoding="utf-8")
    outcome = prepare(chosen, say=lambda line: None).run()  # comments change no number
    assert outcome.failed == 0
    records = study.read_trials()
    assert [record.state for record in records] == ["complete"] * 2
    assert sorted(record.params["power"] for record in records) == ["root", "square"]
    (folder / "mine.py").write_text(SEARCH.replace('"latent_dim": 4', '"latent_dim": 5'))
    with pytest.raises(UserError, match="these parts of the search have changed.*baselines"):
        prepare(options(folder, tmp_path, resume=True), say=lambda line: None)


@pytest.mark.slow
def test_a_detector_of_a_file_reaches_processes_that_cannot_import_it(folder, tmp_path):
    """As Ray sends it to its workers."""
    baseline = find(f"{folder / 'mine.py'}:mine_digits")[0].baselines[0]
    shape = ImageShape(1, 2, 2)
    config = baseline.config(shape, {"power": "root"})
    torch.manual_seed(0)
    module = baseline.detector(config, shape)
    images = torch.rand(3, 1, 2, 2)
    sent = tmp_path / "sent.pickle"
    sent.write_bytes(cloudpickle.dumps((baseline, config, module, images)))
    script = (
        "import pickle, pathlib, sys\n"
        f"sent = pathlib.Path({str(sent)!r}).read_bytes()\n"
        "baseline, config, module, images = pickle.loads(sent)\n"
        "again = baseline.config(module.shape, {'power': 'root'})\n"
        "assert again == config and isinstance(module, baseline.detector)\n"
        "print(*module.score(images, {}).tolist())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    received = [float(number) for number in result.stdout.split()]
    torch.testing.assert_close(torch.tensor(received), module.score(images, {}).detach())


@pytest.mark.slow
def test_a_search_in_a_file_runs_on_ray(joined, folder, tmp_path):
    session = prepare(options(folder, tmp_path, backend="ray"), say=lambda line: None)
    assert session.run().failed == 0
    records = session.folder.read_trials()
    assert [record.state for record in records] == ["complete"] * 2
