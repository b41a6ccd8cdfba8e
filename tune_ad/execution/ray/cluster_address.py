"""A quick check that a Ray cluster answers at an address.

Ray itself tries for many minutes to reach a cluster that is not there.
"""

import os
import socket

from tune_ad.errors import MachineError

ANSWER_SECONDS = 5.0  # for a connection, and for the answer
SETTINGS = 4  # type of the HTTP/2 frame with which a gRPC server greets (RFC 9113, section 6.5)
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
"""The opening of an HTTP/2 client: the preface and an empty SETTINGS frame."""
REMEDY = "start one with 'ray start --head', or leave --address out"
TOKEN = "give that of the head by RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"


def check_answers(address: str) -> None:
    """Refuse the address of a cluster at which no gRPC server answers.

    Args:
        address: address of a cluster; one without a host and a port, such as "auto", is left to
            Ray.

    Raises:
        MachineError: if nothing answers, or something other than Ray.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        answer = _answer(host.strip("[]"), int(port))
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MachineError(
            f"no Ray cluster answers at {address!r} ({reason}); {REMEDY}"
        ) from error
    if answer[3:4] != bytes([SETTINGS]) and os.environ.get("RAY_USE_TLS") != "1":
        raise MachineError(
            f"what answers at {address!r} is not a Ray cluster; its port is 6379 unless it was "
            "started with another"
        )


def _answer(host: str, port: int) -> bytes:
    """The first bytes with which a server answers an HTTP/2 client."""
    with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
        connection.sendall(GREETING)
        try:
            return connection.recv(9)
        except ConnectionError:
            return b""
