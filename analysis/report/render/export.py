"""The files of a report: one page, Markdown, LaTeX, every table as CSV, every figure twice."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pyarrow import Schema, Table, csv, field, string

from analysis.document.blocks import Document
from analysis.report.render.figures import Drawn, drawn
from analysis.report.render.html import html
from analysis.report.render.latex import latex
from analysis.report.render.markdown import markdown
from tune_ad.storage.jsonl import replacing, write_atomically

NAME = re.compile(r"[\w.+-]+")
LARGE = 1_000_000  # cells from which the faster writer is worth its plainer style
SLICE = 100_000  # rows of a large table that are turned into text at once


class Exported(NamedTuple):
    """Where the report is."""

    html: Path
    markdown: Path
    latex: Path


def export(document: Document, folder: Path) -> Exported:
    """Write a report into a folder, each file whole or not at all.

    `report.html`, `report.md`, `report.tex`; `tables/<name>.csv` of every table that is not empty;
    `figures/<name>.svg` and `.pdf`. Tables and figures there that an earlier report left, and this
    one lacks, are removed.

    Raises:
        ValueError: if a name of a table or figure is no plain file name, or is used twice.
    """
    _check([table.name for table in document.all_tables()])
    _check([figure.name for figure in document.figures()])
    pictures = [drawn(figure) for figure in document.figures()]
    texts = (html(document, pictures), markdown(document), latex(document))
    _clean(folder / "tables", _tables(document, folder / "tables"))
    _clean(folder / "figures", _figures(pictures, folder / "figures"))
    written = Exported(folder / "report.html", folder / "report.md", folder / "report.tex")
    for path, text in zip(written, texts, strict=True):
        write_atomically(path, text)
    return written


def _check(names: list[str]) -> None:
    if odd := [name for name in names if not NAME.fullmatch(name)]:
        raise ValueError(f"names of tables and figures are letters, digits and _.+-, got {odd}")
    counts = Counter(name.casefold() for name in names)
    if twice := [name for name in names if counts[name.casefold()] > 1]:
        raise ValueError(f"names of tables and figures must differ, got {twice}")


def _tables(document: Document, folder: Path) -> set[Path]:
    written = set()
    for table in document.all_tables():
        stored = table.stored
        if not stored.empty:
            path = folder / f"{table.name}.csv"
            write_csv(stored, path)
            written.add(path)
    return written


def _figures(pictures: list[Drawn], folder: Path) -> set[Path]:
    written = set()
    for picture in pictures:
        vector, page = folder / f"{picture.name}.svg", folder / f"{picture.name}.pdf"
        write_atomically(vector, picture.svg)
        write_atomically(page, picture.pdf)
        written |= {vector, page}
    return written


def _clean(folder: Path, written: set[Path]) -> None:
    """Remove what an earlier report left."""
    kinds = ("*.csv", "*.svg", "*.pdf")
    for path in {path for kind in kinds for path in folder.glob(kind)} - written:
        path.unlink()


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index, in full precision; what is not there is empty.

    A large one of numbers and texts is written by pyarrow: the same values, with quotes around
    every text.
    """
    with replacing(path) as partial:
        if table.size >= LARGE and all(_uniform(each) for _, each in table.items()):
            _write_large(table, partial)
        else:
            table.to_csv(partial, index=False)


def _uniform(column: pd.Series) -> bool:
    """Whether both writers write it as the same values: integers, or floats, or texts."""
    if pd.api.types.is_integer_dtype(column.dtype):
        return True
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.api.types.infer_dtype(column.cat.categories) in ("string", "empty")
    return pd.api.types.infer_dtype(column, skipna=True) in ("floating", "string", "empty")


def _write_large(table: pd.DataFrame, path: Path) -> None:
    texts = {name: "str" for name in table.select_dtypes("category")}
    schema = Schema.from_pandas(table, preserve_index=False)
    for name in texts:
        schema = schema.set(schema.get_field_index(name), field(name, string()))
    with csv.CSVWriter(path, schema) as writer:
        for start in range(0, len(table), SLICE):
            part = table.iloc[start : start + SLICE].astype(texts)
            writer.write_table(Table.from_pandas(part, schema, preserve_index=False))
