"""Which addresses are answered by a Ray cluster, without waiting for Ray to find out."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress

import pytest
import ray

from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine
from tune_ad.execution.ray import cluster_address, connection, control_service
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


@pytest.fixture
def serve_grpc():
    """A function: a gRPC server without methods, or with one that never answers; its address."""
    grpc = pytest.importorskip("grpc")
    servers, over = [], threading.Event()

    def hang(request, context):
        over.wait(600)
        return b""

    def start(hangs):
        servers.append(grpc.server(ThreadPoolExecutor(1)))
        if hangs:
            _, service, method = control_service.METHOD.split("/")
            handler = grpc.unary_unary_rpc_method_handler(hang)
            methods = {method: handler}
            generic = grpc.method_handlers_generic_handler(service, methods)
            servers[-1].add_generic_rpc_handlers((generic,))
        port = servers[-1].add_insecure_port("127.0.0.1:0")
        servers[-1].start()
        return f"127.0.0.1:{port}"

    yield start
    over.set()
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def impatient(monkeypatch):
    """Servers that greet and do not answer are given up soon."""
    monkeypatch.setattr(control_service, "ANSWER_SECONDS", 0.3)


@pytest.fixture
def impatient_at_once(monkeypatch):
    """Servers that do not greet are given up soon."""
    monkeypatch.setattr(cluster_address, "ANSWER_SECONDS", 0.3)


@pytest.fixture
def answers(monkeypatch):
    """Whoever greets is the control service of Ray."""
    monkeypatch.setattr(control_service, "status", lambda address: "OK")


def refusal(address):
    with pytest.raises(UserError) as caught:
        resolved(address)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("answers")
def test_an_address_at_which_ray_answers_is_accepted(serve):
    address = serve(SETTINGS_FRAME)
    assert resolved(address) == address


@pytest.mark.slow
def test_the_cluster_of_the_tests_answers(ray_session):
    address = ray.get_runtime_context().gcs_address
    assert resolved(address) == address
    assert control_service.status(address) in ("OK", "UNAUTHENTICATED")  # by its token


def test_another_grpc_server_is_refused(serve_grpc):
    address = serve_grpc(hangs=False)
    message = refusal(address)
    assert message.startswith(f"what answers at {address!r} is not a Ray cluster; ")


def test_a_grpc_server_that_does_not_answer_is_refused(serve_grpc, impatient):
    address = serve_grpc(hangs=True)
    message = refusal(address)
    assert message.startswith(f"no Ray cluster answers at {address!r} (")
    assert "does not answer" in message


def test_a_server_that_greets_and_says_no_more_is_refused(impatient):
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        server.settimeout(30)

        def greet():
            for _ in range(2):  # the greeting, and the question
                client, _ = server.accept()
                client.sendall(SETTINGS_FRAME)
                clients.append(client)

        clients = []
        pool.submit(greet)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert refusal(address).startswith(f"no Ray cluster answers at {address!r} (")
    for client in clients:
        client.close()


def test_a_server_that_takes_connections_and_never_answers_is_refused(impatient_at_once):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert refusal(address).startswith(f"no Ray cluster answers at {address!r} (timed out); ")


def test_auto_is_refused_in_the_same_way(impatient_at_once, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert refusal("auto").startswith(f"no Ray cluster answers at {address!r} (timed out); ")


def test_an_impossible_address_of_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://there")
    assert "'ray://there', which RAY_ADDRESS" in refusal("auto")


def test_a_question_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(control_service, "START_SECONDS", 0.0)
    monkeypatch.setattr(control_service, "ANSWER_SECONDS", 1e-3)
    assert control_service.status("127.0.0.1:1") == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    "address",
    [
        "ray://here",
        "ray://10.0.0.1:10001",
        "somewhere",
        "10.0.0.1",
        "http://10.0.0.1:6379",
        "host:port",
        "a b:6379",
        "host:٦",
        "host:0",
        "host:65536",
        "::1:6379",
        "[::1]",
        "",
    ],
)
def test_an_address_of_another_form_is_refused_with_those_that_there_are(address):
    message = refusal(address)
    assert message.startswith("--address must be auto, local or HOST:PORT (such as ")
    assert message.endswith(f"got {address!r}")


@pytest.mark.usefixtures("answers")
def test_auto_is_the_cluster_of_the_environment(serve, monkeypatch):
    address = serve(SETTINGS_FRAME)
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert resolved("auto") == address


@pytest.mark.usefixtures("answers")
def test_auto_is_the_cluster_that_was_started_on_this_machine(serve, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    address = serve(SETTINGS_FRAME)
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"{address}\n")
    assert resolved("auto") == address


@pytest.mark.slow
def test_auto_does_not_join_the_ray_of_another_program(ray_session, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "no Ray cluster was started on this machine" in refusal("auto")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "a..b:6379"])
def test_an_address_at_which_nothing_answers_is_refused(address):
    message = refusal(address)
    assert message.startswith(f"no Ray cluster answers at {address!r} (")
    assert "start one with 'ray start --head', or leave --address out" in message


@pytest.mark.parametrize("answer", [b"HTTP/1.1 505 no", b""])
def test_a_server_that_is_not_ray_is_refused(serve, answer, monkeypatch):
    monkeypatch.setattr(cluster_address, "ANSWER_SECONDS", 0.2)
    address = serve(answer)
    assert repr(address) in refusal(address)


@pytest.mark.usefixtures("answers")
def test_the_greeting_of_an_encrypted_cluster_is_not_read(serve, monkeypatch):
    monkeypatch.setenv("RAY_USE_TLS", "1")
    resolved(serve(b"\x15\x03\x01\x00\x02"))


def test_what_is_not_encrypted_is_refused_if_it_should_be(serve_grpc, impatient, monkeypatch):
    address = serve_grpc(hangs=False)
    monkeypatch.setenv("RAY_USE_TLS", "1")
    assert "RAY_TLS_*" in refusal(address)


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
