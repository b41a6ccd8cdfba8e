"""The serial backend: signs of a trial between its reports, and trials that raise."""

import json
import signal
from asyncio import CancelledError

import pytest

from tune_ad.detectors.pgn import PGN
from tune_ad.execution import serial
from tune_ad.execution.callbacks import ProgressBar, RecordWriter
from tune_ad.execution.loop import FixedTrials, TrialLoop
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import SCHEMA
from tune_ad.training.replicas import paths
from tune_ad.training.trial import Trial


@pytest.fixture
def one_model_at_a_time(monkeypatch):
    """The two models of a trial are trained one by one, so that an interval has a middle."""
    monkeypatch.setattr(paths, "trained_together", lambda module, device: 1)


@pytest.fixture
def loop_of(finished):
    """A function: a loop that trains the finished study again, with some callbacks."""

    def make(*callbacks):
        session = finished.session
        specs = FixedTrials(finished.folder.read_trial_specs())
        return TrialLoop(session.study, specs, callbacks, session.tasks)

    return make


def run(loop, finished):
    serial.run(loop, finished.session.suite, "cpu", 1)
    assert not loop.interrupted


def of_a_trial(progress):
    """The events of a trial of three epochs that reports after each; its models are a stack.

    The end of training is told in any case.
    """
    return [
        ("started",),
        *(
            event
            for epoch in (1, 2, 3)
            for event in (
                *[("progressed", float(epoch))] * (progress or epoch == 3),
                ("reported", epoch),
            )
        ),
        ("ended", "complete"),
    ]


@pytest.mark.parametrize("progress", [True, False])
def test_progress_comes_between_reports_and_changes_no_number(
    loop_of, finished, events, timeless, monkeypatch, progress
):
    monkeypatch.setattr(serial, "PROGRESS_SECONDS", 0.0 if progress else 3600.0)
    run(loop_of(events), finished)
    assert [event[0] for event in events.all] == sorted(event[0] for event in events.all)
    for number in range(4):
        assert events.of(number) == of_a_trial(progress)
    assert timeless(events.records) == timeless(finished.folder.read_trials())


class Noting(ProgressBar):
    """Notes after each event where the bar is."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.at = []

    def progressed(self, spec, progress):
        super().progressed(spec, progress)
        self.at.append(("progressed", self.bar.n))

    def reported(self, spec, report):
        super().reported(spec, report)
        self.at.append(("reported", self.bar.n))

    def ended(self, spec, record, details):
        super().ended(spec, record, details)
        self.at.append(("ended", self.bar.n))


@pytest.mark.usefixtures("one_model_at_a_time")
def test_the_bar_moves_between_reports(loop_of, finished, monkeypatch, capsys):
    monkeypatch.setattr(serial, "PROGRESS_SECONDS", 0.0)
    bar = Noting("tiny", 4, lambda spec: 3)
    loop = loop_of(bar)
    run(loop, finished)
    loop.close()
    assert bar.bar.total == 4
    expected = [
        sign
        for trial in range(4)
        for sign in (
            *(
                sign
                for epoch in range(3)
                for sign in (
                    ("progressed", trial + (epoch + 0.5) / 3),
                    ("progressed", trial + (epoch + 1) / 3),
                    ("reported", trial + (epoch + 1) / 3),
                )
            ),
            ("ended", trial + 1),
        )
    ]
    assert [event for event, _ in bar.at] == [event for event, _ in expected]
    assert [n for _, n in bar.at] == pytest.approx([n for _, n in expected])
    assert "tiny: 4 of 4 trials 100%" in capsys.readouterr().err


@pytest.mark.usefixtures("one_model_at_a_time")
def test_a_trial_that_raises_in_the_middle_of_an_interval_is_a_failure(
    loop_of, finished, events, monkeypatch
):
    monkeypatch.setattr(serial, "PROGRESS_SECONDS", 0.0)
    terms, calls = PGN.terms, []

    def burst(self, phase, images, noise):
        calls.append(1)
        if self.config.latent_dim == 8 and self.training and len(calls) > 3:
            raise RuntimeError("burst\nin the middle")
        return terms(self, phase, images, noise)

    monkeypatch.setattr(PGN, "terms", burst)
    run(loop_of(events), finished)
    assert events.of(0) == [("started",), ("progressed", 0.5), ("ended", "failed")]
    failed = {record.reason for record in events.records if record.state == "failed"}
    assert failed == {"RuntimeError: burst"}
    assert len(events.records) == 4


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, CancelledError])
def test_a_detector_that_leaves_the_program_is_a_failure(
    loop_of, events, finished, monkeypatch, error
):
    def leave(self, phase, images, noise):
        raise error(3)

    monkeypatch.setattr(PGN, "terms", leave)
    run(loop_of(events), finished)
    assert {record.reason for record in events.records} == {f"{error.__name__}: 3"}
    assert len(events.records) == 4


def test_an_error_of_cuda_is_raised_and_no_trial_is_recorded_as_failed(
    loop_of, events, finished, monkeypatch
):
    advance, lost = Trial.advance, RuntimeError("CUDA error: an illegal memory access\nmore")

    def broken(self, seconds):
        if self.spec.number == 1:
            raise lost
        return advance(self, seconds)

    monkeypatch.setattr(Trial, "advance", broken)
    loop = loop_of(events)
    with pytest.raises(RuntimeError) as caught:
        serial.run(loop, finished.session.suite, "cpu", 1)
    assert caught.value is lost
    assert loop.interrupted
    assert [record.state for record in events.records] == ["complete"]
    assert {event[0] for event in events.all} == {0, 1}


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2 GiB",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
        "burst",
    ],
)
def test_other_errors_on_a_gpu_are_of_the_trial(loop_of, events, finished, monkeypatch, message):
    def broken(self, seconds):
        raise RuntimeError(message)

    monkeypatch.setattr(Trial, "advance", broken)
    run(loop_of(events), finished)
    assert [record.state for record in events.records] == ["failed"] * 4


def test_an_error_whose_message_cannot_be_read_is_of_the_trial(
    loop_of, events, finished, monkeypatch
):
    class OddError(Exception):
        def __str__(self):
            raise ValueError

    def broken(self, seconds):
        raise OddError

    monkeypatch.setattr(Trial, "advance", broken)
    run(loop_of(events), finished)
    assert {record.reason for record in events.records} == {"OddError: its message cannot be read"}


def test_the_details_of_a_trial_that_raised_are_empty_and_of_todays_schema(
    loop_of, finished, monkeypatch, tmp_path
):
    monkeypatch.setattr(PGN, "terms", None)
    folder = StudyFolder(tmp_path)
    folder.study.touch()
    run(loop_of(RecordWriter(folder)), finished)
    records = folder.read_trials()
    assert [record.state for record in records] == ["failed"] * 4
    for record in records:
        stored = json.loads(folder.details(record.identity).read_text())
        assert stored["schema"] == SCHEMA
        assert folder.read_details(record.identity) == stored
        assert (stored["curves"]["epoch"], stored["curves"]["replicas"]) == ([], [])
        assert (stored["histograms"], stored["steps"]) == ([], {})


@pytest.mark.usefixtures("one_model_at_a_time")
def test_an_interruption_in_the_middle_of_an_interval_leaves_the_trial_running(
    loop_of, finished, events, monkeypatch
):
    monkeypatch.setattr(serial, "PROGRESS_SECONDS", 0.0)
    advance, calls = Trial.advance, []

    def interrupted(self, seconds=0.0):
        calls.append(1)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
        return advance(self, seconds)

    monkeypatch.setattr(Trial, "advance", interrupted)
    loop = loop_of(events)
    with pytest.raises(KeyboardInterrupt):
        serial.run(loop, finished.session.suite, "cpu", 1)
    assert loop.interrupted
    assert list(loop.running) == [0]
    assert events.records == []
    assert events.of(0)[-1] == ("progressed", 2.0)
