"""The files of a report: page, Markdown, LaTeX, tables as CSV, figures as SVG and PDF."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pyarrow import Schema, Table, csv, field, string

from analysis.document.blocks import Document
from analysis.report.render.figures import RenderedFigure, on_paper, render_figure
from analysis.report.render.html import html
from analysis.report.render.latex import latex
from analysis.report.render.markdown import markdown
from tune_ad.atomic import replacing, write_atomically
from tune_ad.wording import csv_cell

NAME = re.compile(r"[\w.+-]+")
LARGE = 1_000_000  # number of cells above which the faster writer is used, which quotes texts
SLICE = 100_000  # number of rows of a large table that are converted to text at once


class ExportedReport(NamedTuple):
    """The paths of a report's texts."""

    html: Path
    markdown: Path
    latex: Path


def export(document: Document, folder: Path, for_print: bool = True) -> ExportedReport:
    """Write a report into a folder, each file atomically.

    `report.html`, `report.md`, `report.tex`; `tables/<name>.csv` of every table that is not empty;
    `figures/<name>.svg` and `.pdf`. Tables and figures of an earlier report that this one lacks
    are removed.

    Args:
        document: the report.
        folder: the folder of the files.
        for_print: whether `report.tex` and the figures as PDF are written, too; otherwise the
            files of figures are as small as they can be.

    Raises:
        ValueError: if the name of a table or figure is not a plain file name, or is used twice.
    """
    _check([table.name for table in document.all_tables()])
    _check([figure.name for figure in document.figures()])
    figures = [render_figure(figure) for figure in document.figures()]
    texts = (html(document, figures), markdown(document), latex(document))
    _clean(folder / "tables", _tables(document, folder / "tables"))
    _clean(folder / "figures", _figures(figures, folder / "figures", for_print))
    written = ExportedReport(folder / "report.html", folder / "report.md", folder / "report.tex")
    for path, text in zip(written, texts, strict=True):
        if for_print or path != written.latex:
            write_atomically(path, text)
        else:
            path.unlink(missing_ok=True)
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


def _figures(figures: list[RenderedFigure], folder: Path, for_print: bool) -> set[Path]:
    written = set()
    for figure in figures:
        svg, pdf = folder / f"{figure.name}.svg", folder / f"{figure.name}.pdf"
        write_atomically(svg, on_paper(figure, is_still=not for_print))
        written.add(svg)
        if for_print:
            write_atomically(pdf, figure.pdf)
            written.add(pdf)
    return written


def _clean(folder: Path, written: set[Path]) -> None:
    """Remove the files of an earlier report that this one did not write."""
    kinds = ("*.csv", "*.svg", "*.pdf")
    for path in {path for kind in kinds for path in folder.glob(kind)} - written:
        path.unlink()


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index, in full precision; a missing value is an empty cell.

    A large table of numbers and texts is written by pyarrow: the same values, with quotes around
    every text. Texts are as by `csv_cell`.
    """
    table = _safe(table)
    with replacing(path) as partial:
        if table.size >= LARGE and all(_uniform(column) for _, column in table.items()):
            _write_large(table, partial)
        else:
            table.to_csv(partial, index=False)


def _safe(table: pd.DataFrame) -> pd.DataFrame:
    """The table with texts, and names of columns, that a spreadsheet does not run."""
    columns = [_safe_column(column) for _, column in table.items()]
    safe = pd.concat(columns, axis=1) if columns else table.copy()
    return safe.set_axis([csv_cell(name) for name in table.columns], axis=1)


def _safe_column(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        texts = {name: csv_cell(name) for name in column.cat.categories}
        if all(name == text for name, text in texts.items()):
            return column
        column = column.astype(object)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    return column.map(csv_cell)


def _uniform(column: pd.Series) -> bool:
    """Whether both writers write a column as the same values: integers, floats or texts."""
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
