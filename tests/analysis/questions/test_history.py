"""The optimisation history: what is drawn of each trial, and when there is none."""

import math

import pytest

from analysis.questions.progress.history import draw_history, history
from analysis.report.findings import Findings
from analysis.report.sections import optimisation_history
from tests.analysis.planted_sensitivity import noted, study, trial

ADAPTIVE = {"plan": {"name": "Optuna"}}


def planted(**search):
    """Two start-up trials, an adaptive one that failed, a pruned one and the best."""
    trials = [
        trial(0, {"strong": 0.1}, [0.6]),
        trial(1, {"strong": 0.9}, [0.7]),
        trial(2, {"strong": 0.2}, [0.9], state="failed", objective=None, reason="loss is nan"),
        trial(
            3,
            {"strong": 0.3},
            [0.9],
            state="pruned",
            objective=None,
            reports=[(1, 0.4), (2, 0.5), (3, None)],
        ),
        trial(4, {"strong": 0.8}, [0.8]),
        trial(5, {"strong": 0.7}, [0.75]),
    ]
    return noted(study(trials, **{**ADAPTIVE, **search}), 2)


def test_proposals_and_ends_are_told_apart():
    course = history(planted())
    assert [t.proposal for t in course.trials] == ["start-up"] * 2 + ["adaptive"] * 4
    assert [t.number for t in course.of("complete", "adaptive")] == [4, 5]
    assert [t.number for t in course.of("failed")] == [2]
    assert math.isnan(course.trials[2].objective), "a failure has no value, whatever it reported"
    assert [t.objective for t in course.of("pruned")] == [0.5], "the last value that it reported"


def test_the_best_so_far_counts_complete_trials_alone():
    best = [t.best for t in history(planted()).trials]
    assert best == pytest.approx([0.6, 0.7, 0.7, 0.7, 0.8, 0.8])


def test_what_it_says_names_the_best_and_both_kinds():
    text = history(planted()).described()
    assert "Best: trial 4, adaptive, 80.0 %." in text
    assert "65.0 % on average for the 2 complete start-up trials" in text
    assert "77.5 % on average for the 2 complete adaptive trials" in text


def test_a_reader_who_points_at_a_trial_sees_its_value_and_why_it_failed():
    course = history(planted())
    assert course.text_of(course.trials[1]) == (
        "trial 1 (start-up): validation AUROC 70.0 %; strong = 0.9"
    )
    assert "failed (loss is nan)" in course.text_of(course.trials[2])
    assert "50.0 % when it was pruned" in course.text_of(course.trials[3])


def test_plans_that_fix_their_trials_have_no_adaptive_ones():
    fixed = study(planted().trials, plan={"name": "Sobol"}, chooses=True)
    fixed.stored["study"]["chooses"] = True
    assert {t.proposal for t in history(fixed).trials} == {"fixed"}


@pytest.mark.parametrize("rule", ["random", "pseudo_outliers"])
def test_no_history_of_what_was_not_measured(rule):
    assert history(planted(selection=rule)) is None


def test_no_history_of_one_trial_or_where_nothing_is_selected():
    assert history(noted(study([trial(0, {"strong": 0.1}, [0.6])], **ADAPTIVE), 2)) is None
    listed = planted()
    listed.stored["study"]["chooses"] = False
    assert history(listed) is None
    assert optimisation_history.section(Findings(listed)) is None


def test_a_trial_far_below_the_others_does_not_flatten_them():
    trials = [trial(k, {"strong": k / 10}, [0.9 + k / 1000]) for k in range(9)]
    wild = [*trials, trial(9, {"strong": 1.0}, [0.1])]
    course = history(noted(study(wild, **ADAPTIVE), 2))
    assert course.is_cut and course.limits()[0] > 0.85
    assert not history(noted(study(trials, **ADAPTIVE), 2)).is_cut
    section = optimisation_history.section(Findings(noted(study(wild, **ADAPTIVE), 2)))
    assert "lower edge" in section.blocks[-1].caption


def test_every_trial_is_drawn_with_its_number():
    sheet = draw_history(history(planted()))
    numbers = [n for described in sheet.described.values() for n in described.trials]
    assert sorted(numbers) == [0, 1, 2, 3, 4, 5]


def test_the_caption_explains_only_what_is_there():
    section = optimisation_history.section(Findings(planted()))
    caption = section.blocks[-1].caption
    assert "1 pruned trial" in caption and "1 failed trial" in caption and "Triangles" in caption
    whole = noted(study(planted().trials[:2], **ADAPTIVE), 2)
    caption = optimisation_history.section(Findings(whole)).blocks[-1].caption
    assert "pruned" not in caption and "failed" not in caption
