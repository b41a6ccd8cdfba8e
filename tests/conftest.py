"""What the tests share: no network, a tiny search on digits, its finished study, one Ray."""

import json
import os
import runpy
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest

for ignored in (signal.SIGINT, signal.SIGHUP):  # as in the background, and after nohup
    if signal.getsignal(ignored) is signal.SIG_IGN:  # programs of tests would ignore them, too
        default = {signal.SIGINT: signal.default_int_handler}.get(ignored, signal.SIG_DFL)
        signal.signal(ignored, default)
os.environ.setdefault("RAY_timeout_ms_task_wait_for_death_info", "10000")  # on a busy machine
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and NumPy are loaded below
MEMORY = Path("/dev/shm")  # noqa: S108, the folders of tests lie in memory if it has room
ROOM = 4 << 30
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
AT_START = Path(__file__).parent / "at_start"
runpy.run_path(str(AT_START / "no_figures.py"))  # before anything imports the writer of reports
# ruff: noqa: E402
from tests.naming import named, variants
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.records import ReplicaRecord, TrialRecord, identity

Record = Callable[..., TrialRecord]

REFUSING_CLIENT = """#!/bin/sh
echo "a test called $0: tests fetch nothing" >&2
exit 97
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage is measured of the fast tests alone: it would double the minutes of the others."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")


@pytest.fixture(scope="session", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Refuse sockets beyond this machine and the package clients, here and in processes of tests.

    `TUNE_AD_TEST_REGISTRIES=1`, which asks for the tests of the real registries, lifts it.
    """
    if os.environ.get("TUNE_AD_TEST_REGISTRIES") == "1":
        yield
        return
    runpy.run_path(str(AT_START / "no_network.py"))
    clients = tmp_path_factory.mktemp("clients")
    for name in ("npm", "apt-get"):
        (clients / name).write_text(REFUSING_CLIENT)
        (clients / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(clients), prepend=os.pathsep)
        patch.setenv("PYTHONPATH", str(AT_START), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module", autouse=True)
def figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures of reports are composed but not written, except in modules that look at reports."""
    about_reports = request.path.is_relative_to(Path(__file__).parent / "analysis" / "report")
    drawn = about_reports or request.node.get_closest_marker("figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_AD_TEST_FIGURES", "drawn" if drawn else "composed")
        yield


def make_record(number: int = 0, objective: float | None = 0.5, **fields: Any) -> TrialRecord:
    """A record with the fields that matter to a test; the others are those of a good trial."""
    params = fields.pop("params", {"a": number})
    baseline = fields.pop("baseline", "PGN")
    values = {
        "identity": identity(baseline, params),
        "detector": "PGN",
        "searched": sorted(params),
        "state": "complete",
        "reason": "",
        "reports": [],
        "replicas": [ReplicaRecord("digits/0", 0, "complete", "", 3)],
        "metrics": {"validation_auroc": [objective]},
        **fields,
    }
    for field, convert in (("metrics", named), ("variants", variants)):
        if field in values:
            values[field] = convert(values[field])
    return TrialRecord(number, baseline=baseline, params=params, objective=objective, **values)


def without_seconds(records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Everything that two runs of the same study must agree in, in the order of the trials."""
    lines = [{**json.loads(to_text(record)), "seconds": None} for record in records]
    return sorted(lines, key=lambda line: (line["number"], line["replicas"][0]["seed"]))


@pytest.fixture(scope="session")
def record() -> Record:
    """The function `make_record`."""
    return make_record


@pytest.fixture(scope="session")
def timeless() -> Callable[[Sequence[TrialRecord]], list[dict[str, Any]]]:
    """The function `without_seconds`."""
    return without_seconds


@pytest.fixture(scope="session")
def tiny_budget() -> Any:
    """Four trials of three epochs on two classes of sixty images."""
    from tune_ad.search.budgets import Budget

    return Budget(
        trials=4,
        epochs=3,
        seeds=1,
        classes=(0, 1),
        train_images=60,
        validation_images=20,
        test_images=30,
        evaluation_seeds=2,
        evaluations=3,
    )


@pytest.fixture(scope="session")
def tiny(tiny_budget: Any) -> Any:
    """A search that takes a second: PGN on digits."""
    from dataclasses import replace

    from optuna.distributions import CategoricalDistribution, FloatDistribution

    from tune_ad.detectors.pgn import PGN
    from tune_ad.search.baseline import Baseline
    from tune_ad.search.declaration import Search

    paper = replace(tiny_budget, trials=1, evaluation_seeds=0, validation_fraction=0.0)
    return Search(
        name="tiny",
        data=("digits",),
        baselines=(
            Baseline(
                PGN,
                space={
                    "latent_dim": CategoricalDistribution([4, 8, 16]),
                    "dropout": FloatDistribution(0.1, 0.7),
                },
                score_space={"mc_samples": (0, 5, "inf")},
                settings={"latent_dim": 8, "batch_size": 30, "learning_rate": 1e-3},
            ),
        ),
        budgets={"quick": tiny_budget, "standard": tiny_budget, "paper": paper},
    )


@pytest.fixture(scope="session")
def open_study() -> Callable[..., Any]:
    """A function that prepares a session of a search that no file declares."""
    from tune_ad.app.command_line.options import Options
    from tune_ad.app.estimates.longest import trial_limit
    from tune_ad.app.preparation.validation import prepare
    from tune_ad.search import catalogue

    def prepared(search: Any, results: Path, **options: Any) -> Any:
        usual = {"budget": "quick", "backend": "serial", "device": "cpu", "progress": False}
        chosen = Options(search.name, results=results, **{**usual, **options})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catalogue, "find", lambda name: (search, search.data[0]))
            limit = trial_limit(chosen)
            return prepare(chosen, say=lambda line: None, time_limit=limit)

    return prepared


class Finished(NamedTuple):
    """A study that has ended."""

    session: Any
    outcome: Any
    folder: Any


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of studies that tests share and only read."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def finished(tiny: Any, open_study: Callable[..., Any], results: Path) -> Finished:
    """The tiny study, run by the serial backend; do not write to it."""
    session = open_study(tiny, results)
    return Finished(session, session.run(), session.folder)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray on this machine for all tests that need one."""
    from tune_ad.execution.ray.runner import Resources, cluster

    with cluster(Resources(concurrent=2)):
        yield


@pytest.fixture
def joined(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions use the Ray that all tests share."""
    from tune_ad.execution.ray import runner

    monkeypatch.setattr(runner, "cluster", lambda resources: nullcontext())
