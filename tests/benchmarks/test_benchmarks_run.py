"""The programs that measure still run, on small inputs; what they measure is not looked at."""

import json

import pytest

from benchmarks import report, train
from tune_ad.storage.folder import StudyFolder


@pytest.mark.parametrize("name", ["AE", "PGN"])
def test_training_and_scoring_can_be_measured(name):
    row = train.measured(name, "MNIST", threads=1, seconds=0.001, device="cpu")
    assert row["detector"] == name
    assert float(row["train, images/s"].replace(",", "")) > 0


def test_only_detectors_that_train_networks_are_measured():
    assert "PGN" in train.DETECTORS
    assert "KDE" not in train.DETECTORS


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
