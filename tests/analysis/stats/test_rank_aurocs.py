"""The sampling of test images in an AUROC, against closed forms and resampling."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.stats.estimates import estimate
from analysis.stats.paired import equivalence
from analysis.stats.rank_aurocs import auroc, error_over_tasks, influences, joined, placed
from tune_ad.storage.score_ranks import PartRanks


def part(normal, anomalous, seeds=None):
    """Ranks of one part from scores, one row per seed."""
    normal, anomalous = np.atleast_2d(normal), np.atleast_2d(anomalous)
    return PartRanks(
        normal,
        {"": anomalous},
        np.zeros(normal.shape[1], int),
        {"": np.ones(anomalous.shape[1], int)},
        tuple(seeds or range(len(normal))),
    )


def contrast_error(parts, weights):
    of_task = influences([placed(part) for part in parts], weights)
    return np.nan if of_task is None else error_over_tasks([of_task]).value


def image_error(part):
    return contrast_error([part], [1.0])


def test_perfect_separation_has_no_error_of_images():
    assert image_error(part([1, 2, 3], [4, 5, 6])) == 0.0


def test_with_one_normal_image_moved_the_error_is_that_of_the_formula():
    # placements of anomalies: all 3/4; of normal images: 1, 1, 1, 0
    error = image_error(part([1, 2, 3, 9], [5, 6]))
    assert error == pytest.approx(np.sqrt(np.var([0, 0, 0, 1], ddof=1) / 4))


def test_the_error_is_the_spread_over_new_images():
    stream = np.random.default_rng(0)
    aurocs, errors = [], []
    for _ in range(300):
        normal, anomalous = stream.normal(0, 1, 80), stream.normal(1, 1, 120)
        aurocs.append(auroc(normal, anomalous))
        errors.append(image_error(part(normal, anomalous)))
    assert np.mean(errors) == pytest.approx(np.std(aurocs), rel=0.1)


def test_seeds_that_score_alike_do_not_reduce_it_and_independent_ones_do():
    stream = np.random.default_rng(0)
    normal, anomalous = stream.normal(0, 1, (4, 100)), stream.normal(1, 1, (4, 100))
    one = image_error(part(normal[0], anomalous[0]))
    same = image_error(part(normal[[0] * 4], anomalous[[0] * 4]))
    assert same == pytest.approx(one)
    assert image_error(part(normal, anomalous)) == pytest.approx(one / 2, rel=0.3)


def test_too_few_images_have_no_error():
    assert np.isnan(image_error(part([1], [2, 3])))
    nothing = PartRanks(np.array([[1, 2]]), {}, np.zeros(2, int), {}, (0,))
    assert np.isnan(image_error(nothing))


def test_the_error_is_that_of_all_images_if_ranks_of_a_sample_are_stored():
    stream = np.random.default_rng(0)
    sample = part(stream.normal(0, 1, (2, 100)), stream.normal(1, 1, (2, 100)))
    of_all = replace(sample, sizes=(400, 400, 7))
    assert image_error(of_all) == pytest.approx(image_error(sample) / 2)
    assert joined([of_all, of_all]).sizes == of_all.sizes


def test_joined_seeds_are_rows():
    first, second = part([1, 2], [3, 4], (7,)), part([2, 1], [4, 3], (9,))
    both = joined([first, second])
    assert both.seeds == (7, 9)
    assert both.normal.tolist() == [[1, 2], [2, 1]]
    assert both.outsiders[""].tolist() == [[3, 4], [4, 3]]


def test_an_interval_covers_both_errors():
    seeds = estimate([0.7, 0.72, 0.74])
    half = seeds.high - seeds.mean
    wider = seeds.with_error(0.03)
    assert wider.high - wider.mean == pytest.approx(np.hypot(half, 1.959964 * 0.03))
    assert wider.mean - wider.low == pytest.approx(wider.high - wider.mean)
    assert seeds.with_error(0.0) == pytest.approx(seeds)
    assert seeds.with_error(float("nan")) == seeds
    one = estimate([0.7])
    assert one.with_error(0.03)[:1] == one[:1]
    assert estimate([0.99, 0.99]).with_error(0.03).high == 1.0


def test_equal_seeds_have_the_interval_of_the_images_alone():
    equal = estimate([0.7, 0.7, 0.7]).with_error(0.01)
    assert equal.mean_std_interval() == "70.0 [68.0, 72.0]"
    assert estimate([0.7, 0.7, 0.7]).mean_std_interval() == "70.0"


def test_what_is_hard_for_both_cancels_in_a_difference():
    stream = np.random.default_rng(0)
    normal, anomalous = stream.normal(0, 1, 200), stream.normal(1, 1, 200)
    first = part(normal, anomalous)
    assert contrast_error([first, first], [1, -1]) == 0.0
    near = part(normal + stream.normal(0, 0.1, 200), anomalous + stream.normal(0, 0.1, 200))
    other = part(stream.normal(0, 1, 200), stream.normal(1, 1, 200))
    alike, apart = (contrast_error([first, p], [1, -1]) for p in (near, other))
    assert 0 < alike < 0.5 * apart
    assert apart == pytest.approx(np.hypot(image_error(first), image_error(other)), rel=0.2)
    assert np.isnan(contrast_error([first, part([1, 2, 3], [4, 5, 6])], [1, -1]))


def test_the_error_of_a_difference_is_its_spread_over_new_images():
    stream = np.random.default_rng(1)
    differences, errors = [], []
    for _ in range(300):
        normal, anomalous = stream.normal(0, 1, 80), stream.normal(1, 1, 120)
        noisy = normal + stream.normal(0, 0.7, 80), anomalous + stream.normal(0, 0.7, 120)
        differences.append(auroc(*noisy) - auroc(normal, anomalous))
        errors.append(contrast_error([part(*noisy), part(normal, anomalous)], [1, -1]))
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.1)


def test_an_equivalence_test_is_wider_by_the_sampling_of_images():
    differences = [0.001, -0.001, 0.002, 0.0, -0.002, 0.001]
    plain, wide = equivalence(differences), equivalence(differences, error=0.015)
    assert plain.equivalent
    assert not wide.equivalent
    assert wide.low < plain.low < plain.high < wide.high
    assert equivalence([0.0] * 6, error=0.005).equivalent
    assert not equivalence([0.0] * 6, error=0.02).equivalent
