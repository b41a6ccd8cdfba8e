"""What the platform costs besides training: memory, commands, the time around trials, estimates.

    python benchmarks/overhead.py [memory] [commands] [trials] [estimates] [--checkout FOLDER]

- memory: the largest memory over time of a process that runs a search and of its workers, which
  train two PGNs of width 1 each. RSS counts shared pages fully, PSS by their share, USS not.
- commands: dry runs, and the report of a finished quickstart study.
- trials: quickstart with few and with more trials, one at a time. A line through the wall times
  of the two, without the seconds of the trials, gives what a trial and a study cost in addition.
- estimates: the time that a dry run announces, and the time that the search then takes.

Every command runs in processes of its own, with the version of the project in a checkout, by
default this one. Prints Markdown tables.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tune_ad.app.provenance import hardware, versions
from tune_ad.storage.folder import StudyFolder

TRAINED = {"pgn_mnist": "0,1", "pgn_cifar": "cat,dog"}  # the classes of each search
DRY_RUNS = ("quickstart", "pgn_cifar", "table2_cifar", "table1_mnist", "ablate_pgn_cifar")
ESTIMATED = (
    "--search quickstart",
    "--search pgn_mnist --classes 0,1,2 --trials 6 --epochs 10 --train-images 3000",
    "--search pgn_cifar --trials 6 --epochs 3 --train-images 300",
)
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0}
ANNOUNCED = re.compile(rf"^\* .*; about ([\d.]+) ({'|'.join(UNITS)}),", re.MULTILINE)
KINDS = ("Rss", "Pss", "Uss")
POLL_SECONDS = 0.25
FEW, MANY = 2, 8  # trials of the two studies; ten would add importances to the report


class Run(NamedTuple):
    """A command that has run.

    Attributes:
        wall: wall time in seconds.
        cpu: user and system time of the process and its children, in seconds. Workers of Ray are
            not its children.
        output: what it printed.
    """

    wall: float
    cpu: float
    output: str


def run(
    checkout: Path, arguments: Sequence[str], watch: Callable[[int], object] | None = None
) -> Run:
    """Run a command of a checkout, with one thread per process.

    Args:
        checkout: the folder of the checkout.
        arguments: the arguments of `run.py`.
        watch: called with the number of the process again and again while it runs.

    Raises:
        RuntimeError: if the command fails.
    """
    variables = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, str(checkout / "run.py"), *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=checkout,
            env={**os.environ, **variables},
        )
        while watch is not None and process.poll() is None:
            watch(process.pid)
            time.sleep(POLL_SECONDS)
        code = process.wait()
        wall = time.perf_counter() - clock
        output = Path(file.name).read_text(encoding="utf-8")
    if code:
        raise RuntimeError(f"exit code {code}: {' '.join(arguments)}\n{output}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, output)


def descendants(process: int) -> Iterator[int]:
    """The numbers of a process and of all processes that it has started, directly or not."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            started = children.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in started:
            yield from descendants(int(child))


def memory(process: int) -> dict[str, float]:
    """The memory of a process in MB, by kind; Linux only.

    Raises:
        OSError: if the process has ended.
    """
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    pages = {name: int(size) / 1024 for name, size, _ in (line.split() for line in lines)}
    pages["Uss:"] = pages["Private_Clean:"] + pages["Private_Dirty:"]
    return {kind: pages[f"{kind}:"] for kind in KINDS}


class Peaks:
    """The largest memory of each process that a command starts.

    Attributes:
        by_process: its command and its memory in MB by kind.
    """

    def __init__(self) -> None:
        self.by_process: dict[int, tuple[str, dict[str, float]]] = {}

    def __call__(self, process: int) -> None:
        """Look at a process and those that it has started."""
        for number in descendants(process):
            try:
                command = Path(f"/proc/{number}/cmdline").read_text()
                now = memory(number)
            except OSError:  # it has ended
                continue
            _, largest = self.by_process.get(number, ("", now))
            peak = {kind: max(largest[kind], now[kind]) for kind in KINDS}
            self.by_process[number] = (command, peak)

    def largest(self, of_workers: bool) -> dict[str, float]:
        """The memory of the largest worker of Ray, or of the largest other process."""
        peaks = [
            peak
            for command, peak in self.by_process.values()
            if command.startswith("ray::") == of_workers
        ]
        return max(peaks, key=lambda peak: peak["Rss"])


class Around(NamedTuple):
    """The wall time of a study, in seconds.

    Attributes:
        around: the time besides its trials.
        training: the time of its trials.
    """

    around: float
    training: float


class Bench(NamedTuple):
    """The measurements of a checkout.

    Attributes:
        checkout: the folder of the checkout.
        results: a folder for studies.
        epochs: epochs of the trials around which time is measured.
        rounds: how often a command or a study of trials runs; the fastest counts.
    """

    checkout: Path
    results: Path
    epochs: int
    rounds: int

    def memory(self) -> list[dict[str, object]]:
        """The memory of processes, by search."""
        rows: list[dict[str, object]] = []
        for name, classes in TRAINED.items():
            peaks = Peaks()
            fixed = ["--set", "width=1.0", "--set", "latent_dim=128", "--classes", classes]
            sizes = ["--trials", "2", "--seeds", "1", "--epochs", "2", "--train-images", "400"]
            run(self.checkout, [*self.study(name), *fixed, *sizes, "--backend", "ray"], peaks)
            for title, of_workers in (("worker", True), ("process of the search", False)):
                peak = peaks.largest(of_workers)
                in_mb = {f"{kind.upper()}, MB": f"{peak[kind]:,.0f}" for kind in KINDS}
                rows.append({"search": name, "process": title, **in_mb})
        return rows

    def commands(self) -> list[dict[str, object]]:
        """The time of dry runs and of a report."""
        finished = ["--results", str(self.results / "finished")]
        quick = ["--search", "quickstart", "--budget", "quick", "--backend", "serial"]
        run(self.checkout, [*quick, *finished])
        wanted = {
            f"--search {name} --dry-run": [*self.study(name), "--dry-run"] for name in DRY_RUNS
        }
        wanted["--report quickstart"] = ["--report", "quickstart", *finished]
        rows: list[dict[str, object]] = []
        for command, arguments in wanted.items():
            runs = [run(self.checkout, arguments) for _ in range(self.rounds)]
            wall, cpu = min(r.wall for r in runs), min(r.cpu for r in runs)
            rows.append({"command": command, "wall, s": f"{wall:.1f}", "CPU, s": f"{cpu:.1f}"})
        return rows

    def trials(self) -> list[dict[str, object]]:
        """The time around trials, by backend."""
        rows: list[dict[str, object]] = []
        for backend, limits in (("serial", ()), ("ray", ("--concurrent", "1"))):
            options = ["--epochs", str(self.epochs), "--backend", backend, *limits]
            few, many = (self.around(trials, options) for trials in (FEW, MANY))
            of_trial = (many.around - few.around) / (MANY - FEW)
            rows.append(
                {
                    "backend": backend,
                    "seconds of a trial": f"{many.training / MANY:.1f}",
                    "around a trial, s": f"{of_trial:.2f}",
                    "start, end and report, s": f"{few.around - FEW * of_trial:.1f}",
                }
            )
        return rows

    def around(self, trials: int, options: Sequence[str]) -> Around:
        """The times of quickstart with a number of trials, in the round with the least around."""
        rounds = []
        for _ in range(self.rounds):
            study = self.study("quickstart")
            wall = run(self.checkout, [*study, "--trials", str(trials), *options]).wall
            records = StudyFolder(Path(study[-1]) / "quickstart").read_trials()
            training = sum(record.seconds for record in records)
            rounds.append(Around(wall - training, training))
        return min(rounds)

    def estimates(self) -> list[dict[str, object]]:
        """The announced and the actual time of searches."""
        rows: list[dict[str, object]] = []
        for search in ESTIMATED:
            arguments = [*search.split(), "--budget", "quick", "--results", str(self.results)]
            dry = [
                run(self.checkout, [*arguments, "--dry-run"]).output for _ in range(self.rounds)
            ]
            announced = min(announced_seconds(output) for output in dry)
            wall = run(self.checkout, arguments).wall
            rows.append(
                {
                    "command": search,
                    "announced, s": f"{announced:.0f}",
                    "actual, s": f"{wall:.0f}",
                    "ratio": f"{wall / announced:.2f}",
                }
            )
        return rows

    def study(self, name: str) -> list[str]:
        """The arguments of a small study without a winner, in a new folder of results."""
        folder = self.results / f"{name}-{time.monotonic_ns()}"
        small = ["--budget", "quick", "--no-evaluation"]
        return ["--search", name, *small, "--results", str(folder)]


def announced_seconds(output: str) -> float:
    """The estimated time of the chosen budget, from the output of a dry run."""
    number, unit = ANNOUNCED.findall(output)[0]
    return float(number) * UNITS[unit]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
        arguments: the arguments of the program; None = those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    here = Path(__file__).resolve().parents[1]
    parts = ("memory", "commands", "trials", "estimates")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}")
    parser.add_argument("--checkout", type=Path, default=here, help="the folder of the project")
    parser.add_argument("--epochs", type=int, default=100, help="of the trials in `trials`")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command and study")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}; choose from {', '.join(parts)}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.checkout.resolve(), Path(folder), options.epochs, options.rounds)
        for part in options.parts or parts:
            rows = pd.DataFrame(getattr(bench, part)())
            print(
                f"{part}\n\n{rows.to_markdown(index=False, disable_numparse=True)}\n", flush=True
            )
    print(f"{time.strftime('%Y-%m-%d')}, {hardware('cpu')}, {versions()}")


if __name__ == "__main__":
    main()
