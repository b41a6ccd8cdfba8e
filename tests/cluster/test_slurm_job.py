"""The SLURM script with Ray and a study: only SLURM's own programs are stand-ins."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cluster.conftest import CHECKOUT, RAY, TINY, Command, processes_of
from tests.conftest import AT_START
from tests.ports import free_port
from tune_ad.storage.folder import StudyFolder

pytestmark = pytest.mark.slow
TRIALS = 4
PROGRAMS = {
    "srun": 'while [[ ${1:-} == --* ]]; do shift; done; exec "$@"',
    "scontrol": '[ "$1" = show ] && echo node1 || echo "$@" >>"$SCONTROL"',
    "hostname": "echo 127.0.0.1",
    "ray": f'exec {RAY} "$@" --object-store-memory=100000000',
    "python": f'exec {sys.executable} "$@"',
    "tune-ad": f'exec {sys.executable} -m tune_ad "$@"',
}


@pytest.fixture
def submit():
    """A function: run the script on one node with two cores; the command and its folder."""
    folder = Path(tempfile.mkdtemp(prefix="tad", dir="/tmp"))
    (folder / "deploy").symlink_to(CHECKOUT / "deploy")
    (folder / "bin").mkdir()
    for name, body in PROGRAMS.items():
        (folder / "bin" / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (folder / "bin" / name).chmod(0o755)
    commands = []

    def start(*options):
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
            "HOME": str(folder),
            "PATH": os.pathsep.join((str(folder / "bin"), os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join(map(str, (AT_START, CHECKOUT))),
            "OMP_NUM_THREADS": "1",
            "SCONTROL": str(folder / "scontrol"),
            "SEARCH": "quickstart",
            "RESULTS": str(folder / "results"),
            "SLURM_SUBMIT_DIR": str(folder),
            "SLURM_JOB_ID": str(free_port() + 20000 * len(commands)),
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_JOB_NODELIST": "node1",
            "SLURM_CPUS_PER_TASK": "2",
        }
        words = ("bash", CHECKOUT / "deploy" / "slurm.sh", *options)
        commands.append(Command(words, environment, folder))
        return commands[-1], folder

    yield start
    for command in commands:
        for number in processes_of(command.process.pid):
            os.kill(number, signal.SIGKILL)
        command.process.wait()
    shutil.rmtree(folder)


def test_a_job_stops_in_good_order_before_its_time_is_over_and_the_next_one_continues(submit):
    options = (*TINY[2:], "--trials", TRIALS, "--epochs", 100, "--no-evaluation")
    first, folder = submit(*options)
    study = StudyFolder(folder / "results" / "quickstart")
    first.until(lambda: study.trials.read())
    first.process.send_signal(signal.SIGUSR1)
    ended = first.end()
    assert ended.code == 143, ended.output
    assert "Traceback" not in ended.output
    assert (folder / "scontrol").read_text().startswith("requeue ")
    recorded = study.trials.path.read_text()
    assert 1 <= len(study.read_trials()) < TRIALS
    assert processes_of(first.process.pid) == []

    second, _ = submit(*options)
    ended = second.end()
    assert ended.code == 0, ended.output
    assert study.trials.path.read_text().startswith(recorded)
    assert sorted(record.number for record in study.read_trials()) == [*range(TRIALS)]
