"""What values a hyperparameter can take, and how one of them looks in a table."""

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
    """Every number from `low` to `high`, both included; whole numbers only if `is_int`."""

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
class Values:
    """One of `values`; a fixed parameter has one."""

    values: tuple[object, ...]

    @property
    def kind(self) -> Kind:
        """The type of the column; mixed types, None, tuples and infinities make strings.

        >>> Values((0, 5, 20)).kind, Values((0, 5, 20, "inf")).kind
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
        """The values as they are shown, each once."""
        return list(dict.fromkeys(cell(value, self.kind) for value in self.values))


@dataclass(frozen=True)
class Unknown:
    """Any value of one kind: the column has a type, and no limits."""

    kind: Kind

    @property
    def varies(self) -> bool:
        """Whether two trials can differ in this parameter."""
        return True


Domain = Interval | Values | Unknown


def kind_of(value: object) -> Kind:
    """The type of a column that holds `value` alone.

    >>> kind_of(True), kind_of(3), kind_of(float("inf")), kind_of(None)
    ('bool', 'number', 'string', 'string')
    """
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return "number"
    return "string"


def cell(value: object, kind: Kind) -> Cell:
    """`value` in a column of that kind: the same in the domain and in every row.

    >>> cell(20.0, "string"), cell(20, "number"), cell(True, "bool"), cell((64, 32), "string")
    ('20', 20.0, True, '(64, 32)')

    Raises:
        ValueError: The column holds another kind of value.
    """
    if kind == "string":
        return _text(value)
    if kind_of(value) != kind:
        raise ValueError(f"the domain says {kind}, but got {value!r}: mend the domain")
    return bool(value) if kind == "bool" else float(value)  # type: ignore[arg-type]


def column_names(domains: Mapping[str, Domain]) -> dict[str, str]:
    """What TensorBoard calls each parameter inside: it sorts by that name, and shows another.

    Those that vary are numbered in their order; constants, which come behind them anyway, are not,
    so that one constant more or less leaves the columns of earlier trials alone.

    >>> column_names({"nu": Interval(0.01, 0.5), "epochs": Values((50,)), "beta": Values((1, 4))})
    {'nu': '00 nu', 'epochs': 'epochs', 'beta': '01 beta'}
    """
    names = {name: name for name in domains}
    for rank, name in enumerate(name for name in domains if domains[name].varies):
        names[name] = f"{rank:02d} {name}"
    return names


def row(parameters: Mapping[str, object], domains: Mapping[str, Domain]) -> dict[str, Cell]:
    """The parameters of one trial: name inside TensorBoard -> cell.

    Raises:
        ValueError: A parameter has no domain, or does not fit it.
    """
    names = column_names(domains)
    cells = {}
    for name, value in parameters.items():
        if name not in domains:
            raise ValueError(f"parameter {name!r} has no domain: declare it among {[*domains]}")
        try:
            cells[names[name]] = cell(value, domains[name].kind)
        except ValueError as error:
            raise ValueError(f"parameter {name!r}: {error}") from error
    return cells


def domains_of(
    space: Mapping[str, BaseDistribution], fixed: Mapping[str, object]
) -> dict[str, Domain]:
    """The domains of one detector: its searched parameters, then its fixed ones.

    Args:
        space: Optuna's distribution of each searched parameter.
        fixed: The value of each parameter that is not searched; `space` wins where both have it.
    """
    domains = {name: _of_distribution(distribution) for name, distribution in space.items()}
    return domains | {n: Values((value,)) for n, value in fixed.items() if n not in domains}


def merge_domains(detectors: Iterable[Mapping[str, Domain]]) -> dict[str, Domain]:
    """The union of several detectors' parameters: varying ones first, among them the most shared.

    Otherwise in order of arrival. (TensorBoard's parallel coordinates leave out each trial that
    lacks one of the parameters shown, and five are shown at first: hence the shared ones.)
    The same name with two domains becomes: all values of both; the hull, where an interval meets
    numbers; a column of strings without limits, where it meets anything else.

    >>> merge_domains([{"beta": Interval(0.1, 1)}, {"beta": Values((4,))}])
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
        return Values(tuple(distribution.choices))
    is_int = isinstance(distribution, IntDistribution)
    return Interval(distribution.low, distribution.high, is_int)


def _merge(one: Domain, two: Domain) -> Domain:
    if isinstance(one, Values) and isinstance(two, Values):
        return _union(one, two)
    if isinstance(one, Unknown) or isinstance(two, Unknown) or {one.kind, two.kind} != {"number"}:
        return Unknown(one.kind if one.kind == two.kind else "string")
    ends = [*_ends(one), *_ends(two)]
    return Interval(min(ends), max(ends), all(isinstance(end, int) for end in ends))


def _union(one: Values, two: Values) -> Values:
    """The values of both, each once: 1 and 1.0 are one value, 1 and True are two."""
    values: dict[tuple[Kind, str], object] = {}
    for value in one.values + two.values:
        values.setdefault((kind_of(value), _text(value)), value)
    return Values(tuple(values.values()))


def _ends(domain: Interval | Values) -> list[float]:
    if isinstance(domain, Interval):
        cast = int if domain.is_int else float
        return [cast(domain.low), cast(domain.high)]
    return [value.item() if isinstance(value, np.generic) else value for value in domain.values]  # type: ignore[misc]
