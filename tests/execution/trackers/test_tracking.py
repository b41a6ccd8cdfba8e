"""What trackers are told, and that a study comes to no harm by them."""

import os
import socket
import subprocess
import sys
import threading
import warnings
from functools import partial
from pathlib import Path

import pytest

from tests.marks import slow
from tune_ad.app.command_line.option import Names
from tune_ad.app.command_line.options import Options
from tune_ad.app.command_line.parser import options, parse, resume_command
from tune_ad.errors import MachineError, UserError
from tune_ad.execution import trackers
from tune_ad.execution.callbacks import RecordWriter
from tune_ad.execution.trackers import tracking
from tune_ad.execution.trackers.mlflow_runs import MlflowTracker
from tune_ad.execution.trackers.tracker import Tracker
from tune_ad.execution.trackers.wandb_runs import WandbTracker
from tune_ad.execution.trackers.worker import Worker
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import TEST_AUROC

PROJECT = Path(__file__).parents[3]


class Noting(Tracker):
    """Notes what it is told; the nth call, and every later one, may fail."""

    place = "nowhere"

    def __init__(self, fails_from=None):
        self.told, self.fails_from, self.checked = [], fails_from, 0

    def _note(self, *what):
        self.told.append(what)
        if self.fails_from is not None and len(self.told) > self.fails_from:
            raise ConnectionResetError("the server has gone")

    def check(self):
        self.checked += 1

    def begin(self, run):
        self._note("begin", run)

    def log(self, key, metrics, epoch):
        self._note("log", key, metrics, epoch)

    def end(self, key, state, summary):
        self._note("end", key, state)

    def keep(self, key, files):
        self._note("keep", key, [file.name for file in files])

    def close(self):
        self._note("close")

    def of(self, kind):
        return [what[1:] for what in self.told if what[0] == kind]


@pytest.fixture
def tracker(monkeypatch):
    """What takes the place of MLflow."""
    noting = Noting()
    monkeypatch.setattr(tracking, "MlflowTracker", lambda *_: noting)
    return noting


@pytest.fixture
def begin(tiny, open_study, tmp_path):
    """A function: the tiny search in a folder of this test, with a tracker."""
    return partial(open_study, tiny, tmp_path, log_to=Names(["mlflow"]))


def test_a_tracker_is_told_of_trials_fresh_seeds_and_the_report(begin, tracker):
    session = begin()
    outcome = session.run()
    (session.folder.path / "report.html").write_text("the report")
    session.end_tracking(outcome)
    runs = [run for (run,) in tracker.of("begin")]
    assert [run.kind for run in runs] == ["study", *["trial"] * 4, *["fresh seed"] * 2]
    assert len({run.key for run in runs}) == 7
    assert [run.name for run in runs[:2]] == ["tiny", "trial 0"]
    records, fresh = session.folder.read_trials(), session.folder.read_evaluation()
    assert [run.params for run in runs[1:5]] == [record.params for record in records]
    assert [run.tags["seed"] for run in runs[5:]] == [str(r.replicas[0].seed) for r in fresh]
    commit = session.folder.read_study()["versions"]["commit"]
    for run in runs:
        assert (run.tags["study"], run.tags["detector"], run.tags["commit"]) == (
            "tiny",
            "PGN",
            commit,
        )
    curve = [(m, epoch) for key, m, epoch in tracker.of("log") if key == runs[1].key]
    assert [(epoch, m["objective"]) for m, epoch in curve] == records[0].reports
    values = records[0].metrics[TEST_AUROC]
    assert curve[-1][0]["test/auroc"] == pytest.approx(sum(values) / len(values))
    ended = {key: state for key, state in tracker.of("end")}
    assert ended == {run.key: "complete" for run in runs}
    assert tracker.of("keep") == [(runs[0].key, ["report.html"])]
    assert tracker.told[-1] == ("close",) and tracker.checked == 1


def test_a_study_that_goes_on_has_the_same_keys(begin, tracker, monkeypatch):
    session, real = begin(), RecordWriter.ended

    def interrupted(self, spec, record, details):
        if spec.number == 1:
            raise KeyboardInterrupt
        real(self, spec, record, details)

    monkeypatch.setattr(RecordWriter, "ended", interrupted)
    session.end_tracking(session.run())
    monkeypatch.setattr(RecordWriter, "ended", real)
    states = [state for _, state in tracker.of("end")]
    assert states == ["complete", "interrupted", "interrupted"]
    keys = [run.key for (run,) in tracker.of("begin")]
    tracker.told.clear()
    begin(resume=True, evaluate=False).run()
    again = [run.key for (run,) in tracker.of("begin")]
    assert again[:2] == [keys[0], keys[2]], "the study, and the trial that was interrupted"
    assert not set(again[2:]) & set(keys)


@pytest.mark.parametrize("fails_from", [slow(0), 5])
def test_a_tracker_that_dies_is_said_once_and_harms_no_study(
    begin, tracker, finished, timeless, fails_from
):
    tracker.fails_from, lines = fails_from, []
    session = begin()
    object.__setattr__(session, "say", lines.append)
    outcome = session.run()
    session.end_tracking(outcome)
    assert outcome.exit_code == 0
    assert timeless(session.folder.read_trials()) == timeless(finished.folder.read_trials())
    said = [line for line in lines if "MLflow" in line]
    assert said == [
        "MLflow has failed (ConnectionResetError: the server has gone); the study goes on without "
        "it"
    ]
    assert len(tracker.told) == fails_from + 1, "after a failure it is told nothing"


def test_a_slow_tracker_holds_nothing_up():
    worker, goes_on = Worker(), threading.Event()
    worker.do(goes_on.wait)
    worker.do(lambda: None)
    worker.close(0.01)
    assert isinstance(worker.fault, TimeoutError)
    goes_on.set()


def test_a_worker_does_everything_in_order_before_it_ends():
    worker, done = Worker(), []
    for number in range(20):
        worker.do(partial(done.append, number))
    worker.close()
    assert (done, worker.fault) == (list(range(20)), None)


def test_a_worker_leaves_the_filters_of_warnings_alone():
    worker, started, goes_on = Worker(), threading.Event(), threading.Event()

    def task():
        started.set()
        assert goes_on.wait(60)

    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker.do(task)
        assert started.wait(60)
    goes_on.set()
    worker.close()
    assert (warnings.filters, worker.fault) == (before, None)


@pytest.mark.parametrize(
    ("module", "is_ignored"),
    [
        ("mlflow", True),
        ("wandb.sdk.lib", True),
        ("tune_ad.execution.trackers.mlflow_runs", True),
        ("wandbox", False),
        ("my_detector", False),
    ],
)
def test_warnings_of_clients_alone_are_ignored(begin, tracker, monkeypatch, module, is_ignored):
    def warn(self, run):
        warnings.warn_explicit("old", FutureWarning, "a.py", 1, module)

    monkeypatch.setattr(Noting, "begin", warn)
    monkeypatch.setattr(StudyFolder, "read_study", lambda self: {"created": "now"})
    session = begin()
    with warnings.catch_warnings():
        session.tracking.begin("unknown")
        (tracked,) = session.tracking.active
        tracked.worker.close()
    assert (tracked.worker.fault is None) == is_ignored, "a warning is an error in tests"


def refuse(tracker):
    raise MachineError("MLflow does not answer")


def test_a_tracker_that_does_not_answer_ends_it_before_anything_is_written(
    begin, tracker, monkeypatch
):
    monkeypatch.setattr(Noting, "check", refuse)
    session = begin()
    with pytest.raises(MachineError, match="MLflow does not answer"):
        session.run()
    assert not session.folder.path.exists()


def test_what_is_not_installed_is_refused_with_the_remedy(begin, monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install "tune_ad\[track\]"'):
        begin()


def test_nothing_is_told_unless_asked(tiny, open_study, tmp_path, tracker):
    session = open_study(tiny, tmp_path)
    session.end_tracking(session.run())
    assert tracker.told == [] and session.tracking.places == []


def test_a_server_that_does_not_answer_is_named_without_its_password(monkeypatch, tmp_path):
    with socket.socket() as held, pytest.raises(MachineError) as caught:
        held.bind(("127.0.0.1", 0))  # nobody else takes its port, and it does not listen
        port = held.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
        MlflowTracker("x", tmp_path).check()
    line = str(caught.value)
    assert line == (
        f"MLflow at http://127.0.0.1:{port} does not answer (Connection refused); start it, set "
        "another MLFLOW_TRACKING_URI, or leave mlflow out of --log-to"
    )


def test_weights_and_biases_is_online_or_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(UserError, match="WANDB_MODE must be online or offline"):
        WandbTracker("x", tmp_path).check()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "UserError --log-to wandb has no key; log in by wandb login"),
        (
            {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"},
            "MachineError Weights & Biases at 127.0.0.1:9 does not answer (Connection refused)",
        ),
    ],
)
def test_weights_and_biases_needs_a_key_and_a_server(tmp_path, variables, words):
    code = (
        "from pathlib import Path\n"
        "from tune_ad.errors import UserError\n"
        "from tune_ad.execution.trackers.wandb_runs import WandbTracker\n"
        f"try: WandbTracker('x', Path({str(tmp_path)!r})).check()\n"
        "except UserError as error: print(type(error).__name__, error)"
    )
    clean = {name: value for name, value in os.environ.items() if "WANDB" not in name}
    path = f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "HOME": str(tmp_path), "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(words), done.stderr


def test_the_option_takes_names_once_and_is_repeated_by_resume(tmp_path):
    chosen = options(parse(["--search", "quickstart", "--log-to", "wandb,mlflow,wandb"]))
    assert chosen.log_to == ("wandb", "mlflow")
    assert "--log-to wandb,mlflow" in resume_command(chosen)
    assert "--log-to" not in resume_command(Options("quickstart"))
    with pytest.raises(UserError, match="--log-to must be one of mlflow, wandb, got 'comet'"):
        options(parse(["--search", "quickstart", "--log-to", "mlflow,comet"]))
