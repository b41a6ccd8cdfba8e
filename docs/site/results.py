"""The page of results on the site: its links lead to the reports as pages, which are copied.

`make results` has made the page and the reports from the records; nothing is computed here.
"""

import html
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

PLACE = Path("docs/results")
PAGE = (PLACE / "README").as_posix()
REPORTS = "reports"
COPIED = ("report.html", "figures/*.svg", "tables/*.csv")
PICTURE = re.compile(rf"!\[(?P<text>[^\]]*)\]\((?P<path>{REPORTS}/[^)]+)\)")
LINK = re.compile(rf"\[(?P<text>[^\]]*)\]\((?P<path>{REPORTS}/[^)]+)\)")
RECORDS = re.compile(r"\[(?P<text>[^\]]*)\]\(records/[^)]+\)")


def on_the_site(text: str) -> str:
    """The page with links and pictures that lead to the copied files; records are not copied.

    >>> print(on_the_site("[Report](reports/a/report.md), [as one page](reports/a/report.html)."))
    <a href="reports/a/report.html">Report</a>.
    >>> print(on_the_site("![Loss](reports/a/figures/loss.svg) [Records of a](records/a)"))
    <img class="report-figure" src="reports/a/figures/loss.svg" alt="Loss"> Records of a
    """
    text = re.sub(rf", \[as one page\]\({REPORTS}/[^)]+\)", "", text)
    text = PICTURE.sub(_picture, text)
    text = LINK.sub(_link, text)
    return RECORDS.sub(r"\g<text>", text)


def _picture(found: re.Match[str]) -> str:
    alt = html.escape(found["text"].replace("\\", ""))
    return f'<img class="report-figure" src="{found["path"]}" alt="{alt}">'


def _link(found: re.Match[str]) -> str:
    path = found["path"].replace("report.md", "report.html")
    return f'<a href="{path}">{found["text"]}</a>'


def copy_reports(source: Path, target: Path) -> list[str]:
    """Copy what a reader of the site opens, and return the names of the reports.

    Args:
        source: the folder of the reports.
        target: the folder of the page on the site.
    """
    for report in sorted(source.glob("*/report.html")):
        for pattern in COPIED:
            for path in report.parent.glob(pattern):
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return sorted(path.parent.name for path in source.glob("*/report.html"))


def _read(app: Sphinx, name: str, text: list[str]) -> None:
    """Change the source of the page before it is read."""
    if name == PAGE:
        text[0] = on_the_site(text[0])


def _copy(app: Sphinx) -> None:
    if app.builder.format == "html":
        place = PLACE / REPORTS
        copy_reports(Path(app.srcdir) / place, Path(app.outdir) / place)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the changes."""
    app.connect("source-read", _read)
    app.connect("builder-inited", _copy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
