"""The verdict rules on planted models."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.questions.claims.rules import CLAIM_RULES, verdicts
from analysis.questions.claims.strata import RankedImages
from analysis.questions.claims.verdict_blocks import draw_levels, verdict_sentence
from analysis.stats.estimates import estimate
from tune_ad.search.claim import Claim
from tune_ad.storage.score_ranks import PartRanks

WIDTHS = (16, 32, 64, 128)
STRATUM = "likelihood = bernoulli"


def capacity(table):
    return verdicts(Claim("capacity", "width"), table)


def forward_kl(table, baseline, control=""):
    claim = Claim("forward_kl", "objective", (), baseline, control)
    return verdicts(claim, table)


def sweep(start, slope, seeds=8, noise=0.005, bits=-0.1, widths=WIDTHS):
    """Models whose AUROC moves by `slope`, and bits per dimension by `bits`, per doubling."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "factor": width,
            "seed": seed,
            "auroc": start + slope * k + noise * rng.standard_normal(),
            "bits_per_dim": 4 + bits * k + 0.01 * rng.standard_normal(),
            "stratum": STRATUM,
            "plateau": 1.0,
        }
        for seed in range(seeds)
        for k, width in enumerate(widths)
    ]
    return pd.DataFrame(rows)


def curve(aurocs, widths=(1, 2, 4), noise=0.005):
    """Models with these mean AUROCs, one a width, that capacity binds."""
    table = sweep(0.0, 0.0, widths=widths, noise=noise)
    return table.assign(auroc=table["auroc"] + np.tile(aurocs, 8))


def treated(start, gain, seeds=8, noise=0.005, refit=None):
    """Models of two objectives, and of a refit where it has a gain."""
    levels = {"elbo": 0.0, "forward_kl": gain} | ({} if refit is None else {"refit": refit})
    rng = np.random.default_rng(0)
    rows = [
        {
            "factor": level,
            "seed": seed,
            "auroc": start + shift + noise * rng.standard_normal(),
            "bits_per_dim": 4 + 0.02 * (level == "forward_kl"),
            "stratum": STRATUM,
            "spread": 1.0,
            "effective": 6.0,
            "codes": 8.0,
        }
        for seed in range(seeds)
        for level, shift in levels.items()
    ]
    return pd.DataFrame(rows)


def starved(table, seeds=8, effective=1.1):
    """The models, of which the treated ones of some seeds have almost all weight on one code."""
    lost = (table["factor"] == "forward_kl") & (table["seed"] < seeds)
    changes = {"spread": 0.0, "effective": effective}
    return table.assign(**{name: table[name].mask(lost, value) for name, value in changes.items()})


def unconverged(table, seeds=8):
    """The models, of which the widest ones of some seeds did not reach a plateau."""
    lost = (table["factor"] == max(WIDTHS)) & (table["seed"] < seeds)
    return table.assign(plateau=table["plateau"].mask(lost, 0.0))


CAPACITY = [
    (sweep(0.70, 0.08), "fixes", "to more than 0.9"),
    (sweep(0.10, 0.08), "improves, does not fix", "not shown to exceed 0.9"),
    (
        sweep(0.92, 0.015, noise=0.001),
        "improves, does not fix",
        "smallest width already exceeded 0.9",
    ),
    (sweep(0.40, 0.0), "no effect", "within ± 0.02"),
    (sweep(0.40, 0.002, noise=0.0005), "no effect", "within ± 0.02"),  # certain, and too small
    (sweep(0.95, 0.002, noise=0.0005), "no effect", "within ± 0.02"),
    (sweep(0.40, -0.08), "worsens", "AUROC falls"),
    (sweep(0.40, 0.0, noise=0.15), "inconclusive", "neither an effect nor its absence"),
    (curve((0.5, 0.9, 0.5)), "inconclusive", "not monotone: width 2 lies"),
    (curve((0.3, 0.6, 0.32)), "inconclusive", "not monotone: AUROC rises, but width 4 lies 28."),
    (curve((0.32, 0.6, 0.3)), "inconclusive", "not monotone: AUROC falls, but width 2 lies 2"),
    (curve((0.3, 0.6, 0.59)), "improves, does not fix", "not shown to exceed 0.9"),  # levels off
    (curve((0.5, 0.509, 0.5)), "no effect", "within ± 0.02 at every width"),
    (curve((0.5, 0.52, 0.5), noise=0.01), "inconclusive", "neither an effect nor its absence"),
    (curve((0.5, 0.7, 0.5, 0.7, 0.5), (1, 2, 4, 8, 16)), "inconclusive", "not monotone"),
    (
        sweep(0.70, 0.08, seeds=5),
        "inconclusive",
        "5 seeds with results for every width; 6",
    ),
    (
        sweep(0.70, 0.08, bits=0.0),
        "inconclusive",
        "larger models are not shown to fit",
    ),
    (
        sweep(0.70, 0.08, bits=0.1),
        "inconclusive",
        "larger models are not shown to fit",
    ),
    (sweep(0.70, 0.08, widths=(64,)), "inconclusive", "only one width (64) was trained"),
    (
        unconverged(sweep(0.70, -0.08)),
        "inconclusive",
        "in 0 of 8 seeds the models of every width reached a plateau",
    ),
    (unconverged(sweep(0.40, -0.08), seeds=3), "inconclusive", "in 5 of 8 seeds"),
    (unconverged(sweep(0.40, -0.08), seeds=2), "worsens", "AUROC falls"),
    (sweep(0.40, -0.08).assign(plateau=math.nan), "inconclusive", "early stopping (patience"),
    (sweep(0.70, 0.08).assign(bits_per_dim=math.nan), "inconclusive", "no bits per dimension"),
]
FORWARD_KL = [
    (treated(0.70, 0.25), "fixes", "to more than 0.9"),
    (treated(0.10, 0.25), "improves, does not fix", "not shown to exceed 0.9"),
    (
        treated(0.92, 0.06, noise=0.001),
        "improves, does not fix",
        "baseline already exceeded 0.9",
    ),
    (treated(0.10, 0.0), "no effect", "within ± 0.02"),
    (treated(0.40, -0.10), "worsens", "AUROC falls"),
    (treated(0.40, 0.0, noise=0.15), "inconclusive", "neither an effect nor its absence"),
    (
        starved(treated(0.40, 0.0)),
        "inconclusive",
        "importance weights of forward_kl are on 1.1 of 8 codes on average",
    ),
    (starved(treated(0.10, 0.25), seeds=3), "inconclusive", "realised in 5 of 8 seeds, 6 are"),
    (starved(treated(0.10, 0.25), seeds=2), "improves, does not fix", "not shown to exceed"),
    (treated(0.40, -0.1).assign(spread=math.nan), "inconclusive", "is not recorded"),
    (
        treated(0.70, 0.25, seeds=5),
        "inconclusive",
        "5 seeds with results for both levels; 6",
    ),
]


@pytest.mark.parametrize(("table", "outcome", "reason"), CAPACITY)
def test_the_verdict_on_capacity(table, outcome, reason):
    (verdict,) = capacity(table)
    assert verdict.outcome == outcome
    assert reason in verdict.reason


@pytest.mark.parametrize(("table", "outcome", "reason"), FORWARD_KL)
def test_the_verdict_on_forward_kl(table, outcome, reason):
    (verdict,) = forward_kl(table, "elbo")
    assert verdict.outcome == outcome
    assert reason in verdict.reason


def test_every_rule_decides_one_of_the_planted_tables_and_is_printed():
    lost = treated(0.1, 0.2)
    judged = {
        "capacity": [verdict for table, *_ in CAPACITY for verdict in capacity(table)],
        "forward_kl": [
            *(verdict for table, *_ in FORWARD_KL for verdict in forward_kl(table, "elbo")),
            *forward_kl(lost[lost["factor"] != "elbo"], "elbo"),
        ],
    }
    for claim, rules in CLAIM_RULES.items():
        deciding = {
            next(rule for rule in rules.rules if rule.reason(verdict.stratum))
            for verdict in judged[claim]
        }
        assert deciding == set(rules.rules)
        for rule in rules.rules:
            assert f"- {rule.outcome}, if {rule.condition}" in rules.text


def test_numbers_of_a_sweep_in_closed_form():
    (verdict,) = capacity(sweep(0.1, 0.08, noise=0.0))
    widths = verdict.stratum
    assert widths.effect.mean == pytest.approx(0.08)
    assert (widths.first.mean, widths.last.mean) == (pytest.approx(0.1), pytest.approx(0.34))
    assert widths.change.mean == pytest.approx(0.24)
    assert (widths.n, widths.levels) == (8, WIDTHS)
    assert widths.last.high < 0.5
    assert "still inverted" in verdict_sentence(verdict, "svhn")
    assert [test.equivalent for test in widths.equivalences] == [False, False, False]
    changes = [widths.change_at(level).mean for level in (1, 2, 3)]
    assert changes == pytest.approx([0.08, 0.16, 0.24])


@pytest.mark.slow
def test_a_null_is_a_turn_or_an_effect_as_rarely_as_promised():
    rng = np.random.default_rng(1)
    outcomes = []
    for _ in range(60):
        table = sweep(0.5, 0.0, widths=(1, 2, 4, 8, 16, 32))
        noise = 0.02 * rng.standard_normal(len(table))
        outcomes.append(capacity(table.assign(auroc=0.5 + noise))[0].outcome)
    assert (
        sum(outcome in ("improves, does not fix", "worsens", "fixes") for outcome in outcomes) < 9
    )


def test_slopes_are_within_seeds_and_their_spread_is_over_seeds():
    table = sweep(0.1, 0.05, noise=0.0)
    tilt = 0.01 * table["seed"] * (np.log2(table["factor"]) - 4)
    level = 0.03 * table["seed"]  # a seed's own height is paired away
    (verdict,) = capacity(table.assign(auroc=table["auroc"] + tilt + level))
    expected = estimate([0.05 + 0.01 * seed for seed in range(8)], (-math.inf, math.inf))
    assert verdict.stratum.effect.mean == pytest.approx(expected.mean)
    assert verdict.stratum.effect.low == pytest.approx(expected.low)


@pytest.mark.parametrize("lost", ["row", "nan", "infinite", "bits"])
def test_a_seed_with_a_missing_number_is_left_out_whole_and_counted(lost):
    table = sweep(0.7, 0.08, seeds=7)
    if lost == "row":
        table = table.drop(index=0)
    else:
        column = "bits_per_dim" if lost == "bits" else "auroc"
        table.loc[0, column] = math.inf if lost == "infinite" else math.nan
    (verdict,) = capacity(table)
    assert (verdict.stratum.n, verdict.stratum.left_out, verdict.outcome) == (6, 1, "fixes")
    (fewer,) = capacity(table[table["seed"] != 6])
    assert fewer.outcome == "inconclusive"
    assert "5 seeds with results for every width (1 seed left out" in fewer.reason


def test_strata_are_judged_apart():
    both = [sweep(0.7, 0.08).assign(stratum="a"), sweep(0.4, -0.08).assign(stratum="b")]
    verdicts = capacity(pd.concat(both, ignore_index=True))
    assert {verdict.stratum.name: verdict.outcome for verdict in verdicts} == {
        "a": "fixes",
        "b": "worsens",
    }


def test_what_is_no_sweep_is_refused():
    table = sweep(0.7, 0.08)
    with pytest.raises(ValueError, match="two models have the same level and seed"):
        capacity(pd.concat([table, table]))
    with pytest.raises(ValueError, match="widths must be numbers above 0"):
        capacity(table.assign(factor="wide"))
    with pytest.raises(ValueError, match="two models have the same level and seed"):
        forward_kl(pd.concat([treated(0.1, 0.2)] * 2), "elbo")
    assert capacity(table.iloc[:0]) == []


def test_forward_kl_reports_bits_and_the_control():
    (verdict,) = forward_kl(treated(0.1, 0.25, refit=0.15, noise=0.001), "elbo", "refit")
    assert verdict.stratum.levels == ("elbo", "forward_kl", "refit")
    assert verdict.stratum.control.mean == pytest.approx(0.15, abs=0.002)
    assert verdict.stratum.bits.mean == pytest.approx(0.02)
    assert "The control (refit) changes AUROC by +15.0" in verdict_sentence(verdict, "svhn")
    (alone,) = forward_kl(treated(0.1, 0.25), "elbo", "refit")
    assert alone.stratum.control.n == 0
    assert "There is no control" in verdict_sentence(alone, "svhn")


def test_a_lost_control_costs_no_pair():
    table = treated(0.1, 0.25, refit=0.15)
    table.loc[(table["factor"] == "refit") & (table["seed"] < 3), "auroc"] = math.nan
    (verdict,) = forward_kl(table, "elbo", "refit")
    assert (verdict.stratum.n, verdict.stratum.control.n) == (8, 5)
    assert verdict.outcome == "improves, does not fix"


def test_every_treatment_has_its_verdict_and_none_without_a_baseline():
    other = treated(0.1, 0.0).replace({"factor": {"forward_kl": "chi"}})
    table = pd.concat([treated(0.1, 0.3), other[other["factor"] == "chi"]])
    outcomes = {
        verdict.stratum.levels[1]: verdict.outcome for verdict in forward_kl(table, "elbo")
    }
    assert outcomes == {"forward_kl": "improves, does not fix", "chi": "no effect"}
    (lost,) = forward_kl(table[table["factor"] == "chi"], "elbo")
    assert lost.outcome == "inconclusive"
    assert "no model of the baseline (elbo)" in lost.reason


def test_figures_are_drawn():
    for figure in (
        draw_levels(capacity(sweep(0.1, 0.08))[0].stratum),
        draw_levels(capacity(sweep(0.1, 0.08, seeds=1))[0].stratum),
        draw_levels(capacity(sweep(0.1, 0.08, widths=(64,)))[0].stratum),
        draw_levels(forward_kl(treated(0.1, 0.25, refit=0.2), "elbo", "refit")[0].stratum),
    ):
        figure.canvas.draw()
        assert len(figure.axes) == 2
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["elbo", "forward kl", "refit"]


def ranked(shift, images=40, seeds=8, seed=0):
    """Ranks of images of normal scores and of anomalies shifted by so many standard deviations."""
    stream = np.random.default_rng(seed)
    normal, anomalous = stream.normal(0, 1, images), stream.normal(shift, 1, images)
    everything = np.concatenate([normal, anomalous]).argsort().argsort()
    rows = np.stack([everything] * seeds)
    labels = np.zeros(images, int)
    return PartRanks(
        rows[:, :images], {"svhn": rows[:, images:]}, labels, {"svhn": labels}, tuple(range(seeds))
    )


def test_few_test_images_make_an_effect_or_its_absence_uncertain():
    claim = Claim("capacity", "width")
    for start, slope, outcome in ((0.5, 0.0, "no effect"), (0.4, -0.03, "worsens")):
        table = sweep(start, slope, noise=0.001)
        table = table.assign(number=table["factor"].map({16: 0, 32: 1, 64: 2, 128: 3}))
        plain = verdicts(claim, table)
        assert [verdict.outcome for verdict in plain] == [outcome]
        few = {k: ranked(0.5, seed=k) for k in range(4)}  # other images at each width
        (verdict,) = verdicts(claim, table, RankedImages("cifar10-vs-svhn", "svhn", few))
        assert verdict.outcome == "inconclusive"
        assert verdict.stratum.effect.low < plain[0].stratum.effect.low
        assert verdict.stratum.effect.mean == plain[0].stratum.effect.mean
        same = dict.fromkeys(range(4), ranked(0.5))  # what all widths find hard cancels
        (cancelled,) = verdicts(claim, table, RankedImages("cifar10-vs-svhn", "svhn", same))
        assert cancelled.stratum.effect == pytest.approx(plain[0].stratum.effect)
        other_set = verdicts(claim, table, RankedImages("cifar10-vs-svhn", "noise", few))
        assert [v.outcome for v in other_set] == [outcome], "ranks are of svhn alone"


def test_the_image_error_is_that_of_the_seeds_that_are_paired():
    claim = Claim("capacity", "width")
    table = sweep(0.5, 0.0, noise=0.001)
    table = table.assign(number=table["factor"].map({16: 0, 32: 1, 64: 2, 128: 3}))
    lost = (table["seed"] == 7) & (table["factor"] == 64)
    damaged = table.assign(auroc=table["auroc"].mask(lost))
    every = {k: ranked(0.5, seed=k) for k in range(4)}
    for part in every.values():
        part.normal[7] = part.normal[7][::-1]  # the last seed finds other images hard
    ranks = RankedImages("cifar10-vs-svhn", "svhn", every)
    (verdict,) = verdicts(claim, damaged, ranks)
    first = {k: ranked(0.5, seed=k, seeds=7) for k in range(4)}
    (of_seven,) = verdicts(
        claim, table[table["seed"] != 7], RankedImages("cifar10-vs-svhn", "svhn", first)
    )
    assert verdict.stratum.n == 7
    assert verdict.stratum.effect == pytest.approx(of_seven.stratum.effect)
    assert verdict.stratum.last == pytest.approx(of_seven.stratum.last)
    (of_all,) = verdicts(claim, table, ranks)
    assert of_all.stratum.image_error([-1, 0, 0, 1]) != verdict.stratum.image_error([-1, 0, 0, 1])
