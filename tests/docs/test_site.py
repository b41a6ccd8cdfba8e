"""The site is built without a warning, loads nothing from the network, and has no dead link."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import tune_ad
from tune_ad.app.command_line.options import OPTIONS
from tune_ad.search import catalogue

PROJECT = Path(tune_ad.__file__).parents[1]
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
    "embed": "src",
    "link": "href",
}
"""The attribute by which an element loads something."""
NOT_LOADED = {"index", "search", "next", "prev", "genindex", "canonical"}
IN_STYLES = re.compile(r"(?:url\(|@import)\s*['\"]?\s*([^'\")\s]+)")
pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page loads and links to, its anchors and its text."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.anchors, self.words = [], [], set(), []
        self.formulas = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.formulas += tag == "math"
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif given.get(LOADS.get(tag, "")) and given.get("rel") not in NOT_LOADED:
            self.loads.append(given[LOADS[tag]])
        self.loads += IN_STYLES.findall(given.get("style") or "")

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = f"-m sphinx -W --keep-going -q -j 2 -b html -c docs -d {folder / 'trees'} ."
    built = subprocess.run(
        [sys.executable, *command.split(), str(folder / "html")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert built.stderr == ""
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    """Every page of the site, without the copied reports, by its path."""
    reports = site / "docs" / "results" / "reports"
    paths = [p for p in site.rglob("*.html") if reports not in p.parents]
    return {path: Page(path.read_text(encoding="utf-8")) for path in paths}


def test_no_page_loads_anything_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert not [url for url in page.loads if is_elsewhere(url)], path
        styles = [url for url in page.loads if urlsplit(url).path.endswith(".css")]
        assert styles or path == site / "index.html", path
    for path in site.rglob("*.css"):
        urls = IN_STYLES.findall(path.read_text(encoding="utf-8"))
        assert not [url for url in urls if is_elsewhere(url)], path


def test_no_script_is_from_elsewhere(site):
    """No script loads another one, and no formula needs one."""
    texts = {p: p.read_text(encoding="utf-8") for p in site.rglob("*.js")}
    assert texts
    for path, text in texts.items():
        assert "cdn." not in text and "mathjax" not in path.name.lower(), path


def is_elsewhere(url):
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def test_every_link_inside_the_site_leads_somewhere(site, pages):
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.relative_to(site)} links to {link}"
            if parts.fragment and target in pages:
                anchors = pages[target].anchors
                assert unquote(parts.fragment) in anchors, f"{path.relative_to(site)}: {link}"


def text_of(pages, site, name):
    return " ".join(" ".join(pages[site / "docs" / name].words).split())


def test_every_search_and_every_option_is_in_its_table(site, pages):
    searches = text_of(pages, site, "reference/searches.html")
    own = [name for name, entry in catalogue.entries().items() if not entry.source.package]
    assert len(own) > 50
    assert [name for name in own if name not in searches] == []
    options = text_of(pages, site, "reference/options.html")
    assert [o.flag for o in OPTIONS.values() if o.flag not in options] == []


def test_formulas_are_drawn_by_the_browser(site, pages):
    for name in ("selection", "regret", "intervals", "exact_dropout", "likelihoods"):
        page = pages[site / "docs" / "concepts" / f"{name}.html"]
        assert page.formulas >= 3, name
    assert pages[site / "docs/reference/api/detectors.html"].formulas > 20
    left = [
        path
        for path, page in pages.items()
        if re.search(r"\$\\|\\frac|\\sum", "".join(page.words))
    ]
    assert left == []


def test_the_page_of_results_leads_to_the_reports(site, pages):
    page = site / "docs" / "results" / "README.html"
    links = pages[page].links
    for report in sorted((PROJECT / "docs" / "results" / "reports").iterdir()):
        place = f"reports/{report.name}/report.html"
        assert place in links
        assert (page.parent / place).read_bytes() == (report / "report.html").read_bytes()
    assert not [link for link in links if "records/" in link or link.endswith(".md")]


def test_the_first_page_leads_to_the_site(site, pages):
    assert pages[site / "index.html"].links == ["docs/index.html"]
