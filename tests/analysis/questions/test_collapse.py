"""Whether the score collapses: every verdict from planted rates and AUROCs."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from analysis.document.blocks import Table, Text
from analysis.image_sampling import COVERS_IMAGES, COVERS_PARTLY, COVERS_SEEDS, NO_INTERVAL
from analysis.questions.collapse.levels import (
    MEASURED,
    RATE,
    SPREAD,
    TEST_RATE,
    TIED,
    UNBOUNDED,
    geometric,
    training_lengths,
)
from analysis.questions.collapse.rules import verdicts
from analysis.report.findings import Findings
from analysis.report.sections.collapse import section
from analysis.stats.estimates import estimate
from tests.analysis.planted import TASKS, record, study
from tests.analysis.test_image_sampling import part
from tune_ad.atomic import write_atomically
from tune_ad.storage import score_ranks
from tune_ad.storage.metric import TEST_AUROC, Metric, ScoreVariant

EPOCHS = (25, 50, 100)
COLLAPSE, SCORE, SUFFERS = (
    "Does the rate collapse?",
    "Does the score collapse?",
    "Does AUROC suffer?",
)
LOWER = "Is the rate lower with biases?"
NOT_WITHIN = "has not collapsed within 100 epochs"
HEADS = (MEASURED["head of the mean"], MEASURED["head of the variance"])
BY = ScoreVariant.of_component("kl")


class Plant(NamedTuple):
    """What is planted in every trial: seeds, scatter over seeds, spread, collapsed models."""

    seeds: int = 6
    noise: float = 0.05
    spread: float = 0.5
    rounding: int = 0


def trial(number, params, rate, auroc, plant):
    """A trial of PGN whose rates and AUROCs scatter over seeds around these values."""
    seeds, noise, spread, rounding = plant
    rng = np.random.default_rng(number)
    by_seed = rng.permutation(np.linspace(-1, 1, seeds)) if seeds > 1 else np.zeros(1)
    rates = np.repeat(rate * 10 ** (noise * by_seed), len(TASKS)).tolist()
    aurocs = (auroc + 0.002 * by_seed).tolist()
    planted = record(number, params, aurocs)
    planted.metrics.update(
        {
            RATE: rates,
            TEST_RATE: rates,
            SPREAD: np.repeat(spread * (1 + noise * by_seed), len(TASKS)).tolist(),
            Metric("test", "collapsed"): [float(k < rounding) for k in range(len(rates))],
            HEADS[0]: [2.0] * len(rates),
            HEADS[1]: [1.0] * len(rates),
        }
    )
    planted.metrics[TIED] = [0.25] * len(rates)
    planted.variants[BY] = {TEST_AUROC: planted.metrics[TEST_AUROC]}
    return planted


def planted(path, rates, aurocs=(0.9, 0.9, 0.9), plan="Grid", **changes):
    """A study with these rates and AUROCs after each number of epochs, by whether it has biases.

    Args:
        path: the folder of the study.
        rates: the rates after each number of epochs, by `bias`.
        aurocs: test AUROC after each number of epochs.
        plan: the name of the plan.
        changes: as in `Plant`.
    """
    rows = [
        ({"bias": bias, "epochs": epochs}, rate, auroc)
        for bias, of_lengths in rates.items()
        for epochs, rate, auroc in zip(EPOCHS, of_lengths, aurocs, strict=False)
    ]
    trials = [trial(k, *row, Plant(**changes)) for k, row in enumerate(rows)]
    defaults = {"PGN": {"bias": True, "epochs": 25}}
    return study(path, trials, defaults, plan={"name": plan})


def outcomes(ours):
    return {(v.setting, v.question): v.outcome for v in verdicts(training_lengths(ours))}


@pytest.mark.parametrize(
    ("rates", "seeds", "outcome", "reason"),
    [
        ((1e-1, 1e-2, 1e-4), 6, "collapses", "below 0.01"),
        ((1e-2, 1e-4, 1e-18), 6, "collapses", "below 0.01"),
        ((2.0, 1.1, 1.0), 6, NOT_WITHIN, "above 0.01, and from 50 to 100 epochs"),
        ((2.0, 1.0, 0.1), 6, "inconclusive", "may still fall by more than half"),
        ((0.1, 0.03, 0.01), 6, "inconclusive", "not shown to be below or above 0.01"),
        ((1e-1, 1e-2, 1e-4), 2, "inconclusive", "n = 2 seeds; 3 are needed"),
        ((1e-1, 1e-2, 1e-4), 1, "inconclusive", "n = 1 seed; 3 are needed"),
    ],
)
def test_the_verdict_on_a_collapse(tmp_path, rates, seeds, outcome, reason):
    ours = planted(tmp_path, {False: rates}, seeds=seeds)
    verdict = verdicts(training_lengths(ours))[0]
    assert (verdict.setting, verdict.question, verdict.n) == ("bias = False", COLLAPSE, seeds)
    assert verdict.outcome == outcome
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"spread": 0.5}, NOT_WITHIN),
        ({"spread": 0.001}, "collapses"),
        ({"spread": 0.01}, "inconclusive"),
        ({"spread": 0.5, "seeds": 2}, "inconclusive"),
        ({"spread": 0.5, "rounding": 12}, "collapses"),
        ({"spread": 0.5, "rounding": 11}, "inconclusive"),
        ({"spread": 0.5, "rounding": 1}, "inconclusive"),
        ({"spread": 0.001, "rounding": 1}, "collapses"),
    ],
)
def test_the_verdict_on_the_score_is_by_its_spread_whatever_the_rate(tmp_path, changes, outcome):
    for rates in ((1e-1, 1e-2, 1e-4), (2.0, 1.1, 1.0)):
        ours = planted(tmp_path / str(rates[0]), {False: rates}, **changes)
        assert outcomes(ours)["bias = False", SCORE] == outcome


@pytest.mark.parametrize(
    ("aurocs", "seeds", "outcome"),
    [
        ((0.9, 0.85, 0.8), 6, "suffers"),
        ((0.8, 0.85, 0.9), 6, "gains"),
        ((0.9, 0.8, 0.9), 6, "does not suffer"),
        ((0.9, 0.9, 0.9), 4, "inconclusive"),
        ((0.9, 0.85, 0.8), 2, "inconclusive"),
    ],
)
def test_the_verdict_on_auroc(tmp_path, aurocs, seeds, outcome):
    ours = planted(tmp_path, {True: (1.0, 1.0, 1.0)}, aurocs, seeds=seeds)
    assert outcomes(ours)["bias = True", SUFFERS] == outcome


@pytest.mark.parametrize(
    ("biased", "outcome"),
    [
        ((0.1, 0.1, 0.1), "lower"),
        ((10.0, 10.0, 10.0), "higher"),
        ((1.0, 1.0, 1.0), "inconclusive"),
    ],
)
def test_the_verdict_on_biases_compares_the_same_lengths_and_seeds(tmp_path, biased, outcome):
    ours = planted(tmp_path, {False: (1.0, 1.0, 1.0), True: biased})
    assert outcomes(ours)["all models", LOWER] == outcome
    few = planted(tmp_path / "few", {False: (1.0, 1.0, 1.0), True: biased}, seeds=2)
    assert outcomes(few)["all models", LOWER] == "inconclusive"
    alone = planted(tmp_path / "alone", {True: biased})
    assert LOWER not in {question for _, question in outcomes(alone)}


def test_new_test_images_can_make_the_verdict_on_auroc_uncertain(tmp_path):
    ours = planted(tmp_path, {True: (1.0, 1.0, 1.0)}, (0.81, 0.8, 0.8), noise=0.0)
    assert outcomes(ours)["bias = True", SUFFERS] == "suffers"
    assert COVERS_SEEDS in captions(ours)
    for k, turned in enumerate((False, True, True)):
        ranks = part(400, 6)
        turn = np.roll(ranks.outsiders[""], 90 * turned, axis=1)
        stored = {("test", task): replace(ranks, outsiders={"": turn}) for task in TASKS}
        write_atomically(ours.folder.ranks(f"id{k}"), score_ranks.to_bytes(stored))
    assert outcomes(ours)["bias = True", SUFFERS] == "inconclusive"
    assert COVERS_IMAGES in captions(ours)


def test_the_caption_names_the_settings_without_stored_ranks(tmp_path):
    ours = planted(tmp_path, {False: (1.0, 1.0, 1.0), True: (1.0, 1.0, 1.0)})
    assert f"Intervals of AUROC cover {COVERS_SEEDS}." in captions(ours)
    for k in range(5):  # all lengths without biases, and two of three with biases
        stored = {("test", task): part(400, 6) for task in TASKS}
        write_atomically(ours.folder.ranks(f"id{k}"), score_ranks.to_bytes(stored))
    assert f"of bias = True they {COVERS_PARTLY}" in captions(ours)
    single = planted(tmp_path / "single", {True: (1.0, 1.0, 1.0)}, seeds=1)
    assert NO_INTERVAL in captions(single)


def captions(ours):
    return " ".join(b.caption for b in section(Findings(ours)).blocks if isinstance(b, Table))


def test_the_section_shows_every_level_with_its_numbers(tmp_path):
    ours = planted(tmp_path, {False: (1.0, 0.5, 0.4), True: (1e-3, 1e-4, 1e-5)})
    shown = section(Findings(ours))
    assert shown.title == "Does the score collapse?"
    tables = {b.name: b for b in shown.blocks if isinstance(b, Table)}
    levels = tables["collapse"].stored
    assert levels["epochs"].tolist() == [*EPOCHS, *EPOCHS]
    assert levels["log10 rate, training"].tolist() == pytest.approx(
        np.log10([1.0, 0.5, 0.4, 1e-3, 1e-4, 1e-5])
    )
    assert levels["spread"].tolist() == pytest.approx([0.5] * 6)
    assert set(levels["tied"]) == {0.25}
    assert set(levels["head of the mean"]) == {2.0}
    assert levels["AUROC"].tolist() == pytest.approx([0.9] * 6)
    assert (levels["AUROC low"] < 0.9).all()
    text = " ".join(b.text for b in shown.blocks if isinstance(b, Text))
    assert "bias = True: Does the rate collapse? collapses" in text
    assert tables["collapse_verdicts"].stored["outcome"].tolist()[0] == NOT_WITHIN


def test_without_lengths_of_training_or_rates_there_is_no_section(tmp_path):
    assert section(Findings(planted(tmp_path, {True: (1.0,)}))) is None
    adaptive = planted(tmp_path / "adaptive", {True: (1.0, 1.0, 1.0)}, plan="Optuna")
    assert section(Findings(adaptive)) is None
    plain = [record(k, {"epochs": e}, [0.9] * 3) for k, e in enumerate(EPOCHS)]
    earlier = study(tmp_path / "plain", plain, {"PGN": {"epochs": 25}}, plan={"name": "Grid"})
    assert section(Findings(earlier)) is None
    assert section(Findings(study(tmp_path / "nothing"))) is None


def test_a_verdict_on_scores_names_the_collapsed_models_and_only_recorded_ties(tmp_path):
    ours = planted(tmp_path, {True: (1.0, 1.0, 1.0)}, rounding=11)
    assert score_reason(ours).endswith(
        "of the mean; 25.0 % of the test images share their score with another; the scores of "
        "11 of 12 models differ only by rounding"
    )
    for trial in ours.trials:
        del trial.metrics[TIED]
    assert score_reason(ours).endswith(
        "of the mean; the scores of 11 of 12 models differ only by rounding"
    )
    everywhere = planted(tmp_path / "all", {True: (1.0, 1.0, 1.0)}, rounding=12)
    assert score_reason(everywhere) == "the scores of all 12 models differ only by rounding"


def score_reason(ours):
    (verdict,) = (v for v in verdicts(training_lengths(ours)) if v.question == SCORE)
    return verdict.reason


def test_the_factor_is_that_of_one_doubling_of_the_epochs(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "EPOCHS", (25, 100, 200))
    ours = planted(tmp_path, {True: (1.6, 0.1, 0.06)})
    (table,) = (b for b in section(Findings(ours)).blocks if getattr(b, "name", "") == "collapse")
    factors = 10 ** table.stored["log10 factor per doubling"]
    assert factors.isna().tolist() == [True, False, False]
    assert factors.tolist()[1:] == pytest.approx([0.25, 0.6])
    assert [str(cell).split()[0] for cell in table.shown["factor per doubling"][1:]] == [
        "0.25",
        "0.6",
    ]
    before, last = training_lengths(ours)[0][-2:]
    assert 10 ** last.change_since(before).mean == pytest.approx(0.6)


def test_trials_without_the_diagnostics_of_the_heads_are_reported(tmp_path):
    ours = planted(tmp_path, {True: (1.0, 1.0, 1.0)})
    for trial in ours.trials:
        for metric in (SPREAD, *HEADS):
            del trial.metrics[metric]
    assert outcomes(ours)["bias = True", SCORE] == "inconclusive"
    (table,) = (b for b in section(Findings(ours)).blocks if getattr(b, "name", "") == "collapse")
    assert set(map(str, table.shown["spread"])) == {""}


def test_a_geometric_mean_with_its_interval():
    assert geometric(estimate([], UNBOUNDED)) == ""
    assert geometric(estimate([-3.0], UNBOUNDED)) == "0.001"
    logarithms = [-2.0, -1.0, 0.0]
    mean, low, high = 10 ** np.array(estimate(logarithms, UNBOUNDED))[[0, 2, 3]]
    assert geometric(estimate(logarithms, UNBOUNDED)) == f"{mean:.3g} [{low:.3g}, {high:.3g}]"
