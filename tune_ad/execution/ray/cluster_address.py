"""A quick check that a Ray cluster answers at an address.

Ray itself tries for many minutes to reach a cluster that is not there.
"""

import os
import socket
from pathlib import Path

from ray._common.utils import get_ray_address_file

from tune_ad.errors import MachineError, UserError

ANSWER_SECONDS = 5.0  # for a connection, and for the answer
SETTINGS = 4  # type of the HTTP/2 frame with which a gRPC server greets (RFC 9113, section 6.5)
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
"""The opening of an HTTP/2 client: the preface and an empty SETTINGS frame."""
REMEDY = "start one with 'ray start --head', or leave --address out"
TOKEN = "give that of the head by RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"


def resolved(address: str) -> str:
    """The address of a cluster that answers.

    "auto" is the cluster that RAY_ADDRESS names, or otherwise the one that `ray start` has started
    on this machine. Ray itself would also take one that another program has started for itself.

    Args:
        address: "auto" or "HOST:PORT". An address of Ray Client, "ray://HOST:PORT", is refused,
            because Tune would then run in another process than the records are written by.

    Raises:
        UserError: if it has another form.
        MachineError: if nothing answers, or something other than Ray.
    """
    place = _started_here() if address == "auto" else address
    host, _, port = place.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise UserError(
            f"--address {address!r}{f' ({place})' * (place != address)} is no address of a Ray "
            "cluster; use HOST:PORT, such as 10.0.0.1:6379, or auto for one on this machine"
        )
    try:
        answer = _answer(host.strip("[]"), int(port))
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MachineError(f"no Ray cluster answers at {place!r} ({reason}); {REMEDY}") from error
    if answer[3:4] != bytes([SETTINGS]) and os.environ.get("RAY_USE_TLS") != "1":
        raise MachineError(
            f"what answers at {place!r} is not a Ray cluster; its port is 6379 unless it was "
            "started with another"
        )
    return place


def _started_here() -> str:
    """The address of the cluster that the user has named or started on this machine.

    Raises:
        MachineError: if there is none.
    """
    if named := os.environ.get("RAY_ADDRESS"):
        return named
    try:
        return Path(get_ray_address_file(None)).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise MachineError(
            f"--address auto: no Ray cluster was started on this machine; {REMEDY}"
        ) from error


def _answer(host: str, port: int) -> bytes:
    """The first bytes with which a server answers an HTTP/2 client."""
    with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
        connection.sendall(GREETING)
        try:
            return connection.recv(9)
        except ConnectionError:
            return b""
