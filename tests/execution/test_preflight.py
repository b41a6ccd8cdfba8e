"""What is asked of every node of a cluster before a study writes or trains anything."""

import os
import sys

import pytest
import ray

from tune_ad.app.command_line.options import Options
from tune_ad.app.preparation.resources import check_concurrent
from tune_ad.errors import MachineError, UserError
from tune_ad.execution.machine import Machine
from tune_ad.execution.ray import nodes, shared_folder
from tune_ad.execution.ray.nodes import Node, ask, live_nodes
from tune_ad.execution.ray.preflight import check_gpus
from tune_ad.execution.ray.shared_folder import Reply, check_shared_folder, reply

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
NODES = [Node(f"n{k}", f"10.0.0.{k}", 4, 2, 10**9) for k in (1, 2, 3)]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What does not arrive is missed at once."""
    monkeypatch.setattr(shared_folder, "WAIT_SECONDS", 0.0)


def here(nodes, question, *arguments):
    """Every node is this machine."""
    return {node: question(*arguments) for node in nodes}


def elsewhere(bad, folder):
    """Some nodes have a folder of their own at this path."""

    def answers(nodes, question, path):
        other = str(folder / os.path.basename(path))
        return {n: question(other if n.ip in bad else path) for n in nodes}

    return answers


def fault(ask, folder):
    with pytest.raises(MachineError) as refusal:
        check_shared_folder(folder, NODES, ask)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


REMEDY = "give --results a folder that every node reaches, such as one on NFS"


def test_nodes_that_share_the_folder_pass_and_nothing_is_left(tmp_path):
    check_shared_folder(tmp_path / "results" / "study", NODES, here)
    assert [*tmp_path.iterdir()] == []


def test_what_is_in_the_folder_stays(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").touch()
    check_shared_folder(tmp_path / "study", NODES, here)
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["study.json"]


def test_a_node_that_does_not_see_the_folder_is_named(tmp_path):
    folder, other = tmp_path / "results" / "study", tmp_path / "other"
    other.mkdir()
    assert fault(elsewhere({"10.0.0.2"}, other), folder) == (
        f"node 10.0.0.2 of the cluster does not see {folder}; {REMEDY}"
    )
    assert fault(elsewhere({"10.0.0.1", "10.0.0.2", "10.0.0.3"}, other), folder) == (
        f"node 10.0.0.1 of the cluster does not see {folder} (nor do 2 other nodes); {REMEDY}"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert [*other.iterdir()] == []


def test_a_node_that_cannot_write_to_the_folder_is_named(tmp_path, monkeypatch):
    def full(path, *arguments, **options):
        raise OSError(30, "Read-only file system")

    def answers(nodes, question, path):
        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.write_text", full)
            return here(nodes, question, path)

    assert fault(answers, tmp_path) == (
        f"node 10.0.0.1 of the cluster cannot write (Read-only file system) to {tmp_path} (nor do "
        f"2 other nodes); {REMEDY}"
    )
    assert [*tmp_path.iterdir()] == []


def test_a_node_whose_files_do_not_arrive_is_named(tmp_path):
    def answers(nodes, question, path):
        return {node: Reply(name="written-elsewhere") for node in nodes}

    assert "10.0.0.1 of the cluster writes what does not arrive here to " in fault(
        answers, tmp_path
    )


def test_a_folder_that_cannot_be_written_here_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"file/study cannot be written \(Not a directory\)"):
        check_shared_folder(tmp_path / "file" / "study", NODES, here)


def test_a_file_that_arrives_late_arrives(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_folder, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(
        shared_folder.time, "sleep", lambda seconds: (tmp_path / "late").write_text("late")
    )
    assert shared_folder._arrives(tmp_path / "late", "late")


def test_gpus_that_pytorch_does_not_see_are_said():
    check_gpus(NODES, lambda nodes, question: dict.fromkeys(nodes, 2))
    with pytest.raises(MachineError) as refusal:
        check_gpus(NODES, lambda nodes, question: {**dict.fromkeys(nodes, 2), nodes[2]: 1})
    assert str(refusal.value).startswith(
        "node 10.0.0.3 of the cluster claims 2 GPUs, but PyTorch sees 1 there; start it with "
        "'ray start --num-gpus=1'"
    )
    with pytest.raises(MachineError, match="claims 2 GPUs, but PyTorch sees none there"):
        check_gpus(NODES[:1], lambda nodes, question: dict.fromkeys(nodes, 0))


def process():
    return os.getpid()


def fail():
    raise FileNotFoundError("no such driver")


@pytest.mark.slow
def test_a_node_answers_in_a_process_that_ends_with_the_question(ray_session):
    (node,) = live_nodes()
    answers = [ask([node], process)[node] for _ in range(2)]
    assert len({*answers, os.getpid()}) == 3


@pytest.mark.slow
def test_the_folder_is_checked_by_a_task_on_the_node(ray_session, tmp_path):
    check_shared_folder(tmp_path / "study", live_nodes())
    assert [*tmp_path.iterdir()] == []


def test_a_node_that_is_not_there_or_cannot_run_the_task_is_named(ray_session):
    (node,) = live_nodes()
    fault = rf"node {node.ip} .*cannot run tune_ad \(FileNotFoundError: no such driver\); install"
    with pytest.raises(MachineError, match=fault):
        ask([node], fail)
    gone = node._replace(identity="0" * len(node.identity), ip="10.0.0.9")
    with pytest.raises(MachineError, match=r"node 10\.0\.0\.9 of the cluster cannot run tune_ad"):
        ask([gone], reply, "/no/such/folder")


def test_a_node_that_does_not_answer_is_named(ray_session, monkeypatch):
    monkeypatch.setattr(nodes, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(ray, "wait", lambda asked, **options: ([], asked))
    with pytest.raises(MachineError, match="does not answer within 0 s"):
        ask(live_nodes(), process)


SMALL = Machine(9, 2, 4, 1, 10**9, ((1, 1), (4, 1), (3, 0), (1, 0)))


@pytest.mark.parametrize(
    ("cpus", "gpus", "slots"),
    [(1, 0, 9), (2, 0, 3), (3, 0, 2), (4, 0, 1), (1, 1, 2), (1, 0.5, 3), (2, 0.5, 2), (2, 1, 1)],
)
def test_trials_are_counted_node_by_node(cpus, gpus, slots):
    assert SMALL.slots(cpus, gpus) == slots
    assert SMALL.fits(cpus, gpus)


def test_more_parallel_trials_than_the_nodes_have_room_for_are_refused():
    options = Options("quickstart", address="auto", cpus=2, gpus=0, concurrent=3)
    check_concurrent(options, SMALL)
    with pytest.raises(UserError, match="2 of 9 cores on 4 nodes, so at most 3 can run"):
        check_concurrent(Options("quickstart", cpus=2, gpus=0, concurrent=4), SMALL)


def test_a_trial_whose_cores_and_gpus_are_on_different_nodes_is_refused():
    machine = Machine(5, 1, 4, 1, 10**9, ((1, 1), (4, 0)))
    with pytest.raises(UserError, match="no node has both 2 cores and 1 GPU"):
        check_concurrent(Options("quickstart", cpus=2, gpus=1), machine)
