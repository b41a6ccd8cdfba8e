"""Published tables: one TOML file per table, with how each cell was read.

A file contains:

    title, source, year     year is left out where the numbers come from several papers
    seeds                   number of seeds per mean; 0 = not known
    unit                    "per cent" or "fraction"
    classes                 number of classes in an average
    missing                 cells of the paper that are not in the file
    [[methods]]             name, as printed; detector of this project, if there is one; where,
                            the parameters with which that detector is the method; score, the
                            component or variant of its score, if not the detector's own;
                            settings, the published values of each parameter that has an effect:
                            that of the paper's text and, if it is another, that of its code;
                            differs, what remains different whatever the settings; read, how the
                            numbers were read
    [[rows]]                data_set, whose images are normal; class, the number of the one class
                            that is normal, as text, or "mean" for the average over all classes;
                            or, in place of class, outsider: the outsider set; label, the row's
                            title; read; mean and std, by method, std if known
"""

import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

MEAN = "mean"
"""The class of a row that is the average over the classes of its data set."""
UNITS = {"per cent": 0.01, "fraction": 1.0}
READ = (  # how a number was read
    "printed",
    "quoted elsewhere",
    "from notes",
    "mean of the rows",
    "by eye from a figure",
)


class Method(NamedTuple):
    """A method of a published table.

    Attributes:
        name: the name as printed.
        detector: the class name in this project; empty if it has none.
        where: the parameters with which the detector is that method.
        differs: what remains different, in words; empty if nothing is known to differ.
        score: the component or variant of the detector's score; empty = the score itself.
        settings: the published values of parameters, by name: that of the paper's text first, that
            of its code last; empty if they are not known.
    """

    name: str
    detector: str
    where: Mapping[str, Any]
    differs: str
    score: str = ""
    settings: Mapping[str, Sequence[Any]] = MappingProxyType({})


class PublishedCell(NamedTuple):
    """One number of a published table.

    Attributes:
        data_set: the name in this project of the data set of the normal images.
        class_name: the number of the one class that is normal, as text; "mean" for the average
            over all classes; empty if every class is normal.
        outsider: the name in this project of the outsider set; empty if the other classes are
            anomalous.
        label: the title of the row.
        method: the method of the column.
        mean: the mean AUROC in [0, 1].
        std: the sample standard deviation over seeds, in the same unit; NaN if not known.
        read: how the number was read, one of `READ`.
    """

    data_set: str
    class_name: str
    outsider: str
    label: str
    method: Method
    mean: float
    std: float
    read: str


class PublishedTable(NamedTuple):
    """A table of a paper.

    Attributes:
        name: the name of its file.
        title: a short title.
        source: the paper, the table, and where to find it.
        year: the year of the paper; 0 if the numbers come from several.
        seeds: the number of seeds per mean; 0 if not known.
        classes: the number of classes in an average.
        missing: the cells of the paper that are not included.
        cells: the cells by row, then by method.
    """

    name: str
    title: str
    source: str
    year: int
    seeds: int
    classes: int
    missing: str
    cells: tuple[PublishedCell, ...]


def tables() -> list[PublishedTable]:
    """Every published table, by the names of the files."""
    return [read_table(path) for path in sorted(Path(__file__).parent.glob("*.toml"))]


def read_table(path: Path) -> PublishedTable:
    """The published table in a file.

    Raises:
        ValueError: if the file lacks a field, names a method or a unit that is not known, holds a
            cell twice or a number outside [0, 1], does not say how a number was read, or has a
            row that names not exactly one of class and outsider.
    """
    stored = tomllib.loads(path.read_text(encoding="utf-8"))
    needed = ("title", "source", "seeds", "unit", "classes", "missing", "methods", "rows")
    if lost := [name for name in needed if name not in stored]:
        raise ValueError(f"{path} lacks {', '.join(lost)}")
    if stored["unit"] not in UNITS:
        raise ValueError(f"{path}: unit must be one of {', '.join(UNITS)}, got {stored['unit']}")
    cells = tuple(_cells(stored))
    uses = Counter((c.data_set, c.class_name, c.outsider, c.method.name) for c in cells)
    if twice := sorted(key for key, count in uses.items() if count > 1):
        raise ValueError(f"{path} holds twice: {twice}")
    for cell in cells:
        _check(path, cell)
    facts = {name: stored[name] for name in ("title", "source", "seeds", "classes", "missing")}
    return PublishedTable(name=path.stem, year=stored.get("year", 0), cells=cells, **facts)


def _cells(stored: Mapping[str, Any]) -> Iterator[PublishedCell]:
    scale = UNITS[stored["unit"]]
    methods = {method["name"]: method for method in stored["methods"]}
    for row in stored["rows"]:
        _check_row(row)
        means, stds = row["mean"], row.get("std", {})
        if unknown := (means.keys() | stds.keys()) - methods.keys() | (stds.keys() - means.keys()):
            raise ValueError(f"{row['label']}: no such method, or no mean: {sorted(unknown)}")
        for name, mean in means.items():
            yield PublishedCell(
                data_set=row["data_set"],
                class_name=row.get("class", ""),
                outsider=row.get("outsider", ""),
                label=row["label"],
                method=_method(methods[name]),
                mean=scale * mean,
                std=scale * stds.get(name, math.nan),
                read=row.get("read") or methods[name].get("read", ""),
            )


def _check_row(row: Mapping[str, Any]) -> None:
    needed = ("label", "data_set", "mean")
    if lost := [name for name in needed if name not in row]:
        raise ValueError(f"row {row.get('label', dict(row))} lacks {', '.join(lost)}")
    if ("class" in row) == ("outsider" in row):
        raise ValueError(f"{row['label']}: a row needs exactly one of class and outsider")
    class_name = row.get("class", MEAN)
    if class_name != MEAN and not (isinstance(class_name, str) and class_name.isdecimal()):
        raise ValueError(
            f"{row['label']}: class must be a class number as text or {MEAN!r}, got {class_name!r}"
        )


def _method(stored: Mapping[str, Any]) -> Method:
    texts = {name: stored.get(name, "") for name in ("detector", "differs", "score")}
    settings = {
        name: [tuple(value) if isinstance(value, list) else value for value in values]
        for name, values in stored.get("settings", {}).items()
    }
    where = stored.get("where", {})
    return Method(name=stored["name"], where=where, settings=settings, **texts)


def _check(path: Path, cell: PublishedCell) -> None:
    where = f"{path}, {cell.label}, {cell.method.name}"
    if not 0 <= cell.mean <= 1 or not (math.isnan(cell.std) or 0 <= cell.std <= 0.5):
        raise ValueError(f"{where}: {cell.mean} ± {cell.std} is no AUROC; check the unit")
    if cell.read not in READ:
        raise ValueError(f"{where}: read must be one of {', '.join(READ)}, got {cell.read!r}")
