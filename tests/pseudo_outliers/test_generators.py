"""Pseudo-outliers: what each generator makes of images, of any shape and number."""

import itertools

import numpy as np
import pytest

from tune_ad.pseudo_outliers import generators
from tune_ad.pseudo_outliers.jigsaw import PERMUTATIONS
from tune_ad.pseudo_outliers.noise import STRENGTH
from tune_ad.randomness import numpy_stream
from tune_ad.selection import RULES

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (3, 30, 21), (1, 9, 9), (1, 1, 1)]


def images(n, shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)


def made(name, given, seed=0):
    return generators()[name].make(given, numpy_stream(seed, "test"))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 17])
@pytest.mark.parametrize("name", generators())
def test_one_pseudo_outlier_of_each_image_and_the_images_stay(name, count, shape):
    given = images(count, shape)
    before = given.copy()
    result = made(name, given)
    assert (result.shape, result.dtype) == (given.shape, np.uint8)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(made(name, given), result)
    assert not np.shares_memory(result, given)


@pytest.mark.parametrize("name", generators())
def test_every_image_changes_and_another_seed_makes_others(name):
    given = images(40, (3, 16, 16))
    result = made(name, given)
    assert (result != given).any(axis=(1, 2, 3)).all()
    assert (result != made(name, given, seed=1)).any()


def test_rotations_are_multiples_of_a_quarter_turn():
    given = images(60, (1, 6, 6))
    turns = set()
    for image, rotated in zip(given, made("rotation", given), strict=True):
        (turn,) = [k for k in (1, 2, 3) if (np.rot90(image, k, (1, 2)) == rotated).all()]
        turns.add(turn)
    assert turns == {1, 2, 3}
    oblong = images(5, (3, 6, 4))
    np.testing.assert_array_equal(made("rotation", oblong), oblong[:, :, ::-1, ::-1])


def test_no_quarter_of_a_jigsaw_stays_in_its_place():
    derangements = [
        p for p in itertools.permutations(range(4)) if all(p[k] != k for k in range(4))
    ]
    assert PERMUTATIONS.tolist() == [list(p) for p in derangements]
    quarters = np.repeat(np.repeat(np.array([[1, 2], [3, 4]], np.uint8), 2, 0), 2, 1)
    given = np.broadcast_to(quarters, (200, 1, 4, 4)).copy()
    result = made("jigsaw", given)
    assert (result != given).all()
    assert {tuple(row) for row in result[:, 0, ::2, ::2].reshape(200, 4).tolist()} == {
        tuple(1 + k for k in p) for p in derangements
    }
    odd = images(3, (1, 5, 7))
    puzzle = made("jigsaw", odd)
    np.testing.assert_array_equal(puzzle[:, :, 4], odd[:, :, 4])
    np.testing.assert_array_equal(puzzle[:, :, :, 6], odd[:, :, :, 6])


def test_a_pasted_patch_is_a_rectangle_of_another_image():
    given = np.stack([np.full((1, 20, 20), 10 * k, np.uint8) for k in range(10)])
    for k, pasted in enumerate(made("pasted_patches", given)):
        rows, columns = np.nonzero(pasted[0] != 10 * k)
        patch = pasted[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(np.unique(patch)) == 1
        assert patch.size == len(rows), "a whole rectangle"
        assert 0.02 <= patch.size / 400 <= 0.3


def test_a_mixture_is_the_mean_of_two_different_images():
    given = np.stack([np.full((1, 2, 2), 2**k, np.uint8) for k in range(8)])
    sums = {(2**a + 2**b) // 2: (a, b) for a in range(8) for b in range(a)}
    for k, mixed in enumerate(made("mixing", given)):
        assert len(np.unique(mixed)) == 1
        assert k in sums[int(mixed[0, 0, 0])]
    bright = np.full((2, 1, 2, 2), 255, np.uint8)
    assert (made("mixing", bright) == 255).all(), "no overflow"


def test_noise_has_the_strengths_that_it_says():
    given = np.full((300, 1, 24, 24), 128, np.uint8)
    spread = made("noise", given).astype(float).std(axis=(1, 2, 3)) / 255
    assert 0.8 * STRENGTH[0] < spread.min() < 0.05
    assert 0.2 < spread.max() < STRENGTH[1]
    assert abs(np.log(spread).mean() - np.log(STRENGTH).mean()) < 0.15


def test_every_generator_has_a_rule_of_its_own():
    names = {f"pseudo_{name}" for name in generators()}
    assert names | {"pseudo_outliers"} == {name for name in RULES if name.startswith("pseudo_")}
    for name, generator in generators().items():
        (metric,) = RULES[f"pseudo_{name}"].metrics
        assert metric.outsider == name
        assert generator.title in RULES[f"pseudo_{name}"].title
        assert RULES[f"pseudo_{name}"].looks_at == "held-out normals"
