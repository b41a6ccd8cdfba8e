"""The code of docs/python.md runs as it stands."""

import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import tune_ad
from analysis import frame
from docs.site import options
from tests.conftest import make_record
from tune_ad.app.command_line.options import OPTIONS
from tune_ad.detectors import every_detector
from tune_ad.selection import RULES

PAGE = Path(tune_ad.__file__).parents[1] / "docs" / "python.md"
ANALYSIS = PAGE.with_name("analysis.md")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.slow
def test_every_block_of_the_page_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)  # the page is ours
    plt.close("all")
    printed = capsys.readouterr().out
    assert "3 of 3 trials complete" in printed
    assert "PGN (" in printed and "test AUROC" in printed
    assert names["scores"].shape == (5,)
    assert (tmp_path / "results" / "mine" / "report.html").is_file()
    assert names["other"].winner.params["latent_dim"] in (16, 32)


def test_the_page_names_detectors_and_columns_that_there_are():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*`) \| (?:yes|no) ", text, re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) >= 9 and named <= set(every_detector())
    record = make_record(metrics={"test_auroc": [0.5]})
    columns = [name for name in frame.trials([record]) if "." not in name and name not in RULES]
    assert {"validation_auroc", "test_auroc", "objective"} < set(columns)
    described = ANALYSIS.read_text(encoding="utf-8")
    assert [name for name in columns if f"`{name}`" not in described] == []
    assert [name for name in frame.FIRST if f"`{name}`" not in text] == []


def test_the_page_and_that_of_options_name_the_keywords_that_differ_from_their_options():
    others = {n: o for n, o in OPTIONS.items() if f"--{n.replace('_', '-')}" != o.flag}
    assert {"settings": "--set", "progress": "--quiet"}.items() <= {
        name: option.flag for name, option in others.items()
    }.items()
    page = PAGE.read_text(encoding="utf-8")
    for name, option in others.items():
        typed = f"{name}=False" if option.switch else name
        assert f"`{typed}` (`{option.flag}`)" in " ".join(page.split()), name
        assert re.search(rf"\| `{option.flag}\b[^|]*\| `{name}=", options.keywords()), name


@pytest.fixture(autouse=True)
def without_notes_on_few_images():
    """The budgets of the page are too small for a rate of 5 %."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "too few images for a false-alarm rate")
        yield
