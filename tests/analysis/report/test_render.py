"""The same document as a page, as Markdown, as LaTeX and as files."""

import functools
import math
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from analysis.document import theme
from analysis.document.blocks import Cell, Document, Figure, Section, Table, Text
from analysis.report.render import content, export
from analysis.report.render.figures import inline, render_figure
from analysis.report.render.html import html
from analysis.report.render.latex import ABSENT, LATIN, LETTERS, latex, tex
from analysis.report.render.markdown import escaped, markdown
from tune_ad.wording import UNSAFE

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    r"100 % & $x_1$ #{}~^\ [y] * `code` --x",
    "two\nlines",
    "😀 中文 שלום",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %} <<< 7 >>> &lt;b&gt;",
    "\x1b[31mred \x07 \u202egnp.exe \x9b2J",
]


def draw_line(label="", height=3.2):
    canvas = theme.canvas(height)
    canvas.one.plot([0, 1], [0, 1], label="x")
    canvas.one.text(0.1, 0.9, label)
    canvas.one.set_xlabel("β")
    canvas.one.legend()
    return canvas.figure


def toned():
    tones = ("better", "worse", "alike", "unsure", "")
    cells = [Cell(f"{k}.5", k + 0.5, tone, f"note {k}") for k, tone in enumerate(tones)]
    return pd.DataFrame({"name": list("abcde"), "AUROC": cells})


def document(**changes):
    sections = (
        Section(
            "Results", (Text("One.\n\n- a\n- b", "verdict"), Table("main", toned(), "AUROC."))
        ),
        Section("results!", (Figure("line", draw_line, "A line."),)),
        Section("Table main", (Figure("line.2", functools.partial(draw_line, "#1b1f24")),)),
        Section("???", (Text("Careful.", "warning"), Text("Note.", "note"), Text("Plain."))),
    )
    rest = {"sections": sections, "tables": (Table("raw", pd.DataFrame({"x": [1]})),)}
    return Document(**{"title": "A study", "summary": "The answer.", **rest, **changes})


def hostile():
    table = pd.DataFrame({text: [text, Cell(text, 1.0, "better", text)] for text in HOSTILE})
    blocks = [Text(text, kind) for text in HOSTILE for kind in ("plain", "warning")]
    blocks += [Text(f"- {text}") for text in HOSTILE if "\n" not in text]
    blocks += [Table("t", table, " ".join(HOSTILE))]
    blocks += [Figure("f", functools.partial(draw_line, "<i>&</i>"), " ".join(HOSTILE))]
    sections = [Section(text, blocks if k == 0 else ()) for k, text in enumerate(HOSTILE)]
    return Document("<b>", "\n\n".join(HOSTILE), sections)


def page(report):
    return html(report, [render_figure(figure) for figure in report.figures()])


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.text, self.attributes = [], [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        self.ids += [value for key, value in attrs if key == "id"]
        self.links += [value for key, value in attrs if key == "href"]

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text += data


def test_a_page_shows_what_a_user_typed_and_runs_none_of_it():
    elements = Elements(page(hostile()))
    assert not {"img", "i"} & set(elements.tags)
    assert elements.tags.count("script") == 1
    assert not any(key.startswith("on") for _, key, _ in elements.attributes)
    for text in map(content.one_line, HOSTILE):
        assert text in elements.text


@pytest.mark.parametrize("render", [page, markdown, latex])
def test_no_control_character_reaches_a_report(render):
    lines = render(hostile()).split("\n")
    assert [line for line in lines if UNSAFE.search(line)] == []


def test_cells_of_stored_tables_are_shown_and_not_run(tmp_path, monkeypatch):
    texts = ["=1+1", "+A1", "-B2", "@x", "\t=1", "plain", "-0.5", "a\x1bb"]
    table = pd.DataFrame({"=head": texts, "n": -1.5, "kind": pd.Categorical(texts)})
    for cells in (export.LARGE, 1):  # of a table that is large: both writers
        monkeypatch.setattr(export, "LARGE", cells)
        export.write_csv(table, tmp_path / "t.csv")
        back = pd.read_csv(tmp_path / "t.csv", dtype={"'=head": str, "kind": str})
        assert list(back) == ["'=head", "n", "kind"]
        safe = ["'=1+1", "'+A1", "'-B2", "'@x", "\\t=1", "plain", "-0.5", "a\\x1bb"]
        assert back["'=head"].tolist() == back["kind"].tolist() == safe
        assert (back["n"] == -1.5).all()


def test_a_page_asks_for_nothing():
    elements = Elements(page(document()))
    sources = [v for _, key, v in elements.attributes if key in ("src", "srcset", "data")]
    assert not sources
    outside = [link for link in elements.links if not link.startswith(("#", "data:", "tables/"))]
    assert not outside
    policy = next(v for _, key, v in elements.attributes if key == "content" and "default" in v)
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


def test_every_address_in_a_page_is_unique_and_every_link_has_its_target():
    for report in (document(), hostile()):
        elements = Elements(page(report))
        assert [name for name, n in Counter(elements.ids).items() if n > 1] == []
        inside = {link[1:] for link in elements.links if link.startswith("#")}
        assert inside <= set(elements.ids)
    assert content.anchors(document()) == ["results", "results-2", "table-main-2", "section"]


def test_a_page_has_a_title_a_language_and_ordered_headings():
    elements = Elements(page(document()))
    assert ("html", "lang", "en") in elements.attributes
    assert "A study · report" in elements.text
    assert [tag for tag in elements.tags if re.fullmatch(r"h\d", tag)] == ["h1"] + ["h2"] * 4


@pytest.mark.slow
def test_the_same_document_gives_the_same_bytes():
    for render in (page, markdown, latex):
        assert render(document()) == render(document())
    one, two = (render_figure(document().figures()[0]) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("render", [page, markdown, latex])
def test_tones_are_marks_with_a_legend(render):
    text = render(document())
    marks = "▲▼≈?" if render is not latex else ("blacktriangle", "blacktriangledown", "approx")
    assert all(mark in text for mark in marks)
    assert "no verdict" in text
    bare = render(document(sections=(Section("s", (Table("t", pd.DataFrame({"x": [1]})),)),)))
    assert "no verdict" not in bare


def test_markdown_shows_what_a_user_typed():
    text = markdown(hostile())
    assert not re.search(r"(?<!\\)<", text)
    assert r"a\|b" in text and r"\$x\_1\$" in text and r"\&lt;" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert bars == {len(HOSTILE) + 1}, "no cell breaks the table"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1. a", r"1\. a"), ("91.3", "91.3"), ("-0.5", "-0.5"), ("+ a", r"\+ a"),
        ("---", r"\---"), ("= a", r"\= a"), ("# a", r"\# a"), ("", ""),
    ],
)  # fmt: skip
def test_markdown_escapes_what_begins_a_list_or_a_heading(text, shown):
    assert escaped(text) == shown


def test_markdown_of_a_text_of_each_kind():
    text = markdown(document())
    assert "> **Verdict**\n>\n> One.\n>\n> - a\n> - b" in text
    assert "> **Warning**\n>\n> Careful." in text
    assert "\n\nPlain." in text
    assert "![Figure 1](figures/line.svg)\n\nFigure 1. A line." in text
    assert "[tables/raw.csv](tables/raw.csv)" in text


def test_a_cell_is_its_text_and_what_it_sorts_by():
    assert content.cell(np.float32(0.5)) == Cell("0.5", 0.5)
    assert content.cell(np.int64(1234567)).text == "1234567"
    assert content.cell(True).text == "True" and math.isnan(content.cell(True).value)
    assert [content.cell(value).text for value in (None, pd.NA, pd.NaT, math.nan)] == [""] * 4
    assert content.cell(math.inf) == Cell("inf", math.inf)


def test_a_column_is_numeric_where_all_that_is_there_has_a_value():
    table = Table("t", pd.DataFrame({"a": [1, math.nan], "b": ["x", ""], "c": [None, None]}))
    assert [column.numeric for column in content.table_view(table).columns] == [True, False, False]


@pytest.mark.parametrize("render", [page, markdown, latex])
def test_empty_parts_are_no_error(render):
    empty = [Table("none", pd.DataFrame()), Table("bare", pd.DataFrame(columns=["a", "b"]))]
    assert render(document(summary="", sections=()))
    text = render(document(sections=(Section("s", (*empty, Text(""))), Section("t"))))
    assert ">b<" in text or "| b" in text or r"\textbf{b}" in text


def test_a_figure_in_a_page_has_the_pages_ink_and_names_of_its_own():
    figure = render_figure(document().figures()[1])
    text = inline(figure)
    assert figure.svg.startswith("<svg") and theme.INK in figure.svg
    assert text.count(theme.INK) == 1, "as a text that a user typed"
    assert "currentColor" in text and "<style" not in text and "<metadata" not in text
    assert 'role="img"' in text and 'aria-label="line.2"' in text
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    assert used and used <= ids
    assert ids == {f"line.2:{k}" for k in range(len(ids))}


def test_a_figure_is_drawn_in_the_projects_style_by_default():
    def draw():
        figure = theme.canvas().figure
        figure.axes[0].text(0.5, 0.5, "ink")
        return figure

    assert re.search(rf"fill: {theme.INK}[^>]*>ink<", render_figure(Figure("f", draw)).svg)


def test_a_figure_that_cannot_be_drawn_is_an_error():
    def draw():
        raise ZeroDivisionError("a fault of the figure")

    with pytest.raises(ZeroDivisionError):
        render_figure(Figure("f", draw))


def test_export_writes_every_file(tmp_path):
    calls = []

    def draw():
        calls.append(1)
        return draw_line()

    empty = Table("empty", pd.DataFrame(columns=["a"]))
    section = Section("s", (Figure("f", draw), empty, Table("main", toned())))
    written = export.export(document(sections=(section,)), tmp_path)
    assert len(calls) == 1
    assert written == (tmp_path / "report.html", tmp_path / "report.md", tmp_path / "report.tex")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    ground = '<rect width="100%" height="100%" fill="'
    assert ground in (tmp_path / "figures" / "f.svg").read_text(encoding="utf-8")[:900]
    assert ground not in (tmp_path / "report.html").read_text(encoding="utf-8")
    files = {"tables/main.csv", "tables/raw.csv", "figures/f.svg", "figures/f.pdf"}
    assert names == {"report.html", "report.md", "report.tex", *files}
    assert (tmp_path / "figures/f.pdf").read_bytes().startswith(b"%PDF")
    assert list(pd.read_csv(tmp_path / "tables/main.csv")["AUROC"]) == [0.5, 1.5, 2.5, 3.5, 4.5]


def test_export_removes_what_an_earlier_report_left(tmp_path):
    export.export(document(), tmp_path)
    (tmp_path / "figures" / "notes.txt").write_text("mine")
    export.export(document(sections=(), tables=()), tmp_path)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"report.html", "report.md", "report.tex", "notes.txt"}


def test_a_report_that_nobody_prints_has_no_files_for_print(tmp_path):
    export.export(document(), tmp_path)
    export.export(document(), tmp_path, for_print=False)
    left = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".html", ".md", ".csv", ".svg"}


def test_outlines_are_exact_to_a_tenth_of_a_point():
    def draw():
        canvas = theme.canvas()
        canvas.one.plot(np.linspace(0, 1, 7), np.sqrt(np.arange(7)))
        return canvas.figure

    outlines = re.findall(r' d="([^"]*)"', render_figure(Figure("f", draw)).svg)
    numbers = [number for outline in outlines for number in re.findall(r"-?[\d.]+", outline)]
    assert any("." in number for number in numbers)
    assert all(
        len(number.partition(".")[2]) <= (1 if abs(float(number)) >= 10 else 2)
        for number in numbers
    )


def test_an_area_keeps_its_shape_without_points_that_lie_on_lines():
    x = np.linspace(0, 1, 500)

    def draw():
        canvas = theme.canvas()
        canvas.one.fill_between(x, np.sqrt(x), 1)
        canvas.one.set(xlim=(0, 1), ylim=(0, 1))
        return canvas.figure

    svg = render_figure(Figure("f", draw)).svg
    outline = max(re.findall(r' d="M([^"MQC]*)z"', svg), key=len)
    corners = np.array(re.findall(r"-?[\d.]+", outline), dtype=float).reshape(-1, 2)
    assert len(corners) < 100
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    across, up = (corners[:, 0] - left) / (right - left), (bottom - corners[:, 1]) / (bottom - top)
    lower = np.interp(x, across[up < 1], up[up < 1])
    assert np.abs(lower - np.sqrt(x)).max() * (bottom - top) < 0.3


@pytest.mark.parametrize("name", ["../x", "a b", "", "<b>", "a/b"])
def test_export_refuses_a_name_that_is_no_file_name(tmp_path, name):
    with pytest.raises(ValueError, match="letters, digits"):
        export.export(document(tables=(Table(name, pd.DataFrame({"x": [1]})),)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_export_refuses_a_name_used_twice(tmp_path):
    twice = [Table("Main", pd.DataFrame({"x": [1]}))]
    with pytest.raises(ValueError, match="must differ"):
        export.export(document(tables=twice), tmp_path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("old")
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export.write_csv(pd.DataFrame({"x": [1]}), path)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
    assert path.read_text() == "old"


def table_of_all_kinds(rows):
    draws = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "float": draws.random(rows) * 10.0 ** draws.integers(-9, 9, rows),
            "int": draws.integers(-9, 9, rows),
            "text": draws.choice([*HOSTILE[:3], "a, b", 'say "x"'], rows),
            "none": [None] * rows,
            "part": [None if k % 3 else f"row {k}" for k in range(rows)],
            "object": pd.Series([None if k % 3 else k / 7 for k in range(rows)], dtype=object),
        }
    )
    table.loc[::5, "float"] = np.nan
    table.loc[1, "float"] = np.inf
    return table


def test_both_writers_of_tables_keep_every_digit(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "SLICE", 30)
    table = table_of_all_kinds(100)
    for name, large in (("small", 1_000_000), ("large", 1)):
        monkeypatch.setattr(export, "LARGE", large)
        export.write_csv(table, tmp_path / f"{name}.csv")
    small, large = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("small", "large"))
    pd.testing.assert_frame_equal(small, large, check_exact=True)
    assert small["float"].equals(table["float"])
    assert list(small["text"]) == list(table["text"])
    assert (tmp_path / "large.csv").read_bytes() != (tmp_path / "small.csv").read_bytes()


@pytest.mark.parametrize("column", [[1, "a", None], [True, False, None], [(1, 2), None, 0.5]])
def test_a_large_table_of_mixed_values_is_written_as_a_small_one(tmp_path, monkeypatch, column):
    table = pd.DataFrame({"x": pd.Series(column, dtype=object)})
    export.write_csv(table, tmp_path / "small.csv")
    monkeypatch.setattr(export, "LARGE", 1)
    export.write_csv(table, tmp_path / "large.csv")
    assert (tmp_path / "large.csv").read_text() == (tmp_path / "small.csv").read_text()


def test_latex_has_a_place_for_letters_it_lacks():
    assert tex("中") == r"\missing{4E2D}"
    assert tex("e\u0301") == "é"
    assert tex("\x00") == r"\textbackslash{}x00"
    assert tex(tex("%")) == r"\%"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
@pytest.mark.slow
def test_latex_compiles(tmp_path):
    letters = "".join(map(chr, [*LETTERS, *(code for code in LATIN if code not in ABSENT)]))
    wide = pd.DataFrame({f"column {k}": [k / 7] * 90 for k in range(25)})
    long = pd.DataFrame({"[x": ["[a] " + "word " * 60, "*", 1]})
    blocks = (Text(letters), Text("---\n\n- [x]"), Table("wide", wide), Table("long", long))
    report = hostile()
    report = Document(letters, letters, (*report.sections, *document().sections[:2]))
    report = Document(letters, report.summary, (*report.sections, Section(letters, blocks)))
    export.export(report, tmp_path)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "Missing character" not in done.stdout
