"""The verdict on the rate alone, from planted results."""

import pytest

from analysis.questions.rate_ranking import rate_rankings, verdict
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections.rate_ranking import section
from analysis.stats.estimates import estimate
from tests.analysis.planted import record, study
from tune_ad.storage.metric import TEST_AUROC, ScoreVariant


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.6, 0.62, 0.64), "ranks anomalies"),
        ((0.4, 0.38, 0.36), "ranks them backwards"),
        ((0.4, 0.5, 0.6), "inconclusive"),
        ((0.9, 0.91), "inconclusive"),
        ((0.9,), "inconclusive"),
        ((), "inconclusive"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_chance(values, expected):
    assert verdict(estimate(values)) == expected


def planted(path, component):
    trial = record(0, {"width": 1.0}, (0.8, 0.8, 0.8))
    values = [0.3, 0.4, 0.32, 0.38, 0.34, 0.36]
    trial.variants[ScoreVariant.of_component(component)] = {TEST_AUROC: values}
    return study(path, [trial], quotes="single")


def test_the_rate_is_taken_from_the_components_of_the_score(tmp_path):
    for name in ("rate", "kl"):
        ours = planted(tmp_path / name, name)
        (ranking,) = rate_rankings(results(ours))
        assert ranking.rate.mean == pytest.approx(0.35)
        assert ranking.score.mean == pytest.approx(0.8)
        assert ranking.verdict == "ranks them backwards"
        (table,) = section(Findings(ours)).blocks
        assert table.stored["verdict"].tolist() == ["ranks them backwards"]


def test_without_a_rate_there_is_no_section(tmp_path):
    assert section(Findings(planted(tmp_path, "distortion"))) is None
