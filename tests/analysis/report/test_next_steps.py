"""The commands of the first section are commands that the program takes."""

import shlex
from dataclasses import replace

import pytest

from analysis.report.findings import Findings
from analysis.report.next_steps import next_steps
from tests.analysis.planted import record, study
from tune_ad.app.command_line.parser import options, parse

WIDTH = {"PGN": {"width": 1.0}}


def planted(path, stored=(), begun=None, **search):
    written = study(
        path,
        [record(0, {"width": 1.0}, [0.6]), record(1, {"width": "other"}, [0.7])],
        WIDTH,
        plan={"name": "Optuna"},
        **search,
    )
    return replace(written, stored={**written.stored, **dict(stored)}, begun=begun)


def taken(step):
    """The options that the program reads from a command."""
    program, script, *words = shlex.split(step.command)
    assert (program, script) == ("python", "run.py")
    return options(parse(words))


def test_the_study_is_repeated_with_the_options_that_it_was_begun_with(tmp_path):
    stored = {
        "search": "planted",
        "changes": {"trials": 9, "classes": [0, 3], "train_images": 200, "evaluation_seeds": 4},
        "backend": "serial",
        "evaluate": True,
    }
    step = next_steps(Findings(planted(tmp_path, stored, settings={"width": 0.5}, seed=7)))[0]
    read = taken(step)
    assert (read.search, read.budget, read.seed, read.backend) == (
        "planted", "quick", 7, "serial"
    )  # fmt: skip
    assert read.selection == "validation" and str(read.results) == "another_folder"
    assert (read.changes["trials"], read.changes["train_images"]) == (9, 200)
    assert [*map(str, read.changes["classes"])] == ["0", "3"]
    assert float(read.settings["width"]) == 0.5


@pytest.mark.parametrize(
    ("shape", "precision", "stated"),
    [
        ((1, 28, 28), "float32", "auto"),
        ((1, 28, 28), "bfloat16", "bfloat16"),
        ((3, 32, 32), "bfloat16", "bfloat16"),
        ((3, 32, 32), "float32", "float32"),
    ],
)
def test_the_precision_is_stated_where_another_machine_could_choose_another(
    tmp_path, shape, precision, stated
):
    search = {"precision": {"PGN": precision}, "image_shape": list(shape)}
    assert taken(next_steps(Findings(planted(tmp_path, **search)))[0]).precision == stated


@pytest.mark.parametrize("folder", ["plain", "with spaces & 'quotes'"])
def test_a_search_that_adapts_can_be_extended_where_it_lies(tmp_path, folder):
    steps = next_steps(Findings(planted(tmp_path / folder, {"search": "planted"})))
    read = taken(steps[1])
    assert (read.extend, str(read.results)) == (20, str(tmp_path / folder))


def test_an_unfinished_study_is_continued_before_it_is_extended(tmp_path):
    steps = next_steps(Findings(planted(tmp_path, {"search": "planted"}, begun=3)))
    assert [taken(step).resume for step in steps] == [False, True]


def test_a_list_of_configurations_is_not_extended(tmp_path):
    trials = [record(0, {"width": 1.0}, [0.6])]
    steps = next_steps(Findings(study(tmp_path, trials, WIDTH)))
    assert len(steps) == 1 and taken(steps[0]).search == "planted"


def test_an_ablation_another_detector_and_a_file_are_named(tmp_path):
    stored = {
        "search": "planted",
        "search_file": {"path": "/a b/mine.py", "sha256": ""},
        "detector": "lof.py:LOF",
        "ablation": "sobol",
    }
    step = next_steps(Findings(planted(tmp_path, stored)))[0]
    words = shlex.split(step.command)
    assert "/a b/mine.py:planted" in words and "lof.py:LOF" in words
    assert words[words.index("--ablate") + 1] == "sobol" and "--selection" not in words


def test_the_baselines_that_take_part_are_named(tmp_path):
    step = next_steps(Findings(planted(tmp_path, {"baselines": ["beta-VAE", "PGN"]})))[0]
    assert taken(step).baselines == ("beta-VAE", "PGN")


def test_images_of_ones_own_are_asked_for(tmp_path):
    steps = next_steps(Findings(planted(tmp_path, {"search": "vae_mnist"})))
    assert [taken(step).data for step in steps] == ["IMAGES", "IMAGES"]
    assert "with the images of the first run for IMAGES" in steps[0].purpose
    plain = next_steps(Findings(planted(tmp_path / "plain", {"search": "planted"})))
    assert taken(plain[0]).data is None
