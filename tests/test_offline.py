"""No test reaches another machine: by no socket, no package client and no other process."""

import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import AT_START

pytestmark = pytest.mark.skipif(
    os.environ.get("TUNE_AD_TEST_REGISTRIES") == "1",
    reason="the tests of the real registries are asked for, so the network is open",
)
ELSEWHERE = ("192.0.2.99", 80)  # an address that documentation has for itself (RFC 5737)


def send_message():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", ELSEWHERE)


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection(ELSEWHERE, timeout=1),
        lambda: socket.create_connection(("example.org", 80), timeout=1),
        send_message,
    ],
    ids=["address", "name", "message"],
)
def test_another_machine_is_refused(reach):
    with pytest.raises(OSError, match=r"tried to reach (192\.0\.2\.99|example\.org)"):
        reach()


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address, timeout=5) as client, server.accept()[0] as peer:
            client.sendall(b"here")
            assert peer.recv(4) == b"here"


def test_another_process_is_refused_too():
    code = f"import socket; socket.create_connection({ELSEWHERE}, timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "tried to reach 192.0.2.99" in done.stderr


@pytest.mark.parametrize("client", ["npm", "apt-get"])
def test_package_clients_are_refused(client):
    done = subprocess.run([client, "download", "toy"], capture_output=True, text=True)
    assert done.returncode == 97
    assert "tests fetch nothing" in done.stderr


def test_the_guard_is_where_python_looks_for_it():
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(AT_START)
