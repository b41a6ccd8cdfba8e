"""Whether every node of a cluster reads and writes the folder of a study."""

import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tune_ad.errors import MachineError
from tune_ad.execution.ray.nodes import Node, ask
from tune_ad.wording import count

WAIT_SECONDS = 10.0  # a network file system may show a new file only after a while
LETTER = "from-the-driver"
REMEDY = "give --results a folder that every node reaches, such as one on NFS"


class Reply(NamedTuple):
    """What a node answers.

    Attributes:
        fault: what the node cannot do, as the predicate of a sentence; empty if nothing.
        name: the name of the file that it has written.
    """

    fault: str = ""
    name: str = ""


Ask = Callable[..., Mapping[Node, Reply]]


def check_shared_folder(folder: Path, nodes: Sequence[Node], ask: Ask = ask) -> None:
    """Check that each node reads what is written to a folder here, and that the reverse holds.

    Nothing is left in the folder, nor the folder itself if it did not exist.

    Args:
        folder: the folder of a study.
        nodes: the nodes that may train.
        ask: a function that returns what `reply` returns on each node.

    Raises:
        MachineError: with the address of a node and the folder, or if the folder cannot be written
            here.
    """
    with _probe(folder.resolve()) as probe:
        replies = ask(nodes, reply, str(probe))
        faults = {node.ip: _fault(probe, answer) for node, answer in replies.items()}
    bad = [ip for ip, fault in faults.items() if fault]
    if bad:
        others = f" (nor do {count(len(bad) - 1, 'other node')})" if len(bad) > 1 else ""
        raise MachineError(
            f"node {bad[0]} of the cluster {faults[bad[0]]} {folder}{others}; {REMEDY}"
        )


@contextmanager
def _probe(folder: Path) -> Iterator[Path]:
    """Context manager: a new folder in a folder, with a file for the nodes to read.

    Raises:
        MachineError: if it cannot be written.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    probe = folder / f".seen-by-nodes-{uuid.uuid4().hex}"
    try:
        probe.mkdir(parents=True)
        (probe / LETTER).write_text(probe.name, encoding="utf-8")
        yield probe
    except OSError as error:
        reason = error.strerror or error
        raise MachineError(
            f"{folder} cannot be written ({reason}); free disk space, or use another --results"
        ) from error
    finally:
        shutil.rmtree(probe, ignore_errors=True)
        for path in missing:
            with suppress(OSError):  # another study may have begun there
                path.rmdir()


def reply(folder: str) -> Reply:
    """Run on a node: read what the driver has written to a folder, and write a file beside it."""
    probe = Path(folder)
    if not _arrives(probe / LETTER, probe.name):
        return Reply("does not see")
    name = uuid.uuid4().hex
    try:
        (probe / name).write_text(name, encoding="utf-8")
    except OSError as error:
        return Reply(f"cannot write ({error.strerror}) to")
    return Reply(name=name)


def _fault(probe: Path, answer: Reply) -> str:
    """What a node cannot do, as the predicate of a sentence; empty if nothing."""
    if answer.fault or _arrives(probe / answer.name, answer.name):
        return answer.fault
    return "writes what does not arrive here to"


def _arrives(path: Path, content: str) -> bool:
    """Whether a file with this content appears within `WAIT_SECONDS`."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        with suppress(OSError, ValueError):
            if path.read_text(encoding="utf-8") == content:
                return True
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
