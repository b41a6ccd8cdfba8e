"""The sampling of test images in differences of AUROCs, from planted ranks."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy

from analysis.document.blocks import Table, Text
from analysis.image_sampling import (
    COVERS_IMAGES,
    COVERS_SEEDS,
    NO_INTERVAL,
    TOO_NARROW,
    ImageRanks,
    covers,
    error_of_mean,
    image_error,
)
from analysis.questions.ablation import effects
from analysis.questions.claims.passes import GAIN, MEANS, verdicts_on_passes
from analysis.questions.comparison.contenders import class_contrasts, contrasts, every_pair
from analysis.questions.selection.ensemble import ensembles
from analysis.questions.selection.pool import TrialPool
from analysis.questions.sensitivity.score_time import score_time_curves
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import ablation as ablation_section
from analysis.report.sections import comparison as comparison_section
from analysis.report.sections import passes as passes_section
from analysis.stats.estimates import Coverage
from analysis.stats.paired import NOT_ON_OTHER_IMAGES, equivalence
from analysis.stats.rank_aurocs import auroc
from tests.analysis.planted import TASKS, record, study
from tune_ad.atomic import write_atomically
from tune_ad.sampling import thinned
from tune_ad.storage import score_ranks
from tune_ad.storage.score_ranks import PartRanks

NORMAL = scipy.special.ndtri(0.975)


def part(placed, seeds=3, images=500):
    """Ranks of which the first `placed` of 500 anomalies exceed all normal images, others none.

    The AUROC is placed / images; the placements of anomalies are 1 or 0, those of normal images
    all alike.
    """
    normal = np.full((seeds, images), 10)
    anomalous = np.where(np.arange(images) < placed, 20, 0)
    labels = np.zeros(images, int)
    return PartRanks(
        normal, {"": np.tile(anomalous, (seeds, 1))}, labels, {"": labels}, tuple(range(seeds))
    )


def ranks(placed, seeds=3):
    return {("test", task): part(placed, seeds) for task in TASKS}


def planted(tmp_path, trials, stored, **search):
    """A study with these ranks of its trials."""
    ours = study(tmp_path, trials, **search)
    for trial, of_trial in zip(trials, stored, strict=True):
        path = ours.folder.ranks(trial.identity)
        write_atomically(path, score_ranks.to_bytes(of_trial))
    return ours


def covering(error, values):
    """Half the width of the interval of a mean over seeds that also covers an error."""
    n = len(values)
    of_seeds = scipy.special.stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(n)
    return math.hypot(of_seeds, NORMAL * error)


def text_of(section):
    captions = [f"{b.caption} {b.details}" for b in section.blocks if isinstance(b, Table)]
    return " ".join([*captions, *(b.text for b in section.blocks if isinstance(b, Text))])


# ------------------------------------------------------------------------------- the error itself


def test_the_error_of_a_difference_is_that_of_the_anomalies_on_which_the_models_differ():
    pair = [(ImageRanks({"a": part(450)}), 1.0), (ImageRanks({"a": part(400)}), -1.0)]
    # 50 of 500 anomalies have a difference of placements of 1, the others of 0
    expected = math.sqrt(np.var([1] * 50 + [0] * 450, ddof=1) / 500)
    assert error_of_mean(pair, ["a"]) == pytest.approx(expected)
    two = [(ImageRanks({"a": part(n), "b": part(n)}), w) for n, w in ((450, 1.0), (400, -1.0))]
    assert error_of_mean(two, ["a", "b"]) == pytest.approx(expected / math.sqrt(2))


def test_equal_scores_have_no_error_and_500_images_a_margin_of_two_points():
    same = ImageRanks({"a": part(450)})
    assert error_of_mean([(same, 1.0), (same, -1.0)], ["a"]) == 0.0
    stream = np.random.default_rng(0)
    normal, anomalous = stream.normal(0, 1, (1, 500)), stream.normal(1.2, 1, (1, 500))
    labels = np.zeros(500, int)
    real = PartRanks(normal, {"": anomalous}, labels, {"": labels}, (0,))
    assert NORMAL * error_of_mean([(ImageRanks({"a": real}), 1.0)], ["a"]) == pytest.approx(
        0.025, abs=0.004
    )


def test_tasks_of_the_same_images_and_scores_have_the_error_of_one_task():
    placed = (np.arange(500), np.arange(500, 1000))
    one = replace(part(450), positions=placed)
    same, single = (ImageRanks(dict.fromkeys(names, one)) for names in ("ab", "a"))
    shared = image_error([(same, 1.0)], ["a", "b"])
    assert shared.value == pytest.approx(error_of_mean([(single, 1.0)], ["a"]))
    assert shared.coverage is Coverage.IMAGES
    earlier = ImageRanks({"a": one, "b": part(450)})
    apart = image_error([(earlier, 1.0)], ["a", "b"])
    assert apart.value == pytest.approx(shared.value / math.sqrt(2))
    assert apart.coverage is Coverage.SEPARATE_TASKS, "positions of one task are not stored"
    assert image_error([(earlier, 1.0)], ["b"]).coverage is Coverage.IMAGES, "a single task"
    pair = [(ImageRanks({"a": one}), 1.0), (ImageRanks({"a": part(400)}), -1.0)]
    assert math.isfinite(error_of_mean(pair, ["a"])), "positions of one model are not stored"
    moved = replace(one, positions=(placed[0], placed[1] + 1))
    other = [(single, 1.0), (ImageRanks({"a": moved}), -1.0)]
    assert math.isnan(error_of_mean(other, ["a"])), "other images"


def test_tasks_with_different_images_are_independent():
    stream = np.random.default_rng(0)
    scores = stream.normal(0, 1, (4, 1, 60))
    labels = np.zeros(60, int)
    parts = {
        task: PartRanks(normal, {"": anomalous + 1}, labels, {"": labels}, (0,))
        for task, normal, anomalous in (("a", *scores[:2]), ("b", *scores[2:]))
    }
    apart = image_error([(ImageRanks(parts), 1.0)], ["a", "b"])
    placed = {
        task: replace(ranks, positions=tuple(np.arange(60) + 60 * k for k in positions))
        for (task, ranks), positions in zip(parts.items(), ((0, 1), (2, 3)), strict=True)
    }
    disjoint = image_error([(ImageRanks(placed), 1.0)], ["a", "b"])
    assert disjoint.value == pytest.approx(apart.value)
    assert apart.value == pytest.approx(
        math.hypot(*(error_of_mean([(ImageRanks(parts), 1.0)], [t]) for t in "ab")) / 2
    )
    assert (apart.coverage, disjoint.coverage) == (Coverage.SEPARATE_TASKS, Coverage.IMAGES)


CLASSES, OF_CLASS = 6, 40


def by_two_models(seed, shared_anomalies, most=None):
    """The ranks of new test images, each normal in one of six tasks and an anomaly in others.

    An image is hard for all tasks together; the second model scores with more noise.

    Args:
        seed: the seed of the images.
        shared_anomalies: the number of images of each class that are anomalies of other tasks.
        most: the number of images of each group whose ranks are kept; None = all.
    """
    stream = np.random.default_rng(seed)
    images = CLASSES * OF_CLASS
    classes, within = np.divmod(np.arange(images), OF_CLASS)
    shared, noise = stream.normal(0, 1, images), stream.normal(0, 0.7, images)
    parts = ({}, {})
    for k in range(CLASSES):
        of_task = shared + 1.2 * (classes != k) + stream.normal(0, 0.4, images)
        anomalies = (classes != k) & (within < shared_anomalies)
        positions = np.flatnonzero(classes == k), np.flatnonzero(anomalies)
        normal, anomalous = (thinned(p, len(p) if most is None else most) for p in positions)
        for of_model, scores in zip(parts, (of_task, of_task + noise), strict=True):
            of_model[f"{k}"] = PartRanks(
                scores[None, normal],
                {"": scores[None, anomalous]},
                classes[normal],
                {"": classes[anomalous]},
                (0,),
                tuple(map(len, positions)),
                positions=positions,
            )
    return [ImageRanks(of_model) for of_model in parts]


def mean_auroc(ranks):
    return np.mean([auroc(p.normal[0], p.outsiders[""][0]) for p in ranks.by_task.values()])


@pytest.mark.parametrize(
    ("shared_anomalies", "most", "bound"), [(8, None, 0.8), (8, 30, 0.8), (OF_CLASS, None, 1.2)]
)
@pytest.mark.slow
def test_the_error_of_a_mean_over_tasks_is_its_spread_over_new_images(
    shared_anomalies, most, bound
):
    """Shared anomalies make it larger, normal images that are anomalies elsewhere smaller."""
    tasks, contrasts = [f"{k}" for k in range(CLASSES)], ((1.0, 0.0), (1.0, -1.0))
    means, errors, separate = [], [], []
    for seed in range(600):
        whole = [mean_auroc(ranks) for ranks in by_two_models(seed, shared_anomalies)]
        means.append([np.dot(weights, whole) for weights in contrasts])
        stored = by_two_models(seed, shared_anomalies, most)
        pairs = [list(zip(stored, weights, strict=True)) for weights in contrasts]
        errors.append([error_of_mean(pair, tasks) for pair in pairs])
        apart = [[error_of_mean(pair, [task]) for task in tasks] for pair in pairs]
        separate.append([math.hypot(*of_tasks) / CLASSES for of_tasks in apart])
    spreads = np.std(means, axis=0)
    assert np.sqrt(np.mean(np.square(errors), axis=0)) == pytest.approx(spreads, rel=0.1)
    ratios = np.mean(separate, axis=0) / spreads
    assert ((ratios - bound) * (bound - 1) > 0).all(), "tasks are not independent"


def test_without_ranks_or_with_other_images_the_error_is_unknown():
    known, nothing = ImageRanks({"a": part(450)}), ImageRanks({})
    fewer = ImageRanks({"a": part(45, images=50)})
    other = part(450)
    other = ImageRanks({"a": replace(other, classes=other.classes + 1)})
    for unlike in (nothing, fewer, other):
        assert math.isnan(error_of_mean([(known, 1.0), (unlike, -1.0)], ["a"]))
    assert math.isnan(error_of_mean([(known, 1.0)], ["a", "b"])), "a task without ranks"
    assert math.isnan(error_of_mean([(known, 1.0)], ["a"], seeds=[0, 7])), "a seed without ranks"
    assert math.isnan(error_of_mean([(known, 1.0)], []))


def test_only_the_seeds_that_are_compared_count():
    mixed = part(450)
    mixed.outsiders[""][0] = part(400).outsiders[""][0]
    only = error_of_mean([(ImageRanks({"a": mixed}), 1.0)], ["a"], seeds=[0])
    assert only == pytest.approx(error_of_mean([(ImageRanks({"a": part(400)}), 1.0)], ["a"]))


def test_a_caption_names_the_rows_whose_intervals_cover_seeds_alone():
    images, narrow, seeds = Coverage.IMAGES, Coverage.SEPARATE_TASKS, Coverage.SEEDS
    assert covers({"a": images, "b": images}) == f"Intervals cover {COVERS_IMAGES}."
    assert covers({"a": seeds}) == f"Intervals cover {COVERS_SEEDS}."
    mixed = covers({"a": images, "b": seeds})
    assert COVERS_IMAGES in mixed
    assert f"of b they cover {COVERS_SEEDS}" in mixed
    assert covers({"a": narrow}) == f"Intervals cover {COVERS_IMAGES}; {TOO_NARROW}."
    assert covers({"a": narrow, "b": images}).endswith(f"; of a, {TOO_NARROW}.")
    both = covers({"a": narrow, "b": seeds})
    assert f"of b they cover {COVERS_SEEDS}; of a, {TOO_NARROW}." in both
    assert covers({}) == NO_INTERVAL


def test_ranks_by_score_variants_survive_storage(tmp_path):
    by_variant = replace(part(450), variants={"mc_samples=0": part(400), "kl": part(300)})
    path = tmp_path / "ranks.npz"
    path.write_bytes(score_ranks.to_bytes({("test", "a"): by_variant, ("test", "b"): part(2)}))
    stored = score_ranks.read(path)
    assert not stored["test", "b"].variants
    for name, expected in by_variant.variants.items():
        ours = stored["test", "a"].variants[name]
        np.testing.assert_array_equal(ours.normal, expected.normal)
        np.testing.assert_array_equal(ours.outsiders[""], expected.outsiders[""])
        assert ours.seeds == expected.seeds
    assert ImageRanks(stored).by_variant("kl").by_task == {}, "a task lacks it"


# ------------------------------------------------------------------------------ who takes account


def test_the_interval_of_an_effect_is_wider_by_the_error(tmp_path):
    default, wide = {"width": 1.0}, {"width": 2.0}
    aurocs = ([0.8, 0.8, 0.81, 0.8, 0.79, 0.8], [0.9, 0.91, 0.9, 0.9, 0.9, 0.89])
    trials = [record(0, default, aurocs[0]), record(1, wide, aurocs[1])]
    ours = planted(tmp_path, trials, [ranks(400, 6), ranks(450, 6)])
    (effect,) = effects(ours)
    error = math.sqrt(np.var([1] * 50 + [0] * 450, ddof=1) / 500 / 2)
    half = covering(error, np.subtract(aurocs[1], aurocs[0]))
    assert effect.difference.high - effect.difference.mean == pytest.approx(half)
    assert effect.verdict.tone == "better"
    assert COVERS_IMAGES in text_of(ablation_section.section(Findings(ours)))
    plain = study(tmp_path / "earlier", trials)
    (narrow,) = effects(plain)
    assert narrow.difference.high < effect.difference.high
    assert COVERS_SEEDS in text_of(ablation_section.section(Findings(plain)))


def test_an_effect_on_these_images_alone_is_not_called_significant(tmp_path):
    """A tiny difference that every seed shows, of models that score many images otherwise."""
    aurocs = [0.8 + 0.001 * k for k in range(6)]
    trials = [
        record(0, {"width": 1.0}, aurocs),
        record(1, {"width": 2.0}, [auroc + 0.002 for auroc in aurocs]),
    ]
    shuffled = part(400, 6)
    shuffled = replace(shuffled, outsiders={"": shuffled.outsiders[""][:, ::-1]})
    stored = [ranks(400, 6), {("test", task): shuffled for task in TASKS}]
    (effect,) = effects(planted(tmp_path, trials, stored))
    assert effect.test.p < 0.05
    assert effect.difference.low < 0 < effect.difference.high
    assert effect.verdict.tone == "unsure"
    assert effect.verdict.reason.endswith(NOT_ON_OTHER_IMAGES)
    assert effects(study(tmp_path / "earlier", trials))[0].verdict.tone == "better"


def test_differences_between_baselines_are_wider_by_the_error(tmp_path):
    values = {"AE": [0.8, 0.8, 0.81, 0.8, 0.79, 0.8], "PGN": [0.9, 0.91, 0.9, 0.9, 0.9, 0.89]}
    trials = [
        record(k, {"width": 1.0}, aurocs, baseline=name)
        for k, (name, aurocs) in enumerate(values.items())
    ]
    fields = {"defaults": {name: {"width": 1.0} for name in values}, "plan": {"name": "Listed"}}
    ours = planted(tmp_path, trials, [ranks(400, 6), ranks(450, 6)], **fields)
    findings = Findings(ours)
    (contrast,) = findings.contrasts
    error = math.sqrt(np.var([1] * 50 + [0] * 450, ddof=1) / 500)
    of_seeds = np.subtract(values["PGN"], values["AE"])
    difference = contrast.paired.difference
    assert difference.high - difference.mean == pytest.approx(
        covering(error / math.sqrt(2), of_seeds)
    )
    for in_class in class_contrasts(every_pair(findings.contenders)):
        difference = in_class.paired.difference
        assert difference.high - difference.mean == pytest.approx(covering(error, of_seeds))
    assert COVERS_IMAGES in text_of(comparison_section.section(findings))
    earlier = Findings(study(tmp_path / "earlier", trials, **fields))
    assert contrasts(every_pair(earlier.contenders))[0].paired.difference.high < difference.high
    assert COVERS_SEEDS in text_of(comparison_section.section(earlier))


def passes(tmp_path, changed, stored=True):
    """A study of PGN with 8 seeds that are equal at all T >= 10, and 0.2 points worse at T = 0.

    At T = 0 and T = 10 other images are ranked above the normal ones, as many as `changed`.
    """
    by_passes = {0: 0.798, 10: 0.8, 20: 0.8}
    aurocs = [0.8 + 0.001 * k for k in range(8)]
    variants = {
        f"mc_samples={t}": {"test_auroc": np.repeat(np.add(aurocs, mean - 0.8), 2).tolist()}
        for t, mean in by_passes.items()
    }
    moved = part(400, 8)
    moved = replace(moved, outsiders={"": np.roll(moved.outsiders[""], changed, axis=1)})
    of_variants = {"mc_samples=0": moved, "mc_samples=10": moved, "mc_samples=20": part(400, 8)}
    whole = replace(part(400, 8), variants=of_variants)
    trial = record(0, {"width": 1.0}, aurocs, variants=variants)
    of_trial = {("test", task): whole for task in TASKS} if stored else {}
    return planted(tmp_path, [trial], [of_trial], selection="oracle")


def outcomes(ours):
    return {verdict.claim: verdict.outcome for verdict in verdicts_on_passes(results(ours))}


def test_claims_on_passes_need_what_other_images_would_show(tmp_path):
    same = passes(tmp_path / "same", 0)
    assert outcomes(same)[MEANS] == outcomes(same)[GAIN] == "holds", "equal scores have no error"
    assert COVERS_IMAGES in text_of(passes_section.section(Findings(same)))
    unlike = passes(tmp_path / "unlike", 90)
    # 180 of 500 anomalies have a difference of placements of 1 or -1, in each of two classes
    error = math.sqrt(np.var([1] * 90 + [-1] * 90 + [0] * 320, ddof=1) / 500 / 2)
    assert not equivalence([0.0] * 8, error=error).equivalent
    assert outcomes(unlike)[MEANS] == outcomes(unlike)[GAIN] == "inconclusive"
    gain = next(v for v in verdicts_on_passes(results(unlike)) if v.claim == GAIN)
    assert NOT_ON_OTHER_IMAGES in gain.reason
    narrow = text_of(passes_section.section(Findings(unlike)))
    assert TOO_NARROW in narrow, "the planted ranks have no positions"
    earlier = passes(tmp_path / "earlier", 90, stored=False)
    assert outcomes(earlier)[MEANS] == outcomes(earlier)[GAIN] == "holds"
    assert COVERS_SEEDS in text_of(passes_section.section(Findings(earlier)))


def test_results_by_score_variants_cover_the_images_if_their_ranks_are_stored(tmp_path):
    ours, earlier = passes(tmp_path, 90), passes(tmp_path / "earlier", 90, stored=False)
    (result,), (plain,) = results(ours), results(earlier)
    assert result.variants_coverage
    assert not plain.variants_coverage
    error = math.sqrt(np.var([1] * 400 + [0] * 100, ddof=1) / 500 / 2)
    half = covering(error, [0.001 * k for k in range(8)])
    for name, wide in result.variants.items():
        assert wide.high - wide.mean == pytest.approx(half)
        assert plain.variants[name].high < wide.high
    (curve,) = score_time_curves([result])
    assert curve.coverage
    at = next(point for point in curve.points if point.label == "0")
    assert at.auroc.high - at.auroc.mean == pytest.approx(half)


def test_an_ensemble_and_the_trials_of_a_rule_cover_the_images(tmp_path):
    trials = [record(k, {"width": 1.0 + k}, [0.8, 0.81]) for k in range(2)]
    pool = TrialPool.of(planted(tmp_path, trials, [ranks(400, 2), ranks(400, 2)]))
    assert pool.coverage
    (together,) = ensembles(pool)
    error = math.sqrt(np.var([1] * 400 + [0] * 100, ddof=1) / 500 / 2)
    for interval, values in ((together.auroc, [0.8, 0.8]), (together.single, [0.8, 0.81])):
        expected = min(1.0, interval.mean + covering(error, values))
        assert interval.high == pytest.approx(expected)
