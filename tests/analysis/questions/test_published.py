"""Published tables: read whole, and refused where they cannot be right."""

import math
from collections import Counter
from dataclasses import fields

import pytest

from analysis.questions.claims.published import READ, read_table, tables
from tune_ad.detectors import every_detector

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
task = "mnist/0"
label = "0"
mean = { A = 91.3 }
std = { A = 1.8 }
"""


@pytest.fixture(scope="module")
def stored():
    return {table.name: table for table in tables()}


def found(table, task):
    return {cell.method.name: cell for cell in table.cells if cell.task == task}


def test_every_cell_has_a_source_and_stands_once(stored):
    assert {"pgn_table1", "pgn_table2", "deep_svdd_table1", "ood"} <= stored.keys()
    for table in stored.values():
        assert table.source
        assert table.missing
        assert max(Counter((c.task, c.method.name) for c in table.cells).values()) == 1
        assert {cell.read for cell in table.cells} <= set(READ)


@pytest.mark.parametrize("data_set", ["mnist", "cifar10"])
def test_means_of_ruff_are_those_of_the_rows(stored, data_set):
    table = stored["deep_svdd_table1"]
    means = found(table, f"{data_set}/mean")
    assert len(means) == 7
    for name, cell in means.items():
        rows = [found(table, f"{data_set}/{k}")[name].mean for k in range(table.classes)]
        assert cell.mean == pytest.approx(sum(rows) / 10, abs=0.0005 + 1e-9)


def test_known_numbers(stored):
    two = found(stored["pgn_table1"], "mnist/2")["PGN"]
    assert (two.mean, two.std) == (pytest.approx(0.913), pytest.approx(0.018))
    assert (two.method.detector, stored["pgn_table1"].seeds) == ("PGN", 10)
    averages = found(stored["pgn_table2"], "cifar10/mean")
    assert averages["PGN"].mean == pytest.approx(0.644)
    assert math.isnan(averages["PGN"].std)
    shallow = found(stored["deep_svdd_table1"], "mnist/mean")["OC-SVM"]
    assert (shallow.method.detector, shallow.mean) == ("OCSVM", pytest.approx(0.913))
    assert found(stored["ood"], "cifar10-vs-svhn")["VAE ELBO"].mean == pytest.approx(0.08)


def test_only_this_projects_detectors_and_their_parameters_are_named(stored):
    known = every_detector()
    for method in {id(c.method): c.method for t in stored.values() for c in t.cells}.values():
        if method.detector:
            parameters = {each.name for each in fields(known[method.detector].Config)}
            assert set(method.where) <= parameters
    named = {cell.method.detector for table in stored.values() for cell in table.cells}
    assert named - {""} == set(known), "every detector has a published number beside it"


def test_a_whole_table_is_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(WHOLE)
    (cell,) = read_table(path).cells
    assert (cell.mean, cell.std) == (pytest.approx(0.913), pytest.approx(0.018))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('unit = "per cent"', 'unit = "percent"', "unit must be one of"),
        ('unit = "per cent"', 'unit = "fraction"', "is no AUROC"),
        ("mean = { A = 91.3 }", "mean = { B = 91.3 }", "no such method"),
        ("std = { A = 1.8 }", "std = { A = -1.8 }", "is no AUROC"),
        ('read = "printed"', 'read = "guessed"', "read must be one of"),
        ("seeds = 10", "", "lacks seeds"),
        (
            "[[rows]]",
            '[[rows]]\ntask = "mnist/0"\nlabel = "0"\nmean = { A = 1.0 }\n[[rows]]',
            "twice",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, old, new, said):
    path = tmp_path / "x.toml"
    path.write_text(WHOLE.replace(old, new))
    with pytest.raises(ValueError, match=said):
        read_table(path)
