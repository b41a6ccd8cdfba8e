"""Keeps the processes of one node from a folder, as if it were not mounted there.

A test starts a node with this folder on `PYTHONPATH` and the folder to hide in `HIDDEN_FOLDER`.
"""

import builtins
import io
import os
import runpy
from pathlib import Path

HIDDEN = os.environ["HIDDEN_FOLDER"]
open_file = io.open


def open_visible(path, *arguments, **options):
    """Open a file.

    Raises:
        FileNotFoundError: if it lies in the hidden folder.
    """
    if not isinstance(path, int) and os.fsdecode(path).startswith(HIDDEN):
        raise FileNotFoundError(2, "No such file or directory", os.fsdecode(path))
    return open_file(path, *arguments, **options)


builtins.open = io.open = open_visible
runpy.run_path(str(Path(__file__).parents[2] / "at_start" / "sitecustomize.py"))
