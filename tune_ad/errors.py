"""Error classes, and suggestions for mistyped names."""

import difflib
import errno
import re
from collections.abc import Iterable, Mapping, Sequence

SUGGESTIONS = 3  # maximum number of suggestions
SIMILARITY = 0.7  # minimum similarity of a suggestion to the mistyped name, in [0, 1]
MARGIN = 0.1  # maximum difference in similarity between a suggestion and the best one
LONGEST_MESSAGE = 500  # characters of an exception that are recorded or shown

LONGEST_WORD = 1000  # characters without a space that are shown

ADVICE: Mapping[int, str] = {
    errno.ENOSPC: "Free disk space",
    errno.EDQUOT: "Free disk space, or ask for a larger quota",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
    errno.ENOENT: "Restore the folder, or use another one",
    errno.ENOTDIR: "Move the file away that is in the place of a folder",
    errno.EISDIR: "Move the folder away that is in the place of a file",
    errno.EEXIST: "Move away what is in its place",
    errno.ENOTEMPTY: "Move away what is in the folder",
    errno.EACCES: "Restore the rights to read and write it",
    errno.EPERM: "Restore the rights to read and write it",
    errno.EROFS: "Mount the disk for writing, or use another folder",
    errno.EIO: "Check the disk, or use another folder",
    errno.ESTALE: "Mount the disk again, or use another folder",
    errno.ENODEV: "Mount the disk again, or use another folder",
    errno.ENXIO: "Mount the disk again, or use another folder",
    errno.ELOOP: "Remove the loop of links",
    errno.ENAMETOOLONG: "Use a shorter path",
    errno.EMFILE: "Raise the limit on open files (ulimit -n)",
    errno.ENFILE: "Close programs that hold many files open",
    errno.ENOMEM: "Free memory",
}
"""What helps against an error of the operating system, by its number."""
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO)
"""The errors after which nobody knows what is left."""


class UserError(Exception):
    """Raised for invalid input; the message is one line with the fault, the value and the remedy.

    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 2


class MachineError(UserError):
    """Raised if the input is right and the machine fails: a disk, a folder, or Ray."""

    exit_code = 3


class DegenerateInputError(ValueError):
    """Raised if a metric is undefined for the scores (one class only, NaN, infinite)."""


def unusable(error: OSError, place: object) -> MachineError:
    """What the operating system refused, as an error of the machine.

    Args:
        error: the refusal.
        place: the file or folder, if the error does not name it.
    """
    named = error.filename if error.filename2 is None else error.filename2
    kept = "" if error.errno in GONE else "what was written before is kept. "
    return MachineError(
        f"{place if named is None else named} cannot be read or written "
        f"({error.strerror or error}); {kept}"
        f"{ADVICE.get(error.errno or 0, 'Check the folder, its rights and the disk')}"
    )


def one_line(error: BaseException) -> str:
    """An exception as one line: its type and the first line of its message, cut if it is long."""
    try:
        lines = str(error).splitlines() or [""]
    except Exception:  # of a class that is not the project's own
        lines = ["its message cannot be read"]
    return f"{type(error).__name__}: {cut(lines[0])}"


def cut(text: str) -> str:
    """A text without its end if it is longer than `LONGEST_MESSAGE`."""
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} ..."


def with_short_words(text: str) -> str:
    """A text for a terminal: of words longer than `LONGEST_WORD` only the beginning.

    So no value that a user has typed, or a file contains, fills the terminal.
    """
    return re.sub(rf"(\S{{{LONGEST_WORD}}})\S+", r"\1...", text)


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names that resemble a mistyped one, most similar first.

    Case is ignored. Names that the mistyped one abbreviates by initials come first, then names
    that begin with it, then names that contain it, then names with a similar spelling.

    >>> nearest("PGN", ["ae_mnist", "table_pgn", "pgn_mnist", "pgn_cifar"])
    ['pgn_mnist', 'pgn_cifar', 'table_pgn']
    >>> nearest("quikc", ["quick", "standard", "paper"])
    ['quick']
    >>> nearest("lr", ["width", "learning_rate"])
    ['learning_rate']
    """
    typed, names = name.casefold(), {candidate.casefold(): candidate for candidate in known}
    if typed in names:
        return [names[typed]]
    abbreviated = [candidate for candidate in names if typed and typed == _initials(candidate)]
    containing = [candidate for candidate in names if typed and typed in candidate]
    containing.sort(key=lambda candidate: not candidate.startswith(typed))
    near = dict.fromkeys([*abbreviated, *containing, *_similar(typed, list(names))])
    return [names[candidate] for candidate in near][:SUGGESTIONS]


def _initials(name: str) -> str:
    """The first letters of the words of a name, if it has several words.

    >>> _initials("learning_rate"), _initials("width")
    ('lr', '')
    """
    words = name.split("_")
    return "".join(word[:1] for word in words) if len(words) > 1 else ""


def _similar(typed: str, names: Sequence[str]) -> list[str]:
    """The names with a spelling similar to that of a mistyped one, most similar first."""
    similar = difflib.get_close_matches(typed, names, SUGGESTIONS, SIMILARITY)
    ratios = [difflib.SequenceMatcher(None, name, typed).ratio() for name in similar]
    return [
        name for name, ratio in zip(similar, ratios, strict=True) if ratio > ratios[0] - MARGIN
    ]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that suggests the most similar names; empty if no known name is similar.

    >>> did_you_mean("pgn", ["pgn_mnist", "pgn_fmnist", "pgn_cifar"])
    'did you mean pgn_mnist, pgn_fmnist or pgn_cifar?'
    """
    *others, last = nearest(name, known) or [""]
    names = f"{', '.join(others)} or {last}" if others else last
    return f"did you mean {names}?" if names else ""
