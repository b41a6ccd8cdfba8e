"""The verdict rules on planted models, and their section on planted records."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.sections import verdict as part
from analysis.statistics import estimate
from analysis.study import StudyRecords
from analysis.verdict import capacity, forward_kl
from analysis.verdict_figures import draw_capacity, draw_forward_kl, sentence
from tune_ad.records import Replica, StudyFolder, TrialRecord

WIDTHS = (16, 32, 64, 128)
STRATUM = "likelihood = bernoulli"


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
        }
        for seed in range(seeds)
        for k, width in enumerate(widths)
    ]
    return pd.DataFrame(rows)


def treated(start, gain, seeds=8, noise=0.005, refit=None):
    """Models of two objectives, and of a refit where its gain is given."""
    levels = {"elbo": 0.0, "forward_kl": gain} | ({} if refit is None else {"refit": refit})
    rng = np.random.default_rng(0)
    rows = [
        {
            "factor": level,
            "seed": seed,
            "auroc": start + each + noise * rng.standard_normal(),
            "bits_per_dim": 4 + 0.02 * (level == "forward_kl"),
            "stratum": STRATUM,
        }
        for seed in range(seeds)
        for level, each in levels.items()
    ]
    return pd.DataFrame(rows)


CAPACITY = [
    (sweep(0.70, 0.08), "fixes", "to more than 0.9"),
    (sweep(0.10, 0.08), "improves, does not fix", "not shown to exceed 0.9"),
    (sweep(0.92, 0.015, noise=0.001), "improves, does not fix", "nothing was to fix"),
    (sweep(0.40, 0.0), "no effect", "within ± 0.02"),
    (sweep(0.40, 0.002, noise=0.0005), "no effect", "within ± 0.02"),  # certain, and too small
    (sweep(0.95, 0.002, noise=0.0005), "no effect", "within ± 0.02"),
    (sweep(0.40, -0.08), "worsens", "AUROC falls"),
    (sweep(0.40, 0.0, noise=0.15), "inconclusive", "neither an effect nor its absence"),
    (sweep(0.70, 0.08, seeds=5), "inconclusive", "5 seeds with every width, 6 needed"),
    (sweep(0.70, 0.08, bits=0.0), "inconclusive", "capacity did not bind"),
    (sweep(0.70, 0.08, bits=0.1), "inconclusive", "capacity did not bind"),
    (sweep(0.70, 0.08, widths=(64,)), "inconclusive", "one width only, 64"),
    (sweep(0.70, 0.08).assign(bits_per_dim=math.nan), "inconclusive", "no bits per dimension"),
]
FORWARD_KL = [
    (treated(0.70, 0.25), "fixes", "to more than 0.9"),
    (treated(0.10, 0.25), "improves, does not fix", "not shown to exceed 0.9"),
    (treated(0.92, 0.06, noise=0.001), "improves, does not fix", "nothing was to fix"),
    (treated(0.10, 0.0), "no effect", "within ± 0.02"),
    (treated(0.40, -0.10), "worsens", "AUROC falls"),
    (treated(0.40, 0.0, noise=0.15), "inconclusive", "neither an effect nor its absence"),
    (treated(0.70, 0.25, seeds=5), "inconclusive", "5 seeds with every level, 6 needed"),
]


@pytest.mark.parametrize(("table", "outcome", "reason"), CAPACITY)
def test_the_verdict_on_capacity(table, outcome, reason):
    (found,) = capacity(table)
    assert found.outcome == outcome
    assert reason in found.reason


@pytest.mark.parametrize(("table", "outcome", "reason"), FORWARD_KL)
def test_the_verdict_on_forward_kl(table, outcome, reason):
    (found,) = forward_kl(table, "elbo")
    assert found.outcome == outcome
    assert reason in found.reason


def test_numbers_of_a_sweep_in_closed_form():
    (found,) = capacity(sweep(0.1, 0.08, noise=0.0))
    assert found.effect.mean == pytest.approx(0.08)
    assert (found.first.mean, found.last.mean) == (pytest.approx(0.1), pytest.approx(0.34))
    assert found.change.mean == pytest.approx(0.24)
    assert (found.n, found.levels) == (8, WIDTHS)
    assert found.last.high < 0.5
    assert "still inverted" in sentence(found, "svhn")


def test_slopes_are_within_seeds_and_their_spread_is_over_seeds():
    table = sweep(0.1, 0.05, noise=0.0)
    own = 0.01 * table["seed"] * (np.log2(table["factor"]) - 4)
    level = 0.03 * table["seed"]  # a seed's own height is paired away
    (found,) = capacity(table.assign(auroc=table["auroc"] + own + level))
    expected = estimate([0.05 + 0.01 * seed for seed in range(8)], (-math.inf, math.inf))
    assert found.effect.mean == pytest.approx(expected.mean)
    assert found.effect.low == pytest.approx(expected.low)


@pytest.mark.parametrize("lost", ["row", "nan", "infinite", "bits"])
def test_a_seed_with_a_missing_number_is_left_out_whole_and_counted(lost):
    table = sweep(0.7, 0.08, seeds=7)
    if lost == "row":
        table = table.drop(index=0)
    else:
        column = "bits_per_dim" if lost == "bits" else "auroc"
        table.loc[0, column] = math.inf if lost == "infinite" else math.nan
    (found,) = capacity(table)
    assert (found.n, found.left_out, found.outcome) == (6, 1, "fixes")
    (fewer,) = capacity(table[table["seed"] != 6])
    assert fewer.outcome == "inconclusive"
    assert "5 seeds with every width (1 seed left out" in fewer.reason


def test_strata_are_judged_apart():
    both = [sweep(0.7, 0.08).assign(stratum="a"), sweep(0.4, -0.08).assign(stratum="b")]
    found = capacity(pd.concat(both, ignore_index=True))
    assert {each.stratum: each.outcome for each in found} == {"a": "fixes", "b": "worsens"}


def test_what_is_no_sweep_is_refused():
    table = sweep(0.7, 0.08)
    with pytest.raises(ValueError, match="two models of one level and seed"):
        capacity(pd.concat([table, table]))
    with pytest.raises(ValueError, match="widths must be numbers above 0"):
        capacity(table.assign(factor="wide"))
    with pytest.raises(ValueError, match="two models of one level and seed"):
        forward_kl(pd.concat([treated(0.1, 0.2)] * 2), "elbo")
    assert capacity(table.iloc[:0]) == []


def test_forward_kl_reports_bits_and_the_control():
    (found,) = forward_kl(treated(0.1, 0.25, refit=0.15, noise=0.001), "elbo", "refit")
    assert found.levels == ("elbo", "forward_kl", "refit")
    assert found.control.mean == pytest.approx(0.15, abs=0.002)
    assert found.bits.mean == pytest.approx(0.02)
    assert "The control, refit, moves AUROC by +15.0" in sentence(found, "svhn")
    (alone,) = forward_kl(treated(0.1, 0.25), "elbo", "refit")
    assert alone.control.n == 0
    assert "There is no control" in sentence(alone, "svhn")


def test_a_lost_control_costs_no_pair():
    table = treated(0.1, 0.25, refit=0.15)
    table.loc[(table["factor"] == "refit") & (table["seed"] < 3), "auroc"] = math.nan
    (found,) = forward_kl(table, "elbo", "refit")
    assert (found.n, found.control.n, found.outcome) == (8, 5, "improves, does not fix")


def test_every_treatment_has_its_verdict_and_none_without_a_baseline():
    other = treated(0.1, 0.0).replace({"factor": {"forward_kl": "chi"}})
    table = pd.concat([treated(0.1, 0.3), other[other["factor"] == "chi"]])
    found = {each.levels[1]: each.outcome for each in forward_kl(table, "elbo")}
    assert found == {"forward_kl": "improves, does not fix", "chi": "no effect"}
    (lost,) = forward_kl(table[table["factor"] == "chi"], "elbo")
    assert lost.outcome == "inconclusive"
    assert "no model of the baseline, elbo" in lost.reason


def test_figures_are_drawn():
    for figure in (
        draw_capacity(capacity(sweep(0.1, 0.08))[0]),
        draw_capacity(capacity(sweep(0.1, 0.08, seeds=1))[0]),
        draw_capacity(capacity(sweep(0.1, 0.08, widths=(64,)))[0]),
        draw_forward_kl(forward_kl(treated(0.1, 0.25, refit=0.2), "elbo", "refit")[0]),
    ):
        figure.canvas.draw()
        assert len(figure.axes) == 2
    labels = [each.get_text() for each in figure.axes[0].get_xticklabels()]
    assert labels == ["elbo", "forward kl", "refit"]


CLAIM = {"kind": "capacity", "factor": "width", "strata": ["likelihood"]}


def record(number, params, values, state="complete", bits="validation"):
    """A trial on CIFAR-10 against two outsider sets, one model a seed."""
    n = len(values["svhn"])
    return TrialRecord(
        number=number,
        identity=f"id{number}",
        baseline="VAE",
        detector="VAE",
        params={"likelihood": "bernoulli", **params},
        searched=list(params),
        state=state,
        reason="",
        objective=None,
        reports=[],
        replicas=[Replica("cifar10-vs-svhn+mnist", seed, state, "", 1) for seed in range(n)],
        metrics={
            "test_auroc/svhn": values["svhn"],
            "test_auroc/mnist": values["mnist"],
            f"{bits}_negative_elbo_bits_per_dim": values["bits"],
        },
    )


def study(trials, claim=CLAIM):
    described = {"name": "planted", "baselines": {"VAE": {}}, "claim": claim}
    return StudyRecords(StudyFolder(Path("nowhere")), {"study": described}, trials, [])


def trials(seeds=8, bits="validation"):
    """Width moves AUROC against SVHN up and against MNIST down."""
    rng = np.random.default_rng(0)
    found = []
    for k, width in enumerate(WIDTHS):
        values = {
            "svhn": (0.1 + 0.05 * k + 0.003 * rng.standard_normal(seeds)).tolist(),
            "mnist": (0.9 - 0.05 * k + 0.003 * rng.standard_normal(seeds)).tolist(),
            "bits": (4 - 0.1 * k + 0.01 * rng.standard_normal(seeds)).tolist(),
        }
        found.append(record(k, {"width": width}, values, bits=bits))
    return found


def texts(section, kind):
    return [block.text for block in section.blocks if getattr(block, "kind", "") == kind]


@pytest.mark.parametrize("bits", ["validation", "test"])
def test_the_section_has_a_verdict_per_outsider_set(bits):
    made = part.section(study(trials(bits=bits)))
    assert made.title == "Verdict"
    svhn, mnist = texts(made, "verdict")
    assert svhn.startswith("likelihood = bernoulli, outsiders svhn: improves, does not fix")
    assert "outsiders mnist: worsens" in mnist
    rule, family = texts(made, "note")
    assert "Declared before" in rule
    assert "2 verdicts" in family
    tables = [block for block in made.blocks if hasattr(block, "shown")]
    assert [table.shown["verdict"][0].tone for table in tables] == ["better", "worse"]
    assert tables[0].stored["effect"][0] == pytest.approx(0.05, abs=0.003)
    assert f"{bits}_negative_elbo_bits_per_dim" in tables[0].caption
    figures = [block for block in made.blocks if hasattr(block, "draw")]
    assert len({figure.name for figure in figures}) == 2
    figures[0].draw().canvas.draw()


def test_a_forward_kl_study():
    claim = {"kind": "forward_kl", "factor": "objective", "baseline_level": "elbo"}
    levels = {"elbo": 0.1, "forward_kl": 0.3}
    rng = np.random.default_rng(0)
    ours = [
        record(
            k,
            {"objective": level},
            {name: (mean + 0.01 * rng.standard_normal(8)).tolist() for name in ("svhn", "mnist")}
            | {"bits": [4.0] * 8},
        )
        for k, (level, mean) in enumerate(levels.items())
    ]
    made = part.section(study(ours, claim))
    assert all("improves, does not fix" in text for text in texts(made, "verdict"))
    assert any("all models" in text for text in texts(made, "verdict"))


def test_a_failed_model_is_left_out_and_counted():
    ours = trials()
    nothing = {name: [None] * 8 for name in ("svhn", "mnist", "bits")}
    failed = record(3, {"width": 128}, nothing, "failed")
    made = part.section(study([*ours[:3], failed]))
    assert all("inconclusive (0 seeds" in text for text in texts(made, "verdict"))
    tables = [block for block in made.blocks if hasattr(block, "shown")]
    assert tables[0].shown["left out"].tolist() == [8]
    assert "8 models failed" in tables[0].caption


@pytest.mark.parametrize(
    ("ours", "claim", "said"),
    [
        ([], CLAIM, "no trial with the parameter width"),
        (trials()[:1], CLAIM | {"factor": "depth"}, "no trial with the parameter depth"),
        (trials(), CLAIM | {"kind": "magic"}, "'magic' is none of capacity, forward_kl"),
        (trials(), {"kind": "capacity"}, "names no factor"),
        (trials(), {"kind": "forward_kl", "factor": "width"}, "names no baseline_level"),
        (trials() + trials(), CLAIM, "belongs in the claim's strata"),
        (trials(), CLAIM | {"factor": "likelihood", "strata": []}, "widths must be numbers"),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(ours, claim, said):
    assert any(said in text for text in texts(part.section(study(ours, claim)), "warning"))


@pytest.mark.parametrize("seeds", [1, 5])
def test_few_seeds_have_a_section_without_a_verdict(seeds):
    made = part.section(study(trials(seeds)))
    assert all("inconclusive" in text for text in texts(made, "verdict"))
    for figure in (block for block in made.blocks if hasattr(block, "draw")):
        figure.draw().canvas.draw()


@pytest.mark.parametrize("claim", ["", None])
def test_a_study_without_a_claim_has_no_section(claim):
    assert part.section(study(trials(), claim)) is None
