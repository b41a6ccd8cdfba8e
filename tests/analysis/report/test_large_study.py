"""A study of a thousand trials: its page stays small, and has every trial."""

import re
from dataclasses import replace

import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from analysis.report.study_report import write_report
from tests.analysis import planted
from tests.analysis.planted_sensitivity import DEFAULT, SPACE, additive, sampled

TRIALS = 1000
MOST = 5_000_000  # bytes of a page
EPOCHS = range(1, 11)


def ended(trial, state):
    return replace(trial, state=state, objective=None, metrics={})


def drawn():
    """Trials of nine parameters, of which some failed and some were pruned; the space."""
    more = {f"p{k}": FloatDistribution(0.0, 1.0) for k in range(5)}
    space = {**SPACE, **more}
    base = {**DEFAULT, **dict.fromkeys(more, 0.5)}
    trials = []
    for k, trial in enumerate(sampled(additive, n=TRIALS).trials):
        params = {
            **base,
            **trial.params,
            **{name: ((k * 37 + j) % 101) / 100 for j, name in enumerate(more)},
        }
        reports = [(epoch, trial.objective - 0.1 / epoch) for epoch in EPOCHS]
        trials.append(replace(trial, params=params, searched=[*space], reports=reports))
    for k in range(50, TRIALS, 17):
        trials[k] = replace(
            trials[k], state="failed", objective=None, reason="loss is nan", metrics={}
        )
    for k in range(60, TRIALS, 13):
        trials[k] = ended(trials[k], "pruned")
    return trials, space, base


@pytest.mark.slow
def test_the_page_of_a_thousand_trials_is_below_five_megabytes(tmp_path):
    trials, space, base = drawn()
    texts = {name: distribution_to_json(distribution) for name, distribution in space.items()}
    folder = planted.write(
        tmp_path,
        trials,
        plan={"name": "Optuna", "random_trials": 40},
        baselines={"PGN": {"detector": "PGN", "space": texts, "params": base}},
        budget={"trials": TRIALS, "evaluation_seeds": 3, "seeds": 3},
    )
    page = write_report(folder.path).path
    assert page.stat().st_size < MOST
    text = page.read_text(encoding="utf-8")
    history = text.partition('id="figure-history"')[2].partition("</figure>")[0]
    numbers = {int(number) for number in re.findall(r'data-trial="(\d+)"', history)}
    assert numbers == set(range(TRIALS))
    parallel = text.partition('id="figure-parallel_PGN"')[2].partition("</figure>")[0]
    complete = {trial.number for trial in trials if trial.state == "complete"}
    assert {int(n) for n in re.findall(r'data-trial="(\d+)"', parallel)} == complete
