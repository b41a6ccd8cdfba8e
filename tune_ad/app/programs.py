"""A search as one call of a Python program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tune_ad.app.command_line.console import closing, opening
from tune_ad.app.command_line.option import (
    ImageSize,
    Names,
    different_names,
    integer,
    real,
    share_or_auto,
)
from tune_ad.app.command_line.options import OPTIONS, PATHS, Options
from tune_ad.app.estimates.longest import trial_limit
from tune_ad.app.preparation.validation import prepare
from tune_ad.app.result import SearchResult
from tune_ad.errors import MachineError, UserError, did_you_mean
from tune_ad.search.catalogue import member
from tune_ad.search.declaration import Search

NUMBERS = {integer: "an integer", real: "a number", share_or_auto: "a number"}
"""The kinds of numeric options, by the function that reads them on the command line."""
MEMBERS = {
    name
    for attribute in fields(Options)
    for name in attribute.metadata.get("members", ())  # the numbers of the budget, and classes
}
KEYWORDS = sorted(OPTIONS)
"""The options of `run`."""


def run(
    search: str | Search,
    *,
    say: Callable[[str], None] | None = None,
    **options: Any,  # noqa: ANN401
) -> SearchResult:
    """Run a search, or continue it, write its report, and return the result.

    The options are those of the command line, as keywords: each field of `Options` but `search`
    and `changes`, and the numbers of the budget, as in `run("pgn_cifar", budget="quick",
    trials=4, classes=["cat"], settings={"width": 1.0})`. They have the same defaults, so that
    trials run in parallel by Ray; `backend="serial"` trains in this process. A study that is
    complete is only reported again; `resume=True` continues one. Nobody watches over this
    process: what ends it, such as `os._exit` in a detector with `backend="serial"`, ends the
    program, and without `trial_timeout` a trial may run for ever.

    Nothing is printed but the progress line, on the standard error stream, which `progress=False`
    turns off.

    Args:
        search: the name of a search, or a `Search`, whose study has the name of that search. If
            the `Search` has several data sets, `data` names one of them, or other data.
        say: prints the lines that the command line prints, for instance `print`.
        options: the options.

    Raises:
        UserError: for invalid input, in one line that names an option as on the command line.
        MachineError: if results can no longer be written; what was written is kept.
        KeyboardInterrupt: if the user interrupts; the study is kept, and can be continued.
    """
    tell = say or _nothing
    declared = search if isinstance(search, Search) else None
    chosen = _options(search, options)
    # An estimate would start a process that imports the user's program once more.
    limit = None if chosen.trial_timeout is None else trial_limit(chosen)
    session = prepare(chosen, tell, given=declared, time_limit=limit)
    tell(opening(session))
    outcome = session.run()
    if outcome.fault or outcome.interrupted:
        session.end_tracking(outcome)
    if outcome.fault:
        raise MachineError(f"{outcome.fault}; then continue it by resume=True")
    if outcome.interrupted:
        raise KeyboardInterrupt(f"{session.folder.path} can be continued by resume=True")
    result = SearchResult.of(session.folder.path)
    session.end_tracking(outcome)
    tell(result.summary)
    tell(closing(session, outcome))
    return result


def _nothing(line: str) -> None:
    """Print nothing."""


def _options(search: str | Search, given: Mapping[str, Any]) -> Options:
    """The options of a search.

    Raises:
        UserError: if an option is unknown, or has the wrong type or an illegal value.
    """
    values: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in KEYWORDS:
            hint = did_you_mean(name, KEYWORDS) or f"choose from {', '.join(KEYWORDS)}"
            raise UserError(f"run has no option {name!r}; {hint}")
        if value is not None:  # None stands for the default
            (changes if name in MEMBERS else values)[name] = _value(name, value)
    if isinstance(search, Search):
        return _of_search(search, values, changes)
    if not isinstance(search, str):
        raise UserError(f"search must be the name of a search or a Search, got {search!r}")
    if values.get("data") is not None:  # the name of a family stands for any of its searches
        search = member(search)
    return Options(search, **values, changes=changes)


def _of_search(search: Search, values: Mapping[str, Any], changes: Mapping[str, Any]) -> Options:
    """The options of a search that no file declares, on one of its data sets or on other data.

    Raises:
        UserError: if no data set is named and the search has several, or `data` is neither a data
            set nor a path.
    """
    names = {alias: name for name, alias in search.names().items()}
    data = values.get("data")
    if data is None and len(names) > 1:
        raise UserError(
            f"search {search.name} is declared on {', '.join(names)}, and none is named; give "
            "data= one of these, or other data"
        )
    if data is None or data in names:
        rest = {name: value for name, value in values.items() if name != "data"}
        return Options(names[data or next(iter(names))], **rest, changes=changes)
    family = search.name.format(data="").strip("_-.") or "search"
    return Options(next(iter(names.values())), family=family, **values, changes=changes)


def _value(name: str, value: object) -> Any:  # noqa: ANN401
    """The value of an option, as `Options` holds it.

    Raises:
        UserError: if it has the wrong type.
    """
    option = OPTIONS[name]
    if option.switch:
        return _checked(name, value, isinstance(value, bool), "True or False")
    if name == "classes":
        return [value] if isinstance(value, str | int) else _sequence(name, value)
    if option.read is different_names:
        given = [value] if isinstance(value, str) else _sequence(name, value)
        return Names(_checked(name, given, all(isinstance(n, str) for n in given), "names"))
    if name == "image_size":
        sides = [value, value] if isinstance(value, int) else _sequence(name, value)
        is_size = len(sides) == len(ImageSize._fields) and all(isinstance(s, int) for s in sides)
        return ImageSize(*_checked(name, sides, is_size, "an integer, or (height, width)"))
    if name in PATHS:
        is_path = isinstance(value, str | Path) and str(value).strip() != ""
        path = _checked(name, value, is_path, "a path")
        return Path(path) if name == "results" else str(path)
    if name == "settings":
        return _checked(name, value, isinstance(value, Mapping), "a mapping of hyperparameters")
    if option.read in NUMBERS:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        fits = is_whole or (option.read is not integer and isinstance(value, float))
        number = _checked(name, value, fits, NUMBERS[option.read])
        option.check(number)
        return number
    return _checked(name, value, isinstance(value, str), "a text")


def _sequence(name: str, value: object) -> list[Any]:
    """The entries of a sequence.

    Raises:
        UserError: if it is none, or is empty.
    """
    is_filled = isinstance(value, Sequence) and len(value) > 0
    return list(_checked(name, value, is_filled, "a list that is not empty"))


def _checked(name: str, value: Any, is_legal: bool, rule: str) -> Any:  # noqa: ANN401
    """The value of an option, if its type is legal.

    Raises:
        UserError: if it is not.
    """
    if not is_legal:
        raise UserError(f"{name} must be {rule}, got {value!r}")
    return value
