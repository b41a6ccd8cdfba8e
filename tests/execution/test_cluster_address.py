"""Which addresses are answered by a Ray cluster, without waiting for Ray to find out."""

import socket
import threading
from contextlib import nullcontext, suppress

import pytest
import ray

from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine
from tune_ad.execution.ray import cluster_address, connection
from tune_ad.execution.ray.cluster_address import GREETING, resolved

SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.fixture
def serve():
    """A function: a server that answers every client with the same bytes; its address."""
    servers, threads = [], []

    def start(answer):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def reply():
            client, _ = server.accept()
            with client, suppress(ConnectionError):
                received = client.recv(len(GREETING))
                assert received == GREETING
                client.sendall(answer)
                client.recv(1)

        threads.append(threading.Thread(target=reply, daemon=True))
        threads[-1].start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in servers:
        server.close()


def refusal(address):
    with pytest.raises(UserError) as caught:
        resolved(address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_address_at_which_a_grpc_server_answers_is_accepted(serve):
    address = serve(SETTINGS_FRAME)
    assert resolved(address) == address


def test_the_cluster_of_the_tests_answers(ray_session, monkeypatch):
    answers, ask = [], cluster_address._answer

    def noted(host, port):
        answers.append(ask(host, port))
        return answers[-1]

    monkeypatch.setattr(cluster_address, "_answer", noted)
    resolved(ray.get_runtime_context().gcs_address)
    assert answers[0][3] == cluster_address.SETTINGS


@pytest.mark.parametrize(
    "address",
    [
        "ray://here",
        "ray://10.0.0.1:10001",
        "somewhere",
        "10.0.0.1",
        "http://10.0.0.1:6379",
        "host:port",
        "",
    ],
)
def test_an_address_of_another_form_is_refused_with_those_that_there_are(address):
    message = refusal(address)
    assert f"--address {address!r}" in message
    assert "HOST:PORT" in message


def test_auto_is_the_cluster_of_the_environment(serve, monkeypatch):
    address = serve(SETTINGS_FRAME)
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert resolved("auto") == address


def test_auto_is_the_cluster_that_was_started_on_this_machine(serve, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    address = serve(SETTINGS_FRAME)
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"{address}\n")
    assert resolved("auto") == address


def test_auto_does_not_join_the_ray_of_another_program(ray_session, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "no Ray cluster was started on this machine" in refusal("auto")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:99999", "[::1]:1", "a..b:6379"])
def test_an_address_at_which_nothing_answers_is_refused(address):
    message = refusal(address)
    assert message.startswith(f"no Ray cluster answers at {address!r} (")
    assert "start one with 'ray start --head', or leave --address out" in message


@pytest.mark.parametrize("answer", [b"HTTP/1.1 505 no", b""])
def test_a_server_that_is_not_ray_is_refused(serve, answer, monkeypatch):
    monkeypatch.setattr(cluster_address, "ANSWER_SECONDS", 0.2)
    address = serve(answer)
    assert repr(address) in refusal(address)


def test_an_encrypted_cluster_is_left_to_ray(serve, monkeypatch):
    monkeypatch.setenv("RAY_USE_TLS", "1")
    resolved(serve(b"\x15\x03\x01\x00\x02"))


def test_ray_is_not_asked_for_a_cluster_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("Ray was asked"))
    with pytest.raises(UserError, match="no Ray cluster answers at '127.0.0.1:1'"):
        connection.remote_machine("127.0.0.1:1")


def test_the_memory_of_a_cluster_is_that_of_its_largest_node(monkeypatch):
    small = {"CPU": 4.0, "memory": 6e9, "object_store_memory": 2e9}
    large = {"CPU": 2.0, "GPU": 1.0, "memory": 20e9, "object_store_memory": 10e9}
    names = {"NodeID": "a", "NodeManagerAddress": "10.0.0.1"}
    nodes = [{"Alive": True, "Resources": node, **names} for node in (small, large)]
    monkeypatch.setattr(connection, "connection", lambda address: nullcontext())
    monkeypatch.setattr(ray, "nodes", lambda: [*nodes, {"Alive": False, "Resources": {}}])
    machine = connection.remote_machine("10.0.0.1:6379")
    assert machine == Machine(6, 1, 4, 1, 30_000_000_000, ((4, 0), (2, 1)))
