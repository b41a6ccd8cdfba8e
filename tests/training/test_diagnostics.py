"""What a detector declares about its models: components, steps, diagnostics, warnings, scales."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.naming import named, short
from tests.training.cases import (
    AGAINST,
    PARTS,
    SECOND,
    SHAPE,
    Blinded,
    Brightness,
    blind,
    planted,
    replica_set_on,
    run,
    score_part,
    stepped,
    study_of,
    trial_of,
)
from tune_ad.detectors.base import Numbers, ScoreSpace, Terms, skeleton
from tune_ad.detectors.likelihood_vae import LikelihoodVAE, LikelihoodVAEConfig
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.train_test_gap import train_test_gap
from tune_ad.errors import UserError
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import BITS_PER_DIM, VALIDATION_AUROC, Metric
from tune_ad.storage.metric import PARTS as ENGINE_PARTS
from tune_ad.storage.records import DetectorWarning, TrialRecord
from tune_ad.training.scoring import ScoreKey
from tune_ad.training.trial_scores import legal_diagnostics


class Bounded(Brightness):
    """Its score is named as a bound of the likelihood, in nats, and has a train-test gap."""

    nats = ("negative_elbo",)
    main_score = "negative_elbo"

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        scores = super().score_variants(images, noise, score_space)
        return {"negative_elbo": scores["score"], **scores}

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        return train_test_gap(scored, ("negative_elbo",))


def bounded_report():
    return stepped(trial_of(study_of(Bounded, selection="oracle"), planted(AGAINST)))


def test_a_trial_with_outsider_sets_keeps_its_test_scores():
    report = bounded_report()
    metrics, kept = short(report.metrics), report.scores[ScoreKey("toy/0")]
    assert set(kept.outsiders) == {"bright", "dark"}
    np.testing.assert_allclose(kept.normal, AGAINST["test_normal"])
    rows = report.details["histograms"]
    assert {(row["task"], row["component"], row["outsider"]) for row in rows} == {
        ("toy/0", "", "bright"),
        ("toy/0", "", "dark"),
    }
    for row in rows:
        assert list(row["counts"]["outsiders"]) == [row["outsider"]]
    assert {sum(row["counts"]["normal"]) for row in rows} == {3}
    by_name = {str(variant): short(aurocs) for variant, aurocs in report.record.variants.items()}
    assert by_name["light"]["test_auroc"] == metrics["test_auroc"]
    assert report.objective == pytest.approx(np.mean(metrics["test_auroc/bright"]))


class Stepwise(Blinded):
    """Its loss is recorded at every step."""

    watched = ("loss",)


def test_a_trial_reports_the_mean_and_the_minimum_over_replicas_at_every_step():
    trial = trial_of(study_of(Stepwise, epochs=4, evaluations=2, seeds=2), planted(PARTS))
    first, last = run(trial)
    steps = -(-len(PARTS["train"]) // 4)
    assert first.steps["loss"]["step"] == list(range(1, 2 * steps + 1))
    assert last.steps["loss"]["step"] == list(range(2 * steps + 1, 4 * steps + 1))
    whole = last.details["steps"]["loss"]
    assert whole["step"] == [*first.steps["loss"]["step"], *last.steps["loss"]["step"]]
    assert all(least < mean for least, mean in zip(whole["least"], whole["mean"], strict=True))
    metrics = short(last.metrics)
    assert np.mean(metrics["overall_loss"]) == pytest.approx(np.mean(whole["mean"]))
    averaged = np.mean(metrics["train_loss"])
    assert np.mean(whole["mean"][-steps:]) == pytest.approx(averaged)


class Shown(Bounded):
    """Twice the score is a component, with a histogram."""

    histograms = ("twice",)

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        scores = super().score_variants(images, noise, score_space)
        return {"twice": 2 * scores["score"], **scores}


def test_a_component_of_the_score_has_separate_histograms():
    report = stepped(trial_of(study_of(Shown, selection="oracle"), planted(AGAINST)))
    assert list(report.scores) == [ScoreKey("toy/0"), ScoreKey("toy/0", "twice")]
    plain, doubled = (report.scores[ScoreKey("toy/0", name)] for name in ("", "twice"))
    for scores, twice in zip(plain.values(), doubled.values(), strict=True):
        np.testing.assert_allclose(twice, 2 * scores)
    rows = {(row["component"], row["outsider"]): row for row in report.details["histograms"]}
    assert set(rows) == {
        (component, name) for name in ("bright", "dark") for component in ("", "twice")
    }
    assert {row["task"] for row in rows.values()} == {"toy/0"}
    assert rows["twice", "dark"]["edges"] == pytest.approx(
        [2 * edge for edge in rows["", "dark"]["edges"]]
    )


class HalfBlind(Shown):
    """Its score is finite, its other component is not."""

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        scores = super().score_variants(images, noise, score_space)
        return scores | {"twice": scores["twice"] * math.nan}


def test_a_replica_whose_component_is_not_finite_keeps_no_scores():
    suite = planted(PARTS)
    scores = score_part(replica_set_on(suite, HalfBlind), suite, "test")
    assert list(scores.faults) == [0]
    assert (scores.kept, scores.metrics, scores.normals) == ({}, [{}], {})


# --------------------------------------------------------------------------- diagnostics


def test_the_train_test_gap_is_reported_in_nats_and_bits():
    metrics = short(bounded_report().metrics)
    seen, tested = np.mean(AGAINST["train"]), np.mean(AGAINST["test_normal"])
    assert metrics["resubstitution_negative_elbo"] == pytest.approx([seen] * 2)
    assert metrics["gap_negative_elbo"] == pytest.approx([tested - seen] * 2)
    bits = (tested - seen) / math.log(2) / math.prod(SHAPE)
    assert metrics["gap_negative_elbo_bits_per_dim"] == pytest.approx([bits] * 2)
    plain = stepped(trial_of(study_of(Brightness), planted(AGAINST)))
    assert "gap_negative_elbo" not in short(plain.metrics)


def test_a_sample_of_training_images_is_no_larger_than_the_normal_test_images():
    few = trial_of(study_of(Brightness), planted({**PARTS, "test_normal": [1, 2]}))
    assert few.scores.training_sample("toy/0").tolist() == [0, 4], "evenly spaced"
    assert trial_of(study_of(Brightness), planted(SECOND)).scores.training_sample(
        "toy/0"
    ).tolist() == [
        0,
        1,
    ]


class Curious(Blinded):
    """Its diagnostics are the mean scores of the images of each part, -1 if there are none."""

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        parts = {part: scored(part) for part in ("train", "validation", "test")}
        return {
            Metric("curious", part): float(terms["score"].mean()) if terms else -1.0
            for part, terms in parts.items()
        }


def test_a_detector_receives_the_scores_of_normal_images_only_at_the_end():
    reports = run(trial_of(study_of(Curious), planted(PARTS)))
    assert all(metric.part != "curious" for r in reports[:-1] for metric in r.metrics)
    metrics = short(reports[-1].metrics)
    for part in ("validation", "test"):
        assert metrics[f"curious_{part}"] == metrics[f"{part}_score"]
    sampled = np.mean([PARTS["train"][k] for k in (0, 2, 4, 6)]) / 255
    assert metrics["curious_train"] == pytest.approx([sampled] * 2, rel=1e-6)


def test_without_validation_a_detector_receives_no_validation_scores():
    (*_, last) = run(trial_of(study_of(Curious, validation_fraction=0.0), planted(PARTS)))
    metrics = short(last.metrics)
    assert metrics["curious_validation"] == [-1.0, -1.0]
    assert metrics["curious_test"] == metrics["test_score"]


def test_a_failed_replica_has_no_diagnostic(monkeypatch):
    blind(monkeypatch, 1, "toy/0", 2 * 3, "loss")
    (*_, last) = run(trial_of(study_of(Curious), planted(PARTS)))
    assert [value is None for value in short(last.metrics)["curious_train"]] == [False, True]


class Overwriting(Blinded):
    """Returns a diagnostic in place of the AUROC by which trials are selected."""

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        return {Metric("shift", "mean"): 0.5, VALIDATION_AUROC: 1.0}


class Raising(Blinded):
    """Its `diagnose` fails for models whose mark is large, and its `warnings` for all."""

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        if float(self.get_buffer("mark")) > 0.5:
            raise RuntimeError("no such layer\nsecond line")
        return {Metric("raising", "mark"): self.get_buffer("mark")}

    def warnings(self, numbers: Mapping[Metric, float]) -> list[str]:
        return [f"{1 / 0}"]


def without(metrics, *parts):
    return {metric: values for metric, values in metrics.items() if metric.part not in parts}


@pytest.mark.parametrize("part", ENGINE_PARTS)
def test_a_diagnostic_with_a_part_of_the_engine_is_refused(part):
    metric = Metric(part, "auroc")
    with pytest.raises(
        UserError, match=f"Own returns {metric} as a diagnostic.*another"
    ) as refusal:
        legal_diagnostics("Own", {Metric("gap", "rate"): 1.0, metric: 1.0}, ())
    assert "\n" not in str(refusal.value)


def test_a_diagnostic_that_is_derived_is_refused():
    nats, bits = Metric("gap", "rate"), Metric("gap", "rate", unit=BITS_PER_DIM)
    with pytest.raises(UserError, match=f"Own returns {bits} .* derives it from {nats}"):
        legal_diagnostics("Own", {nats: 1.0, bits: 1.0}, ("rate",))
    for legal, terms in (({nats: 1.0, bits: 2.0}, ()), ({bits: 2.0}, ("rate",))):
        assert legal_diagnostics("Own", legal, terms) == legal


def test_a_diagnostic_never_replaces_another_number():
    suite = planted(PARTS)
    (*_, plain), (*_, last) = (run(trial_of(study_of(d), suite)) for d in (Blinded, Overwriting))
    assert last.record.state == "complete"
    assert last.metrics == plain.metrics
    assert last.objective == plain.objective
    (warning,) = last.record.warnings
    assert warning.replicas == (0, 1)
    assert "UserError: Overwriting returns validation_auroc as a diagnostic" in warning.text


def test_a_detector_that_raises_keeps_its_numbers_and_the_record_says_why():
    suite, seeds = planted(PARTS, SECOND), 4
    trial = trial_of(study_of(Raising, seeds=seeds), suite)
    (*_, last) = run(trial)
    (*_, plain) = run(trial_of(study_of(Blinded, seeds=seeds), suite))
    assert (last.record.state, last.objective) == ("complete", plain.objective)
    assert without(last.metrics, "raising") == plain.metrics
    marks = [float(r.module.get_buffer("mark")) for r in trial.replica_set.replicas]
    large = tuple(k for k, mark in enumerate(marks) if mark > 0.5)
    assert 0 < len(large) < len(marks)
    assert last.metrics[Metric("raising", "mark")] == [
        None if k in large else mark for k, mark in enumerate(marks)
    ]
    assert sorted(last.record.warnings, key=lambda warned: warned.text) == [
        DetectorWarning(
            "its diagnostics are missing, diagnose raised RuntimeError: no such layer", large
        ),
        DetectorWarning(
            "its warnings are missing, warnings raised ZeroDivisionError: division by zero",
            tuple(range(len(marks))),
        ),
    ]


# ------------------------------------------------------------------------------- warnings


class Cautious(Blinded):
    """Warns of every model, and of those whose mark is large."""

    def warnings(self, numbers: Mapping[Metric, float]) -> list[str]:
        every = ["this is a model of a test"]
        return every + ["the mark is large"] * (float(self.get_buffer("mark")) > 0.5)


def test_each_warning_is_recorded_once_with_its_replicas():
    trial = trial_of(study_of(Cautious, seeds=4), planted(PARTS, SECOND))
    reports = run(trial)
    assert [report.record.warnings for report in reports[:-1]] == [[], []], "only at the end"
    marks = [float(r.module.get_buffer("mark")) for r in trial.replica_set.replicas]
    large = tuple(k for k, mark in enumerate(marks) if mark > 0.5)
    assert 0 < len(large) < 8
    assert sorted(reports[-1].record.warnings, key=lambda warned: warned.text) == [
        DetectorWarning("the mark is large", large),
        DetectorWarning("this is a model of a test", tuple(range(8))),
    ]
    line = json.loads(to_text(reports[-1].record))
    assert TrialRecord.from_json(line).warnings == reports[-1].record.warnings


def test_a_detector_warns_about_living_models_by_their_own_numbers(monkeypatch):
    seen: list[Mapping[Metric, float]] = []

    def warnings(self: Any, numbers: Mapping[Metric, float]) -> list[str]:
        seen.append(numbers)
        return []

    monkeypatch.setattr(Blinded, "warnings", warnings)
    blind(monkeypatch, 1, "toy/0", 2 * 3, "score")
    (*_, last) = run(trial_of(study_of(Blinded, seeds=3), planted(PARTS)))
    assert len(seen) == 2
    assert last.record.warnings == []
    for k, numbers in zip((0, 2), seen, strict=True):
        assert numbers == {metric: values[k] for metric, values in last.metrics.items()}


class Boundless(Brightness):
    """Its diagnostic is infinite."""

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        return {Metric("boundless", "rate"): math.inf}


def test_a_number_that_is_not_finite_causes_a_warning():
    (report,) = run(trial_of(study_of(Boundless), planted(PARTS)))
    assert report.record.warnings == [DetectorWarning("boundless_rate is inf", (0, 1))]
    line = json.loads(to_text(report.record))
    read = TrialRecord.from_json(line)
    assert read.metrics[Metric("boundless", "rate")] == [None, None]
    assert read.warnings == report.record.warnings


def starved(samples, *shares):
    """The replicas that the likelihood VAE warns about, for given effective shares of K codes."""
    config = LikelihoodVAEConfig(samples=samples)
    module = skeleton(LikelihoodVAE, config, SHAPE)
    metrics = named(dict(zip(NAMES, shares, strict=False)))
    replicas = range(len(shares[0]) if shares else 1)
    numbers = [{m: v[k] for m, v in metrics.items() if v[k] is not None} for k in replicas]
    return [k for k in replicas if module.warnings(numbers[k])]


NAMES = ("train_effective_share", "overall_effective_share", "train_raw_effective_share")


def test_weights_on_nearly_one_code_cause_a_warning():
    train, overall = [0.24, 0.25, None, 0.26], [0.3, 0.1, None, 0.3]
    assert starved(8, train) == [0]
    assert starved(8, train, overall) == [0, 1], "in the last epoch, or on average"
    assert starved(8, [0.9], [0.9], [0.2]) == [0], "flattened weights are always spread"
    assert starved(2, [0.74, 0.76]) == [0], "of two codes at least 1.5"
    assert starved(1) == []


class Thin(Blinded):
    """Reports an effective share of importance weights of 0.3."""

    Config = LikelihoodVAEConfig
    warnings = LikelihoodVAE.warnings

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        terms = super().terms(phase, images, noise)
        return {**terms, "effective_share": torch.full((len(images),), 0.3)}


@pytest.mark.parametrize(("samples", "warns"), [(4, True), (8, False)])
def test_a_trial_warns_at_its_end_where_weights_lie_on_nearly_one_code(samples, warns):
    reports = run(trial_of(study_of(Thin), samples=samples))
    assert [bool(report.record.warnings) for report in reports] == [False, False, warns]
    for warned in reports[-1].record.warnings:
        assert warned.replicas == (0, 1, 2, 3)
        assert f"almost all importance weight is on one of {samples} samples" in warned.text


# -------------------------------------------------------------- further contents of a record


class Scaled(Blinded):
    """Its loss is measured in its batch size."""

    main_score = "score itself"

    @classmethod
    def scales(cls, config: Any) -> dict[str, str]:
        return super().scales(config) | {"rate": f"batches of {config.batch_size}"}


def test_a_record_says_what_its_quantities_are_measured_in():
    reports = run(trial_of(study_of(Scaled)))
    for report in reports:
        assert report.record.scales == {
            "loss": "Scaled, scaling = unit",
            "rate": "batches of 4",
        }
        assert report.record.main_score == "score itself"
    assert bounded_report().record.main_score == "negative_elbo"
    assert bounded_report().record.scales == {}, "it is not trained and has no likelihood"


def test_operations_are_recorded_only_of_trained_detectors():
    small = trial_of(study_of(PGN), latent_dim=8).models
    large = trial_of(study_of(PGN), latent_dim=64).models
    assert 0 < small["flops"] < large["flops"]
    assert trial_of(study_of(Brightness)).models == {"parameters": 0}


def test_the_parameters_of_a_record_are_all_of_the_configuration():
    trial = trial_of(study_of(PGN), latent_dim=8)
    record = stepped(trial).record
    assert record.params == asdict(trial.config)
    assert record.identity == trial.identity
