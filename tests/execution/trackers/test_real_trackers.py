"""The program with a real MLflow server, and with the files of MLflow and Weights & Biases."""

import json
import os
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.execution.trackers.servers import serving
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import TEST_AUROC

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[3]
SMALL = ("--budget", "quick", "--trials", "2", "--epochs", "2", "--classes", "0", "--seeds", "1")
RUNS = 1 + 2 + 2
"""The study, its trials, and the fresh seeds of the winner."""


def run(results, trackers, **variables):
    """Run the program, and return the folder of its study and what it has printed."""
    words = ["--search", "quickstart", *SMALL, "--evaluation-seeds", "2", "--backend", "serial"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "WANDB"))}
    done = subprocess.run(
        [sys.executable, PROJECT / "run.py", *words, "--results", results, "--log-to", trackers],
        cwd=results,
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the study goes on without it" not in done.stdout
    return StudyFolder(results / "quickstart"), done.stdout + done.stderr


def asked(url, **body):
    """What a server answers to a request."""
    request = urllib.request.Request(
        url, json.dumps(body).encode() if body else None, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def by_name(rows):
    return {row["key"]: row["value"] for row in rows}


def test_a_server_of_mlflow_shows_every_run_and_the_report(tmp_path):
    pytest.importorskip("gunicorn")
    command = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1"]
    command += ["--gunicorn-opts", "--log-level warning", "--host", "127.0.0.1", "--port"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with serving(command, "/health", **settings) as url:
        folder, printed = run(tmp_path, "mlflow", MLFLOW_TRACKING_URI=url)
        api = f"{url}/api/2.0/mlflow"
        named = asked(f"{api}/experiments/get-by-name?experiment_name=quickstart")["experiment"]
        runs = asked(f"{api}/runs/search", experiment_ids=[named["experiment_id"]])["runs"]
        tags = [by_name(run["data"]["tags"]) for run in runs]
        (study,) = [r for r, t in zip(runs, tags, strict=True) if t["kind"] == "study"]
        number = study["info"]["run_id"]
        kept = asked(f"{api}/artifacts/list?run_id={number}")["files"]
        trial = next(r for r in runs if r["info"]["run_name"] == "trial 0")
        of_trial = f"run_id={trial['info']['run_id']}&metric_key=objective"
        curve = asked(f"{api}/metrics/get-history?{of_trial}")["metrics"]
    assert printed.count(url) == 1, "it is named at the start, and by nobody else"
    assert f"log: MLflow, experiment quickstart at {url}" in printed
    assert len(runs) == RUNS and {run["info"]["status"] for run in runs} == {"FINISHED"}
    kinds = sorted(t["kind"] for t in tags)
    assert kinds == ["fresh seed", "fresh seed", "study", "trial", "trial"]
    assert {t.get("mlflow.parentRunId") for t in tags} == {number, None}
    assert {"report.html", "report.md", "report.tex"} == {file["path"] for file in kept}
    first = folder.read_trials()[0]
    assert [(m["step"], m["value"]) for m in curve] == first.reports
    params = by_name(trial["data"]["params"])
    assert params == {name: str(value) for name, value in first.params.items()}
    assert not folder.mlflow.exists(), "it is with the server"


def records_of_wandb(path):
    """The records of an offline file: the log format of LevelDB, after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    content, place, whole = path.read_bytes(), 7, b""
    block, header = 2**15, struct.Struct("<IHB")
    while place + header.size <= len(content):
        if block - place % block < header.size:
            place += block - place % block
            continue
        _, size, kind = header.unpack_from(content, place)
        place += header.size
        whole += content[place : place + size]
        place += size
        if kind in (1, 4):  # all of a record, or the last part of it
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def items(pairs):
    """Names and values of a record's entries."""
    return {pair.key or "/".join(pair.nested_key): json.loads(pair.value_json) for pair in pairs}


class OfflineRun:
    """A run, read back from its file."""

    def __init__(self, path):
        self.history, self.artifacts = [], []
        for record in records_of_wandb(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.name, self.kind = record.run.display_name, record.run.job_type
                self.config = items(record.run.config.update)
            elif kind == "history":
                self.history.append(items(record.history.item))
            elif kind == "artifact":
                self.artifacts += [entry.path for entry in record.artifact.manifest.contents]


@pytest.mark.filterwarnings("ignore")  # of their packages
def test_files_of_both_lie_in_the_folder_of_the_study(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    variables = {"WANDB_MODE": "offline", "HOME": str(home)}
    folder, printed = run(tmp_path, "mlflow,wandb", **variables)
    assert "INFO" not in printed and "wandb: " not in printed
    runs = [OfflineRun(p) for p in (folder.path / "wandb").glob("offline-run-*/*.wandb")]
    assert len(runs) == RUNS
    (study,) = [r for r in runs if r.kind == "study"]
    assert {"report.html", "report.md", "report.tex"} == set(study.artifacts)
    (trial,) = [r for r in runs if r.name == "trial 0"]
    first = folder.read_trials()[0]
    assert [(h["epoch"], h["objective"]) for h in trial.history] == first.reports
    params = json.loads(json.dumps(first.params))  # tuples become lists
    assert {name: trial.config[name] for name in params} == params
    assert trial.config["tags"]["detector"] == "PGN"
    fresh = [r.history[-1]["test/auroc"] for r in runs if r.kind == "fresh seed"]
    assert sorted(fresh) == sorted(r.metrics[TEST_AUROC][0] for r in folder.read_evaluation())
    assert not [p for p in home.rglob("*wandb*") if p.is_file()]

    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder.mlflow / 'mlflow.db'}")
    number = client.get_experiment_by_name("quickstart").experiment_id
    found = client.search_runs([number])
    assert len(found) == RUNS
    (whole,) = [r for r in found if r.data.tags["kind"] == "study"]
    assert "report.html" in {file.path for file in client.list_artifacts(whole.info.run_id)}
