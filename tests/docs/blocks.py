"""The blocks of code of the documentation: which there are, and which of them a test runs."""

import re
from pathlib import Path
from typing import NamedTuple

import tune_ad

PROJECT = Path(tune_ad.__file__).parents[1]
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<mark>.*) -->\n)?```(?P<language>.*)\n(?P<text>(?:.*\n)*?)```$",
    re.MULTILINE,
)
RUN = ("python", "bash", "toml")
SHOWN = ("text",)
REASONS = {
    "needs a fresh clone": "`make` builds an environment; the continuous integration does that",
    "needs a cluster": "several machines, SLURM or Kubernetes; tests/cluster has three nodes",
    "needs the network": "it downloads or uploads something",
    "needs a browser": "it serves a page until somebody ends it",
    "needs another package": "of somebody else, which is not installed",
    "needs a failure": "it is of use only after something has gone wrong",
    "is a part of a file": "other lines of the file are left out",
    "is run by CI": "it runs the tests or checks themselves",
}
"""Why a block is not run, by the mark above it: `<!-- not run: needs a cluster -->`."""
COMMAND = re.compile(
    r"^\s*(\$ )?(python|pip|make|ray|tune-ad|tensorboard|git|export) ", re.MULTILINE
)


class Block(NamedTuple):
    """A block of code.

    Attributes:
        page: the path of its page, from the root of the project.
        line: the number of its first line in the page.
        language: its language.
        text: its content.
        mark: the reason why it is not run; None if it is.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str | None

    def __str__(self) -> str:
        """The place of the block."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """All pages of which every block is run or marked."""
    of_docs = sorted((PROJECT / "docs").rglob("*.md"))
    shown = [page for page in of_docs if PROJECT / "docs/results" not in page.parents]
    return [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *shown]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in their order, without directives of the site."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(PROJECT).as_posix()
    return [
        Block(name, text.count("\n", 0, m.start()) + 1, m["language"], m["text"], m["mark"])
        for m in FENCE.finditer(text)
        if not m["language"].startswith("{")
    ]
