"""The files of deploy/: as far as they can be checked without the clusters for which they are."""

import json
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli

import tune_ad

PROJECT = Path(tune_ad.__file__).parents[1]
DEPLOY = PROJECT / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
VERSIONS = dict(
    line.split("==") for line in (PROJECT / "constraints.txt").read_text().splitlines()
)
PAGES = [PROJECT / "README.md", PROJECT / "docs" / "cluster.md"]


def read(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


def test_every_file_is_checked_here():
    names = {path.name for path in DEPLOY.iterdir()}
    assert names == {
        *{"Dockerfile", "kuberay.yaml", "ray-up.yaml", "wait_for_nodes.py"},
        *{path.name for path in SCRIPTS},
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script):
    assert script.stat().st_mode & stat.S_IXUSR
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed")
    found = subprocess.run(
        [shellcheck, "--severity=warning", script], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def ray_commands(text):
    """The commands `ray start ...` of a script, each as its words."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        found = re.search(r"(?:^|[\s/])ray (start .*)", line)
        if found and not line.lstrip().startswith("#"):
            words = re.sub(r"\s&$|\"\$\{sizes\[@\]\}\"", "", found[1])
            yield shlex.split(words, comments=True)


def code_of(page):
    """The blocks of code of a page."""
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def commands_of_yaml(document):
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        yield from ray_commands("\n".join(document[key]))


def check_ray_accepts(words):
    """Have Ray read the options of a command; nothing is run."""
    command = cli.commands[words[0]]
    numbers = [re.sub(r"(?<=-port=)\D.*", "6379", word) for word in words[1:]]
    command.make_context(words[0], numbers)


def test_ray_knows_every_option_with_which_it_is_started():
    found = [
        *commands_of_yaml(yaml.safe_load(read("ray-up.yaml"))),
        *ray_commands(read("slurm.sh")),
    ]
    for page in PAGES:
        found += ray_commands(code_of(page.read_text(encoding="utf-8")))
    assert len(found) == 8
    for words in found:
        check_ray_accepts(words)


def test_the_cluster_file_of_ray_has_its_schema():
    document = yaml.safe_load(read("ray-up.yaml"))
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(document, json.loads(schema.read_text(encoding="utf-8")))
    validate_config(prepare_config(document))
    head, worker = commands_of_yaml(document)
    assert "--head" in head
    assert "--address=$RAY_HEAD_IP:6379" in worker
    commands = document["head_start_ray_commands"] + document["worker_start_ray_commands"]
    assert all("RAY_AUTH_MODE=token" in line for line in commands if "ray start" in line)
    assert list(document["file_mounts"]) == ["~/.ray/auth_token"]


JOB = {"apiVersion", "kind", "metadata", "spec"}
SPEC = {
    *{"activeDeadlineSeconds", "backoffLimit", "clusterSelector", "entrypoint", "jobId"},
    *{"rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode"},
    *{"submitterPodTemplate", "suspend", "ttlSecondsAfterFinished"},
}
CLUSTER = {"authOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs"}
GROUP = {"rayStartParams", "template"}
WORKERS = {*GROUP, "groupName", "replicas", "minReplicas", "maxReplicas"}


def containers(group):
    return group["template"]["spec"]["containers"]


def test_the_job_of_kuberay_has_the_fields_of_its_resource():
    job = yaml.safe_load(read("kuberay.yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job.keys() == JOB
    spec = job["spec"]
    assert spec.keys() <= SPEC
    cluster = spec["rayClusterSpec"]
    assert cluster.keys() == CLUSTER
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"].keys() == GROUP
    assert all(group.keys() == WORKERS for group in cluster["workerGroupSpecs"])
    assert spec["submissionMode"] in {"K8sJobMode", "HTTPMode", "SidecarMode"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        for name, value in group["rayStartParams"].items():
            check_ray_accepts(["start", f"--{name}={value}"])
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        for container in containers(group):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert all(isinstance(entry["value"], str) for entry in container["env"])


def test_the_job_of_kuberay_runs_this_version_on_a_folder_that_all_pods_share():
    spec = yaml.safe_load(read("kuberay.yaml"))["spec"]
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == VERSIONS["ray"]
    groups = (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    images = {container["image"] for group in groups for container in containers(group)}
    assert images == {f"REGISTRY/tune-ad:{METADATA['project']['version']}"}
    env, *settings, program, address, _, _, _ = shlex.split(spec["entrypoint"])
    values = dict(setting.split("=") for setting in settings)
    assert (env, address) == ("env", "--address")
    assert program == "/app/deploy/begin_or_resume.sh"
    for group in groups:
        for container in containers(group):
            shared = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert any(values["RESULTS"].startswith(f"{folder}/") for folder in shared)


def test_the_image_copies_what_there_is_and_what_the_package_needs():
    text = re.sub(r"\\\n", " ", read("Dockerfile"))
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert {line[0] for line in lines} <= {
        *{"COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "STOPSIGNAL", "USER", "WORKDIR"},
    }
    copied = {name for line in lines if line[0] == "COPY" for name in line[1:-1]}
    assert [name for name in copied if not (PROJECT / name).exists()] == []
    packages = METADATA["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in packages} <= copied
    project = METADATA["project"]
    assert {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]} <= (
        copied
    )
    (entry,) = [line[1:] for line in lines if line[0] == "ENTRYPOINT"]
    assert set(json.loads(" ".join(entry))) <= project["scripts"].keys()
    (base,) = [line[1] for line in lines if line[0] == "FROM"]
    least = project["requires-python"].removeprefix(">=")
    assert base.startswith(f"python:{least}")
    users = [k for k, line in enumerate(lines) if line[0] == "USER"]
    installs = [k for k, line in enumerate(lines) if line[:3] == ["RUN", "pip", "install"]]
    assert max(installs) < min(users), "the program does not run as root"


def begin(folder, **environment):
    """The words with which `begin_or_resume.sh` calls the program, and its exit code."""
    program = folder / "program"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')
    program.chmod(0o755)
    ended = subprocess.run(
        [DEPLOY / "begin_or_resume.sh", "--set", "a=1 2"],
        env={"PATH": "/usr/bin:/bin", "PROGRAM": str(program), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.splitlines(), ended.returncode


def test_a_study_is_begun_or_resumed_by_the_same_command(tmp_path):
    results = tmp_path / "the results"
    chosen = {"SEARCH": "quickstart", "RESULTS": str(results)}
    words = ["--search", "quickstart", "--results", str(results), "--set", "a=1 2"]
    assert begin(tmp_path, **chosen) == (words, 7)
    (results / "quickstart").mkdir(parents=True)
    (results / "quickstart" / "study.json").touch()
    resumed = [*words[:4], "--resume", *words[4:]]
    assert begin(tmp_path, **chosen) == (resumed, 7)
    assert begin(tmp_path, **chosen, STUDY="quickstart-ablation") == (words, 7)


def test_without_a_search_or_a_folder_nothing_is_called(tmp_path):
    assert begin(tmp_path, RESULTS="x") == ([], 1)
    assert begin(tmp_path, SEARCH="x") == ([], 1)
