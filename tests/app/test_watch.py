"""The process that watches over a study: what may end the study does not end it."""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

import tune_ad
from tune_ad.app import watch as watching
from tune_ad.app.command_line.options import Options
from tune_ad.app.watch import Child, Watch, ending, is_alive, watched
from tune_ad.detectors.answers import answering
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import MachineError, UserError

CHECKOUT = Path(tune_ad.__file__).parents[1]
DETECTOR = """import os, signal, sys, time
from pathlib import Path

from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.shallow.estimator import Estimator


class Mortal(Estimator("sklearn.neighbors:LocalOutlierFactor")):
    space = {"n_neighbors": CategoricalDistribution([5, 10, 20])}

    def fit_estimator(self, features, seed):
        left = Path(os.environ["DEATHS"])
        # Trials of other values run at the same time, and do not read what is being written.
        if self.config.n_neighbors == 10 and (deaths := int(left.read_text())):
            left.write_text(str(deaths - 1))
            exec(os.environ["HOW"])
        return super().fit_estimator(features, seed)
"""


@pytest.fixture
def study(tmp_path):
    """A function: a study whose detector ends its process so often at one configuration."""
    (tmp_path / "mortal.py").write_text(DETECTOR, encoding="utf-8")

    def start(how, deaths, *options, backend="serial", streams=None, **environment):
        (tmp_path / "deaths").write_text(str(deaths))
        words = ["--search", "quickstart", "--detector", "mortal.py:Mortal", "--budget", "quick"]
        machine = ["--device", "cpu", "--backend", backend, "--keep-models", "none"]
        usual = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, str(CHECKOUT / "run.py"), *words, *machine, *options],
            cwd=tmp_path,
            env={**os.environ, "DEATHS": str(tmp_path / "deaths"), "HOW": how, **environment},
            text=True,
            **(streams or usual),
        )

    return start


def records(tmp_path, count=3):
    """The records of the study by the value of its parameter."""
    path = tmp_path / "results" / "quickstart_mortal" / "trials.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == count
    return {line["params"]["n_neighbors"]: line for line in lines}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL, as when the memory is used up"),
    ],
)
def test_a_trial_that_ends_its_process_is_trained_again(study, tmp_path, how, cause):
    process = study(how, 2)
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    assert f"{cause}; it is trained again" in output
    assert f"{cause} (2 times); it is trained again" in output
    assert "Traceback" not in output + errors
    assert {record["state"] for record in records(tmp_path).values()} == {"complete"}


@pytest.mark.slow
def test_a_trial_after_an_error_of_cuda_is_trained_again_in_another_process(study, tmp_path):
    process = study("raise RuntimeError('CUDA error: an illegal memory access')", 1)
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    assert "its process ended with exit code 1; it is trained again" in output
    assert "CUDA error: an illegal memory access" in errors
    assert {record["state"] for record in records(tmp_path).values()} == {"complete"}


@pytest.mark.slow
def test_a_trial_that_always_ends_its_process_fails_with_the_cause(study, tmp_path):
    process = study("os._exit(7)", 99, "--retries", "1")
    output, errors = process.communicate()
    assert process.returncode == 1, output + errors
    by_value = records(tmp_path)
    assert by_value[10]["state"] == "failed"
    assert by_value[10]["reason"] == "its process ended with exit code 7 (2 times)"
    assert by_value[5]["state"] == by_value[20]["state"] == "complete"


def wait_until(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it does not come")


def wait_for(path):
    wait_until(path.exists)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_signals_reach_the_study(study, tmp_path, number):
    process = study("Path('running').touch(); time.sleep(600)", 1)
    wait_for(tmp_path / "running")
    process.send_signal(number)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert "continue with: python run.py --search quickstart" in output + errors


@pytest.mark.slow
def test_a_study_whose_terminal_is_closed_ends_in_good_order_and_is_reported(study, tmp_path):
    master, slave = os.openpty()

    def own_terminal():
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    streams = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True}
    how = "Path('running').touch(); time.sleep(600)"
    process = study(how, 1, streams={**streams, "preexec_fn": own_terminal})
    os.close(slave)

    def runs():
        if select.select([master], [], [], 0)[0]:
            os.read(master, 2**16)
        return (tmp_path / "running").exists()

    wait_until(runs)
    os.close(master)
    assert process.wait(timeout=120) == 143
    folder = tmp_path / "results" / "quickstart_mortal"
    assert (folder / "report.html").exists() == (folder / "trials.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_hangs_is_stopped_by_a_signal_all_the_same(study, tmp_path, number):
    # C code that runs for many minutes; Python calls no handler of a signal before it returns.
    deaf = "import hashlib; hashlib.pbkdf2_hmac('md5', b'', b'', 2**31 - 1)"
    process = study(f"Path('running').touch(); {deaf}", 1)
    wait_for(tmp_path / "running")
    process.send_signal(number)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == (130 if number == signal.SIGINT else 143), output + errors
    assert "interrupted; continue with: python run.py --search quickstart" in output
    assert "failed" not in output + errors
    if (tmp_path / "results" / "quickstart_mortal" / "trials.jsonl").exists():
        assert (tmp_path / "results" / "quickstart_mortal" / "report.html").exists()


@pytest.mark.slow
def test_a_study_over_which_nobody_watches_any_more_ends_in_good_order(study, tmp_path):
    said = "Path('new').write_text(str(os.getpid())); os.rename('new', 'running'); time.sleep(600)"
    process = study(said, 1)
    wait_for(tmp_path / "running")
    child = int((tmp_path / "running").read_text())
    process.kill()
    process.communicate()
    for _ in range(600):
        with suppress(ProcessLookupError):
            os.kill(child, 0)
            time.sleep(0.1)
            continue
        break
    else:
        pytest.fail("the study runs on")
    assert (tmp_path / "results" / "quickstart_mortal" / "report.html").exists()


def test_the_cause_is_named_by_exit_code_or_signal():
    assert ending(7 << 8) == "its process ended with exit code 7"
    assert ending(signal.SIGSEGV) == "its process was ended by SIGSEGV"
    assert ending(40) == "its process was ended by signal 40"  # without a name in Python


@pytest.mark.parametrize(("address", "goes_on"), [("local", True), ("127.0.0.1:1", False)])
def test_a_study_goes_on_after_the_end_of_ray_unless_its_cluster_is_gone(address, goes_on):
    lines = []
    watch = Watch(Options("quickstart", address=address), None, None, lines.append)
    assert watch._after_ray(Child(0, 0), "it was killed") == goes_on
    assert lines == ["Ray has ended (it was killed); the study goes on"] * goes_on


@pytest.mark.slow
def test_a_ray_that_dies_is_named_and_started_again(study, tmp_path):
    process = study("import os; os.kill(os.getppid(), 9)", 1, backend="ray")
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    assert output.count("Ray has ended (its process raylet has died); the study goes on") == 1
    assert {record["state"] for record in records(tmp_path).values()} == {"complete"}


@pytest.mark.slow
def test_a_trial_that_the_memory_monitor_stops_is_tried_again_and_fails_with_that_cause(
    study, tmp_path
):
    monitor = {"RAY_memory_usage_threshold": "0.0001", "RAY_memory_monitor_refresh_ms": "100"}
    limits = ("--retries", "1", "--trials", "1", "--concurrent", "1", "--no-evaluation")
    process = study("import time; time.sleep(600)", 99, *limits, backend="ray", **monitor)
    output, errors = process.communicate()
    assert process.returncode == 1, output + errors
    assert "interrupted" not in output + errors
    cause = "its process was stopped because its node was out of memory; use fewer"
    assert output.count(f"trial 0: {cause}") == 1
    (record,) = records(tmp_path, 1).values()
    assert record["state"] == "failed"
    assert record["reason"].startswith(cause)
    assert record["reason"].endswith(" (2 times)")


def dead_child(**known):
    """What is known of a child that was killed, and its wait status."""
    return Child(0, 0, **known), int(signal.SIGKILL)


@pytest.fixture
def begun(tmp_path):
    """A function: the watch over a study that has begun, its lines, and the reports it wrote."""
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "study.json").touch()
    (tmp_path / "quickstart" / "trials.jsonl").touch()

    def make(code=0, **options):
        lines, reports = [], []

        def report(folder):
            reports.append(folder)
            return folder / "report.html", code

        chosen = Options("quickstart", results=tmp_path, **options)
        return Watch(chosen, None, report, lines.append), lines, reports

    return make


def test_ray_that_dies_while_it_starts_is_started_again_so_often(begun):
    watch, lines, reports = begun(retries=1)
    assert watch.after(*dead_child(uses_ray=True)) is None
    assert watch.options.resume
    assert lines == [
        "Ray has ended (its process was ended by SIGKILL, as when the memory is used up); the "
        "study goes on"
    ]
    with pytest.raises(MachineError, match=r"the study has stopped: .*; continue with: "):
        watch.after(*dead_child(uses_ray=True, lost="gcs_server"))
    assert len(reports) == 1


def test_a_study_that_dies_before_ray_starts_is_not_started_again(begun):
    watch, lines, _ = begun()
    with pytest.raises(MachineError, match="the study has stopped"):
        watch.after(*dead_child())
    assert lines == []


@pytest.mark.parametrize("backend", ["serial", "ray"])
@pytest.mark.parametrize(
    ("trained", "written", "code"), [(0, 0, 0), (1, 0, 1), (0, 3, 3), (1, 3, 3), (3, 0, 3)]
)
def test_a_report_whose_process_dies_is_written_by_the_parent(
    begun, backend, trained, written, code
):
    watch, lines, reports = begun(written, backend=backend)
    assert watch.after(*dead_child(trained=trained, uses_ray=backend == "ray")) == code
    assert [folder.name for folder in reports] == ["quickstart"]
    assert "SIGKILL" in lines[0]
    assert lines[0].endswith("while it wrote the report, which is written again")


def test_a_detector_that_hangs_after_the_last_trial_costs_no_report(begun):
    watch, _, reports = begun(backend="serial")
    with pytest.raises(UserError, match="the winner's models cannot be kept"):
        watch.after(*dead_child(mute="the winner's models cannot be kept: it takes more than 1 s"))
    assert len(reports) == 1


def test_a_process_of_ray_that_ends_is_noted_before_its_parent_notices():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child = Child(0, 0, rests_on={"raylet": process.pid, "gcs_server": os.getpid()})
    child.look()
    assert child.lost == ""
    process.stdin.close()
    wait_until(lambda: not is_alive(process.pid))
    child.look()
    assert child.lost == "raylet"
    process.wait()
    assert not is_alive(process.pid)


@pytest.mark.slow
def test_a_study_that_does_not_notice_the_death_of_ray_is_ended(begun, monkeypatch):
    monkeypatch.setattr(watching, "LOST_SECONDS", 0.1)
    watch, lines, _ = begun()
    ray = subprocess.Popen([sys.executable, "-c", ""])
    reader, writer = os.pipe()
    study = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child = Child(study.pid, reader, uses_ray=True, rests_on={"raylet": ray.pid})
    status = watch.wait(child)
    assert watch.after(child, status) is None
    assert lines == ["Ray has ended (its process raylet has died); the study goes on"]
    for process in (ray, study):
        process.stdin and process.stdin.close()
        process.wait()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("signals", ["heeded", "ignored"])
def test_what_a_study_that_dies_has_left_is_ended(tmp_path, monkeypatch, signals):
    monkeypatch.setattr(watching, "LEFT_SECONDS", 0.5)
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    ends = ignore if signals == "ignored" else ""
    code = f"import time\n{ends}print(flush=True); time.sleep(600)"
    told = tmp_path / "left"

    def dies(options, lifeline):
        left = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        left.stdout.readline()
        told.write_text(str(left.pid))
        os.kill(os.getpid(), signal.SIGKILL)

    options = Options("quickstart", backend="serial", results=tmp_path)
    with pytest.raises(MachineError, match="SIGKILL"):
        watched(options, dies, None, print)
    wait_until(lambda: not is_alive(int(told.read_text())))


def deaf(options, lifeline):
    """Run, for ever, code of a detector that no alarm interrupts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        with answering(PGN, "cannot be built", 60.0), answering(PGN, "is measured", 0.1):
            time.sleep(600)
    finally:
        os._exit(9)  # never back into the tests, of which this process is a fork


@pytest.mark.parametrize("backend", ["serial", "ray"])
def test_a_detector_that_no_alarm_interrupts_is_stopped_from_outside(
    tmp_path, monkeypatch, backend
):
    monkeypatch.setattr(watching, "ANSWER_SECONDS", 0.2)
    options = Options("quickstart", backend=backend, results=tmp_path)
    with pytest.raises(UserError) as refusal:
        watched(options, deaf, lambda folder: pytest.fail("reported"), print)
    assert str(refusal.value) == (
        "PGN is measured: it takes more than 0.1 s, and cannot be interrupted"
    )
    assert refusal.value.exit_code == 2
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_code_that_answers_in_time_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "ANSWER_SECONDS", 0.0)

    def slow(options, lifeline):
        try:
            with answering(PGN, "is measured", 2.0):
                pass
            time.sleep(2.5)
            lifeline.over(5)
            os._exit(5)
        finally:
            os._exit(9)

    options = Options("quickstart", backend="serial", results=tmp_path)
    assert watched(options, slow, None, print) == 5


@pytest.mark.slow
def test_a_trial_that_hangs_is_stopped_and_not_tried_again(study, tmp_path):
    process = study("time.sleep(600)", 99, "--trial-timeout", "0.1")
    output, errors = process.communicate()
    assert process.returncode == 1, output + errors
    by_value = records(tmp_path)
    assert by_value[10]["reason"] == "it ran for more than 0.1 min (--trial-timeout)"
    assert by_value[5]["state"] == by_value[20]["state"] == "complete"
    assert output.count("it counts as failed") == 1


@pytest.mark.slow
def test_failed_trials_are_trained_again_when_asked(study, tmp_path):
    process = study("raise ValueError('no luck')", 1)
    output, errors = process.communicate()
    assert process.returncode == 1, output + errors
    assert records(tmp_path)[10]["reason"] == "ValueError: no luck"
    process = study("", 0, "--retry-failed")
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    assert "trained again: 1 failed trial" in output
    assert {record["state"] for record in records(tmp_path).values()} == {"complete"}
    report = tmp_path / "results" / "quickstart_mortal" / "report.md"
    assert "1 failed and was trained again (--retry-failed): ValueError: no luck" in (
        report.read_text(encoding="utf-8")
    )
    process = study("", 0, "--retry-failed")
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    assert "this study is complete" in output
