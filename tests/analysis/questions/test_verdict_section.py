"""The section of the verdict on planted records."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.image_sampling import COVERS_IMAGES, COVERS_PARTLY
from analysis.questions.claims.verdict_blocks import conclusions, verdict_table
from analysis.report.findings import Findings
from analysis.report.sections import verdict as part
from analysis.stats.estimates import Coverage
from analysis.study import StudyRecords
from tests.naming import named, variants
from tune_ad.atomic import write_atomically
from tune_ad.storage import score_ranks
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import BITS_PER_DIM, STOPPED, TEST_AUROC, Metric
from tune_ad.storage.records import ReplicaRecord, TrialRecord

TASK = "cifar10-vs-svhn+mnist"
AGAINST_SVHN = TEST_AUROC._replace(outsider="svhn")
WIDTHS = (16, 32, 64, 128)
CLAIM = {"kind": "capacity", "factor": "width", "strata": ["likelihood"]}


def record(number, params, values, state="complete", bits="validation", share=0.5, **changes):
    """A trial on CIFAR-10 against two outsider sets, one model a seed."""
    n = len(values["svhn"])
    return TrialRecord(
        number=number,
        identity=f"id{number}",
        baseline="VAE",
        detector="VAE",
        params={"likelihood": "bernoulli", "samples": 8, **params},
        searched=list(params),
        state=state,
        reason="",
        objective=None,
        reports=[],
        replicas=[ReplicaRecord(TASK, seed, state, "", 1) for seed in range(n)],
        metrics=named(
            {
                "test_auroc/svhn": values["svhn"],
                "test_auroc/mnist": values["mnist"],
                f"{bits}_negative_elbo_bits_per_dim": values["bits"],
                "plateau": [1.0] * n,
                "overall_effective_share": [share] * n,
                **changes.pop("more", {}),
            }
        ),
        **changes,
    )


def study(trials, claim=CLAIM):
    stored = {
        "study": {
            "name": "planted",
            "baselines": {"VAE": {}},
            "claim": claim,
            "budget": {"trials": len(trials)},
        },
        "tasks": [{"name": TASK, "source": "cifar10", "outsiders": ["svhn", "mnist"]}],
    }
    return StudyRecords(StudyFolder(Path("nowhere")), stored, trials, [])


def trials(seeds=8, bits="validation"):
    """Width moves AUROC against SVHN up and against MNIST down."""
    rng = np.random.default_rng(0)
    records = []
    for k, width in enumerate(WIDTHS):
        values = {
            "svhn": (0.1 + 0.05 * k + 0.003 * rng.standard_normal(seeds)).tolist(),
            "mnist": (0.9 - 0.05 * k + 0.003 * rng.standard_normal(seeds)).tolist(),
            "bits": (4 - 0.1 * k + 0.01 * rng.standard_normal(seeds)).tolist(),
        }
        records.append(record(k, {"width": width}, values, bits=bits))
    return records


def concluded(ours):
    findings = Findings(ours)
    return conclusions(findings.claim, findings.main_judgements)


STILL = {"svhn": [0.1], "mnist": [0.1], "bits": [4.0]}


def texts(section, kind):
    return [block.text for block in section.blocks if getattr(block, "kind", "") == kind]


@pytest.mark.parametrize("bits", ["validation", "test"])
def test_the_section_has_a_verdict_per_outsider_set(bits):
    section = part.section(Findings(study(trials(bits=bits))))
    assert section.title == "Verdict"
    svhn, mnist = texts(section, "verdict")
    assert svhn.startswith(
        "cifar10 against svhn, by the main score, likelihood = bernoulli: improves, does"
    )
    assert mnist.startswith(
        "cifar10 against mnist, by the main score, likelihood = bernoulli: worsens"
    )
    rule, family = texts(section, "note")
    assert "rules that were fixed before the run" in rule
    assert "2 verdicts" in family
    tables = [block for block in section.blocks if hasattr(block, "shown")]
    of_rule = [table for table in tables if table.name.startswith("verdict")]
    assert [table.shown["verdict"][0].tone for table in of_rule] == ["better", "worse"]
    assert (
        of_rule[0].shown["last, compared with 50 % and 90 %"][0] == "still inverted (below chance)"
    )
    assert tables[0].stored["effect"][0] == pytest.approx(0.05, abs=0.003)
    assert tables[0].stored.loc[0, ["margin", "chance", "fixed"]].tolist() == [0.02, 0.5, 0.9]
    assert len({table.name for table in tables}) == len(tables)
    assert f"{bits}_negative_elbo_bits_per_dim" in tables[0].caption
    figures = [block for block in section.blocks if hasattr(block, "draw")]
    assert len({figure.name for figure in figures}) == 2
    figures[0].draw().canvas.draw()


def whole_study(values, plateau=1.0):
    """Trials with everything that a likelihood study records; `values`: by response, a width."""
    rng = np.random.default_rng(0)
    records = []
    for k, width in enumerate(WIDTHS):
        scores = {
            name: (means[k] + 0.003 * rng.standard_normal(8)).tolist()
            for name, means in values.items()
        }
        numbers = {"svhn": scores["negative_elbo"], "mnist": [0.5] * 8}
        numbers["bits"] = (4 - 0.1 * k + 0.01 * rng.standard_normal(8)).tolist()
        reached = [plateau] + [1.0] * 7
        more = {"gap_negative_elbo": [10.0 * k] * 8, "plateau": reached, "test_auroc": [0.1] * 8}
        records.append(
            record(
                k,
                {"width": width},
                numbers,
                more=more,
                models={"parameters": 1000.0 * width, "flops": 1e6 * width},
                variants=variants({name: {AGAINST_SVHN: by} for name, by in scores.items()}),
                main_score="negative_elbo",
            )
        )
    return records


def test_both_bounds_are_judged_and_the_first_sets_copy_is_not():
    rising, flat = (0.1, 0.15, 0.2, 0.25), (0.3, 0.3, 0.3, 0.3)
    section = part.section(
        Findings(study(whole_study({"negative_elbo": rising, "negative_iwae": flat})))
    )
    elbo, iwae, mnist = texts(section, "verdict")
    assert elbo.startswith(
        "cifar10 against svhn, by -ELBO, likelihood = bernoulli: improves, does not"
    )
    assert iwae.startswith("cifar10 against svhn, by -IWAE, likelihood = bernoulli: no effect")
    assert mnist.startswith("cifar10 against mnist, by the main score")
    assert any("3 verdicts" in text for text in texts(section, "note"))


def with_ranks(ours, path, shift=1.0):
    """The study with stored ranks of its trials: by the score, and of a sample by both bounds."""
    folder = StudyFolder(path)
    for trial in ours.trials:
        stream = np.random.default_rng(trial.number)
        by_score, by_bound = (ranked(stream, images, shift) for images in (400, 100))
        by_bound = replace(by_bound, sizes=(400, 400))
        bounds = {"negative_elbo": by_bound, "negative_iwae": by_bound}
        stored = {("test", TASK): replace(by_score, variants=bounds)}
        write_atomically(folder.ranks(trial.identity), score_ranks.to_bytes(stored))
    return replace(ours, folder=folder)


def ranked(stream, images, shift):
    scores = np.concatenate([stream.normal(0, 1, images), stream.normal(shift, 1, images)])
    rows, labels = np.stack([scores.argsort().argsort()] * 8), np.zeros(images, int)
    return score_ranks.PartRanks(
        rows[:, :images],
        {"svhn": rows[:, images:]},
        labels,
        {"svhn": labels},
        tuple(range(8)),
    )


def test_verdicts_by_a_second_score_cover_the_images_ranked_by_it(tmp_path):
    rising, flat = (0.1, 0.15, 0.2, 0.25), (0.3, 0.3, 0.3, 0.3)
    ours = study(whole_study({"negative_elbo": rising, "negative_iwae": flat}))
    plain, stored = Findings(ours), Findings(with_ranks(ours, tmp_path))
    captions = {
        table.name: table.caption
        for table in part.section(stored).blocks
        if hasattr(table, "shown") and table.name.startswith("verdict")
    }
    covered = {name: COVERS_IMAGES in caption for name, caption in captions.items()}
    assert set(covered.values()) == {False, True}
    assert covered == {name: "svhn" in name for name in covered}, "of mnist no ranks are stored"
    for judgement, without in zip(stored.judgements, plain.judgements, strict=True):
        (verdict,), (narrow,) = judgement.verdicts, without.verdicts
        is_svhn = judgement.evidence.outsider == "svhn"
        assert verdict.stratum.coverage is (Coverage.IMAGES if is_svhn else Coverage.SEEDS)
        assert narrow.stratum.coverage is Coverage.SEEDS
        wider = verdict.stratum.effect.high > narrow.stratum.effect.high
        assert wider == is_svhn


def test_of_several_comparisons_of_a_stratum_all_must_cover_the_images(tmp_path):
    rising = (0.1, 0.15, 0.2, 0.25)
    findings = Findings(with_ranks(study(whole_study({"negative_elbo": rising})), tmp_path))
    judgement = next(j for j in findings.judgements if j.evidence.outsider == "svhn")
    (verdict,) = judgement.verdicts
    lacking = verdict._replace(stratum=replace(verdict.stratum, images=None))
    for both in ([verdict, lacking], [lacking, verdict]):
        caption = verdict_table(findings.claim, judgement._replace(verdicts=both)).caption
        assert COVERS_PARTLY in caption


def test_the_main_score_is_the_named_one_where_both_bounds_agree():
    perfect = whole_study({"negative_elbo": (1.0,) * 4, "negative_iwae": (1.0,) * 4})
    by_iwae = [replace(trial, main_score="negative_iwae") for trial in perfect]
    for trial in by_iwae:
        trial.metrics[AGAINST_SVHN] = [1.0] * 8
        for variant in trial.variants:
            trial.variants[variant] = {AGAINST_SVHN: [1.0] * 8}
    svhn = [
        text for text in texts(part.section(Findings(study(by_iwae))), "verdict") if "svhn" in text
    ]
    assert [text.split(",")[1] for text in svhn] == [" by -IWAE", " by -ELBO"]


def test_a_stratum_without_bits_is_judged_in_nats():
    rising = (0.1, 0.15, 0.2, 0.25)
    improper = whole_study({"negative_elbo": rising})
    for width, trial in enumerate(improper):
        for metric in [metric for metric in trial.metrics if metric.unit == BITS_PER_DIM]:
            del trial.metrics[metric]
        nats = [250.0 - 5 * width + 0.1 * k for k in range(8)]
        trial.metrics[Metric("test", "negative_elbo")] = nats
    section = part.section(Findings(study(improper)))
    verdict = texts(section, "verdict")[0]
    assert "improves, does not fix" in verdict
    assert "nats per image of normal images: -5.000 [-5.000, -5.000] per doubling" in verdict
    (table,) = [b for b in section.blocks if getattr(b, "name", "").startswith("models")]
    assert str(table.shown["bits/dim"][0]).endswith(" nats per image")
    assert "metric test_negative_elbo." in table.caption


def test_a_table_tells_what_the_models_of_each_width_are():
    rising = (0.1, 0.15, 0.2, 0.25)
    section = part.section(Findings(study(whole_study({"negative_elbo": rising}))))
    (table,) = [b for b in section.blocks if getattr(b, "name", "").startswith("models")]
    assert table.stored["width"].tolist() == list(WIDTHS)
    assert table.stored["parameters"].tolist() == [16e3, 32e3, 64e3, 128e3]
    assert table.stored["flops"].tolist() == [16e6, 32e6, 64e6, 128e6]
    assert table.stored["gap"].tolist() == [0, 10, 20, 30]
    assert table.shown["plateau"].tolist() == ["8 of 8"] * 4
    assert str(table.shown["parameters"][0]) == "16,000"
    assert "metric gap_negative_elbo" in table.caption
    assert not texts(section, "warning")
    (by_width,) = [
        b for b in section.blocks if getattr(b, "name", "").startswith("levels_cifar10-vs-s")
    ]
    assert by_width.stored["less first"].tolist()[1:] == pytest.approx([0.05, 0.1, 0.15], abs=0.01)


def test_models_that_missed_their_plateau_are_a_warning():
    section = part.section(
        Findings(study(whole_study({"negative_elbo": (0.1,) * 4}, plateau=0.0)))
    )
    (warning,) = texts(section, "warning")
    assert (
        "4 models ran out of epochs before the validation loss stopped improving (1 at 16, 1 at 32"
        in warning
    )
    (table,) = [b for b in section.blocks if getattr(b, "name", "").startswith("models")]
    assert table.shown["plateau"].tolist() == ["7 of 8"] * 4


def test_the_answer_is_the_verdict_of_the_main_score_and_what_casts_doubt_on_it():
    rising, flat = (0.1, 0.15, 0.2, 0.25), (0.3, 0.3, 0.3, 0.3)
    values = {"negative_elbo": rising, "negative_iwae": flat}
    (answer,) = concluded(study(whole_study(values)))
    assert answer.startswith(
        "cifar10 against svhn, by -ELBO, likelihood = bernoulli: improves, does not"
    )
    verdict, doubt = concluded(study(whole_study(values, plateau=0.0)))
    assert verdict.startswith(answer[: answer.index(")")]) and "n = 7 paired seeds" in verdict
    assert "4 models ran out of epochs" in doubt
    assert concluded(study(whole_study(values), None)) == []
    assert concluded(study([])) == []
    assert concluded(study(trials() + trials())) == [], "the section says why"


def test_levels_may_be_told_by_several_parameters():
    parameters = {
        "elbo": {"objective": "elbo", "refit": 0.0},
        "forward_kl": {"objective": "forward_kl", "refit": 0.0},
        "refit": {"objective": "elbo", "refit": 0.5},
    }
    claim = {
        "kind": "forward_kl",
        "factor": "objective",
        "baseline_level": "elbo",
        "control_level": "refit",
        "levels": parameters,
    }
    rng = np.random.default_rng(0)
    ours = []
    for k, (mean, params) in enumerate(zip((0.1, 0.3, 0.2), parameters.values(), strict=True)):
        values = (mean + 0.01 * rng.standard_normal(8)).tolist()
        ours.append(record(k, params, {"svhn": values, "mnist": values, "bits": [4.0] * 8}))
    unmatched = record(
        3, {"objective": "mixed", "refit": 0.5}, {"svhn": [0.1], "mnist": [0.1], "bits": [4.0]}
    )
    section = part.section(Findings(study([*ours, unmatched], claim)))
    assert all("improves, does not fix" in text for text in texts(section, "verdict"))
    assert all(
        "The control (refit) changes AUROC by +" in text for text in texts(section, "verdict")
    )
    assert any("1 trial that match no level" in text for text in texts(section, "note"))


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
    section = part.section(Findings(study(ours, claim)))
    assert all("improves, does not fix" in text for text in texts(section, "verdict"))
    assert any("all models" in text for text in texts(section, "verdict"))


@pytest.mark.parametrize(
    ("samples", "share", "realised"), [(8, 0.13, False), (8, 0.3, True), (2, 0.6, False)]
)
def test_weights_on_one_code_are_no_forward_kl(samples, share, realised):
    claim = {"kind": "forward_kl", "factor": "objective", "baseline_level": "elbo"}
    values = {name: np.linspace(0.30, 0.31, 8).tolist() for name in ("svhn", "mnist")}
    ours = [
        record(k, {"objective": level, "samples": samples}, values | {"bits": [4.0] * 8}, share=s)
        for k, (level, s) in enumerate({"elbo": math.nan, "forward_kl": share}.items())
    ]
    section = part.section(Findings(study(ours, claim)))
    wanted = "no effect" if realised else f"of {samples} codes on average"
    assert all(wanted in text for text in texts(section, "verdict"))


def test_without_a_plateau_there_is_no_rule_on_capacity():
    ours = trials()
    for trial in ours:
        trial.metrics[STOPPED] = [0.0] * 8
    section = part.section(Findings(study(ours)))
    assert all("inconclusive (in 0 of 8 seeds" in text for text in texts(section, "verdict"))
    assert all("--epochs" in text for text in texts(section, "verdict"))


def test_a_failed_model_is_left_out_and_counted():
    ours = trials()
    nothing = {name: [None] * 8 for name in ("svhn", "mnist", "bits")}
    failed = record(3, {"width": 128}, nothing, "failed")
    section = part.section(Findings(study([*ours[:3], failed])))
    assert all("inconclusive (0 seeds with results" in text for text in texts(section, "verdict"))
    tables = [block for block in section.blocks if hasattr(block, "shown")]
    assert tables[-1].stored["models"].tolist() == [8] * 4
    assert tables[0].shown["left out"].tolist() == [8]
    assert "8 models failed" in tables[0].caption


@pytest.mark.parametrize(
    ("ours", "claim", "reason"),
    [
        ([], CLAIM, "no trial with the parameter width"),
        (trials()[:1], CLAIM | {"factor": "depth"}, "no trial with the parameter depth"),
        (trials(), CLAIM | {"kind": "magic"}, "must be one of capacity, forward_kl, got 'magic'"),
        (trials(), CLAIM | {"kind": ["capacity"]}, "got ['capacity']"),
        (trials(), {"kind": "capacity"}, "must be the name of one parameter, got ''"),
        (trials(), CLAIM | {"factor": ["width", "depth"]}, "must be the name of one parameter"),
        (trials(), CLAIM | {"strata": "likelihood"}, "strata must be a tuple of names"),
        (trials(), CLAIM | {"levels": ["elbo"]}, "must give the parameters of each level"),
        (
            trials(),
            CLAIM | {"levels": {"a": {}}, "control_level": "b"},
            "must include 'b', got a",
        ),
        (trials(), "capacity of width", "must be a table of kind, factor and strata"),
        (trials(), ["capacity"], "must be a table of kind, factor and strata"),
        ([record(0, {"width": [1, 2]}, STILL)], CLAIM, "widths must be numbers above 0"),
        (trials(), {"kind": "forward_kl", "factor": "width"}, "needs a baseline_level"),
        (
            trials() + trials(),
            CLAIM,
            "differs between the trials to the claim's strata",
        ),
        (trials(), CLAIM | {"factor": "likelihood", "strata": []}, "widths must be numbers"),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(ours, claim, reason):
    assert any(
        reason in text for text in texts(part.section(Findings(study(ours, claim))), "warning")
    )


@pytest.mark.parametrize("seeds", [1, 5])
def test_few_seeds_have_a_section_without_a_verdict(seeds):
    section = part.section(Findings(study(trials(seeds))))
    assert all("inconclusive" in text for text in texts(section, "verdict"))
    for figure in (block for block in section.blocks if hasattr(block, "draw")):
        figure.draw().canvas.draw()


@pytest.mark.parametrize("claim", ["", None])
def test_a_study_without_a_claim_has_no_section(claim):
    assert part.section(Findings(study(trials(), claim))) is None
