"""Parallel coordinates: positions on the axes, and which lines stand out."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from analysis.questions.sensitivity import parallel
from analysis.questions.sensitivity.observations import observations
from analysis.report.findings import Findings
from analysis.report.sections import parallel_coordinates
from tests.analysis.planted_sensitivity import additive, sampled, study, trial


def test_positions_follow_the_scale_of_the_search():
    rows = [
        {"strong": 0.0, "weak": 1e-4, "choice": "low", "idle": 1},
        {"strong": 0.5, "weak": 1e-1, "choice": "high", "idle": 9},
        {"strong": 1.0, "weak": 10**-2.5, "choice": "low", "idle": 5},
    ]
    trials = [trial(k, row, [0.5 + k / 10]) for k, row in enumerate(rows)]
    found = parallel.coordinates(observations(study(trials), "PGN"))
    assert found.observations.names == ["strong", "weak", "choice", "idle"]
    expected = [[0, 0, 0, 0, 0], [0.5, 1, 1, 1, 0.5], [1, 0.5, 0, 0.5, 1]]
    assert found.positions == pytest.approx(np.array(expected, dtype=float))
    assert found.ranks == pytest.approx([0, 0.5, 1])


def test_equal_values_share_a_rank():
    trials = [
        trial(k, {"strong": k / 9, "weak": 0.01 * (k + 1) / 10, "choice": "low", "idle": 1}, [v])
        for k, v in enumerate([0.5, 0.7, 0.7, 0.9])
    ]
    ranks = parallel.coordinates(observations(study(trials), "PGN")).ranks
    assert ranks[1] == ranks[2] and ranks[0] == 0 and ranks[3] == 1


@pytest.mark.parametrize(
    ("distribution", "labels"),
    [
        (CategoricalDistribution([8, None, "a very long choice"]), ["8", "None", "a very long…"]),
        (FloatDistribution(1e-5, 1e-2, log=True), ["1e-05", "0.0001", "0.001", "0.01"]),
        (FloatDistribution(0.2, 0.7, log=True), ["0.2", "0.7"]),
        (FloatDistribution(0.1, 0.7), ["0.1", "0.4", "0.7"]),
        (IntDistribution(1, 9), ["1", "5", "9"]),
    ],
)
def test_ticks_name_values_within_the_range(distribution, labels):
    ticks = parallel.ticks(distribution)
    assert [label for _, label in ticks] == labels
    assert all(-1e-9 <= position <= 1 + 1e-9 for position, _ in ticks)


def test_a_thousand_trials_have_few_that_stand_out_and_each_its_number(monkeypatch):
    monkeypatch.setattr(parallel, "MOST_LINES", 30)
    found = parallel.coordinates(observations(sampled(additive, n=50), "PGN"))
    assert (found.observations.n, found.left_out, found.best) == (30, 20, 3)
    sheet = parallel.draw_parallel(found)
    lines, points = sheet.described.values()
    assert len(set(lines.trials)) == 30 and lines.trials == points.trials
    best = max(range(30), key=lambda k: found.observations.values[k])
    assert lines.trials[-1] == found.observations.params.index[best], "the best on top"
    assert f"trial {lines.trials[-1]}: " in lines.texts[-1] and "strong = " in lines.texts[-1]


def test_the_caption_says_which_lines_are_thick():
    few, many = (
        parallel_coordinates.section(Findings(sampled(additive, n=n))).blocks[0].caption
        for n in (12, 40)
    )
    assert "the best one thick" in few and "thick lines" not in few
    assert "thick: the best 4" in many and "Where thick lines" in many
    assert "in every figure that shows trials" in few


def test_no_figure_of_one_parameter_two_trials_or_single_changes():
    one = {"strong": FloatDistribution(0.0, 1.0)}
    assert parallel.coordinates(observations(sampled(additive_of_one, space=one), "PGN")) is None
    assert parallel.coordinates(observations(sampled(additive, n=2), "PGN")) is None
    single = study(sampled(additive, n=9).trials, plan={"name": "OneAtATime", "points": 3})
    assert parallel_coordinates.section(Findings(single)) is None


def additive_of_one(params):
    return 0.6 + 0.2 * params["strong"]


def test_equal_responses_are_no_error():
    trials = [
        trial(k, {"strong": k / 9, "weak": 0.01 * (k + 1) / 10, "choice": "low", "idle": 1}, [0.7])
        for k in range(5)
    ]
    found = parallel.coordinates(observations(study(trials), "PGN"))
    assert set(found.positions[:, -1]) == {0.5} and set(found.ranks) == {0.0}
    assert parallel.draw_parallel(found).axes
