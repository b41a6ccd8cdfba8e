"""Trials report, fail and continue correctly; test images do not influence selection."""

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from tests.marks import slow
from tests.naming import short
from tests.training.cases import (
    PARTS,
    SECOND,
    Blinded,
    Brightness,
    Constant,
    Planted,
    Staged,
    blind,
    patient,
    planted,
    reference,
    run,
    stepped,
    study_of,
    trial_of,
    with_titles,
    without_seconds,
)
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Buffers, ScoreSpace, Terms
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import DegenerateInputError
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import SEED_AGREEMENT, Metric, metrics_from_json
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.scoring import ScoreKey, by_metric
from tune_ad.training.trial import Trial
from tune_ad.training.trial_scores import NO_DIAGNOSIS


def curves_of(report):
    """The curves of a report by the short names of metrics."""
    return short(metrics_from_json(report.details["curves"]["replicas"]))


def histogram_of(report, task):
    """The only histogram of a task."""
    (row,) = [row for row in report.details["histograms"] if row["task"] == task]
    return row


def test_a_trial_reports_after_every_interval():
    study = study_of(PGN, score_space={"mc_samples": (0, "inf")}, seeds=2)
    reports = run(trial_of(study, latent_dim=8))
    assert [report.epoch for report in reports] == [2, 4, 6]
    assert [report.done for report in reports] == [False, False, True]
    assert {report.epochs for report in reports} == {6}
    assert [report.learning_rate for report in reports] == pytest.approx([1e-3, 1e-3, 1e-4])
    for report in reports:
        metrics = short(report.metrics)
        values = metrics["validation_auroc"]
        assert report.objective == pytest.approx(np.mean([v for v in values if v is not None]))
        assert {len(numbers) for numbers in metrics.values()} == {4}
        assert "train_loss" in metrics
        assert set(report.scores) == {ScoreKey("toy/0"), ScoreKey("toy/1")}
    last = reports[-1].record
    assert last.state == "complete"
    assert [report.record.state for report in reports[:-1]] == ["pruned", "pruned"]
    assert last.reports == [(report.epoch, report.objective) for report in reports]
    assert (last.number, last.detector, last.baseline) == (4, "PGN", "PGN")
    assert last.searched == ["latent_dim"]
    assert last.params["latent_dim"] == 8
    assert last.params == asdict(PGN.Config.released(study.shape, **last.params))
    assert last.models["parameters"] > 0
    assert [(replica.task, replica.seed) for replica in last.replicas] == [
        ("toy/0", 0),
        ("toy/1", 0),
        ("toy/0", 1),
        ("toy/1", 1),
    ]
    assert {(replica.state, replica.epoch, replica.reason) for replica in last.replicas} == {
        ("complete", 6, "")
    }
    assert reports[0].record.variants == {}
    assert {"mc_samples=0", "mc_samples=inf", "kl"} <= set(short(last.variants))
    assert TrialRecord.from_json(json.loads(to_text(last))).metrics == last.metrics
    assert TrialRecord.from_json(json.loads(to_text(last))) == last
    curves = reports[-1].details["curves"]
    assert curves["epoch"] == [2, 4, 6]
    assert curves["objective"] == [report.objective for report in reports]
    assert {len(values) for values in curves_of(reports[-1]).values()} == {3}
    json.loads(to_text(reports[-1].details))


def test_a_trials_own_seeds_take_the_place_of_the_studys():
    study = study_of(Brightness)
    trial = Trial(study, planted(PARTS), TrialSpec(0, "Brightness", {}, (7, 9)), "cpu")
    assert [(spec.task, spec.seed) for spec in trial.replica_specs] == [("toy/0", 7), ("toy/0", 9)]


def test_a_detector_without_stages_is_done_at_once():
    (report,) = run(trial_of(study_of(Brightness), planted(PARTS)))
    assert (report.epoch, report.epochs, report.learning_rate) == (0, 0, 0.0)
    expected = reference(roc_auc_score, PARTS["validation_normal"], PARTS["validation_anomalous"])
    assert report.objective == pytest.approx(expected)
    assert report.record.state == "complete"


def test_the_test_set_is_scored_once_at_the_end():
    reports = run(trial_of(study_of(DeepSVDD)))
    for report in reports[:-1]:
        assert not [metric for metric in report.metrics if metric.part == "test"]
    tested = short(reports[-1].metrics)["test_auroc"]
    assert None not in tested
    curve = curves_of(reports[-1])["test_auroc"]
    assert len(curve) == 3
    assert curve[-1] == tested
    assert not any(curve[:-1])


def test_the_test_curve_is_recorded_if_the_budget_has_it():
    reports = run(trial_of(study_of(DeepSVDD, test_curve=True)))
    metrics = [short(report.metrics) for report in reports]
    assert all(None not in numbers["oracle_auroc"] for numbers in metrics)
    assert ["test_auroc" in numbers for numbers in metrics] == [False, False, True]
    assert metrics[-1]["oracle_auroc"] == metrics[-1]["test_auroc"]


BLIND_TO_THE_TEST = ("validation", "normal_only", "random", "pseudo_outliers", "seed_agreement")


def on_other_test_images(parts: Planted) -> Planted:
    """The same parts with another brightness of the test images."""
    return {
        name: [255 - value for value in values] if name.startswith("test") else values
        for name, values in parts.items()
    }


@pytest.mark.parametrize("curve", [False, slow(True)])
@pytest.mark.parametrize("rule", [*BLIND_TO_THE_TEST, "oracle"])
def test_a_trial_is_tested_and_only_the_oracle_selects_by_it(rule, curve):
    study = study_of(DeepSVDD, selection=rule, test_curve=curve)
    ours, theirs = (
        run(trial_of(study, planted(*map(change, (PARTS, SECOND)))))
        for change in (dict, on_other_test_images)
    )
    tested = [short(reports[-1].metrics)["test_auroc"] for reports in (ours, theirs)]
    assert tested[0] != tested[1]
    same = [one.objective == other.objective for one, other in zip(ours, theirs, strict=True)]
    assert same == [True, True, rule != "oracle"]
    for one, other in zip(ours, theirs, strict=True):
        for metric in one.metrics:
            if metric.part not in ("test", "oracle"):
                assert one.metrics[metric] == other.metrics[metric]


class Unsure(Brightness):
    """Its scores of bright images, which only the test set has, are not finite."""

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        scores = super().score_variants(images, noise, score_space)
        score = scores["score"]
        return {**scores, "score": torch.where(score > 60, torch.nan, score)}


@pytest.mark.parametrize("rule", BLIND_TO_THE_TEST)
def test_test_scores_that_are_not_finite_do_not_exclude_a_trial_from_selection(rule):
    (report,) = run(trial_of(study_of(Unsure, selection=rule), planted(PARTS)))
    (plain,) = run(trial_of(study_of(Brightness, selection=rule), planted(PARTS)))
    record = report.record
    assert record.state == "complete"
    lacking = ("normal_only", "pseudo_outliers")  # it is not trained; this suite has none
    assert (report.objective is None) == (rule in lacking)
    if rule == "validation":
        assert report.objective == plain.objective
    assert not [metric for metric in record.metrics if metric.part == "test"]
    assert {(replica.state, replica.reason) for replica in record.replicas} == {
        ("complete", "not tested: 1 of 4 normal scores are NaN or infinite")
    }


@pytest.mark.parametrize(
    ("rule", "changes", "seeds"),
    [
        ("oracle", {}, ()),
        ("validation", {}, (1000,)),
        ("validation", {"validation_fraction": 0.0}, ()),
    ],
)
def test_a_trial_that_is_reported_fails_if_it_cannot_be_tested(rule, changes, seeds):
    study = study_of(Unsure, selection=rule, **changes)
    trial = Trial(study, planted(PARTS), TrialSpec(0, "Unsure", {}, seeds), "cpu")
    assert trial.quoted
    (report,) = run(trial)
    assert report.record.state == "failed"
    assert report.objective is None
    assert "1 of 4 normal scores are NaN or infinite" in report.record.reason


def test_a_trial_that_is_pruned_is_not_tested():
    reports = run(trial_of(study_of(DeepSVDD)))
    for report in reports[:-1]:
        assert report.record.state == "pruned"
        assert not [metric for metric in report.record.metrics if metric.part == "test"]
        assert report.ranks == b""
        assert report.record.warnings == []


# --------------------------------------------------------------------- scoring, and merging it


def test_replicas_whose_validation_scores_are_not_finite_fail(monkeypatch):
    blind(monkeypatch, 1, "toy/0", 0, "score")
    trial = trial_of(study_of(Blinded), planted(PARTS))
    trial.replica_set.train(3)
    scores = trial.scores.score(done=False)["validation"]
    assert trial.replica_set.failures == {1: (3, scores.faults[1])}
    assert "normal scores are NaN or infinite" in scores.faults[1]
    assert trial.replica_set.living() == [0]


@pytest.mark.parametrize(("rule", "ends"), [("validation", False), ("oracle", True)])
def test_replicas_whose_test_scores_are_not_finite_fail_only_if_they_are_reported(
    rule, ends, monkeypatch
):
    blind(monkeypatch, 1, "toy/0", 0, "score")
    trial = trial_of(study_of(Blinded, selection=rule), planted(PARTS))
    trial.replica_set.train(3)
    monkeypatch.setattr(trial.scores, "parts", lambda done: ["test"])
    (fault,) = trial.scores.score(done=True)["test"].faults.values()
    assert trial.quoted == ends
    assert trial.replica_set.failures == ({1: (3, fault)} if ends else {})
    assert trial.scores.untested == ({} if ends else {1: f"not tested: {fault}"})


class Diagnosed(DeepSVDD):
    """Its diagnostic is the mean score of training images."""

    def diagnose(self, scored):
        return {Metric("diagnosed", "score"): float(scored("train")["score"].mean())}


def test_merging_neither_scores_nor_changes_anything(monkeypatch):
    trial = trial_of(study_of(Diagnosed), planted(PARTS))
    terms = trial.replica_set.train(6)
    trained = by_metric(terms)
    trial.replica_set.prepare_scoring()
    parts = trial.scores.score(done=True)
    diagnosis = trial.scores.diagnose(parts)
    monkeypatch.setattr(ReplicaSet, "score", None)
    given = trained, parts, diagnosis
    merged = [trial.scores.merged(*given, done=True) for _ in range(2)]
    assert merged[0] == merged[1]
    assert len(merged[0][Metric("diagnosed", "score")]) == 2
    assert trial.history.epochs == []
    early = trial.scores.merged(*given, done=False)
    at_the_end = ("test", "diagnosed")
    left = {m: values for m, values in merged[0].items() if m.part not in at_the_end}
    assert early == left
    trial.replica_set.fail(0, 6, "made to")
    for metric, values in trial.scores.merged(*given, done=True).items():
        assert values == [None, merged[0][metric][1]], metric


@pytest.mark.parametrize(
    ("changes", "early", "last"),
    [
        ({}, ["validation"], ["validation", "test"]),
        ({"test_curve": True}, ["validation", "test"], ["validation", "test"]),
        ({"validation_fraction": 0.0}, [], ["test"]),
    ],
)
def test_test_images_are_scored_at_the_end_or_if_their_curve_is_recorded(changes, early, last):
    trial = trial_of(study_of(DeepSVDD, **changes), planted(PARTS))
    assert trial.scores.parts(done=False) == [], "before the last stage has begun"
    trial.replica_set.train(1)
    assert trial.scores.parts(done=False) == early
    assert trial.scores.parts(done=True) == last


# ------------------------------------------------------------------------- a few anomalies


# ------------------------------------------------------------------------------ objectives


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_normal_only_uses_the_loss_and_not_the_score(objective):
    study = study_of(DeepSVDD, selection="normal_only")
    trial = trial_of(study, objective=objective, nu=0.5)
    last = run(trial)[-1]
    losses = []
    for replica in trial.replica_set.replicas:
        held_out = trial.suite.split(replica.spec.task).validation.normal
        with torch.no_grad():
            loss = replica.module.eval().loss_and_terms("train", replica.images[held_out], {})[0]
        losses.append(float(loss))
    metrics = short(last.metrics)
    assert metrics["validation_loss"] == pytest.approx(losses, rel=1e-5)
    assert last.objective == pytest.approx(-np.mean(losses), rel=1e-5)
    same = metrics["validation_score"] == pytest.approx(losses, rel=1e-5)
    assert same == (objective == "one-class")


def test_the_validation_loss_has_the_same_noise_at_every_call():
    replica_set = trial_of(study_of(PGN), latent_dim=8).replica_set
    replica_set.train(1)
    indices = torch.arange(5)
    assert torch.equal(replica_set.losses(0, indices), replica_set.losses(0, indices))
    assert not torch.equal(replica_set.losses(0, indices), replica_set.losses(1, indices))


def test_each_rule_uses_its_own_metric():
    suite = planted(PARTS)
    seen = {
        rule: run(trial_of(study_of(Brightness, selection=rule), suite))[0].objective
        for rule in ("validation", "normal_only", "oracle", "random")
    }
    sides = (PARTS["validation_normal"], PARTS["validation_anomalous"])
    assert seen["validation"] == pytest.approx(reference(roc_auc_score, *sides))
    assert seen["normal_only"] is None, "a detector that is not trained has no loss"
    expected = reference(roc_auc_score, PARTS["test_normal"], PARTS["test_anomalous"])
    assert seen["oracle"] == pytest.approx(expected)
    assert 0 <= (seen["random"] or 0) < 1
    assert seen["random"] not in (None, seen["validation"], seen["oracle"])


def test_without_validation_there_is_no_objective():
    study = study_of(DeepSVDD, validation_fraction=0.0)
    reports = run(trial_of(study))
    assert [report.objective for report in reports] == [None] * 3
    assert not [metric for metric in reports[-1].metrics if metric.part == "validation"]
    assert None not in short(reports[-1].metrics)["test_auroc"]


def test_a_collapsed_trial_is_recorded_as_such():
    (report,) = run(trial_of(study_of(Constant), planted(PARTS)))
    assert report.objective == 0.5
    metrics = short(report.metrics)
    for part in ("validation", "test"):
        assert metrics[f"{part}_collapsed"] == [1.0, 1.0]
        assert metrics[f"{part}_auroc"] == [0.5, 0.5]
    assert report.record.state == "complete"
    assert report.details["histograms_of"] == "test"
    assert sum(histogram_of(report, "toy/0")["counts"]["normal"]) == 4, "normal test images"


# -------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("fault", "reason", "epoch"),
    [("loss", "loss became nan in epoch 4", 3), ("score", "scores are NaN or infinite", 4)],
)
def test_a_failed_replica_fails_the_trial_and_the_others_continue(
    fault, reason, epoch, monkeypatch
):
    blind(monkeypatch, 1, "toy/0", 2 * 3, fault)  # two batches an epoch: after three epochs
    reports = run(trial_of(study_of(Blinded), planted(PARTS, SECOND, stripes=True)))
    assert [report.epoch for report in reports] == [2, 4, 6]
    assert None not in short(reports[0].metrics)["validation_auroc"]
    assert reports[0].objective is not None
    assert reports[0].record.state == "pruned"
    for report in reports[1:]:
        assert report.objective is None
        for metric, values in report.metrics.items():
            alone = (
                metric.term == SEED_AGREEMENT
            )  # toy/0 has one model left, which agrees with none
            assert [value is None for value in values] == [alone, False, True, False], metric
        assert report.record.state == "failed"
        assert "1 of 4 replicas failed, first toy/0 with seed 1" in report.record.reason
        assert reason in report.record.reason
        failed = report.record.replicas[2]
        assert (failed.state, failed.epoch) == ("failed", epoch)
        assert reason in failed.reason
    states = [replica.state for replica in reports[-1].record.replicas]
    assert states == ["complete", "complete", "failed", "complete"]
    monkeypatch.setattr(Blinded, "unlucky", math.inf)
    fine = run(trial_of(study_of(Blinded), planted(PARTS, SECOND, stripes=True)))
    for ours, theirs in zip(reports, fine, strict=True):
        for metric, values in theirs.metrics.items():
            first = None if metric.term == SEED_AGREEMENT else values[0]
            expected = values if ours is reports[0] else [first, values[1], None, values[3]]
            assert ours.metrics[metric] == expected


@pytest.mark.parametrize("fault", ["loss", "score"])
def test_a_trial_whose_replicas_have_all_failed_ends(fault, monkeypatch):
    blind(monkeypatch, 0, "toy/0", 0, fault)
    (report,) = run(trial_of(study_of(Blinded, seeds=1), planted(PARTS)))
    assert report.done
    assert report.objective is None
    assert report.record.state == "failed"
    assert report.scores == {}
    assert report.pictures == {}
    assert report.details["histograms"] == []


def test_nothing_is_scored_before_the_last_stage():
    study = study_of(Staged, epochs=7, evaluations=4, test_curve=True)  # 12 epochs in all
    reports = run(trial_of(study))
    assert [report.epoch for report in reports] == [3, 6, 9, 12]
    assert {report.epochs for report in reports} == {12}
    assert [report.objective is None for report in reports] == [True, False, False, False]
    early = {"train_first/loss", "train_first/first", "train_first/first_bits_per_dim"}
    assert set(short(reports[0].metrics)) == early
    assert reports[0].scores == {}
    assert reports[0].details["histograms"] == []
    for report in reports[1:]:
        metrics = set(short(report.metrics))
        assert {"train_loss", "validation_auroc", "oracle_auroc"} <= metrics
        assert not early & metrics
    last = reports[-1]
    assert last.record.reports == [(report.epoch, report.objective) for report in reports]
    assert last.record.state == "complete"
    assert {replica.epoch for replica in last.record.replicas} == {12}
    assert last.record.models == {"parameters": 2, "flops": 4.0}, "of two linear layers"
    curves = curves_of(last)
    assert [len(values) for values in curves["train_first/loss"]] == [4, 0, 0, 0]
    assert [len(values) for values in curves["validation_auroc"]] == [0, 4, 4, 4]


def test_metrics_in_nats_are_recorded_in_bits_too():
    (*_, last) = run(trial_of(study_of(Staged, epochs=3)))
    metrics = short(last.metrics)
    converted = ("train_first", "validation_score", "test_score")
    bits = {name for name in metrics if name.endswith("_bits_per_dim")}
    assert bits == {f"{name}_bits_per_dim" for name in converted}
    for name in converted:
        expected = [value / (64 * math.log(2)) for value in metrics[name] if value]
        assert metrics[f"{name}_bits_per_dim"] == pytest.approx(expected)
    assert last.record.metrics == last.metrics


def test_a_trial_whose_replicas_all_fail_in_an_early_stage_ends():
    class Broken(Staged):
        def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
            return {n: t * math.nan for n, t in super().terms(phase, images, noise).items()}

    (report,) = run(trial_of(study_of(Broken, epochs=7, evaluations=4)))
    assert report.done
    assert report.record.state == "failed"
    reasons = {replica.reason for replica in report.record.replicas}
    assert reasons == {"first/loss became nan in epoch 1"}
    assert all(value is None for values in report.metrics.values() for value in values)


class Unfit(Blinded):
    """Fitted to the contrast of the first pixel of the training images."""

    def finish(self, batches: Any, seed: int) -> Buffers:
        if not torch.cat(list(batches))[:, 0, 0, 0].std() > 0:
            raise DegenerateInputError("the training images have no contrast")
        return {}


def test_the_reason_of_a_failed_trial_names_the_class():
    suite = with_titles(planted(PARTS, {**SECOND, "train": [9, 9, 9]}), "cat", "dog")
    (*_, report) = run(trial_of(study_of(Unfit, seeds=1), suite))
    assert report.record.reason.startswith("1 of 2 replicas failed, first toy/dog with seed 0: ")
    assert [replica.task for replica in report.record.replicas] == ["toy/0", "toy/1"]


def test_a_replica_that_cannot_be_fitted_fails_its_trial():
    suite = planted(PARTS, {**SECOND, "train": [9, 9, 9]})
    reports = run(trial_of(study_of(Unfit), suite))
    assert [report.epoch for report in reports] == [2, 4, 6]
    record = reports[-1].record
    assert record.state == "failed"
    assert [replica.state for replica in record.replicas] == ["complete", "failed"] * 2
    failed = [replica for replica in record.replicas if replica.state == "failed"]
    reasons = {(replica.reason, replica.epoch) for replica in failed}
    assert reasons == {("the training images have no contrast", 2)}
    assert "2 of 4 replicas failed, first toy/1 with seed 0: the training" in record.reason
    tested = short(record.metrics)["test_auroc"]
    assert [value is None for value in tested] == [False, True] * 2
    assert record.objective is None


# ------------------------------------------------------------------------ saved and loaded


@pytest.mark.parametrize("after", [1, slow(2)])
@pytest.mark.parametrize("detector", [AE, DeepSVDD, PGN, Blinded, Staged])
def test_a_saved_trial_continues_with_equal_reports(detector, after, monkeypatch, tmp_path):
    blind(monkeypatch, 1, "toy/0", 2 * 3, "loss")
    settings = {"latent_dim": 16} if detector not in (Blinded, Staged) else {}
    study = study_of(detector, test_curve=True)
    straight = run(trial_of(study, **settings))
    first = trial_of(study, **settings)
    for _ in range(after):
        stepped(first)
    torch.save(first.state_dict(), tmp_path / "trial.pt")
    second = trial_of(study, **settings)
    second.load_state_dict(torch.load(tmp_path / "trial.pt", weights_only=True))
    rest = [without_seconds(report) for report in run(second)]
    assert rest == [without_seconds(report) for report in straight[after:]]
    assert second.history.seconds >= first.history.seconds


# ------------------------------------------------------------------------- early stopping


def test_a_trial_with_patience_ends_when_its_replicas_have_stopped():
    reports = run(trial_of(patient(), planted(PARTS)))
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5]
    assert [report.done for report in reports] == [False] * 4 + [True]
    record = reports[-1].record
    assert record.state == "complete"
    assert [replica.epoch for replica in record.replicas] == [5, 5]
    metrics = short(record.metrics)
    assert metrics["early_stopping_best_epoch"] == [3.0, 3.0]
    assert metrics["early_stopping_stopped"] == [1.0, 1.0]
    assert metrics["validation_loss"] == [0.0, 0.0], "of the weights that are kept"
    assert "test_auroc" in metrics
    assert "early_stopping_stopped" not in short(reports[0].metrics)


def test_a_trial_whose_epochs_run_out_is_not_stopped():
    study = patient()
    short_study = replace(study, budget=replace(study.budget, epochs=4))
    metrics = short(run(trial_of(short_study, planted(PARTS)))[-1].metrics)
    assert metrics["early_stopping_stopped"] == [0.0, 0.0]
    assert metrics["early_stopping_best_epoch"] == [3.0, 3.0]
    assert metrics["validation_loss"] == [0.0, 0.0]


@pytest.mark.parametrize("after", [2, 4])
def test_a_saved_trial_with_patience_continues_with_equal_reports(after, tmp_path):
    straight, first, second = (trial_of(patient(), planted(PARTS)) for _ in range(3))
    whole = run(straight)
    for _ in range(after):
        stepped(first)
    torch.save(first.state_dict(), tmp_path / "trial.pt")
    second.load_state_dict(torch.load(tmp_path / "trial.pt", weights_only=True))
    rest = [without_seconds(report) for report in run(second)]
    assert rest == [without_seconds(report) for report in whole[after:]]


def test_parts_that_are_not_scored_give_nothing():
    trial = trial_of(study_of(DeepSVDD), planted(PARTS))
    terms = trial.replica_set.train(2)
    metrics = short(trial.scores.merged(by_metric(terms), {}, NO_DIAGNOSIS, done=False))
    assert set(metrics) == {"train_loss"}
