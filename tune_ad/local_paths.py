"""Paths of this machine, and URLs, which are none."""

import os
import re
from pathlib import Path

from tune_ad.errors import UserError

URL = re.compile(r"[A-Za-z][\w+.:-]+:(/|$)")  # of "//" pathlib leaves "/" or nothing


def local_path(path: str | os.PathLike[str], name: str = "a path") -> Path:
    """The path of a file or a folder that this machine reaches by its file system.

    Text such as "s3://bucket/results" would otherwise be a folder "s3:" in the working directory.

    Args:
        path: the path.
        name: what it is, for the message.

    Raises:
        UserError: if it is a URL.

    >>> local_path("results/two_classes").name
    'two_classes'
    """
    text = os.fspath(path)
    if URL.match(text):
        raise UserError(
            f"{name} must be a path of this machine, got the URL {text!r}; mount its folder and "
            "give that path, or copy the files"
        )
    return Path(path)
