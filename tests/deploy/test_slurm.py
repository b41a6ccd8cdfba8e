"""The SLURM script with stand-ins for the programs that it calls, which record their calls."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

import tune_ad

DEPLOY = Path(tune_ad.__file__).parents[1] / "deploy"
STUBS = {
    "srun": """
        while [[ ${1:-} == --* ]]; do shift; done
        exec "$@" """,
    "scontrol": """
        [ "$1" != show ] || printf 'node1\\nnode2\\nnode3\\n' """,
    "hostname": "echo 10.1.2.3 fe80::1",
    "ray": """
        echo "ray token $RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}" >>"$CALLS"
        exec sleep 600""",
    # Waits for the two steps, which otherwise may not have begun when the job is over.
    "python": """
        until [ "$(grep -c '^ray token' "$CALLS")" -ge 2 ]; do sleep 0.01; done
        exit $PYTHON_CODE""",
    "rm": "",
    "tune-ad": """
        mkdir -p "$RESULTS/$SEARCH" && touch "$RESULTS/$SEARCH/study.json"
        [ -n "$ENDS_WITH" ] && exit "$ENDS_WITH"
        trap 'kill $!; exit 143' USR1
        sleep 600 & echo ready >>"$CALLS"; wait""",
}


class Job:
    """The script as SLURM runs it."""

    def __init__(self, folder, ends_with="", python_code=0):
        self.calls, stubs = folder / "calls", folder / "stubs"
        self.calls.unlink(missing_ok=True)
        stubs.mkdir(exist_ok=True)
        for name, body in STUBS.items():
            text = f'#!/usr/bin/env bash\necho "{name} $*" >>"$CALLS"\n{body}\n'
            (stubs / name).write_text(text)
            (stubs / name).chmod(0o755)
        if not (folder / "deploy").exists():
            (folder / "deploy").symlink_to(DEPLOY)
        environment = {
            "PATH": f"{stubs}:/usr/bin:/bin",
            "HOME": str(folder),
            "CALLS": str(self.calls),
            "ENDS_WITH": str(ends_with),
            "PYTHON_CODE": str(python_code),
            "SEARCH": "quickstart",
            "RESULTS": str(folder / "my results"),
            "SLURM_SUBMIT_DIR": str(folder),
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NUM_NODES": "3",
            "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_CPUS_PER_TASK": "8",
            "SLURM_GPUS_PER_TASK": "2",
        }
        self.process = subprocess.Popen(
            ["bash", str(DEPLOY / "slurm.sh"), "--budget", "quick", "--set", "width=1 0"],
            env=environment,
            start_new_session=True,
        )

    def lines(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def until(self, line):
        """Wait for a line of the record."""
        until = time.monotonic() + 60
        while line not in self.lines():
            assert self.process.poll() is None, self.lines()
            assert time.monotonic() < until, self.lines()
            time.sleep(0.02)

    def end(self):
        """Wait for the end; the exit code."""
        return self.process.wait(60)

    def left(self):
        """The processes of the job that are still there, in the end."""
        until = time.monotonic() + 30
        while (left := self._left()) and time.monotonic() < until:
            time.sleep(0.02)  # what was killed may not be dead yet
        return left

    def _left(self):
        left = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                left.append(int(entry.parent.name))
        return left


@pytest.fixture
def submit(tmp_path):
    """A function: submit the job."""
    jobs = []

    def start(**options):
        jobs.append(Job(tmp_path, **options))
        return jobs[-1]

    yield start
    for job in jobs:
        for number in job._left():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        job.process.wait()


def program(*words):
    return " ".join(("tune-ad", "--search", "quickstart", "--results", *words))


START = "ray start --block"
OPTIONS = "--address 10.1.2.3:24711 --budget quick --set width=1 0"


def test_a_job_starts_ray_on_every_node_with_one_token_and_ends_it(submit, tmp_path):
    job = submit(ends_with=0)
    assert job.end() == 0
    lines = job.lines()
    assert program(f"{tmp_path}/my results {OPTIONS}") in lines
    sizes = "--num-cpus=8 --num-gpus=2"
    assert f"{START} --head --node-ip-address=10.1.2.3 --port=24711 {sizes}" in lines
    assert f"{START} --address=10.1.2.3:24711 {sizes}" in lines
    assert lines.count("ray token token 64") == 2
    assert "python deploy/wait_for_nodes.py 10.1.2.3:24711 3 300" in lines
    (others,) = [line for line in lines if "--exclude=node1" in line]
    assert others.startswith("srun --overlap --nodes=2 --ntasks=2 ")
    assert "srun --overlap --nodes=3 --ntasks=3 rm -rf /tmp/tune_ad-4711" in lines
    assert not any("requeue" in line for line in lines)
    assert job.left() == []


def test_before_its_time_is_over_a_job_stops_the_study_and_queues_again_to_continue(
    submit, tmp_path
):
    first = submit()
    first.until("ready")
    first.process.send_signal(signal.SIGUSR1)
    assert first.end() == 143
    assert "scontrol requeue 4711" in first.lines()
    assert first.left() == []
    second = submit(ends_with=0)
    assert second.end() == 0
    assert program(f"{tmp_path}/my results --resume {OPTIONS}") in second.lines()
    assert "scontrol requeue 4711" not in second.lines()


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_job_ends_with_the_exit_code_of_the_study(submit, code):
    job = submit(ends_with=code)
    assert job.end() == code
    assert "scontrol requeue 4711" not in job.lines()


def test_without_its_nodes_a_job_trains_nothing(submit):
    job = submit(python_code=1)
    assert job.end() == 1
    assert not any(line.startswith("tune-ad") for line in job.lines())
    assert job.left() == []
