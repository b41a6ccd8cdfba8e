"""The programs that measure still run, on small inputs; what they measure is not looked at."""

import json
import os
from pathlib import Path

import pytest

from benchmarks import interleaved, overhead, principal_components, report, train
from tune_ad import load
from tune_ad.storage.folder import StudyFolder


@pytest.mark.parametrize(("name", "precision"), [("AE", "float32"), ("PGN", "bfloat16")])
@pytest.mark.slow
def test_training_and_scoring_can_be_measured(name, precision):
    setting = train.Setting(name, "MNIST", replicas=2, precision=precision, seconds=0.001)
    row = train.row(setting)
    assert (row["detector"], row["models"], row["precision"]) == (name, 2, precision)
    assert float(row["train, images/s"].replace(",", "")) > 0


def test_principal_components_of_enlarged_images_can_be_measured():
    rows = [*principal_components.rows(load("digits"), 100, 24, 0.03, [0.9])]
    assert [row["components"] for row in rows] == [
        "exact",
        "randomised, seed 0",
        "randomised, seed 1",
    ]
    assert 0.9 <= rows[0]["explained"] <= 1
    assert rows[0]["AUROC"] > 50


def test_images_of_all_models_are_counted(monkeypatch):
    counts = []
    monkeypatch.setattr(train, "rate", lambda call, images, *_: counts.append(images) or 1.0)
    train.measured(train.Setting("AE", "MNIST", replicas=3))
    assert counts == [3 * train.IMAGES] * 2


@pytest.mark.slow
def test_two_checkouts_are_compared_in_processes_of_their_own(capsys):
    here = str(Path(train.__file__).parents[1])
    options = ["--detectors", "AE", "--images", "MNIST", "--threads", "1", "--seconds", "0.001"]
    train.main(["--against", here, "--rounds", "1", *options, "--precision", "bfloat16"])
    header, _, row = capsys.readouterr().out.splitlines()[:3]
    assert "train after / before" in header
    assert row.count("bfloat16") == 2


def test_the_precisions_of_two_versions_can_differ(monkeypatch):
    rates = {"float32": {"train": 10.0, "score": 4.0}, "bfloat16": {"train": 15.0, "score": 4.0}}

    def measured_in(checkout, setting):
        return rates[setting.precision] | {"commit": checkout.name}

    monkeypatch.setattr(train, "measured_in", measured_in)
    after = train.Setting("AE", "MNIST", precision="bfloat16")
    settings = {"before": after._replace(precision="float32"), "after": after}
    row = train.compared({"before": Path("a"), "after": Path("b")}, settings, rounds=3)
    assert (row["before"], row["after"]) == ("a, float32", "b, bfloat16")
    assert row["train after / before"] == "1.50 [1.50, 1.50]"


def test_a_folder_without_the_project_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        train.main(["--against", str(tmp_path)])
    assert "is not a checkout of the project" in capsys.readouterr().err


def test_measurements_are_made_in_turn():
    calls = []
    names = {name: lambda name=name: calls.append(name) or len(calls) for name in "AB"}
    assert interleaved.in_turn(2, names) == {"A": [1, 3], "B": [2, 4]}
    assert "".join(calls) == "ABAB"


def test_ratios_are_those_of_the_same_round():
    assert interleaved.ratio([2.0, 20.0, 300.0], [1.0, 10.0, 100.0]) == "2.00 [2.00, 2.95]"


def test_only_detectors_that_train_networks_are_measured():
    assert "PGN" in train.DETECTORS
    assert "KDE" not in train.DETECTORS


@pytest.mark.slow
def test_a_synthetic_study_can_be_read_and_reported(tmp_path, capsys):
    folder = StudyFolder(tmp_path / "planted")
    report.write_study(folder, trials=12, replicas=10)
    records = folder.read_trials()
    assert [record.number for record in records] == list(range(12))
    assert all(len(record.replicas) == 10 for record in records)
    report.report(folder.path)
    cost = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert cost["seconds"] > 0
    assert "AUROC" in cost["summary"]


@pytest.mark.slow
def test_the_announced_time_of_a_search_is_read(tmp_path):
    here = Path(train.__file__).parents[1]
    search = ["--search", "quickstart", "--budget", "quick", "--results", str(tmp_path)]
    run = overhead.run(here, [*search, "--dry-run"])
    assert 5 < overhead.announced_seconds(run.output) < 3600
    assert 0 < run.cpu


def test_the_peak_of_memory_is_the_largest(monkeypatch):
    real = overhead.memory(os.getpid())
    assert 0 < real["Uss"] <= real["Pss"] <= real["Rss"]
    peaks = overhead.Peaks()
    for size in (1.0, 3.0, 2.0):
        now = {kind: size * real[kind] for kind in overhead.KINDS}
        monkeypatch.setattr(overhead, "memory", lambda number, now=now: now)
        peaks(os.getpid())
    assert peaks.largest(of_workers=False) == {kind: 3 * real[kind] for kind in overhead.KINDS}
