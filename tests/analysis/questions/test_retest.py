"""Tests of the printed numbers of the PGN paper, against values computed independently."""

import pytest

from analysis.questions.claims.published.retest import retest
from analysis.report.findings import Findings
from analysis.report.printed import PAGE, page, pgn_retest, pgn_tables, retest_blocks
from analysis.report.sections import printed as part
from tests.analysis.planted import study


@pytest.fixture(scope="module")
def found():
    return pgn_retest()


def against(found, name, data_set=""):
    (opponent,) = [o for o in found.opponents if (o.name, o.data_set) == (name, data_set)]
    return opponent


def test_friedman_and_the_mean_ranks(found):
    assert found.tasks == 30
    assert found.chi2 == pytest.approx(56.45, abs=0.01)
    expected = {"PGN": 1.80, "DSVDD": 2.65, "AE": 3.53, "AAE": 3.88, "VAE": 4.07, "GPND": 5.07}
    assert list(found.ranks) == list(expected)
    assert found.ranks == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("data_set", "difference", "p"),
    [("mnist", 1.18, 0.004), ("fashion_mnist", 0.01, 0.95), ("cifar10", 2.67, 0.43)],
)
def test_pgn_and_deep_svdd_by_data_set(found, data_set, difference, p):
    opponent = against(found, "DSVDD", data_set)
    assert 100 * opponent.difference == pytest.approx(difference, abs=0.005)
    assert opponent.p == pytest.approx(p, abs=0.05)  # tied differences are counted as ties here
    assert (opponent.p < 0.05) == (p < 0.05)


def test_cells_by_welch(found):
    opponent = against(found, "DSVDD")
    assert opponent.n == 30
    assert (opponent.better, opponent.better_holm) == (12, 3)
    assert (opponent.worse, opponent.worse_holm) == (0, 0)


def test_holm_is_over_the_methods_on_the_same_tasks(found):
    for data_set in ("", "mnist", "fashion_mnist", "cifar10"):
        family = [o for o in found.opponents if o.data_set == data_set]
        assert len(family) == 5
        smallest = min(family, key=lambda o: o.p)
        assert smallest.adjusted == pytest.approx(5 * smallest.p)
        assert all(o.adjusted >= o.p for o in family)


def test_missing_cells_are_refused():
    table = pgn_tables()[0]
    with pytest.raises(ValueError, match="is missing"):
        retest([table._replace(cells=table.cells[1:])], "PGN")


def test_the_page_is_the_one_in_the_documentation():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m analysis.report.printed"


def test_the_correlation_of_classes_is_said_under_the_tests():
    *_, last = retest_blocks()
    assert last.kind == "warning" and "not ten independent data sets" in last.text


def test_a_study_without_results_for_the_tables_has_no_such_section(tmp_path):
    assert part.section(Findings(study(tmp_path))) is None
