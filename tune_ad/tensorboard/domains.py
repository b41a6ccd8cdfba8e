"""The values that a hyperparameter can take, and how they are shown in a table."""

import math
import numbers
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

Kind = Literal["bool", "number", "string"]
Cell = bool | float | str


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`, both included; only whole numbers if `is_int`."""

    low: float
    high: float
    is_int: bool = False

    @property
    def kind(self) -> Kind:
        """The type of the column."""
        return "number"

    @property
    def varies(self) -> bool:
        """Whether two trials can differ in this parameter."""
        return self.low < self.high


@dataclass(frozen=True)
class Choices:
    """A finite set of values; that of a fixed parameter has one value."""

    values: tuple[object, ...]

    @property
    def kind(self) -> Kind:
        """The type of the column: "string" for mixed types, None, tuples and infinite numbers.

        >>> Choices((0, 5, 20)).kind, Choices((0, 5, 20, "inf")).kind
        ('number', 'string')
        """
        kinds = {kind_of(value) for value in self.values}
        return kinds.pop() if len(kinds) == 1 else "string"

    @property
    def varies(self) -> bool:
        """Whether two trials can differ in this parameter."""
        return len(self.cells) > 1

    @property
    def cells(self) -> list[Cell]:
        """The values as they are shown, without duplicates."""
        return list(dict.fromkeys(cell(value, self.kind) for value in self.values))


@dataclass(frozen=True)
class Unknown:
    """Any value of one type, without limits."""

    kind: Kind

    @property
    def varies(self) -> bool:
        """Whether two trials can differ in this parameter."""
        return True


Domain = Interval | Choices | Unknown


def kind_of(value: object) -> Kind:
    """The type of a column with the single value `value`.

    >>> kind_of(True), kind_of(3), kind_of(float("inf")), kind_of(None)
    ('bool', 'number', 'string', 'string')
    """
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return "number"
    return "string"


def cell(value: object, kind: Kind) -> Cell:
    """Convert a value to the type of its column, for the domain and for every row.

    >>> cell(20.0, "string"), cell(20, "number"), cell(True, "bool"), cell((64, 32), "string")
    ('20', 20.0, True, '(64, 32)')

    Raises:
        ValueError: the column has another type.
    """
    if kind == "string":
        return _text(value)
    if kind_of(value) != kind:
        raise ValueError(f"expected a {kind}, got {value!r}: correct the domain")
    return bool(value) if kind == "bool" else float(value)  # type: ignore[arg-type]


def column_names(domains: Mapping[str, Domain]) -> dict[str, str]:
    """Internal parameter names; the names that TensorBoard displays have no number.

    TensorBoard sorts by these names, so parameters that vary are numbered in their order.
    Constants have no number, since they come last anyway; therefore a new constant does not change
    the columns of earlier trials.

    >>> beta, epochs = Choices((1, 4)), Choices((50,))
    >>> column_names({"nu": Interval(0.01, 0.5), "epochs": epochs, "beta": beta})
    {'nu': '00 nu', 'epochs': 'epochs', 'beta': '01 beta'}
    """
    names = {name: name for name in domains}
    for rank, name in enumerate(name for name in domains if domains[name].varies):
        names[name] = f"{rank:02d} {name}"
    return names


def row(parameters: Mapping[str, object], domains: Mapping[str, Domain]) -> dict[str, Cell]:
    """The parameters of one trial as cells, by TensorBoard's internal names.

    Raises:
        ValueError: a parameter has no domain, or its value does not fit it.
    """
    names = column_names(domains)
    cells = {}
    for name, value in parameters.items():
        if name not in domains:
            raise ValueError(f"parameter {name!r} has no domain; declared are {[*domains]}")
        try:
            cells[names[name]] = cell(value, domains[name].kind)
        except ValueError as error:
            raise ValueError(f"parameter {name!r}: {error}") from error
    return cells


def domains_of(
    space: Mapping[str, BaseDistribution], fixed: Mapping[str, object]
) -> dict[str, Domain]:
    """The domains of one detector: those of its searched parameters, then of its fixed ones.

    Args:
        space: the Optuna distribution of each searched parameter.
        fixed: the value of each fixed parameter; a parameter that is also in `space` is searched.
    """
    domains = {name: _of_distribution(distribution) for name, distribution in space.items()}
    return domains | {n: Choices((value,)) for n, value in fixed.items() if n not in domains}


def merge_domains(detectors: Iterable[Mapping[str, Domain]]) -> dict[str, Domain]:
    """The union of the parameters of several detectors.

    Parameters that vary come first, those shared by most detectors at the top; otherwise the order
    is that of the arguments. (TensorBoard's parallel coordinates omit every trial that lacks one
    of the displayed parameters, of which there are five at first; therefore shared ones first.)

    If two detectors have different domains for one name, the union of two sets of values has the
    values of both; that of an interval and numbers is the smallest interval that contains both;
    that of an interval and other values is any string.

    >>> merge_domains([{"beta": Interval(0.1, 1)}, {"beta": Choices((4,))}])
    {'beta': Interval(low=0.1, high=4, is_int=False)}
    """
    merged: dict[str, Domain] = {}
    uses: Counter[str] = Counter()
    for domains in detectors:
        uses.update(domains.keys())
        for name, domain in domains.items():
            merged[name] = _merge(merged[name], domain) if name in merged else domain
    order = sorted(merged, key=lambda name: (not merged[name].varies, -uses[name]))
    return {name: merged[name] for name in order}


def _text(value: object) -> str:
    if kind_of(value) == "number":
        number = float(value)  # type: ignore[arg-type]
        return str(int(number)) if number.is_integer() else str(number)
    return str(value)


def _of_distribution(distribution: BaseDistribution) -> Domain:
    if isinstance(distribution, CategoricalDistribution):
        return Choices(tuple(distribution.choices))
    is_int = isinstance(distribution, IntDistribution)
    return Interval(distribution.low, distribution.high, is_int)


def _merge(one: Domain, two: Domain) -> Domain:
    if isinstance(one, Choices) and isinstance(two, Choices):
        return _union(one, two)
    if isinstance(one, Unknown) or isinstance(two, Unknown) or {one.kind, two.kind} != {"number"}:
        return Unknown(one.kind if one.kind == two.kind else "string")
    ends = [*_ends(one), *_ends(two)]
    return Interval(min(ends), max(ends), all(isinstance(end, int) for end in ends))


def _union(one: Choices, two: Choices) -> Choices:
    """The values of both without duplicates; 1 and 1.0 are equal, 1 and True are not."""
    values: dict[tuple[Kind, str], object] = {}
    for value in one.values + two.values:
        values.setdefault((kind_of(value), _text(value)), value)
    return Choices(tuple(values.values()))


def _ends(domain: Interval | Choices) -> list[float]:
    if isinstance(domain, Interval):
        cast = int if domain.is_int else float
        return [cast(domain.low), cast(domain.high)]
    return [value.item() if isinstance(value, np.generic) else value for value in domain.values]  # type: ignore[misc]
