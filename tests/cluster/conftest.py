"""Clusters of several nodes on this machine, started by Ray's own commands, with a token."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

import tune_ad
from tests.conftest import AT_START
from tests.ports import free_port
from tune_ad.storage.folder import StudyFolder

CHECKOUT = Path(tune_ad.__file__).parents[1]
DRIVER = Path(__file__).with_name("driver.py")
RAY = Path(sys.executable).with_name("ray")
collect_ignore = ["driver.py", "blind"]  # programs of their own
PATIENCE = 300  # seconds for a step of a cluster, also on a machine that is busy
TINY = (  # few and small models
    *("--search", "quickstart", "--budget", "quick", "--classes", "0", "--seeds", "1"),
    *("--keep-models", "none", "--device", "cpu"),
)


def eventually(condition, fault):
    """Wait until a condition holds, and return what it returned; `fault` tells what is lacking."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < until, fault()
        time.sleep(0.05)
    return value


def session_of(process):
    """The identifier of the session of a process; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[3])


def processes_of(session):
    """The processes of a session that are alive."""
    numbers = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return [number for number in numbers if session_of(number) == session]


class Node(NamedTuple):
    """A node: the process of `ray start --block`, which leads a session of its own."""

    process: subprocess.Popen
    log: Path
    ip: str

    def processes(self):
        """The node's processes that are alive: Ray's own and those of the trials."""
        return processes_of(self.process.pid)

    def kill(self):
        """Kill the node as a loss of power does."""
        while alive := self.processes():
            for number in alive:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.05)
        self.process.wait()


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    output: str

    def error(self):
        """The only line of the output that is an error."""
        (line,) = [line for line in self.output.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in self.output, self.output
        return line


class Command:
    """A command that runs."""

    def __init__(self, words, environment, folder):
        self.log = folder / f"command-{len(list(folder.glob('command-*')))}"
        with self.log.open("w") as sink:
            self.process = subprocess.Popen(
                [*map(str, words)],
                cwd=folder,
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def end(self):
        """Wait for the end."""
        return Ended(self.process.wait(PATIENCE), self.log.read_text(encoding="utf-8"))

    def until(self, condition):
        """Wait until a condition holds while the command runs, and return what it returned."""

        def holds():
            assert self.is_running(), self.log.read_text()
            return condition()

        return eventually(holds, self.log.read_text)

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        if self.is_running():
            self.process.kill()
            self.process.wait()


class Cluster:
    """A Ray cluster whose nodes have addresses of their own on this machine, and a token.

    Everything of it lies in one folder, also the home of its processes and the results.
    """

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="tad", dir="/tmp"))  # short, for sockets
        self.results, self.notes = self.folder / "results", self.folder / "notes"
        self.hidden = self.folder / "hidden"
        for folder in ("home", "results", "hidden"):
            (self.folder / folder).mkdir()
        self.nodes, self.commands = [], []
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
            "HOME": str(self.folder / "home"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join(map(str, (AT_START, CHECKOUT))),
            "OMP_NUM_THREADS": "1",
        }
        self.address = f"127.0.0.1:{free_port()}"

    def start(self, *sizes, path=(), **environment):
        """Start a node, the first as the head, with sizes such as "--num-cpus=1"."""
        number = len(self.nodes) + 1
        head = (
            *("--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false"),
            f"--ray-client-server-port={free_port()}",
        )
        where = head if number == 1 else (f"--address={self.address}",)
        log, ip = self.folder / f"node-{number}", f"127.0.0.{number}"
        common = (
            f"--node-ip-address={ip}",
            f"--temp-dir={self.folder / str(number)}",
            "--object-store-memory=100000000",
            "--disable-usage-stats",
        )
        paths = os.pathsep.join([*map(str, path), self.environment["PYTHONPATH"]])
        with log.open("w") as sink:
            process = subprocess.Popen(
                [str(RAY), "start", "--block", *where, *common, *sizes],
                env={**self.environment, "PYTHONPATH": paths, **environment},
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        node = Node(process, log, ip)
        self.nodes.append(node)
        eventually(lambda: "Ray runtime started" in log.read_text(), log.read_text)
        return node

    def begin(self, *words, processes=1, **environment):
        """Begin a command of tune_ad, which trains once so many processes are ready."""
        driver = (sys.executable, DRIVER, self.notes, processes)
        words = (*driver, *words, "--address", self.address)
        command = Command(words, {**self.environment, **environment}, self.folder)
        self.commands.append(command)
        return command

    def run(self, *words, **options):
        """Run a command of tune_ad to its end; the options are those of `begin`."""
        return self.begin(*words, **options).end()

    def study(self, results, name="quickstart"):
        """A study of this cluster."""
        return StudyFolder(Path(results) / name)

    def noted(self):
        """The notes of `driver.py` since the last call."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def kill(self):
        """Kill every node."""
        for node in self.nodes:
            node.kill()

    def close(self):
        """End every process, and remove the folder."""
        for command in self.commands:
            command.kill()
        self.kill()
        shutil.rmtree(self.folder)


@pytest.fixture
def make_cluster():
    """A function: a cluster without nodes."""
    clusters = []

    def make():
        clusters.append(Cluster())
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.close()
