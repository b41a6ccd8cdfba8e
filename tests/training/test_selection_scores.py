"""Numbers for selection without labels: pseudo-outliers, seed agreement, ranks, variants."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from tests.training.cases import (
    PARTS,
    SECOND,
    Brightness,
    planted,
    replica_set_on,
    run,
    score_part,
    study_of,
)
from tune_ad.data import class_tasks
from tune_ad.data.fetch.sources import load
from tune_ad.data.groups import Groups
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.pseudo_outliers import generators
from tune_ad.sampling import thinned
from tune_ad.search.budgets import Budget
from tune_ad.storage import score_ranks
from tune_ad.storage.metric import (
    PSEUDO,
    SEED_AGREEMENT,
    TEST_AUROC,
    VALIDATION_AUROC,
    Metric,
    ScoreVariant,
)
from tune_ad.storage.records import TrialSpec
from tune_ad.training import kept_ranks as kept_ranks_module
from tune_ad.training import scoring
from tune_ad.training.kept_ranks import kept_ranks
from tune_ad.training.ranking import agreements, auroc, doubled_ranks
from tune_ad.training.scoring import VARIANT_IMAGES, score_images
from tune_ad.training.suite import PSEUDO_IMAGES, Suite
from tune_ad.training.trial import Trial

BUDGET = Budget(trials=1, epochs=1, seeds=2)


@pytest.fixture(scope="module")
def digits():
    image_set = load("digits")
    return Suite.prepare([image_set], class_tasks(image_set, (0, 1)), BUDGET, seed=3)


@pytest.fixture
def of_brightness():
    """A planted suite with pseudo-outliers of known brightness."""
    suite = planted(PARTS, SECOND)
    positions = {
        f"toy/{k}": Groups(
            suite.splits[f"toy/{k}"].validation.normal,
            {
                "dark": suite.splits["toy/0"].test.normal,
                "light": suite.splits["toy/1"].test.normal,
            },
        )
        for k in (0, 1)
    }
    return replace(suite, pseudo=positions)


# ------------------------------------------------------------------------------ pseudo-outliers


def test_pseudo_outliers_are_made_of_held_out_normal_images_alone(digits):
    held_out = [split.validation.normal for split in digits.splits.values()]
    for k, (task, groups) in enumerate(digits.pseudo.items()):
        np.testing.assert_array_equal(groups.normal, thinned(held_out[k], PSEUDO_IMAGES))
        assert list(groups.outsiders) == list(generators())
        for positions in groups.outsiders.values():
            assert len(positions) == len(groups.normal)
            assert (digits.labels[positions] == digits.labels[groups.normal]).all()
        turned = digits.images[groups.outsiders["rotation"]]
        for image, source in zip(turned, digits.images[groups.normal], strict=True):
            assert any((np.rot90(source, quarter, (1, 2)) == image).all() for quarter in (1, 2, 3))
        others = set().union(*(split.train.tolist() for split in digits.splits.values()))
        assert not others & set(groups.outsiders["noise"].tolist()), task


def test_the_same_study_makes_the_same_pseudo_outliers(digits):
    image_set = load("digits")
    tasks = class_tasks(image_set, (0, 1))
    again = Suite.prepare([image_set], tasks, BUDGET, seed=3)
    np.testing.assert_array_equal(again.images, digits.images)
    other = Suite.prepare([image_set], tasks, BUDGET, seed=4)
    assert other.images.shape == digits.images.shape
    assert (other.images[-100:] != digits.images[-100:]).any()


def test_without_held_out_images_there_are_none():
    image_set = load("digits")
    blind = replace(BUDGET, validation_fraction=0.0)
    assert Suite.prepare([image_set], class_tasks(image_set, (0,)), blind, seed=0).pseudo == {}


def test_the_auroc_of_pseudo_outliers_by_generator_and_their_median(of_brightness):
    replica_set = replica_set_on(of_brightness, seeds=(0, 1))
    scores = score_part(replica_set, of_brightness, PSEUDO, every_variant=True)
    normal = torch.tensor(PARTS["validation_normal"])
    dark = auroc(normal, torch.tensor(PARTS["test_normal"]))
    light = auroc(normal, torch.tensor(SECOND["test_normal"]))
    assert scores.metrics[0] == {
        Metric(PSEUDO, "auroc", "dark"): pytest.approx(dark),
        Metric(PSEUDO, "auroc", "light"): pytest.approx(light),
        Metric(PSEUDO, "auroc"): pytest.approx((dark + light) / 2),  # the median of two
        Metric(PSEUDO, SEED_AGREEMENT): pytest.approx(1.0),
    }
    assert scores.faults == {}


# -------------------------------------------------------------------------------- seed agreement


def test_agreement_is_the_mean_of_spearmans_correlations():
    scores = torch.tensor(np.random.default_rng(0).integers(0, 9, (4, 50))).double()
    matrix = spearmanr(scores.numpy(), axis=1).statistic
    expected = (matrix.sum(axis=1) - 1) / 3
    assert agreements(scores).tolist() == pytest.approx(expected.tolist())


def test_a_collapsed_model_agrees_with_none_and_a_reversed_one_is_its_opposite():
    line = torch.arange(10.0)
    assert agreements(torch.stack([line, torch.zeros(10)])).tolist() == [0.0, 0.0]
    assert agreements(torch.stack([line, -line])).tolist() == pytest.approx([-1.0, -1.0])
    assert agreements(torch.zeros(2, 10)).tolist() == [0.0, 0.0]


def test_a_single_seed_has_no_agreement():
    scores = score_part(
        replica_set_on(planted(PARTS, SECOND)), planted(PARTS, SECOND), "validation"
    )
    assert not [m for numbers in scores.metrics for m in numbers if m.term == SEED_AGREEMENT]


# ---------------------------------------------------------------------------------------- ranks


def test_doubled_ranks_are_twice_the_average_ranks():
    scores = np.random.default_rng(0).integers(0, 12, 40)
    expected = 2 * rankdata(scores)
    assert doubled_ranks(torch.tensor(scores)).tolist() == expected.tolist()


def test_stored_ranks_give_the_recorded_auroc_and_survive_storage(digits, tmp_path):
    study = study_of(Brightness, seeds=2)
    (report,) = run(Trial(study, digits, TrialSpec(0, "Brightness", {}), "cpu"))
    path = tmp_path / "ranks.npz"
    path.write_bytes(report.ranks)
    stored = score_ranks.read(path)
    assert set(stored) == {(p, t) for p in ("validation", "test") for t in digits.splits}
    tasks = [replica.task for replica in report.record.replicas]
    for (part, task), ranks in stored.items():
        metric = {"validation": VALIDATION_AUROC, "test": TEST_AUROC}[part]
        assert ranks.seeds == (0, 1)
        sides = (
            torch.tensor(ranks.normal[0].astype(int)),
            torch.tensor(ranks.outsiders[""][0].astype(int)),
        )
        recorded = report.record.metrics[metric][tasks.index(task)]
        assert auroc(*sides) == pytest.approx(recorded)
        label = int(task.rpartition("/")[2])
        assert (ranks.classes == label).all()
        assert set(ranks.outsider_classes[""]) == set(range(10)) - {label}


def test_a_trial_keeps_evenly_spaced_images_and_the_evaluation_all(digits):
    replica_set = replica_set_on(digits, seeds=(0,))
    parts = {"test": score_part(replica_set, digits, "test", every_variant=True)}
    whole = kept_ranks(replica_set, digits, parts, None)["test", "digits/0"]
    few = kept_ranks(replica_set, digits, parts, 10)["test", "digits/0"]
    assert few.normal.shape == (1, 10)
    assert few.outsiders[""].shape == (1, 10)
    places = np.arange(10) * whole.normal.shape[1] // 10
    np.testing.assert_array_equal(few.normal[0], whole.normal[0, places])
    np.testing.assert_array_equal(few.classes, whole.classes[places])
    assert few.sizes == whole.sizes == (whole.normal.shape[1], whole.outsiders[""].shape[1])


@pytest.mark.parametrize(
    ("seeds", "selection", "stored"),
    [((), "oracle", True), ((), "validation", False), ((7,), "validation", True)],
)
def test_ranks_by_score_variants_are_stored_of_results_that_are_reported(
    digits, tmp_path, seeds, selection, stored
):
    study = study_of(Brightness, seeds=2, score_space={"sign": (1.0, -1.0)}, selection=selection)
    (report,) = run(Trial(study, digits, TrialSpec(0, "Brightness", {}, seeds=seeds), "cpu"))
    path = tmp_path / "ranks.npz"
    path.write_bytes(report.ranks)
    ranks = score_ranks.read(path)
    assert not ranks["validation", "digits/0"].variants
    by_variant = ranks["test", "digits/0"].variants
    assert set(by_variant) == (set(map(str, report.record.variants)) if stored else set())
    for variant, part in by_variant.items():
        assert part.sizes == ranks["test", "digits/0"].sizes
        assert part.normal.shape[1] == min(VARIANT_IMAGES, part.sizes[0])
        np.testing.assert_array_equal(part.classes, 0)
        recorded = {str(v): numbers for v, numbers in report.record.variants.items()}[variant]
        assert max(part.sizes) <= VARIANT_IMAGES, "no image is left out"
        assert auroc(*sides_of(part)) == pytest.approx(recorded[TEST_AUROC][0])


def sides_of(part):
    """The ranks of normal images and of anomalies by the first model."""
    return [torch.tensor(ranks[0].astype(int)) for ranks in (part.normal, part.outsiders[""])]


def test_ranks_by_score_variants_of_large_test_sets_are_those_of_a_sample(digits, monkeypatch):
    for module in (scoring, kept_ranks_module):
        monkeypatch.setattr(module, "VARIANT_IMAGES", 20)
    replica_set = replica_set_on(digits, score_space={"sign": (1.0, -1.0)})
    scored = score_images(replica_set, digits, "test", every_variant=True)
    parts = {"test": scoring.measure(replica_set, digits, "test", scored, every_variant=True)}
    stored = kept_ranks(replica_set, digits, parts, None, by_variants=True)

    for k, task in enumerate(digits.splits):
        whole = stored["test", task]
        assert whole.variants
        for name, part in whole.variants.items():
            assert part.normal.shape == part.outsiders[""].shape == (1, 20)
            assert part.sizes == whole.sizes
            assert min(whole.sizes) > 20
            groups = scored[k].values()
            sides = [torch.tensor(thinned(terms[name].numpy(), 20)) for terms in groups]
            assert auroc(*sides_of(part)) == pytest.approx(auroc(*sides))
            labels = thinned(whole.outsider_classes[""], 20)
            np.testing.assert_array_equal(part.outsider_classes[""], labels)


def test_stored_positions_are_those_of_the_test_images_of_the_data_set(digits, tmp_path):
    replica_set = replica_set_on(digits)
    parts = {
        part: score_part(replica_set, digits, part, every_variant=True)
        for part in ("validation", "test")
    }
    path = tmp_path / "ranks.npz"
    path.write_bytes(
        score_ranks.to_bytes(kept_ranks(replica_set, digits, parts, 10, by_variants=True))
    )
    stored, image_set = score_ranks.read(path), load("digits")
    for task, split in digits.splits.items():
        ranks = stored["test", task]
        assert tuple(map(len, ranks.positions)) == ranks.sizes
        for positions, group in zip(ranks.positions, split.test.values(), strict=True):
            images = image_set.test_images[torch.from_numpy(positions)].numpy()
            np.testing.assert_array_equal(images, digits.images[group])
        labels = image_set.test_labels.numpy()
        kept = [thinned(positions, 10) for positions in ranks.positions_of("")]
        np.testing.assert_array_equal(ranks.classes, labels[kept[0]])
        np.testing.assert_array_equal(ranks.outsider_classes[""], labels[kept[1]])
        assert ranks.variants
        for by_variant in ranks.variants.values():
            assert all(map(np.array_equal, by_variant.positions, ranks.positions))
        assert stored["validation", task].positions == ()
    with np.load(path) as arrays:
        np.savez(path, **{name: arrays[name] for name in arrays if ".steps." not in name})
    earlier = score_ranks.read(path)
    assert all(ranks.positions == () for ranks in earlier.values()), "as in earlier versions"


def test_a_damaged_file_of_ranks_is_one_line(tmp_path):
    path = tmp_path / "ranks.npz"
    assert score_ranks.read(path) == {}
    ranks = score_ranks.PartRanks(np.arange(200).reshape(2, 100), {}, np.zeros(100), {}, (0, 1))
    whole = score_ranks.to_bytes({("test", "a"): ranks})
    places = np.random.default_rng(0).integers(0, len(whole), 200)
    damaged = [whole[:k] + bytes([whole[k] ^ 255]) + whole[k + 1 :] for k in places]
    contents = [b"", b"no zip", b"PK\x03\x04", *(whole[:k] for k in places[:20]), *damaged]
    refused = 0
    for content in contents:
        path.write_bytes(content)
        try:
            score_ranks.read(path)
        except UserError as error:
            refused += 1
            assert "cannot be read" in str(error)
            assert "\n" not in str(error)
    assert refused > 100, "some bytes, such as those of a date, are not read"


def test_ranks_of_many_images_need_more_than_16_bits(tmp_path):
    ranks = score_ranks.PartRanks(np.array([[2, 80_000]]), {}, np.array([0, 1]), {}, (0,))
    path = tmp_path / "ranks.npz"
    path.write_bytes(score_ranks.to_bytes({("test", "a/b"): ranks}))
    assert score_ranks.read(path)["test", "a/b"].normal.tolist() == [[2, 80_000]]


def test_files_of_ranks_without_the_numbers_of_all_images_are_read(tmp_path):
    ranks = score_ranks.PartRanks(np.array([[1, 2]]), {}, np.zeros(2), {}, (0,), (90,))
    path = tmp_path / "ranks.npz"
    path.write_bytes(score_ranks.to_bytes({("test", "a"): ranks}))
    assert score_ranks.read(path)["test", "a"].sizes == (90,)
    with np.load(path) as stored:
        np.savez(path, **{name: stored[name] for name in stored if name != "0.sizes"})
    assert score_ranks.read(path)["test", "a"].sizes == ()


# ------------------------------------------------------------------------------- chosen variants


SIGNS = {"sign": (1.0, -1.0)}
DARK = {name: [255 - v for v in values] for name, values in PARTS.items()}
"""Anomalies are darker than normal images, so the score is better with the other sign."""


def trial_with_signs(parts, selection="validation", settings=None, **changes):
    study = study_of(Brightness, selection=selection, **changes)
    baseline = replace(study.search.baselines[0], score_space=SIGNS)
    study = replace(
        study, search=replace(study.search, baselines=(baseline,)), settings=settings or {}
    )
    (report,) = run(Trial(study, planted(parts), TrialSpec(0, "Brightness", {}), "cpu"))
    return report.record


def test_the_better_value_is_chosen_and_all_numbers_are_of_it():
    record = trial_with_signs(DARK)
    assert record.params["sign"] == 1.0
    assert record.chosen == {"sign": -1.0}
    assert record.scored_with["sign"] == -1.0
    plain = trial_with_signs(PARTS)
    assert plain.chosen == {"sign": 1.0}
    for metric in (VALIDATION_AUROC, TEST_AUROC):
        assert record.metrics[metric] == plain.metrics[metric]
        both = [record.variants[ScoreVariant("sign", s)][metric][0] for s in (1.0, -1.0)]
        assert both[1] == record.metrics[metric][0]
        assert both[0] == pytest.approx(1 - both[1])
    assert record.objective == pytest.approx(record.metrics[VALIDATION_AUROC][0])
    assert record.scored_by(ScoreVariant("sign", -1.0))
    assert not record.scored_by(ScoreVariant("sign", 1.0))
    assert not record.scored_by(ScoreVariant.of_component("light"))


def test_test_images_choose_nothing():
    misleading = {**PARTS, **{k: DARK[k] for k in DARK if k.startswith("test")}}
    record = trial_with_signs(misleading)
    assert record.chosen == {"sign": 1.0}
    assert record.metrics[TEST_AUROC][0] < 0.5


@pytest.mark.parametrize(
    "fields",
    [
        {"selection": "oracle"},
        {"selection": "normal_only"},
        {"selection": "random"},
        {"validation_fraction": 0.0},
        {"settings": {"sign": 1.0}},
    ],
    ids=str,
)
def test_nothing_is_chosen_without_a_rule_that_can_or_if_the_user_has_chosen(fields):
    record = trial_with_signs(DARK, **fields)
    assert record.chosen == {}
    assert record.metrics[TEST_AUROC][0] < 0.5


def test_the_declared_value_wins_a_tie():
    even = {name: [100] * len(values) for name, values in PARTS.items()}
    assert trial_with_signs(even).chosen == {"sign": 1.0}


def test_a_declared_value_outside_the_score_space_is_kept_as_a_variant():
    study = study_of(PGN)
    assert study.chosen_at_scoring("PGN") == {}
