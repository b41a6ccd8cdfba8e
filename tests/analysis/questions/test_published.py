"""Published tables: read whole, and refused where they cannot be right."""

import math
from collections import Counter
from dataclasses import fields

import pytest

from analysis.questions.claims.published import MEAN, READ, read_table, tables
from tune_ad.detectors import every_detector
from tune_ad.detectors.nets import ImageShape
from tune_ad.search import PAPER, Baseline

WHOLE = """
title = "t"
source = "s"
seeds = 10
unit = "per cent"
classes = 10
missing = ""
[[methods]]
name = "A"
detector = "AE"
read = "printed"
[[rows]]
data_set = "mnist"
class = "0"
label = "0"
mean = { A = 91.3 }
std = { A = 1.8 }
"""


@pytest.fixture(scope="module")
def stored():
    return {table.name: table for table in tables()}


def by_method(table, data_set, class_name="", outsider=""):
    """The cells of a row by the name of the method."""
    row = (data_set, class_name, outsider)
    cells = [c for c in table.cells if (c.data_set, c.class_name, c.outsider) == row]
    return {cell.method.name: cell for cell in cells}


def test_every_cell_has_a_source_and_stands_once(stored):
    assert {"pgn_table1", "pgn_table2", "deep_svdd_table1", "ood"} <= stored.keys()
    for table in stored.values():
        assert table.source
        assert table.missing
        keys = Counter((c.data_set, c.class_name, c.outsider, c.method.name) for c in table.cells)
        assert max(keys.values()) == 1
        assert {cell.read for cell in table.cells} <= set(READ)


@pytest.mark.parametrize("data_set", ["mnist", "cifar10"])
def test_means_of_ruff_are_those_of_the_rows(stored, data_set):
    table = stored["deep_svdd_table1"]
    means = by_method(table, data_set, MEAN)
    assert len(means) == 7
    for name, cell in means.items():
        rows = [by_method(table, data_set, str(k))[name].mean for k in range(table.classes)]
        assert cell.mean == pytest.approx(sum(rows) / 10, abs=0.0005 + 1e-9)


def test_known_numbers(stored):
    two = by_method(stored["pgn_table1"], "mnist", "2")["PGN"]
    assert (two.mean, two.std) == (pytest.approx(0.913), pytest.approx(0.018))
    assert (two.method.detector, stored["pgn_table1"].seeds) == ("PGN", 10)
    averages = by_method(stored["pgn_table2"], "cifar10", MEAN)
    assert averages["PGN"].mean == pytest.approx(0.644)
    assert math.isnan(averages["PGN"].std)
    shallow = by_method(stored["deep_svdd_table1"], "mnist", MEAN)["OC-SVM"]
    assert (shallow.method.detector, shallow.mean) == ("OCSVM", pytest.approx(0.913))
    against_svhn = by_method(stored["ood"], "cifar10", outsider="svhn")
    assert against_svhn["VAE ELBO"].mean == pytest.approx(0.08)


def test_all_printed_cells_are_there_and_their_averages_recompute(stored):
    cells = [c for n in ("pgn_table1", "pgn_table2") for c in stored[n].cells]
    rows = [cell for cell in cells if cell.class_name != MEAN]
    assert len(rows) == 180
    assert not any(math.isnan(cell.std) for cell in rows)
    means = [cell for cell in cells if cell.class_name == MEAN]
    assert len(means) == 18
    for mean in means:
        of_it = [c.mean for c in rows if (c.data_set, c.method) == (mean.data_set, mean.method)]
        assert len(of_it) == 10
        assert mean.mean == pytest.approx(sum(of_it) / 10, abs=0.0005 + 1e-9)


@pytest.mark.parametrize(
    ("name", "shape"), [("pgn_table1", (1, 28, 28)), ("pgn_table2", (3, 32, 32))]
)
def test_the_paper_budget_is_the_published_code_in_all_settings_with_an_effect(
    stored, name, shape
):
    detectors = every_detector()
    for method in {id(c.method): c.method for c in stored[name].cells}.values():
        if method.differs:
            continue
        detector, image_shape = detectors[method.detector], ImageShape(*shape)
        config = Baseline(detector).with_defaults(PAPER.settings).config(image_shape, {})
        last = {key: values[-1] for key, values in method.settings.items()}
        assert {key: getattr(config, key) for key in last} == last
        needed = {
            key
            for key, rule in config.rules().items()
            if all(getattr(config, other) == value for other, value in rule.when.items())
        }
        assert method.settings.keys() | method.where.keys() >= needed


def test_only_this_projects_detectors_and_their_parameters_are_named(stored):
    detectors = every_detector()
    for method in {id(c.method): c.method for t in stored.values() for c in t.cells}.values():
        if method.detector:
            parameters = {field.name for field in fields(detectors[method.detector].Config)}
            assert set(method.where) <= parameters
    named = {cell.method.detector for table in stored.values() for cell in table.cells}
    assert named - {""} == set(detectors), "every detector has a published number beside it"


def test_a_whole_table_is_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(WHOLE)
    (cell,) = read_table(path).cells
    assert (cell.data_set, cell.class_name, cell.outsider) == ("mnist", "0", "")
    assert (cell.mean, cell.std) == (pytest.approx(0.913), pytest.approx(0.018))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('unit = "per cent"', 'unit = "percent"', "unit must be one of"),
        ('unit = "per cent"', 'unit = "fraction"', "is no AUROC"),
        ("mean = { A = 91.3 }", "mean = { B = 91.3 }", "no such method"),
        ("std = { A = 1.8 }", "std = { A = -1.8 }", "is no AUROC"),
        ('read = "printed"', 'read = "guessed"', "read must be one of"),
        ("seeds = 10", "", "lacks seeds"),
        (
            "[[rows]]",
            '[[rows]]\ndata_set = "mnist"\nclass = "0"\nlabel = "0"\nmean = { A = 1.0 }\n[[rows]]',
            "twice",
        ),
        ('data_set = "mnist"', "", "lacks data_set"),
        ('class = "0"', "", "exactly one of class and outsider"),
        ('class = "0"', 'class = "0"\noutsider = "svhn"', "exactly one of class and outsider"),
        ('class = "0"', 'class = "zero"', "number as text or 'mean', got 'zero'"),
        ('class = "0"', "class = 0", "number as text or 'mean', got 0"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, old, new, reason):
    path = tmp_path / "x.toml"
    path.write_text(WHOLE.replace(old, new))
    with pytest.raises(ValueError, match=reason):
        read_table(path)
