"""Every option of a search: declared once, with its flag, its default and its legal values.

The command line is generated from the fields of `Options` (`tune_ad.app.parser`); a program in
Python fills the same fields. Nothing here imports torch, Ray or Optuna.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.ablation import ABLATIONS, SEEDS
from tune_ad.search.budgets import BUDGETS
from tune_ad.search.selection import RULES

SEARCH, BUDGET, MACHINE = "the search", "the budget", "the machine"
DEFAULT_ABLATION = next(iter(ABLATIONS))

T = TypeVar("T")


def integer(text: str) -> int:
    """A whole number.

    Raises:
        argparse.ArgumentTypeError: if the text is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from error


def real(text: str) -> float:
    """A number.

    Raises:
        argparse.ArgumentTypeError: if the text is none.
    """
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from error


def names(text: str) -> list[str]:
    """The names between the commas of a text."""
    return [name.strip() for name in text.split(",")]


def assignment(text: str) -> tuple[str, str]:
    """The name and the value of "name=value", both as text.

    Raises:
        argparse.ArgumentTypeError: if either is missing.
    """
    name, _, value = text.partition("=")
    if not name or not value:
        raise argparse.ArgumentTypeError(f"must be name=value, got {text!r}")
    return name, value


def _either(texts: Iterable[str]) -> str:
    """Alternatives in words.

    >>> _either(["a", "b", "c"])
    'a, b or c'
    """
    *first, last = texts
    return " or ".join([", ".join(first), last] if first else [last])


class Option(NamedTuple):
    """How the command line writes one value.

    Attributes:
        help: what --help says about it.
        group: the heading under which --help shows it.
        flag: as on the command line; made of the field's name if empty.
        metavar: what stands for the value in --help.
        read: from the text of the command line to the value, or to a (name, value) pair.
        repeated: whether the option may be given several times; its pairs become a mapping.
        flag_value: the value where the option is given without one.
        switch: whether the option never takes a value.
        choices: legal values; empty = not a choice.
        minimum: the least legal number; None = no bound.
        excludes_minimum: whether the number must be larger than `minimum`.
        unit: of the number, for messages.
        kept: whether --resume needs the option again to find the same study and machine.
    """

    help: str
    group: str
    flag: str = ""
    metavar: str | None = None
    read: Callable[[str], Any] = str
    repeated: bool = False
    flag_value: Any = None
    switch: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    excludes_minimum: bool = False
    unit: str = ""
    kept: bool = False

    def check(self, value: Any) -> None:  # noqa: ANN401
        """Refuse an illegal value.

        Raises:
            UserError: naming the flag, the value and what is legal.
        """
        if self.choices and value not in self.choices:
            hint = did_you_mean(value, self.choices)
            raise UserError(
                f"{self.flag} must be one of {', '.join(self.choices)}, got {value!r}"
                + (f"; {hint}" if hint else "")
            )
        if self.minimum is None:
            return
        if not (value > self.minimum if self.excludes_minimum else value >= self.minimum):
            bound = "more than" if self.excludes_minimum else "at least"
            unit = f" {self.unit}" if self.unit else ""
            raise UserError(f"{self.flag} must be {bound} {self.minimum:g}{unit}, got {value:g}")


def option(default: T, help: str, group: str, **how: Any) -> T:  # noqa: ANN401
    """A field that one option of the command line sets; `how` is as in `Option`."""
    return field(default=default, metadata={"option": Option(help, group, **how)})


def mapping(**members: Option) -> Mapping[str, Any]:
    """A field that several options set: a mapping from their names to the values given."""
    return field(default_factory=dict, metadata={"members": members})


def assignments(help: str, group: str, **how: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """A field that an option sets entry by entry, each as name=value."""
    one = Option(help, group, read=assignment, repeated=True, **how)
    return field(default_factory=dict, metadata={"option": one})


@dataclass(frozen=True)
class Options:
    """What the user wants of a search; None = the search's own value, or the machine's.

    Attributes:
        search: name of the search.
        ablate: a kind of `ABLATIONS`: run the ablation of the search instead.
        resume: continue the study in the folder.
        extend: number of trials to add to the study.
        evaluate: whether to train the winner again on fresh seeds.
        selection: name of the rule that ranks trials.
        settings: hyperparameters fixed by the user. A text is read by the type that the detector
            declares: "0.5" becomes a number where a number is wanted.
        seed: of the study.
        budget: "auto", "quick", "standard" or "paper".
        changes: to the budget, by the names of its fields; classes as numbers or names.
        time_budget: minutes after which no trial starts.
        results: folder of the studies.
        data_root: folder of the data sets.
        backend: "ray" or "serial".
        address: of a Ray cluster.
        device: "auto", "cpu" or "cuda".
        concurrent: trials at a time; None = as many as fit.
        cpus: cores per trial.
        gpus: GPUs per trial; None = a quarter of one where there is a GPU.
        progress: whether to show the progress line.

    Raises:
        UserError: if a value is none of the legal ones.
    """

    search: str
    ablate: str | None = option(
        None,
        "vary the parameters around their defaults instead of searching: "
        f"{_either(f'{name} ({kind.about})' for name, kind in ABLATIONS.items())}; without KIND "
        f"{DEFAULT_ABLATION}. Every configuration is tested on at least {SEEDS} seeds unless "
        "--seeds says otherwise. It is a study of its own, whose name ends in "
        f"{_either(kind.suffix for kind in ABLATIONS.values())}",
        SEARCH,
        metavar="KIND",
        flag_value=DEFAULT_ABLATION,
        choices=tuple(ABLATIONS),
    )
    resume: bool = option(
        False,
        "continue the study after an interruption",
        SEARCH,
        switch=True,
        flag_value=True,
    )
    extend: int = option(
        0, "add N trials to the study", SEARCH, metavar="N", read=integer, minimum=0
    )
    evaluate: bool = option(
        True,
        "do not train the winner again on fresh seeds",
        SEARCH,
        flag="--no-evaluation",
        switch=True,
        flag_value=False,
    )
    selection: str | None = option(
        None,
        f"rank trials by this rule: {', '.join(RULES)} (default: the search's own)",
        SEARCH,
        metavar="RULE",
        choices=tuple(RULES),
    )
    settings: Mapping[str, Any] = assignments(
        "fix a hyperparameter, which is then not varied; may be repeated",
        SEARCH,
        flag="--set",
        metavar="NAME=VALUE",
    )
    seed: int | None = option(
        None, "seed of the study (default: 0)", SEARCH, metavar="N", read=integer
    )
    budget: str = option(
        "auto",
        "quick, standard, paper, or auto: standard if there is a GPU, else quick",
        BUDGET,
        metavar="NAME",
        choices=("auto", *BUDGETS),
    )
    changes: Mapping[str, Any] = mapping(
        trials=Option("number of configurations", BUDGET, metavar="N", read=integer),
        epochs=Option("epochs of each model's main stage", BUDGET, metavar="N", read=integer),
        seeds=Option("models per class and configuration", BUDGET, metavar="N", read=integer),
        classes=Option("normal classes, by number or name", BUDGET, metavar="A,B", read=names),
        train_images=Option(
            "largest number of training images per model", BUDGET, metavar="N", read=integer
        ),
        evaluation_seeds=Option(
            "fresh seeds on which the winner is trained again", BUDGET, metavar="N", read=integer
        ),
    )
    time_budget: float | None = option(
        None,
        "start no trial after this time; those that run are finished",
        BUDGET,
        metavar="MINUTES",
        read=real,
        minimum=0,
        excludes_minimum=True,
        unit="minutes",
    )
    results: Path = option(
        Path("results"), "folder of the studies", MACHINE, metavar="DIR", read=Path, kept=True
    )
    data_root: str | None = option(
        None,
        "folder of the data sets (default: $TUNE_AD_DATA, else data)",
        MACHINE,
        metavar="DIR",
        kept=True,
    )
    backend: str = option(
        "ray",
        "ray, or serial: one trial after another in this process",
        MACHINE,
        metavar="NAME",
        choices=("ray", "serial"),
        kept=True,
    )
    address: str = option(
        "local",
        "address of a running Ray cluster, or auto: the one that this machine belongs to",
        MACHINE,
        metavar="HOST:PORT",
        kept=True,
    )
    device: str = option(
        "auto",
        "cpu, cuda, or auto: cuda if there is a GPU",
        MACHINE,
        metavar="NAME",
        choices=("auto", "cpu", "cuda"),
    )
    concurrent: int | None = option(
        None,
        "trials at a time (default: as many as fit). Parallel runs are not repeatable; use "
        "--concurrent 1",
        MACHINE,
        metavar="N",
        read=integer,
        minimum=1,
        kept=True,
    )
    cpus: int = option(
        1,
        "cores, and threads, of each trial",
        MACHINE,
        flag="--cpus-per-trial",
        metavar="N",
        read=integer,
        minimum=1,
        kept=True,
    )
    gpus: float | None = option(
        None,
        "GPUs of each trial; a fraction shares a GPU between trials (default: 0.25 if there is "
        "a GPU)",
        MACHINE,
        flag="--gpus-per-trial",
        metavar="X",
        read=real,
        minimum=0,
    )
    progress: bool = True

    def __post_init__(self) -> None:
        """Check every value that can be checked without the search.

        Raises:
            UserError: naming the option and its value.
        """
        for name, default in defaults().items():
            option, value = OPTIONS[name], getattr(self, name)
            if value != default:
                option.check(value)

    @property
    def study(self) -> str:
        """Name of the study: the search's, or its ablation's."""
        return self.search + (ABLATIONS[self.ablate].suffix if self.ablate else "")


def _declared() -> dict[str, Option]:
    options: dict[str, Option] = {}
    for attribute in fields(Options):
        if "option" in attribute.metadata:
            options[attribute.name] = attribute.metadata["option"]
        options |= attribute.metadata.get("members", {})
    return {
        name: option._replace(flag=option.flag or f"--{name.replace('_', '-')}")
        for name, option in options.items()
    }


OPTIONS: Mapping[str, Option] = _declared()
"""Every option by the name of what it sets: a field of `Options`, or a change to the budget."""


def defaults() -> dict[str, Any]:
    """The default of each field of `Options` that one option sets."""
    return {
        attribute.name: attribute.default
        for attribute in fields(Options)
        if "option" in attribute.metadata
    }
