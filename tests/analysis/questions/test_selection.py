"""Selection rules on planted trials: what each chooses, what it costs, and where it must fail."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.image_sampling import COVERS_SEEDS, NO_INTERVAL
from analysis.questions.selection.ensemble import ensembles
from analysis.questions.selection.generators import agreements
from analysis.questions.selection.labels import label_curve
from analysis.questions.selection.pool import TrialPool
from analysis.questions.selection.regret import (
    choices,
    left_out,
    mean_regret,
    rank_correlation,
)
from analysis.report.findings import Findings
from analysis.report.sections.selection import section
from analysis.stats.rank_aurocs import auroc, auroc_of_images, placements
from tests.analysis.planted import TASKS, record, study
from tune_ad.atomic import write_atomically
from tune_ad.pseudo_outliers import generators
from tune_ad.selection import RULES
from tune_ad.storage import score_ranks
from tune_ad.storage.metric import (
    BITS_PER_DIM,
    PSEUDO,
    SEED_AGREEMENT,
    TEST_AUROC,
    VALIDATION_AUROC,
    Metric,
)
from tune_ad.storage.score_ranks import PartRanks

VALIDATION_LOSS = Metric("validation", "loss")
TESTED = (0.6, 0.9, 0.7)
VALIDATED = (0.5, 0.6, 0.8)
LOSSES = (1.0, 3.0, 2.0)


def trials(tested=TESTED, spread=0.1):
    """Trials with two seeds, of which one is better by `spread` and one is worse."""
    records = []
    for k, mean in enumerate(tested):
        trial = record(k, {"width": 1.0 + k}, (mean - spread, mean + spread), scales={"loss": "P"})
        trial.metrics[VALIDATION_AUROC] = [VALIDATED[k % 3]] * 4
        trial.metrics[VALIDATION_LOSS] = [LOSSES[k % 3]] * 4
        records.append(trial)
    return records


@pytest.fixture
def planted(tmp_path):
    def write(records, ranks=None, **fields):
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        ours = study(folder, records, plan={"name": "Optuna"}, **fields)
        for k, of_trial in enumerate(ranks or ()):
            path = ours.folder.ranks(f"id{k}")
            write_atomically(path, score_ranks.to_bytes(of_trial))
        return ours

    return write


def by_rule(ours):
    return {choice.rule: choice for choice in choices(TrialPool.of(ours))}


# -------------------------------------------------------------------------------------- regrets


def test_every_rule_is_judged_by_the_test_of_what_it_chooses(planted):
    rules = by_rule(planted(trials()))
    chosen = {"oracle": 1, "validation": 2, "normal_only": 0, "random": None}
    assert {rule: rules[rule].number for rule in chosen} == chosen
    regrets = {rule: rules[rule].regret.mean for rule in chosen}
    assert regrets == pytest.approx(
        {"oracle": 0.0, "validation": 0.2, "normal_only": 0.3, "random": 1 / 6}
    )
    assert rules["random"].auroc.mean == pytest.approx(sum(TESTED) / 3)
    assert rules["validation"].auroc.n == 2, "one value per seed"
    assert rules["validation"].regret.n == 2, "one value per task"
    assert list(rules)[0] == "oracle"
    assert list(rules)[-1] == "random"


def test_a_rule_that_orders_trials_as_the_test_does_has_correlation_1_and_its_reverse_minus_1(
    planted,
):
    records = trials((0.6, 0.9, 0.7))
    for trial, agreement, rotation in zip(records, (0.1, 0.3, 0.2), (0.9, 0.5, 0.7), strict=True):
        trial.metrics[Metric("validation", SEED_AGREEMENT)] = [agreement] * 4
        trial.metrics[Metric(PSEUDO, "auroc", "rotation")] = [rotation] * 4
        trial.metrics[Metric(PSEUDO, "auroc", "noise")] = [1.0] * 4
    rules = by_rule(planted(records))
    assert rules["seed_agreement"].correlation.mean == pytest.approx(1.0)
    assert rules["seed_agreement"].regret.mean == pytest.approx(0.0)
    assert rules["pseudo_rotation"].correlation.mean == pytest.approx(-1.0)
    assert rules["pseudo_rotation"].regret.mean == pytest.approx(0.3)
    assert rules["pseudo_noise"].correlation.mean == 0.0, "it cannot tell the trials apart"
    assert rules["oracle"].correlation.n == rules["random"].correlation.n == 0


@pytest.mark.parametrize("rule", [name for name in RULES if name not in ("oracle", "random")])
def test_each_rule_finds_the_planted_best_trial_and_is_misled_where_that_is_planted(planted, rule):
    records = trials()
    for fooled in (False, True):
        for trial, tested in zip(records, TESTED, strict=True):
            value = RULES[rule].sign * (-tested if fooled else tested)
            trial.metrics[RULES[rule].metrics[0]] = [value] * 4
        choice = by_rule(planted(records))[rule]
        assert choice.number == (0 if fooled else 1)
        assert choice.regret.mean == pytest.approx(0.3 if fooled else 0.0)
        assert choice.regret_by_task.mean == pytest.approx(0.3 if fooled else 0.0)
        assert choice.correlation.mean == pytest.approx(-1.0 if fooled else 1.0)


def test_a_regret_does_not_count_luck():
    stream = np.random.default_rng(0)
    plain, fitted = [], []
    for _ in range(200):  # 20 equally good trials with noise that differs between seeds
        noisy = 0.8 + 0.05 * stream.standard_normal((20, 1, 4))
        pool = TrialPool(None, [], ["t"], noisy)
        fitted.append(pool.regrets.mean())
        plain.append(noisy.mean(axis=(1, 2)).max() - noisy.mean())
    assert np.mean(plain) > 0.03, "the best of twenty equal trials seems better"
    assert abs(np.mean(fitted)) < 0.003


def test_a_trial_may_be_best_for_one_class_and_not_for_all(planted):
    records = [
        record(0, {"width": 1.0}, ([0.9, 0.5], [0.9, 0.5])),
        record(1, {"width": 2.0}, ([0.5, 0.8], [0.5, 0.8])),
    ]
    for trial, values in zip(records, ((0.6, 0.5), (0.5, 0.6)), strict=True):
        trial.metrics[VALIDATION_AUROC] = [*values, *values]
    choice = by_rule(planted(records))["validation"]
    assert choice.regret_by_task.mean == 0.0
    assert choice.number == 0
    assert choice.regret.mean == 0.0
    at_random = by_rule(planted(records))["random"]
    assert at_random.regret_by_task.mean == pytest.approx((0.2 + 0.15) / 2)


def test_a_mean_regret_is_not_cut_at_0_which_would_look_like_a_precise_result():
    lucky = mean_regret([-0.1, -0.05, -0.03])
    assert lucky.low < lucky.mean == pytest.approx(-0.06)
    assert mean_regret([-0.9, 0.9]).low == -1.0


def test_losses_of_different_baselines_do_not_compare(tmp_path):
    records = trials()
    records[1] = record(1, {"width": 2.0}, (0.8, 1.0), baseline="other", scales={"loss": "other"})
    records[1].metrics[VALIDATION_LOSS] = [0.5] * 4
    two = study(tmp_path, records, {"PGN": {"width": 1.0}, "other": {"width": 1.0}})
    assert "normal_only" not in by_rule(two)
    assert left_out(TrialPool.of(two)) == {
        "normal_only": "its loss does not mean the same in all trials"
    }
    caption = section(Findings(two)).blocks[1].caption
    assert "normal_only is not shown: its loss does not mean the same in all trials." in caption


def test_bits_under_different_likelihoods_do_not_compare(planted):
    records = trials()
    for trial, name in zip(records, ("gaussian", "gaussian", "categorical"), strict=True):
        trial.metrics[Metric("validation", "negative_iwae", unit=BITS_PER_DIM)] = [3.0] * 4
        trial.scales.update(loss=f"PGN, {name}", likelihood=name)
    rules = set(by_rule(planted(records)))
    assert rules >= {"oracle", "validation", "random"}
    assert not rules & {"normal_only", "likelihood"}


def test_failed_stopped_and_untested_trials_are_no_candidates(planted):
    records = [*trials(), record(3, {"width": 9.0}, (None, 0.99))]
    records.append(record(4, {"width": 8.0}, (0.99, 0.99), state="pruned"))
    ours = planted(records)
    assert by_rule(ours)["oracle"].ranked == 3
    assert "Left out: 2 trials that failed" in section(Findings(ours)).blocks[1].caption


def test_a_single_class_has_one_regret_per_seed(planted):
    aurocs = ((0.9, 0.8, 0.9), (0.7, 0.7, 0.6))
    records = [record(k, {"width": 1.0 + k}, values, ("one",)) for k, values in enumerate(aurocs)]
    for trial, validated in zip(records, (0.5, 0.6), strict=True):
        trial.metrics[VALIDATION_AUROC] = [validated] * 3
    choice = by_rule(planted(records))["validation"]
    for regret in (choice.regret, choice.regret_by_task):
        assert (regret.n, regret.mean) == (3, pytest.approx(0.2))
        half = 4.302653 * 0.1 / math.sqrt(3)  # Student's t, two degrees of freedom
        assert (regret.low, regret.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert choice.correlation.n == 0, "two trials have no rank correlation"


def test_parameters_that_were_chosen_at_scoring_are_named(planted):
    records = trials()
    assert "another rule" not in section(Findings(planted(records))).blocks[1].caption
    records[0] = replace(records[0], chosen={"width": 5.0})
    caption = section(Findings(planted(records))).blocks[1].caption
    assert "width of a trained model is the one that validation chose" in caption


def test_one_trial_is_no_choice(planted):
    assert TrialPool.of(planted(trials()[:1])) is None
    assert section(Findings(planted([]))) is None


def test_a_rank_correlation_with_a_constant_is_0():
    assert rank_correlation(np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0])) == 0.0


def test_too_few_seeds_do_not_rank_the_rules(planted):
    blocks = section(Findings(planted(trials()))).blocks
    (table,) = [block for block in blocks if getattr(block, "name", "") == "regret"]
    assert "2 seeds are too few to rank the rules: their order may be chance." in table.caption
    assert "cross-fitted over seeds" in table.details


def test_what_is_the_same_in_all_rows_is_said_once(planted):
    listed, table, *_ = section(Findings(planted(trials()))).blocks
    assert "- validation: by validation AUROC (held-out training images); uses" in listed.text
    assert not {"uses", "of"} & {*table.shown}
    assert {"uses", "of"} <= {*table.stored}
    assert "Every rule ranks the same 3 trials." in table.caption
    records = trials()
    records[0].metrics[VALIDATION_LOSS] = [None] * 4
    _, table, *_ = section(Findings(planted(records))).blocks
    assert dict(zip(table.shown["rule"], table.shown["of"], strict=True))["normal_only"] == 2
    assert "ranks the same" not in table.caption


# ---------------------------------------------------------------------------------- from ranks


CLASSES = (2, 3)


def part(quality, seeds=(0, 1), images=40):
    """Ranks of `images` normal images and as many anomalies of each class of `CLASSES`.

    Args:
        quality: how many normal scores the anomalies exceed, in [0, 1], by class.
    """
    normal = np.arange(images) * 2
    anomalous = np.concatenate(
        [np.full(images, round(quality[label] * images) * 2 - 1) for label in CLASSES]
    )
    labels = np.repeat(CLASSES, images)
    return PartRanks(
        np.stack([normal + 1] * len(seeds)),
        {"": np.stack([np.maximum(anomalous, 0) + 1] * len(seeds))},
        np.zeros(images, int),
        {"": labels},
        tuple(seeds),
    )


def with_ranks(qualities, tested_qualities=None):
    """Trials whose validation anomalies of each class have these AUROCs, and their ranks."""
    tested_qualities = tested_qualities or qualities
    records, ranks = [], []
    for k, (held_out, tested) in enumerate(zip(qualities, tested_qualities, strict=True)):
        mean = float(np.mean(list(tested.values())))
        trial = record(k, {"width": 1.0 + k}, (mean, mean))
        trial.metrics[VALIDATION_AUROC] = [float(np.mean(list(held_out.values())))] * 4
        records.append(trial)
        ranks.append(
            {("validation", task): part(held_out) for task in TASKS}
            | {("test", task): part(tested) for task in TASKS}
        )
    return records, ranks


def test_the_mean_of_any_placements_is_the_auroc_against_their_anomalies():
    stream = np.random.default_rng(0)
    normal, anomalous = stream.integers(0, 9, 30), stream.integers(2, 11, 20)
    placed = placements(normal, anomalous)
    for some in (slice(None), slice(3), [0, 5, 7]):
        pairs = [(a > normal).mean() + (a == normal).mean() / 2 for a in anomalous[some]]
        assert placed[some].mean() == pytest.approx(np.mean(pairs))
    assert placements(np.array([1, 2, 2, 4]), np.array([0, 2, 3, 4, 9])).tolist() == [
        0.0, 0.5, 0.75, 0.875, 1.0,
    ]  # fmt: skip
    assert np.isnan(auroc(normal, anomalous[:0]))
    assert auroc_of_images(part({2: 0.5, 3: 1.0}), 0) == pytest.approx(0.75, abs=0.02)


def test_captions_say_what_intervals_over_seeds_cover_and_that_one_seed_has_none(planted):
    for seeds, expected in (
        (1, NO_INTERVAL),
        (2, f"Intervals of test AUROC cover {COVERS_SEEDS}."),
    ):
        records = [record(k, {"width": 1.0 + k}, (0.7 + 0.1 * k, 0.8)[:seeds]) for k in range(3)]
        for trial in records:
            trial.metrics[VALIDATION_AUROC] = [0.5 + 0.1 * trial.number] * len(TASKS) * seeds
        blocks = section(Findings(planted(records))).blocks
        (caption,) = [
            f"{b.caption} {b.details}" for b in blocks if getattr(b, "name", "") == "regret"
        ]
        assert expected in caption


def test_labels_of_one_class_mislead_where_that_is_planted_and_labels_of_all_do_not(planted):
    good, one_sided = {2: 0.8, 3: 0.8}, {2: 0.9, 3: 0.2}
    records, ranks = with_ranks([good, one_sided])
    curve = label_curve(TrialPool.of(planted(records, ranks)))
    assert list(curve.of_all_classes) == ["1", "2", "5", "10", "50", "all"]
    assert list(curve.of_one_class) == ["1", "2", "5", "10", "all"], "40 of one class"
    assert curve.of_all_classes["all"].mean == pytest.approx(0.0, abs=1e-9)
    assert curve.of_all_classes["50"].mean == pytest.approx(0.0, abs=0.02)
    assert curve.of_one_class["all"].mean == pytest.approx((0.25 + 0.0) / 2, abs=0.02)
    assert curve.of_one_class["all"].n == 2 * len(TASKS)
    assert curve.of_one_class["1"].n == 20 * 2 * len(TASKS)
    assert (curve.trials, curve.tasks) == (2, len(TASKS))
    assert curve.of_all_classes["1"].mean > curve.of_all_classes["50"].mean


def test_anomalies_of_a_class_that_no_label_has_are_missed_where_that_is_planted(planted):
    first, second = {2: 0.9, 3: 0.3}, {2: 0.4, 3: 0.7}
    curve = label_curve(TrialPool.of(planted(*with_ranks([first, second]))))
    assert curve.unseen.n == 2 * len(TASKS)
    assert curve.unseen.mean == pytest.approx((0.5 + 0.4) / 2, abs=0.03)
    assert curve.seen.mean == pytest.approx((0.0 + 0.4) / 2, abs=0.03)
    text = [b for b in section(Findings(planted(*with_ranks([first, second])))).blocks]
    assert any("Anomalies that nobody has seen" in getattr(b, "text", "") for b in text)


def test_without_stored_ranks_there_is_neither_a_curve_nor_an_ensemble(planted):
    pool = TrialPool.of(planted(trials()))
    assert label_curve(pool) is None
    assert ensembles(pool) == []


def random_ranks(stream, quality, images=60):
    """Ranks of noisy scores; anomalies are shifted by `quality` standard deviations."""

    def one(n, shift, k):
        return np.stack([stream.normal(shift, 1, n) for _ in range(2)])

    normal, anomalous = one(images, 0, 0), one(2 * images, quality, 1)
    order = np.concatenate([normal, anomalous], axis=1).argsort(1).argsort(1) * 2 + 2
    labels = np.repeat(CLASSES, images)
    return PartRanks(
        order[:, :images], {"": order[:, images:]}, np.zeros(images, int), {"": labels}, (0, 1)
    )


def test_an_ensemble_of_trials_with_independent_errors_is_better_than_each(planted):
    stream = np.random.default_rng(0)
    records, ranks = [], []
    for k in range(8):
        of_trial = {
            (p, t): random_ranks(stream, 1.0) for p in ("validation", "test") for t in TASKS
        }
        values = [
            auroc(of_trial["test", t].normal[s], of_trial["test", t].outsiders[""][s])
            for s in (0, 1)
            for t in TASKS
        ]
        trial = record(k, {"width": 1.0 + k}, (values[:2], values[2:]))
        trial.metrics[VALIDATION_AUROC] = values
        records.append(trial)
        ranks.append(of_trial)
    together = ensembles(TrialPool.of(planted(records, ranks)))
    everything = together[0]
    assert (everything.rule, everything.trials, everything.auroc.n) == ("", 8, 2)
    assert everything.single.mean == pytest.approx(
        np.mean([t.metrics[TEST_AUROC] for t in records])
    )
    assert everything.auroc.mean > max(np.mean(t.metrics[TEST_AUROC]) for t in records) + 0.05
    best = {e.rule: e for e in together}["validation"]
    assert best.trials == 5
    order = sorted(records, key=lambda t: -np.mean(t.metrics[TEST_AUROC]))
    assert best.single.mean == pytest.approx(np.mean(order[0].metrics[TEST_AUROC]))
    assert "oracle" not in {e.rule for e in together}


def test_an_ensemble_of_equal_trials_is_each_of_them(planted):
    stream = np.random.default_rng(0)
    of_trial = {(p, t): random_ranks(stream, 1.0) for p in ("validation", "test") for t in TASKS}
    records = trials((0.7, 0.7, 0.7), 0.0)
    together = ensembles(TrialPool.of(planted(records, [of_trial] * 3)))
    expected = [
        np.mean([auroc(of_trial["test", t].normal[s], of_trial["test", t].outsiders[""][s])
                 for t in TASKS])
        for s in (0, 1)
    ]  # fmt: skip
    assert together[0].auroc.mean == pytest.approx(np.mean(expected))


def first_seed(ranks):
    anomalous = {name: values[:1] for name, values in ranks.outsiders.items()}
    return PartRanks(ranks.normal[:1], anomalous, ranks.classes, ranks.outsider_classes, (0,))


def test_with_one_seed_the_halves_of_the_test_images_take_the_place_of_seeds(planted):
    records, ranks = with_ranks([{2: 0.9, 3: 0.9}, {2: 0.6, 3: 0.6}])
    alone = []
    for k, trial in enumerate(records):
        one = record(k, trial.params, (0.9 - 0.3 * k,))
        one.metrics[VALIDATION_AUROC] = [0.5 + 0.1 * k] * 2
        alone.append(one)
    singles = [{key: first_seed(part) for key, part in of_trial.items()} for of_trial in ranks]
    pool = TrialPool.of(planted(alone, singles))
    assert pool.cross_fitted == "halves of the test images"
    assert pool.regrets == pytest.approx(np.array([[0.0, 0.0], [0.3, 0.3]]), abs=0.03)
    assert TrialPool.of(planted(alone)).cross_fitted != "seeds"


def test_so_they_do_if_all_seeds_give_the_same_results(planted):
    records, ranks = with_ranks([{2: 0.9, 3: 0.9}, {2: 0.6, 3: 0.6}])
    pool = TrialPool.of(planted(records, ranks))
    assert np.ptp(pool.tested, axis=2).max() < 1e-12
    assert pool.cross_fitted == "halves of the test images"


def test_the_agreement_of_generators_is_that_of_their_planted_orders(planted):
    records = trials()
    names = list(generators())
    for k, trial in enumerate(records):
        for j, name in enumerate(names):
            value = 0.5 + 0.1 * (k if j else -k)
            trial.metrics[Metric(PSEUDO, "auroc", name)] = [value] * 4
    pairs = {
        (a.first, a.second): a.correlation.mean for a in agreements(TrialPool.of(planted(records)))
    }
    assert len(pairs) == len(names) * (len(names) - 1) // 2
    for (first, _), value in pairs.items():
        assert value == pytest.approx(-1.0 if first == names[0] else 1.0)
    assert agreements(TrialPool.of(planted(trials()))) == []
