"""Waits until a Ray cluster has a number of nodes: `wait_for_nodes.py HOST:PORT NODES SECONDS`.

`tune_ad` counts the nodes when it starts; a node that joins later trains as well, but does not
raise the number of parallel trials.
"""

import logging
import sys
import time
from contextlib import suppress

import ray


def connected(address: str) -> bool:
    """Whether a cluster answers, to which this process is then connected."""
    with suppress(ConnectionError, RuntimeError):
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    return ray.is_initialized()


def wait(address: str, nodes: int, seconds: float) -> str:
    """Wait for the nodes; return what is lacking, or an empty text."""
    until, alive = time.monotonic() + seconds, 0
    while True:
        if ray.is_initialized() or connected(address):
            alive = sum(node["Alive"] for node in ray.nodes())
        if alive >= nodes:
            return ""
        if time.monotonic() > until:
            return f"{alive} of {nodes} nodes have joined {address} within {seconds:.0f} s"
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(wait(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])) or 0)
