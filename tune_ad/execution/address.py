"""The form of an address of a Ray cluster."""

import re

from tune_ad.errors import UserError, cut

LARGEST_PORT = 2**16 - 1


def check_form(address: str) -> None:
    """Check the form of an address, and the range of its port.

    Args:
        address: "auto", "local", "HOST:PORT", or "[IPV6]:PORT". An address of Ray Client,
            "ray://HOST:PORT", is refused, because Tune would then run in another process than the
            records are written by.

    Raises:
        UserError: if it has another form.
    """
    if address not in ("auto", "local") and not is_place(address):
        raise UserError(
            "--address must be auto, local or HOST:PORT (such as 10.0.0.1:6379) with a port from "
            f"1 to {LARGEST_PORT}, got {cut(repr(address))}"
        )


def is_place(address: str) -> bool:
    """Whether an address is that of a port of a host, "HOST:PORT" or "[IPV6]:PORT"."""
    host, _, port = address.rpartition(":")
    is_number = port.isascii() and port.isdecimal() and len(port) < 9
    is_port = is_number and 1 <= int(port) <= LARGEST_PORT
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    is_host = bool(re.fullmatch(r"[\w.%:-]+", bare)) and (":" not in bare or bare != host)
    return is_port and is_host
