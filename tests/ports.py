"""Ports for servers that a test starts."""

import random
import socket
from contextlib import suppress

PORTS = range(20_000, 32_000)
"""Above those of Ray's workers, and below those that a system gives to connections: between the
choice and the start of the server, no other process takes one of these."""


def free_port() -> int:
    """A port at which nothing listens."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")
