import math

import pytest

from analysis.document.blocks import Figure, Table
from analysis.questions.sensitivity.spreads import spreads
from analysis.report.findings import Findings
from analysis.report.sections.configurations import section
from tests.analysis.planted_sensitivity import DEFAULT, study, trial
from tune_ad.storage.metric import TEST_AUROC, VALIDATION_AUROC

SEARCHED = ("strong", "weak", "choice", "idle")


def varied(number, auroc, **changes):
    params = {**{name: DEFAULT[name] for name in SEARCHED}, "strong": 0.1 * number}
    return trial(number, params, [auroc], **changes)


@pytest.fixture
def planted():
    lost = varied(4, 0.1, state="failed")
    return study([*(varied(k, 0.5 + 0.1 * k) for k in range(4)), lost])


def test_quartiles_default_and_choice(planted):
    (spread,) = spreads(planted)
    summary = spread.summary()
    assert (summary["min"], summary["median"], summary["max"]) == pytest.approx((0.5, 0.65, 0.8))
    assert (summary["quartile 1"], summary["quartile 3"]) == pytest.approx((0.575, 0.725))
    assert summary["std"] == pytest.approx(math.sqrt(0.05 / 3))
    assert (spread.default, spread.chosen) == pytest.approx((0.5, 0.8))


def test_the_section_counts_what_is_left_out(planted):
    figure, table = section(Findings(planted)).blocks
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    assert "PGN: 1 failed" in table.caption
    assert str(table.shown["mean ± std over configurations"].iloc[0]) == "65.0 ± 12.9"
    assert str(table.shown["default"].iloc[0]) == "50.0"
    assert table.data["n"].tolist() == [4]
    figure.draw().canvas.draw()


def test_baselines_side_by_side(planted):
    other = [varied(k + 5, 0.3 + 0.1 * k, baseline="AE") for k in range(3)]
    both = study([*planted.trials, *other], baselines=("PGN", "AE"))
    figure, table = section(Findings(both)).blocks
    assert table.data["baseline"].tolist() == ["PGN", "AE"]
    assert math.isnan(table.data["default"].iloc[1]), "AE's default was not among its trials"
    assert len(figure.draw().axes[0].get_legend().get_texts()) == 2


def test_without_a_spread_there_is_nothing_to_show():
    assert section(Findings(study())) is None
    assert section(Findings(study([varied(0, 0.5)]))) is None
    assert section(Findings(study([varied(k, 0.5, state="failed") for k in range(3)]))) is None


def test_it_is_of_test_auroc_whatever_the_rule_and_nothing_may_be_chosen_from_it(planted):
    for record in planted.trials:
        validation = record.metrics[VALIDATION_AUROC]
        record.metrics[VALIDATION_AUROC] = [1 - value for value in validation]
    lost = varied(5, 0.05)
    del lost.metrics[TEST_AUROC]
    larger = study([*planted.trials, lost])
    (spread,) = spreads(larger)
    assert spread.observations.response.name == "test AUROC"
    assert spread.chosen == pytest.approx(0.5), "the rule took the best by validation"
    assert spread.summary()["max"] == pytest.approx(0.8)
    figure, table = section(Findings(larger)).blocks
    assert "Do not pick parameters from this figure" in figure.caption
    assert "Do not pick parameters from it" in table.caption
    assert "1 without a response" in table.caption


def test_where_nothing_is_tested_it_is_what_the_rule_sees():
    untested = study([varied(k, 0.5 + 0.1 * k, tested=False) for k in range(3)])
    assert "Distribution of validation AUROC" in section(Findings(untested)).blocks[1].caption


def test_the_gap_between_the_search_and_fresh_seeds_is_explained(planted):
    fresh = [varied(0, 0.6, identity="id3")]
    again = study(planted.trials, fresh)
    *_, note = section(Findings(again)).blocks
    assert note.text.startswith("The winner has a test AUROC of 80.0 % on the seeds of the search")
    assert "and of 60.0 % (n = 1 seed, no interval) on fresh seeds" in note.text
    assert "The first is of the models by which the configuration was chosen" in note.text
