"""A quick check that a Ray cluster answers at an address.

Ray itself tries for many minutes to reach a cluster that is not there. Nothing here imports Ray
before an address has the right form.
"""

import os
import socket
from pathlib import Path

from tune_ad.errors import MachineError, UserError, cut
from tune_ad.execution.address import check_form, is_place
from tune_ad.execution.ray import control_service

ANSWER_SECONDS = 4.0  # for a connection, and for the answer
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
        address: "auto" or what `check_form` takes.

    Raises:
        UserError: if it has another form.
        MachineError: if nothing answers within seconds, or something other than Ray.
    """
    check_form(address)
    place = _started_here() if address == "auto" else address
    if not is_place(place):
        raise UserError(
            f"--address auto: {cut(repr(place))}, which RAY_ADDRESS or 'ray start' has left, is "
            "no HOST:PORT; give --address HOST:PORT, such as 10.0.0.1:6379"
        )
    host, _, port = place.rpartition(":")
    try:
        answer = _answer(host.strip("[]"), int(port))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MachineError(f"no Ray cluster answers at {place!r} ({reason}); {REMEDY}") from error
    is_encrypted = os.environ.get("RAY_USE_TLS") == "1"
    status = "UNKNOWN"
    if is_encrypted or answer[3:4] == bytes([SETTINGS]):
        status = control_service.status(place)
    if status in control_service.SILENT:
        keys = ", or its keys (RAY_TLS_*) differ from those given here" * is_encrypted
        raise MachineError(
            f"no Ray cluster answers at {place!r} (the server there takes connections and does "
            f"not answer{keys}); {REMEDY}"
        )
    if status in control_service.FOREIGN:
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
    from ray._common.utils import get_ray_address_file

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
