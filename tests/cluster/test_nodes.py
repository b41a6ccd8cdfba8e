"""A study on three nodes of different sizes, one of which claims a GPU and lacks a folder."""

from collections import defaultdict
from pathlib import Path

import pytest
import torch

from tests.cluster.conftest import TINY, Cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """Nodes of 1, 2 and 1 cores; the second claims a GPU, the third does not see a folder."""
    cluster = Cluster()
    try:
        cluster.start("--num-cpus=1")
        cluster.start("--num-cpus=2", "--num-gpus=1")
        blind = Path(__file__).with_name("blind")
        cluster.start("--num-cpus=1", path=(blind,), HIDDEN_FOLDER=str(cluster.hidden))
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def results(cluster, tmp_path):
    return cluster.results / tmp_path.name


def test_a_study_trains_on_all_nodes_and_copies_the_images_once_to_each(cluster, results):
    words = (*TINY, "--trials", 6, "--epochs", 3, "--results", results)
    words += ("--evaluation-seeds", 1)
    ended = cluster.run(*words, processes=4)
    assert ended.code == 0, ended.output
    study = cluster.study(results)
    assert sorted(record.number for record in study.read_trials()) == [*range(6)]
    assert {record.state for record in study.read_trials()} == {"complete"}
    assert len(study.read_evaluation()) == 1
    assert not study.ray.exists()
    notes = [note for note in cluster.noted() if not note["is_final"]]
    assert {note["trial"] for note in notes} == {*range(6)}
    processes, images = defaultdict(set), defaultdict(set)
    for note in notes:
        processes[note["node"]].add(note["process"])
        images[note["node"]].add(note["images"])
    assert sorted(map(len, processes.values())) == [1, 1, 2]
    assert [len(places) for places in images.values()] == [1, 1, 1]


def test_trials_run_where_they_fit(cluster, results):
    size = ("--cpus-per-trial", 2)
    words = (*TINY, *size, "--trials", 2, "--epochs", 2, "--results", results)
    words += ("--no-evaluation",)
    refused = cluster.run(*words, "--concurrent", 2)
    assert refused.code == 2
    assert refused.error() == (
        "error: --concurrent 2: a trial uses 2 of 4 cores on 3 nodes, so at most 1 can run in "
        "parallel; use a smaller number, or leave the option out"
    )
    assert not results.exists()
    ended = cluster.run(*words)
    assert ended.code == 0, ended.output
    assert len(cluster.study(results).read_trials()) == 2
    assert {note["node"] for note in cluster.noted()} == {"127.0.0.2"}


def test_a_trial_that_fits_on_no_node_is_refused(cluster, results):
    refused = cluster.run(*TINY, "--cpus-per-trial", 3, "--results", results)
    assert refused.code == 2
    assert refused.error().startswith("error: --cpus-per-trial 3: no node has more than 2 cores")
    assert not results.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU that the node claims is there")
def test_a_gpu_that_a_node_claims_and_does_not_have_is_said_before_anything_runs(cluster, results):
    refused = cluster.run(*TINY, "--device", "cuda", "--results", results)
    assert refused.code == 3
    assert refused.error().startswith(
        "error: node 127.0.0.2 of the cluster claims 1 GPU, but PyTorch sees none there; "
    )
    assert not results.exists()


def test_a_node_that_does_not_see_the_results_is_said_before_anything_runs(cluster):
    results = cluster.hidden / "results"
    refused = cluster.run(*TINY, "--results", results)
    assert refused.code == 3
    assert refused.error() == (
        f"error: node 127.0.0.3 of the cluster does not see {results / 'quickstart'}; give "
        "--results a folder that every node reaches, such as one on NFS"
    )
    assert not results.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"RAY_AUTH_TOKEN": "wrong" * 8}, "If it asks for a token, set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_TOKEN": ""}, "RAY_AUTH_MODE is token, but there is no token"),
    ],
)
def test_a_driver_without_the_token_is_told_so(cluster, results, changes, problem):
    refused = cluster.run(*TINY, "--results", results, **changes)
    assert refused.code == 3
    assert problem in refused.error()
    assert not results.exists()
