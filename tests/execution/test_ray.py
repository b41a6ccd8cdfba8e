"""The Ray backend: the same records as the serial one, whatever happens to the process."""

import math
import os
import signal
import subprocess
import sys
import time
import uuid
from asyncio import CancelledError
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import ray
from optuna.distributions import CategoricalDistribution
from ray import tune
from ray.tune.schedulers import TrialScheduler

import tune_ad
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.execution.loop import FixedTrials, TrialLoop
from tune_ad.execution.ray import runner, trainable
from tune_ad.execution.ray.deaths import UNKNOWN
from tune_ad.execution.ray.runner import LoopScheduler, RayAdapter, Resources, TrialEndCallback
from tune_ad.execution.ray.trainable import TrialTrainable
from tune_ad.search.baseline import Baseline
from tune_ad.search.plans import Listed
from tune_ad.storage.folder import StudyFolder
from tune_ad.training.report import Progress

PROJECT = Path(tune_ad.__file__).parent.parent
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests


@pytest.fixture
def begin(joined, tiny, open_study, tmp_path):
    """A function: the tiny search through Ray, in a folder of this test."""

    def start(search=tiny, name="ray", **options):
        usual = {"backend": "ray", "concurrent": 1}
        return open_study(search, tmp_path / name, **{**usual, **options})

    return start


def by_identity(records):
    return {line["identity"]: {**line, "number": None} for line in records}


def test_one_trial_at_a_time_gives_the_records_of_the_serial_backend(begin, finished, timeless):
    session = begin()
    outcome = session.run()
    assert (outcome.exit_code, outcome.out_of_time) == (0, False)
    ours, theirs = session.folder, finished.folder
    assert ours.read_trial_specs() == theirs.read_trial_specs()
    assert timeless(ours.read_trials()) == timeless(theirs.read_trials())
    assert timeless(ours.read_evaluation()) == timeless(theirs.read_evaluation())
    for record in ours.read_trials():
        assert ours.read_details(record.identity) == theirs.read_details(record.identity)
    assert ours.read_study()["backend"] == "ray"
    assert {path.name for path in ours.tensorboard.iterdir() if path.is_dir()} == {
        path.name for path in theirs.tensorboard.iterdir() if path.is_dir()
    }
    assert not ours.ray.exists()


LISTED = [{"latent_dim": size, "dropout": 0.1 * k} for size in (8, 16) for k in (2, 3, 4)]


@pytest.mark.slow
def test_two_trials_at_a_time_share_their_processes_and_give_the_same_numbers(
    begin, tiny, timeless, monkeypatch
):
    pids, reported = set(), RayAdapter.reported

    def watched(adapter, trial_id, result):
        pids.add(result["pid"])
        return reported(adapter, trial_id, result)

    monkeypatch.setattr(RayAdapter, "reported", watched)
    search = replace(tiny, plan=Listed(LISTED))
    options = {"changes": {"trials": 6}, "evaluate": False}
    session = begin(search, concurrent=2, **options)
    assert session.run().exit_code == 0
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 3 < len(LISTED)
    serial = begin(search, "serial", backend="serial", **options)
    serial.run()
    numbers = [record.number for record in session.folder.read_trials()]
    assert sorted(numbers) == list(range(6))
    ours, theirs = (timeless(s.folder.read_trials()) for s in (session, serial))
    assert by_identity(ours) == by_identity(theirs)


@pytest.mark.slow
def test_an_adaptive_search_runs_two_trials_at_a_time(begin, tiny):
    session = begin(concurrent=2, changes={"trials": 6}, evaluate=False)
    assert session.run().exit_code == 0
    assert sorted(record.number for record in session.folder.read_trials()) == list(range(6))
    assert len({record.identity for record in session.folder.read_trials()}) == 6
    assert not session.folder.ray.exists()


class Burst(PGN):
    """A detector that fails in training with codes of four numbers."""

    def terms(self, phase, images, noise):
        """Raise or go on."""
        if self.config.latent_dim == 4:
            raise RuntimeError("burst\nin the middle")
        return super().terms(phase, images, noise)


@pytest.mark.slow
def test_a_trial_that_raises_in_training_is_a_failure_and_the_others_complete(begin, tiny):
    baseline = replace(tiny.baselines[0], detector=Burst)
    search = replace(tiny, baselines=(baseline,), plan=Listed([{"latent_dim": 4}, *LISTED[:2]]))
    session = begin(search, concurrent=2, evaluate=False)
    outcome = session.run()
    assert (outcome.failed, outcome.exit_code, outcome.interrupted) == (1, 1, False)
    records = session.folder.read_trials()
    assert {record.number: (record.state, record.reason) for record in records} == {
        0: ("failed", "RuntimeError: burst"),
        1: ("complete", ""),
        2: ("complete", ""),
    }
    assert len(records) == 3


def deadly(folder, times):
    """A detector that kills its process so many times at a code size of 4, counted in a folder."""

    class Deadly(PGN):
        def terms(self, phase, images, noise):
            if self.config.latent_dim == 4 and len(list(folder.iterdir())) < times:
                (folder / uuid.uuid4().hex).touch()
                sys.stderr.write("out of\nwords\n")
                os.kill(os.getpid(), signal.SIGKILL)
            return super().terms(phase, images, noise)

    return Deadly


@pytest.mark.slow
@pytest.mark.parametrize(("deaths", "state"), [(1, "complete"), (5, "failed")])
def test_a_trial_whose_process_dies_is_tried_again(begin, tiny, tmp_path, deaths, state):
    folder = tmp_path / "deaths"
    folder.mkdir()
    baseline = replace(tiny.baselines[0], detector=deadly(folder, deaths))
    search = replace(tiny, baselines=(baseline,), plan=Listed([{"latent_dim": 4}, LISTED[0]]))
    session = begin(search, concurrent=1, evaluate=False, retries=1)
    said = []
    session = replace(session, say=said.append)
    outcome = session.run()
    assert outcome.failed == (state == "failed") and not outcome.interrupted
    cause = f"{UNKNOWN}; its last lines: out of | words"
    number = min(record.number for record in session.folder.read_trials())
    assert f"trial {number}: {cause}; it is trained again" in said
    deadly_one, other = sorted(session.folder.read_trials(), key=lambda record: record.number)
    assert (deadly_one.state, other.state) == (state, "complete")
    assert len(list(folder.iterdir())) == min(deaths, 2)
    if state == "failed":
        assert deadly_one.reason == f"{cause} (2 times)"


def sleepy(folder):
    """A detector that hangs at a code size of 4, and notes that in a folder."""

    class Sleepy(PGN):
        def terms(self, phase, images, noise):
            if self.config.latent_dim == 4:
                (folder / uuid.uuid4().hex).touch()
                time.sleep(600)
            return super().terms(phase, images, noise)

    return Sleepy


@pytest.mark.slow
def test_a_trial_that_hangs_is_stopped_and_not_tried_again(begin, tiny, tmp_path):
    folder = tmp_path / "sleeps"
    folder.mkdir()
    baseline = replace(tiny.baselines[0], detector=sleepy(folder))
    search = replace(tiny, baselines=(baseline,), plan=Listed([{"latent_dim": 4}, LISTED[0]]))
    session = begin(search, concurrent=1, evaluate=False, trial_timeout=0.2)
    outcome = session.run()
    assert (outcome.failed, outcome.interrupted) == (1, False)
    hanging, other = sorted(session.folder.read_trials(), key=lambda record: record.number)
    assert (hanging.state, other.state) == ("failed", "complete")
    assert hanging.reason == "it ran for more than 0.2 min (--trial-timeout)"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.slow
def test_a_trial_that_cannot_be_built_is_a_failure_and_the_others_complete(begin, tiny):
    sizes = CategoricalDistribution([16, 24, 32])
    baseline = Baseline(AE, space={"latent_dim": sizes}, settings={"batch_size": 30})
    plan = Listed([{"latent_dim": size} for size in (16, 24, 32)])
    search = replace(tiny, baselines=(baseline,), plan=plan)
    session = begin(search, changes={"epochs": 1}, evaluate=False)
    outcome = session.run()
    assert (outcome.failed, outcome.exit_code) == (1, 1)
    records = session.folder.read_trials()
    assert [record.state for record in records] == ["complete", "failed", "complete"]
    assert records[1].reason.startswith("UserError: latent_dim must be a multiple of 16")


@pytest.mark.slow
def test_trials_that_fall_behind_are_stopped(begin, tiny, timeless):
    rates = [{"dropout": 0.1 + 0.1 * k} for k in range(6)]
    search = replace(tiny, plan=Listed(rates), pruning=True)
    changes = {"trials": 6, "epochs": 10, "train_images": 30}
    budget = replace(tiny.budgets["quick"], evaluations=10)
    search = replace(search, budgets=dict.fromkeys(tiny.budgets, budget))
    serial = begin(search, "serial", backend="serial", changes=changes, evaluate=False)
    serial.run()
    session = begin(search, changes=changes, evaluate=False)
    outcome = session.run()
    assert (outcome.exit_code, outcome.interrupted) == (0, False)
    records = session.folder.read_trials()
    stopped = [record for record in records if record.state == "pruned"]
    assert stopped
    assert all(3 <= record.reports[-1][0] < 10 for record in stopped)
    assert timeless(records) == timeless(serial.folder.read_trials())


@ray.remote
def place_of(suite):
    """Whether a worker may write to the images, whether a tensor shares them, their memory."""
    address = suite.images.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        start, end = (int(bound, 16) for bound in span.split("-"))
        if start <= address < end:
            return suite.images.flags.writeable, suite.pixels.data_ptr() == address, name
    raise AssertionError("the images lie nowhere")


@pytest.mark.slow
def test_the_processes_of_a_machine_share_the_images(ray_session, finished):
    images = np.zeros((2000, 1, 28, 28), np.uint8)
    stored = ray.put(replace(finished.session.suite, images=images))
    writeable, is_shared, name = ray.get(place_of.remote(stored))
    assert (writeable, is_shared) == (False, True)
    assert "plasma" in name


class Frequent(TrialTrainable):
    """Gives a sign after each epoch of a replica."""

    def step(self):
        """Train for no time, which is an epoch of a replica at least."""
        trainable.PROGRESS_SECONDS = 0.0
        return super().step()


@pytest.fixture
def run_again(joined, finished, tmp_path, monkeypatch):
    """A function: train the finished study again on Ray, with frequent progress messages."""
    monkeypatch.setattr(runner, "TrialTrainable", Frequent)

    def run(callback):
        session = finished.session
        specs = FixedTrials(finished.folder.read_trial_specs())
        loop = TrialLoop(session.study, specs, [callback], session.tasks)
        runner.run(loop, session.suite, Resources(2), tmp_path / "ray")
        assert not loop.interrupted

    return run


@pytest.mark.slow
def test_progress_comes_between_reports_and_changes_no_number(
    run_again, finished, events, timeless
):
    run_again(events)
    assert timeless(events.records) == timeless(finished.folder.read_trials())
    for number in range(4):
        assert events.of(number) == [
            ("started",),
            *(
                event
                for epoch in range(3)
                for event in (  # the two models of a trial are one stack
                    ("progressed", epoch + 1.0),
                    ("reported", epoch + 1),
                )
            ),
            ("ended", "complete"),
        ]


def test_no_trial_starts_when_the_time_is_over(begin):
    session = begin(time_budget=1e-9)
    outcome = session.run()
    assert (outcome.out_of_time, outcome.interrupted, outcome.exit_code) == (True, False, 0)
    assert session.folder.read_trials() == []
    assert not session.folder.ray.exists()


@pytest.fixture
def make(joined, finished, monkeypatch):
    """A function: a trainable with a trial, as in an actor but in this process.

    Each of its steps is a whole interval.
    """
    monkeypatch.setattr(trainable, "PROGRESS_SECONDS", math.inf)
    study = finished.session.study
    kind = tune.with_parameters(
        TrialTrainable, study=study, suite=finished.session.suite, threads=1
    )
    return lambda number: kind(config=asdict(spec_of(finished, number)))


def spec_of(finished, number):
    return finished.folder.read_trial_specs()[number]


def to_a_report(trial):
    """The result of the next report; before the last one, the end of training is told."""
    while "progress" in (result := trial.step()):
        pass
    return result


def to_the_end(trial):
    """The reports of the steps that are left, but for their times."""
    reports = []
    while not reports or not reports[-1].done:
        reports.append(to_a_report(trial)["report"])
    return [replace(report.record, seconds=0.0) for report in reports]


def test_an_actor_that_is_used_again_gives_the_numbers_of_a_fresh_one(make, finished, timeless):
    trial = make(2)
    trial.step()
    assert trial.reset_config(asdict(spec_of(finished, 1))) is True
    records = to_the_end(trial)
    assert records == to_the_end(make(1))
    assert timeless(records[-1:]) == timeless(finished.folder.read_trials()[1:2])


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_checkpoint_goes_on_with_the_same_numbers(make, tmp_path, steps):
    trial = make(1)
    for _ in range(steps):
        trial.step()
    trial.save_checkpoint(str(tmp_path))
    other = make(1)
    other.load_checkpoint(str(tmp_path))
    assert to_the_end(other) == to_the_end(trial)


def test_a_checkpoint_is_asked_for_by_elapsed_time_while_the_trial_goes_on(make):
    trial = make(1)
    trial.checkpoint_seconds = 60.0
    assert "should_checkpoint" not in trial.step()
    trial.checkpoint_seconds = 0.0
    assert trial.step()["should_checkpoint"] is True
    last = to_a_report(trial)
    assert last["done"]
    assert "should_checkpoint" not in last


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, CancelledError])
def test_whatever_a_detector_raises_is_a_failure_of_its_trial(make, monkeypatch, error):
    def leave(self, phase, images, noise):
        raise error(3)

    monkeypatch.setattr(PGN, "terms", leave)
    assert make(0).step() == {"crashed": f"{error.__name__}: 3", "done": True}


def test_a_signal_ends_the_process_of_a_trial_and_is_no_failure(make, monkeypatch):
    def swallow(self, phase, images, noise):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise LookupError

    monkeypatch.setattr(PGN, "terms", swallow)
    trial = make(0)
    with pytest.raises(KeyboardInterrupt):
        trial.step()


def test_a_result_names_its_epoch(make):
    trial = make(0)
    assert [to_a_report(trial)["epoch"] for _ in range(3)] == [1, 2, 3]


def test_old_reports_of_a_restored_trial_are_not_heard_twice(finished):
    class Heard:
        def __init__(self):
            self.epochs = []

        def reported(self, report):
            self.epochs.append(report)
            return report == 5

    heard = Heard()
    adapter = RayAdapter(heard)
    for epoch in (1, 2, 2, 1, 3):
        assert not adapter.reported("a", {"epoch": epoch, "report": epoch})
    assert not adapter.reported("b", {"epoch": 1, "report": 1})
    assert adapter.reported("b", {"epoch": 2, "report": 5})
    assert heard.epochs == [1, 2, 3, 1, 5]
    assert adapter.over == {"b"}


def test_no_checkpoint_is_written_where_no_node_can_be_lost(make):
    assert "should_checkpoint" not in make(1).step()


def test_a_checkpoint_is_made_only_after_a_report(make, monkeypatch):
    """Between two reports a trial cannot be stored."""
    trial = make(1)
    trial.checkpoint_seconds = 0.0
    monkeypatch.setattr(trainable, "PROGRESS_SECONDS", 0.0)
    results = [trial.step()]
    while not results[-1]["done"]:
        results.append(trial.step())
    progress = [result for result in results if "progress" in result]
    assert len(progress) == 3, "three epochs of a stack of two replicas"
    for result in progress:
        assert set(result) == {"progress", "done"}
    reports = [result for result in results if "report" in result]
    assert ["should_checkpoint" in result for result in reports] == [True, True, False]


def test_progress_is_passed_on_and_has_no_say_in_stopping(finished):
    class Heard:
        progress, reports = [], []

        def progressed(self, number, progress):
            self.progress.append((number, progress))

        def reported(self, report):
            self.reports.append(report)
            return True

    loop = Heard()
    adapter, progress = RayAdapter(loop), Progress(0.5)
    trial = SimpleNamespace(trial_id="a", config={"number": 7})
    result = {"progress": progress, "done": False}
    decision = LoopScheduler(adapter).on_trial_result(None, trial, result)
    assert decision == TrialScheduler.CONTINUE
    assert not adapter.reported("a", result)
    assert (adapter.epochs, adapter.over, loop.reports) == ({}, set(), [])
    TrialEndCallback(adapter).on_trial_result(1, [trial], trial, result=result)
    assert loop.progress == [(7, progress)]
    assert result == {"done": False}, "Ray keeps none"
    assert (loop.reports, adapter.over) == ([], set())


def test_the_last_report_is_passed_on_and_ray_keeps_none():
    class Heard:
        reports = []

        def reported(self, report):
            self.reports.append(report)
            return True

    adapter, result = RayAdapter(Heard()), {"epoch": 1, "report": "last"}
    TrialEndCallback(adapter).on_trial_result(0, [], SimpleNamespace(trial_id="a"), result=result)
    assert result == {"epoch": 1}
    assert adapter.loop.reports == ["last"]
    assert adapter.over == {"a"}


def test_a_second_cluster_in_one_process_is_refused_in_one_line(ray_session):
    with pytest.raises(UserError) as refusal, runner.cluster(Resources(1)):
        raise AssertionError("connected twice")
    assert "\n" not in str(refusal.value)
    assert ray.is_initialized()


DRIVER = """
import sys
from pathlib import Path
from tune_ad.app.preparation.validation import prepare
from tune_ad.app.command_line.options import Options

if __name__ == "__main__":
    options = Options(
        "quickstart",
        budget="quick",
        device="cpu",
        concurrent=2,
        progress=False,
        changes={"trials": 8, "epochs": 8, "classes": (0, 1), "evaluation_seeds": 1},
        results=Path(sys.argv[1]),
    )
    sys.exit(prepare(options, say=print).run().exit_code)
"""


class Driver:
    """A study in a process of its own, with a Ray of its own."""

    def __init__(self, folder):
        script = folder / "driver.py"
        script.write_text(DRIVER)
        self.folder = StudyFolder(folder / "quickstart")
        self.log = (folder / "log").open("w+")
        paths = [str(PROJECT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def signal_after(self, trials, number, seconds=400):
        """Send a signal once so many trials are recorded: the lines left, and the exit code."""
        deadline = time.monotonic() + seconds
        while len(self.folder.trials.read()) < trials:
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.01)
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        return [
            lines.path.read_text() for lines in (self.folder.suggested, self.folder.trials)
        ], code

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture
def driver(tmp_path):
    started = Driver(tmp_path)
    yield started
    started.close()


@pytest.fixture
def resumed(joined, tmp_path):
    """A function: go on with the driver's study, in this process."""
    from tune_ad.app.command_line.options import Options
    from tune_ad.app.preparation.validation import prepare

    options = Options(
        "quickstart", resume=True, device="cpu", concurrent=2, progress=False, results=tmp_path
    )
    return partial(prepare, options, say=lambda line: None)


def check_resumed(folder, before, outcome):
    assert outcome.exit_code == 0
    now = [lines.path.read_text() for lines in (folder.suggested, folder.trials)]
    for text, old in zip(now, before, strict=True):
        assert text.startswith(old[: old.rindex("\n") + 1])
    for trials in (folder.read_trial_specs(), folder.read_trials()):
        assert sorted(trial.number for trial in trials) == list(range(8))
    assert len({record.identity for record in folder.read_trials()}) == 8
    assert len(folder.read_evaluation()) == 1
    assert not folder.ray.exists()


@pytest.mark.slow
def test_a_study_whose_driver_was_killed_goes_on(driver, resumed):
    before, code = driver.signal_after(2, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert 2 <= len(driver.folder.read_trials()) < 8
    check_resumed(driver.folder, before, resumed().run())


@pytest.mark.slow
def test_a_study_that_was_interrupted_leaves_gracefully_and_goes_on(driver, resumed):
    _, code = driver.signal_after(2, signal.SIGINT)
    assert code == 130, driver.output()
    assert "Traceback" not in driver.output()
    assert not driver.folder.ray.exists()
    ended = driver.folder.read_trials()
    assert 2 <= len(ended) < 8
    assert all(record.state == "complete" for record in ended)
    before = [lines.path.read_text() for lines in (driver.folder.suggested, driver.folder.trials)]
    check_resumed(driver.folder, before, resumed().run())


def test_an_exception_is_a_result_and_the_actor_goes_on(make, finished, monkeypatch):
    trial = make(2)
    with monkeypatch.context() as patch:
        patch.setattr(PGN, "terms", None)
        assert trial.step()["crashed"].startswith("TypeError: ")
    assert trial.reset_config(asdict(spec_of(finished, 1))) is True
    assert "crashed" not in trial.step()


@pytest.mark.parametrize("error", [ray.exceptions.RayError("lost"), RuntimeError("CUDA error: x")])
def test_what_is_not_of_the_trial_is_raised_for_a_retry(make, monkeypatch, error):
    trial = make(2)

    def broken(seconds):
        raise error

    monkeypatch.setattr(trial.build(), "advance", broken)
    with pytest.raises(type(error)):
        trial.step()
