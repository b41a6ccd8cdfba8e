"""Keeps Python from reaching beyond this machine."""

import socket
from functools import cache

NAMES = {"localhost", "", socket.gethostname()}


class NetworkRefusedError(OSError):
    """A test tried to reach another machine."""


def is_here(host: object) -> bool:
    """Whether a host is this machine: by name, or by an address of one of its interfaces."""
    if not isinstance(host, str | bytes):
        return True
    name = host.decode() if isinstance(host, bytes) else host
    return name in NAMES or has_interface(name)


@cache
def has_interface(address: str) -> bool:
    """Whether a socket can be bound to an address: only to those of this machine it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            socket.inet_pton(family, address)
            probe.bind((address, 0))
        except OSError:  # no address but a name, or that of another machine
            return False
    return True


def refuse(host: object) -> None:
    """Refuse another machine.

    Raises:
        NetworkRefusedError: unless the host is this machine.
    """
    if not is_here(host):
        raise NetworkRefusedError(
            f"a test tried to reach {host}; tests use no network: give it the data that it needs"
        )


def install() -> None:
    """Guard connections, messages and look-ups of names; a second call changes nothing."""
    if getattr(socket, "refuses_other_machines", False):
        return
    socket.refuses_other_machines = True
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        refuse(host)
        return look_up(host, *arguments, **options)

    socket.getaddrinfo = getaddrinfo


def guarded(method):
    """A method of a socket that refuses the address of another machine."""

    def call(self, *arguments):
        address = arguments[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            refuse(address[0])
        return method(self, *arguments)

    return call


install()
