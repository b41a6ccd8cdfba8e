"""The parts of pages that are made from the code say what the code declares."""

from dataclasses import dataclass, fields

import pytest

from docs.site import options, records, searches
from docs.site.docstrings import as_restructured_text, with_literal_blocks
from docs.site.markdown import attributes, table
from docs.site.mathml import mathml
from docs.site.results import copy_reports
from docs.site.tables import PARTS
from tests.docs import running
from tests.docs.blocks import Block
from tune_ad.app.command_line.options import OPTIONS
from tune_ad.detectors import every_detector
from tune_ad.search.budgets import BUDGETS
from tune_ad.storage.records import TrialRecord

CHEAP = [name for name in PARTS if name != "searches"]


@pytest.mark.parametrize("name", CHEAP)
def test_a_part_has_rows_of_equal_length_and_no_empty_table(name):
    text = PARTS[name]()
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert tables or name in ("verdict rules", "files of a study")
    for block in tables:
        lines = block.splitlines()
        assert len(lines) > 2
        bars = {line.replace(r"\|", "").count("|") for line in lines}
        assert len(bars) == 1, block


def test_every_field_of_a_record_has_a_type_and_a_meaning():
    described = attributes(TrialRecord)
    assert list(described) == [entry.name for entry in fields(TrialRecord)] or set(described) == {
        entry.name for entry in fields(TrialRecord)
    }
    text = records.trials()
    assert all(f"| `{name}` |" in text for name in described)
    assert "typing" not in text


def test_every_hyperparameter_has_a_meaning():
    for detector in every_detector().values():
        described = attributes(detector.Config)
        missing = [e.name for e in fields(detector.Config) if not described.get(e.name)]
        assert missing == [], detector.__name__


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("budget", "`auto`, `quick`, `standard`, `paper`"),
        ("retries", "0 to 1,000"),
        ("false_alarms", "above 0, up to 0.5"),
        ("time_budget", "above 0, up to 1,000,000 minutes"),
        ("data", ""),
    ],
)
def test_the_legal_values_of_an_option(name, legal):
    assert options.legal(OPTIONS[name]) == legal


def test_the_cost_of_a_search_follows_from_its_budget():
    quickstart = next(f for f in searches.families() if f.title == "quickstart")
    studies = {name: searches.study(quickstart, "digits", name) for name in BUDGETS}
    costs = {name: searches.training_operations(study) for name, study in studies.items()}
    images = {name: searches.sizes(study).train for name, study in studies.items()}
    models = {"quick": 57, "standard": 1300, "paper": 100}
    epochs = {"quick": 84, "standard": 100, "paper": 100}
    units = {n: costs[n] / (images[n] * models[n] * epochs[n]) for n in BUDGETS}
    assert units["quick"] == pytest.approx(units["standard"])
    assert units["quick"] == pytest.approx(units["paper"])


def test_a_table_escapes_bars_and_newlines():
    assert table(["a"], [["x|y\nz"]]).splitlines()[-1] == r"| x\|y z |"


def test_attributes_of_a_base_class_are_described():
    @dataclass
    class Base:
        """A.

        Attributes:
            a: one,
                on two lines.
        """

        a: int

    @dataclass
    class Derived(Base):
        """B.

        Attributes:
            b: two.
        """

        b: int

    assert attributes(Derived) == {"a": "one, on two lines.", "b": "two."}


def test_docstrings_keep_code_and_lose_what_means_something_else():
    lines = as_restructured_text(
        ["by softmax$(a)$ of |x|, fit_ and `fit_|`", "", ">>> 1 | 2", "3"]
    )
    assert lines[0] == r"by softmax\ :math:`(a)` of \|x\|, fit\_ and `fit_|`"
    assert lines[2:] == [">>> 1 | 2", "3"]
    assert with_literal_blocks(["A.", "", "    b", "    c", "", "D."])[2:4] == ["::", ""]


def test_a_formula_is_mathml():
    assert mathml(r"\frac12 \lVert x \rVert^2", "inline").startswith("<math")
    assert mathml(r"d \ln 2", "inline").count("<mspace") == 2
    assert "<mspace" not in mathml(r"\log(x)", "block")
    with pytest.raises(ValueError, match=r"has \\nonsense, which cannot be drawn"):
        mathml(r"\nonsense x", "inline")


def test_the_reports_of_results_are_copied_with_what_a_page_needs(tmp_path):
    report = tmp_path / "reports" / "mine"
    for name in ("report.html", "report.md", "figures/loss.svg", "figures/loss.pdf"):
        (report / name).parent.mkdir(parents=True, exist_ok=True)
        (report / name).write_text(name)
    assert copy_reports(tmp_path / "reports", tmp_path / "site") == ["mine"]
    copied = {path.name for path in (tmp_path / "site" / "mine").rglob("*.*")}
    assert copied == {"report.html", "loss.svg"}


@pytest.mark.parametrize(
    ("typed", "run"),
    [
        ("--search quickstart", "--epochs 2 --train-images 60 --evaluation-seeds 2 --classes 0"),
        ("--search quickstart --trials 9", "--trials 2 --backend serial"),
        ("--search quickstart --extend 20", "--extend 1 --backend serial"),
        ("--search pgn_mnist --budget paper", "--seeds 1"),
    ],
)
def test_commands_of_pages_are_made_cheap(typed, run):
    words = " ".join(running.cheap(typed.split()))
    assert all(part in words for part in run.split(" --"))
    assert running.cheap(["--list"]) == ["--list"]


def test_comments_and_continued_lines_of_commands():
    block = Block(
        "p.md", 1, "bash", "# all\npython run.py --search a \\\n  --trials 2  # two\n\n", None
    )
    (command,) = running.commands(block)
    assert running.words_of(command) == ["--search", "a", "--trials", "2"]
    assert running.words_of("ls") is None
