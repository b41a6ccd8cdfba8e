"""Which models of a study are kept, and when `best/` is written anew."""

import json
import shutil
import time
from dataclasses import replace

import pytest

from tune_ad.app.command_line.console import opening
from tune_ad.app.keeping import keep_best
from tune_ad.models.folder import ModelFolder
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.kept_models import DESCRIPTION


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))


def test_by_default_the_winner_on_fresh_seeds_is_kept(finished):
    folder = finished.folder
    winner = folder.read_evaluation()[0].identity
    fresh = [f"seed-{seed}/{name}" for seed in (1000, 1001) for name in ("0-0", "1-1")]
    assert files(folder.models(winner)) == [f"{name}.safetensors" for name in fresh]
    assert files(folder.path / "models") == [f"{winner}/{name}.safetensors" for name in fresh]
    assert files(folder.best) == [f"{name}.safetensors" for name in fresh]
    one = folder.best / "seed-1000" / "0-0.safetensors"
    assert one.stat().st_ino == (folder.models(winner) / "seed-1000" / one.name).stat().st_ino
    content = json.loads((folder.best / DESCRIPTION).read_text())
    assert content["provenance"]["identity"] == winner


def test_the_order_in_which_seeds_have_ended_changes_no_kept_model(finished, tmp_path):
    path = tmp_path / "tiny"
    shutil.copytree(finished.folder.path, path)
    folder = StudyFolder(path)
    expected = ModelFolder(folder.best).description
    shutil.rmtree(folder.best)
    lines = folder.evaluation.path.read_text().splitlines(keepends=True)
    folder.evaluation.path.write_text("".join(reversed(lines)))
    keep_best(replace(finished.session, folder=folder))
    assert ModelFolder(folder.best).description.tasks == expected.tasks


@pytest.mark.parametrize("which", ["none", "all"])
def test_no_model_or_every_model_is_kept(tiny, open_study, tmp_path, which):
    session = open_study(tiny, tmp_path, keep_models=which, changes={"trials": 2, "epochs": 1})
    assert session.run().exit_code == 0
    folder = session.folder
    if which == "none":
        assert not folder.best.exists() and not (folder.path / "models").exists()
        return
    for record in folder.read_trials():
        kept = files(folder.models(record.identity))
        assert {"seed-0/0-0.safetensors", "seed-0/1-1.safetensors"} <= set(kept)
    assert folder.best.is_dir()


def test_the_disk_space_is_said_before(tiny, open_study, tmp_path):
    line = next(x for x in opening(open_study(tiny, tmp_path)).splitlines() if "kept models" in x)
    assert "those of the winner on fresh seeds, at most 0." in line
    assert str(tmp_path / "tiny" / "best") in line
    none = open_study(tiny, tmp_path, keep_models="none")
    assert "kept models" not in opening(none)


def test_best_is_written_anew_only_if_something_has_changed(tiny, open_study, tmp_path):
    session = open_study(tiny, tmp_path, changes={"trials": 2, "epochs": 1})
    session.run()
    best, said = session.folder.best, []
    session = replace(session, say=said.append)
    before = (best / DESCRIPTION).stat().st_ino
    keep_best(session)
    assert (best / DESCRIPTION).stat().st_ino == before
    stricter = replace(session, options=replace(session.options, false_alarms=0.2))
    keep_best(stricter)
    assert ModelFolder(best).description.tasks[0].threshold.wished == 0.2
    content = json.loads((best / DESCRIPTION).read_text())
    content["provenance"]["identity"] = "another"
    (best / DESCRIPTION).write_text(to_text(content))
    keep_best(stricter)
    assert ModelFolder(best).description.provenance["identity"] != "another"
    keep_best(session)  # without a wish, the rate of the existing one stays
    assert ModelFolder(best).description.tasks[0].threshold.wished == 0.2
    (best / DESCRIPTION).write_text("damaged")
    keep_best(stricter)
    assert ModelFolder(best).task("digits/0").threshold.wished == 0.2
    assert not [path for path in best.parent.iterdir() if path.name.endswith(".partial")]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space", "best"), (3, "best cannot be read or written (No space)")),
        (ZeroDivisionError("x"), (1, "scoring with them raised ZeroDivisionError")),
    ],
)
def test_models_that_cannot_be_kept_are_said_and_cost_no_result(
    tiny, open_study, tmp_path, monkeypatch, error, expected
):
    def fails(*arguments):
        raise error

    monkeypatch.setattr("tune_ad.app.keeping.build", fails)
    session = open_study(tiny, tmp_path, changes={"trials": 1, "epochs": 1})
    said = []
    outcome, (code, words) = replace(session, say=said.append).run(), expected
    assert (outcome.failed, outcome.exit_code) == (0, code)
    assert words in (outcome.fault or said[-1])
    assert all(record.state == "complete" for record in session.folder.read_evaluation())


def test_a_detector_that_hangs_when_it_scores_with_kept_models_costs_no_result(
    tiny, open_study, tmp_path, monkeypatch
):
    monkeypatch.setattr("tune_ad.app.keeping.build", lambda *arguments: time.sleep(600))
    changes = {"trials": 1, "epochs": 1}
    session = open_study(tiny, tmp_path, changes=changes, trial_timeout=0.01)
    said = []
    outcome = replace(session, say=said.append).run()
    assert (outcome.failed, outcome.exit_code) == (0, 1)
    assert said[-1].startswith(
        "the winner's models are not kept: scoring with them has failed: it takes more than 1.2 s"
    )


def test_too_few_images_for_the_wished_rate_are_said(tiny, open_study, tmp_path):
    changes = {"trials": 1, "epochs": 1}
    session = open_study(tiny, tmp_path, changes=changes, false_alarms=0.001)
    said = []
    replace(session, say=said.append).run()
    (first, *_) = [line for line in said if "too few images" in line]
    assert first.startswith("digits/0: too few images for a false-alarm rate of 0.001: the least")
    assert first.endswith("999 would do")
