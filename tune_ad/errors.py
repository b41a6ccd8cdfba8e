"""The errors of the project, and the names that a mistyped one may have meant."""

import difflib
from collections.abc import Iterable, Sequence

SUGGESTIONS = 3  # names offered for one that does not exist
SIMILARITY = 0.7  # of two names, in [0, 1], from which one may be a misspelling of the other
MARGIN = 0.1  # by which a name may be less similar than the most similar one


class UserError(Exception):
    """The input is wrong: the message is one line with the fault, the value and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class DegenerateInputError(ValueError):
    """A metric was asked of scores on which it has no meaning (one class only, NaN, infinite)."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that a mistyped one may have meant, at most three, likeliest first.

    Case does not count. Names that begin with the mistyped one come first, then names that
    contain it, then names that are spelled like it.

    >>> nearest("PGN", ["ae_mnist", "table_pgn", "pgn_mnist", "pgn_cifar"])
    ['pgn_mnist', 'pgn_cifar', 'table_pgn']
    >>> nearest("quikc", ["quick", "standard", "paper"])
    ['quick']
    """
    typed, names = name.casefold(), {candidate.casefold(): candidate for candidate in known}
    if typed in names:
        return [names[typed]]
    containing = [candidate for candidate in names if typed and typed in candidate]
    containing.sort(key=lambda candidate: not candidate.startswith(typed))
    near = dict.fromkeys([*containing, *_similar(typed, list(names))])
    return [names[candidate] for candidate in near][:SUGGESTIONS]


def _similar(typed: str, names: Sequence[str]) -> list[str]:
    """The names that are spelled like a mistyped one, most similar first."""
    similar = difflib.get_close_matches(typed, names, SUGGESTIONS, SIMILARITY)
    ratios = [difflib.SequenceMatcher(None, name, typed).ratio() for name in similar]
    return [
        name for name, ratio in zip(similar, ratios, strict=True) if ratio > ratios[0] - MARGIN
    ]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that offers the nearest names; empty if no known name is near.

    >>> did_you_mean("pgn", ["pgn_mnist", "pgn_fmnist", "pgn_cifar"])
    'did you mean pgn_mnist, pgn_fmnist or pgn_cifar?'
    """
    *others, last = nearest(name, known) or [""]
    names = f"{', '.join(others)} or {last}" if others else last
    return f"did you mean {names}?" if names else ""
