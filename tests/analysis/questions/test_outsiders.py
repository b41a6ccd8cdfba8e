"""Several sets of outsiders scored by one model: each has its own AUROC, the first is quoted."""

from dataclasses import replace

import pytest

from analysis.questions.claims.published import tables
from analysis.questions.claims.published.cells import compare_cells
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections.result import section
from analysis.report.sections.trials import section as trials_section
from tests.analysis.planted import record, study
from tune_ad.storage.metric import TEST_AUROC, Metric, ScoreVariant

TASK = ("cifar10-vs-svhn+noise",)
SVHN, NOISE = (TEST_AUROC._replace(outsider=name) for name in ("svhn", "noise"))


def against(number, seeds=(0.1, 0.2), baseline="VAE"):
    trial = record(number, {"width": 1.0}, seeds, tasks=TASK, baseline=baseline)
    trial.metrics[SVHN] = list(seeds)
    trial.metrics[NOISE] = [0.9, 1.0]
    trial.variants[ScoreVariant.of_component("rate")] = {
        TEST_AUROC: [0.6, 0.8],
        SVHN: [0.6, 0.8],
        NOISE: [0.5, None],
    }
    return trial


def test_the_first_set_is_the_answer_and_every_score_meets_every_set(tmp_path):
    (result,) = results(study(tmp_path, [against(0)], {"VAE": {"width": 1.0}}))
    assert result.auroc.mean == pytest.approx(0.15)
    means = {
        (s, k): v.mean for s, by_score in result.outsiders.items() for k, v in by_score.items()
    }
    assert means == pytest.approx(
        {
            ("svhn", "score"): 0.15,
            ("svhn", "rate"): 0.7,
            ("noise", "score"): 0.95,
            ("noise", "rate"): 0.5,
        }
    )
    assert result.outsiders["noise"]["rate"].n == 1, "a seed without a number is left out"


def test_the_report_has_a_row_for_every_score_and_a_column_for_every_set(tmp_path):
    planted = study(tmp_path, [against(0)], {"VAE": {"width": 1.0}})
    tasks = [{"name": TASK[0], "source": "cifar10", "outsiders": ["svhn", "noise"]}]
    part = section(Findings(replace(planted, stored={**planted.stored, "tasks": tasks})))
    (table,) = [block for block in part.blocks if getattr(block, "name", "") == "outsiders"]
    assert list(table.shown.columns) == ["score", "svhn", "noise", "n"]
    assert list(table.shown["n"]) == [2, 2]
    (classes,) = [block for block in part.blocks if getattr(block, "name", "") == "classes"]
    assert list(classes.shown["class"]) == ["cifar10 against svhn"], "the first set alone"
    assert list(table.shown["score"]) == ["score (reported)", "rate"]


def test_a_score_that_uses_no_model_stands_once(tmp_path):
    trials = [against(k, (0.1 + k / 10, 0.2), name) for k, name in enumerate("AB")]
    for trial in trials:
        for name, values in (("pixel_mean", [0.3, 0.3]), ("rate", [0.5 + trial.number / 10, 0.8])):
            metrics = {metric: values for metric in (TEST_AUROC, SVHN, NOISE)}
            trial.variants[ScoreVariant.of_component(name)] = metrics
    planted = study(tmp_path, trials, {name: {"width": 1.0} for name in "AB"})
    part = section(Findings(planted))
    (table,) = [block for block in part.blocks if getattr(block, "name", "") == "outsiders"]
    rows = table.shown[["baseline", "score", "n"]].astype(str).to_numpy().tolist()
    assert rows == [
        ["A", "score (reported)", "2"],
        ["A", "rate", "2"],
        ["B", "score (reported)", "2"],
        ["B", "rate", "2"],
        ["every baseline", "pixel_mean", "1"],
    ]


def test_a_claim_has_a_number_for_each_of_its_strata(tmp_path):
    claim = {"kind": "capacity", "factor": "width", "strata": ["likelihood", "latent_dim"]}
    trials = [
        record(
            k, {"width": width, "likelihood": name, "latent_dim": 32}, (auroc, auroc), baseline="A"
        )
        for k, (width, name, auroc) in enumerate(
            [(1.0, "normal", 0.9), (1.0, "mass", 0.2), (2.0, "normal", 0.95), (2.0, "mass", 0.1)]
        )
    ]
    defaults = {"A": {"width": 1.0, "likelihood": "mass", "latent_dim": 32}}
    planted = study(tmp_path, trials, defaults, claim=claim, plan={"name": "Grid"})
    means = {result.label: result.auroc.mean for result in results(planted)}
    assert means == pytest.approx({"likelihood = normal": 0.9, "likelihood = mass": 0.2})
    (alone,) = results(study(tmp_path / "b", trials, defaults, plan={"name": "Grid"}))
    assert (alone.label, alone.auroc.mean) == ("A", pytest.approx(0.2))


def test_trials_of_several_likelihoods_are_not_ranked_by_likelihood(tmp_path):
    trials = [
        record(
            k,
            {"likelihood": name},
            (0.5, 0.5),
            objective=objective,
            scales={"loss": f"PGN, {name}", "likelihood": name},
        )
        for k, (name, objective) in enumerate([("bernoulli", -250.0), ("categorical", -2.0)])
    ]
    search = {"selection": "likelihood", "plan": {"name": "Grid"}}
    listed = trials_section(Findings(study(tmp_path, trials, **search))).blocks[0]
    assert listed.shown["number"].tolist() == [0, 1]
    assert listed.caption.startswith("Not ranked: values of different losses and likelihoods")
    of_one = [
        replace(trial, params={"likelihood": "bernoulli"}, scales=trials[0].scales)
        for trial in trials
    ]
    ranked = trials_section(Findings(study(tmp_path / "b", of_one, **search))).blocks[0]
    assert ranked.shown["number"].tolist() == [1, 0]
    assert ranked.caption.startswith("Ranked by bits per dimension of held-out normal images")


def test_classes_of_one_set_are_no_outsiders(tmp_path):
    (result,) = results(study(tmp_path, [record(0, {"width": 1.0}, (0.7, 0.8))]))
    assert result.outsiders == {}


def test_each_set_has_its_aupr_beside_the_auroc(tmp_path):
    trial = against(0)
    for name, values in (("svhn", [0.3, 0.5]), ("noise", [0.8, 1.0])):
        trial.metrics[Metric("test", "ap", name)] = values
    part = section(Findings(study(tmp_path, [trial], {"VAE": {"width": 1.0}})))
    (table,) = [block for block in part.blocks if getattr(block, "name", "") == "outsider_alarms"]
    assert list(table.shown["outsider set"]) == ["svhn", "noise"]
    assert [cell.value for cell in table.shown["AUPR"]] == pytest.approx([0.4, 0.9])


def test_published_numbers_are_compared_set_by_set_and_score_by_score(tmp_path):
    made = against(0, seeds=(0.1, 0.12), baseline="LikelihoodVAE")
    made = replace(made, detector="LikelihoodVAE")
    made.params["likelihood"] = "categorical"
    made.variants[ScoreVariant.of_component("negative_elbo")] = {SVHN: [0.2, 0.3]}
    (ood,) = [table for table in tables() if table.name == "ood"]
    planted = study(tmp_path, [made], {"LikelihoodVAE": made.params})
    task = {"source": "cifar10", "normal_class": None, "outsiders": ["svhn", "noise"]}
    planted = replace(planted, stored={**planted.stored, "tasks": [{"name": TASK[0], **task}]})
    compared = compare_cells(planted, results(planted), ood)
    cells = [comparison.published for comparison in compared]
    assert [(cell.data_set, cell.outsider, cell.method.name) for cell in cells] == [
        ("cifar10", "svhn", "VAE ELBO")
    ]
    assert compared[0].ours.mean == pytest.approx(0.25)
    assert compared[0].published.mean == pytest.approx(0.08)
