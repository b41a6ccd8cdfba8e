"""A disk that fills up, or a folder that goes, while a study runs: nothing is half kept."""

import shutil
from contextlib import ExitStack

import pytest

from tests.faults.layer import FailingRecords, Layer, installed
from tests.marks import slow
from tune_ad.app.command_line.console import closing
from tune_ad.errors import MachineError
from tune_ad.execution.callbacks import RecordWriter


@pytest.fixture
def full(tmp_path):
    """A function: from the nth line of records on, the disk is full; a line is half written.

    It returns a function that mends the disk.
    """
    with ExitStack() as stack:

        def fill(first):
            stack.enter_context(installed(Layer(tmp_path, FailingRecords(first - 1))))
            return stack.close

        yield fill


def lines_of(folder):
    return sorted((r.number, r.state, r.identity) for r in folder.read_trials())


@pytest.mark.parametrize("first", [2, 6, *(slow(first) for first in (1, 3, 9))])
def test_a_full_disk_stops_the_study_which_goes_on_as_if_it_had_not_been(
    open_study, tiny, tmp_path, finished, full, first
):
    session = open_study(tiny, tmp_path)
    mend = full(first)
    outcome = session.run()
    assert (outcome.exit_code, outcome.interrupted, outcome.kept) == (3, False, True)
    text = closing(session, outcome)
    assert text.startswith("error: ") and "No space left on device" in text.splitlines()[0]
    assert "then continue with: " in text and "--resume" in text
    mend()
    assert open_study(tiny, tmp_path, resume=True).run().exit_code == 0
    assert lines_of(session.folder) == lines_of(finished.folder)


def test_a_folder_that_goes_is_not_made_anew(open_study, tiny, tmp_path, monkeypatch):
    session, real = open_study(tiny, tmp_path), RecordWriter.ended

    def gone(self, spec, record, details):
        shutil.rmtree(session.folder.path)
        real(self, spec, record, details)

    monkeypatch.setattr(RecordWriter, "ended", gone)
    with pytest.raises(
        MachineError, match=r"study\.json cannot be read or written \(No such file"
    ):
        session.run()
    assert not session.folder.trials.path.exists()


def test_a_folder_that_cannot_be_written_is_a_fault_of_the_machine(open_study, tiny, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="is not a writable folder; use another --results"):
        open_study(tiny, tmp_path / "file" / "results")


@pytest.mark.slow
def test_a_full_disk_under_ray(joined, open_study, tiny, tmp_path, finished, full):
    options = {"backend": "ray", "concurrent": 2}
    session = open_study(tiny, tmp_path, **options)
    mend = full(4)
    outcome = session.run()
    assert (outcome.exit_code, "No space left on device" in outcome.fault) == (3, True)
    mend()
    assert open_study(tiny, tmp_path, resume=True, **options).run().exit_code == 0
    numbers = [record.number for record in session.folder.read_trials()]
    assert sorted(numbers) == sorted(record.number for record in finished.folder.read_trials())


def test_records_that_become_a_folder_before_the_last_line_are_the_machines_fault(
    open_study, tiny, tmp_path
):
    session = open_study(tiny, tmp_path, changes={"trials": 1, "epochs": 1}, evaluate=False)
    outcome = session.run()
    session.folder.trials.path.unlink()
    session.folder.trials.path.mkdir()
    with pytest.raises(MachineError, match=r"trials\.jsonl cannot be read \(Is a directory\)"):
        with session.removals_noticed():
            closing(session, outcome)
