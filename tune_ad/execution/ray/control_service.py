"""Whether a server is the control service (GCS) of a Ray cluster.

Ray itself waits for minutes for a server that is something else. The question is asked by another
process, so that neither gRPC's threads nor a server that never answers can hold this one.
Nothing here imports Ray.
"""

import os
import subprocess
import sys
from pathlib import Path

METHOD = "/ray.rpc.NodeInfoGcsService/GetClusterId"
ANSWER_SECONDS = 4.0  # for the answer
START_SECONDS = 20.0  # for the process that asks, on a machine that is busy
FOREIGN = {"UNIMPLEMENTED", "UNKNOWN", "INTERNAL", "NOT_FOUND", "INVALID_ARGUMENT"}
"""Codes of gRPC with which a server answers that does not know the method."""
SILENT = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}
"""Codes of gRPC if nothing answers, or what answers does not speak gRPC."""


def status(address: str) -> str:
    """The code of gRPC with which a server answers the question for its cluster.

    It is "OK" for a Ray cluster, and "UNAUTHENTICATED" for one that asks for a token.

    Args:
        address: "HOST:PORT".

    Returns:
        The code; "DEADLINE_EXCEEDED" also if the question could not be asked.
    """
    words = [sys.executable, "-m", __name__, address, str(ANSWER_SECONDS)]
    package = str(Path(__file__).parents[3])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    try:
        asked = subprocess.run(
            words,
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": paths, "GRPC_VERBOSITY": "NONE"},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=ANSWER_SECONDS + START_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "DEADLINE_EXCEEDED"
    return asked.stdout.strip() or "DEADLINE_EXCEEDED"


def ask(address: str, seconds: float) -> str:
    """Ask a server, in this process.

    Args:
        address: "HOST:PORT".
        seconds: how long the answer may take.

    Returns:
        The code, as `status` returns it.
    """
    import grpc

    options = [("grpc.enable_http_proxy", 0)]
    if os.environ.get("RAY_USE_TLS") == "1":
        read = [_content(f"RAY_TLS_{name}") for name in ("CA_CERT", "SERVER_KEY", "SERVER_CERT")]
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(*read), options)
    else:
        channel = grpc.insecure_channel(address, options)
    with channel:
        try:
            channel.unary_unary(METHOD)(b"", timeout=seconds)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def _content(variable: str) -> bytes | None:
    """The content of the file that an environment variable names; None if it names none."""
    path = os.environ.get(variable)
    return Path(path).read_bytes() if path else None


if __name__ == "__main__":
    sys.stdout.write(ask(sys.argv[1], float(sys.argv[2])))
