"""The programs that check and price the results of this project."""

import pytest

from analysis.study import StudyRecords
from benchmarks.price_of_results import price
from benchmarks.rerun_a_trial import compared, drawn, without
from tests.analysis.planted import record, write
from tune_ad.errors import UserError


@pytest.fixture
def records(tmp_path):
    """A folder with a study of a complete trial and one that failed."""
    trials = [record(0, {"width": 1.0}, [0.8, 0.9]), record(1, {"width": 2.0}, [None, 0.9])]
    folder = write(tmp_path, trials).path
    (folder / "trials").mkdir(exist_ok=True)
    for name in ("id0.json", "id0.npz", "id1.json"):
        (folder / "trials" / name).write_text("{}")
    return tmp_path


def test_a_complete_trial_is_drawn_and_taken_out_of_a_copy(records, tmp_path_factory):
    study, trial = drawn(records, [], seed=3)
    assert trial.number == 0
    copy = without(study, trial, tmp_path_factory.mktemp("copy"))
    assert [one.number for one in StudyRecords.read(copy).trials] == [1]
    assert [path.name for path in (copy / "trials").iterdir()] == ["id1.json"]
    assert len(StudyRecords.read(study.folder.path).trials) == 2


def test_an_unknown_study_is_refused_in_a_line(records, tmp_path):
    with pytest.raises(UserError, match="no complete trial of mine; there are trials of planted"):
        drawn(records, ["mine"], seed=0)
    with pytest.raises(UserError, match="no complete trial; there are trials of no study"):
        drawn(tmp_path / "nowhere", [], seed=0)


@pytest.mark.parametrize(
    ("now", "verdict", "agrees"),
    [
        ([0.8, 0.9, 0.7], "every model has the same number", True),
        ([0.81, 0.9, 0.7], "within the interval", True),
        ([0.1, 0.2, 0.1], "NOT within the interval", False),
    ],
)
def test_a_trial_has_the_same_numbers_or_agrees_or_differs(now, verdict, agrees):
    before = record(4, {"width": 1.0}, [0.8, 0.9, 0.7])
    text, same = compared(before, record(4, {"width": 1.0}, now))
    assert verdict in text and same is agrees
    assert text.startswith("PGN, trial 4, 6 models: mean test AUROC 0.800000 in the record")


@pytest.mark.slow
def test_a_command_has_a_size_and_a_time():
    estimated = price(["--search", "quickstart", "--budget", "quick"])
    assert estimated.size.startswith("8 trials x 3 classes x 2 seeds = 48 models")
    assert estimated.time.startswith("about ")
    assert list(estimated.trials) == ["PGN"] and estimated.trials["PGN"].startswith("about ")
    assert estimated.machine
