"""The mathematics of splits on small made-up sets."""

import pytest
import torch

from tune_ad.data import Pool, SplitSizes, against, one_class, split, whole
from tune_ad.errors import UserError
from tune_ad.storage.metric import OTHER_CLASSES

TRAIN, TEST = [40, 30, 20, 10], [8, 6, 4, 2]


def counts(pool, indices, classes=4):
    return torch.bincount(pool.labels[indices], minlength=classes).tolist()


@pytest.fixture
def pool(toy):
    return Pool([toy(TRAIN, TEST, name="a")])


def test_a_class_against_the_rest(pool):
    result = split(one_class("a", 1), pool, SplitSizes(0.2), seed=0)
    assert counts(pool, result.train) == [0, 24, 0, 0]
    assert counts(pool, result.validation.normal) == [0, 6, 0, 0]
    assert counts(pool, result.validation.outsiders[OTHER_CLASSES]) == [8, 0, 4, 2]
    assert counts(pool, result.test.normal) == [0, 6, 0, 0]
    assert list(result.test.outsiders) == [OTHER_CLASSES]
    assert counts(pool, result.test.outsiders[OTHER_CLASSES]) == [8, 0, 4, 2]
    used = torch.cat([result.train, result.validation.normal])
    assert torch.equal(used.sort().values, pool.by_class("a", pool.train_range("a"))[1])


def test_all_tasks_of_a_seed_share_one_cut(pool):
    splits = [split(one_class("a", label), pool, SplitSizes(0.2), seed=5) for label in range(4)]
    held = {int(i) for result in splits for i in result.validation.normal}
    for label, result in enumerate(splits):
        anomalous = set(result.validation.outsiders[OTHER_CLASSES].tolist())
        assert anomalous == {i for i in held if pool.labels[i] != label}
        assert held.isdisjoint(result.train.tolist())


def test_the_papers_protocol_holds_nothing_out(pool):
    result = split(one_class("a", 0), pool, SplitSizes(0), seed=0)
    assert counts(pool, result.train) == [40, 0, 0, 0]
    assert len(result.validation.normal) == len(result.validation.outsiders) == 0
    assert result.validation.normal.dtype == torch.int64
    assert counts(pool, result.test.outsiders[OTHER_CLASSES]) == [0, 6, 4, 2]


def test_parts_are_sorted_int64_and_disjoint(pool):
    result = split(one_class("a", 2), pool, SplitSizes(0.3, 5, 6, 7), seed=0)
    for indices in result.values():
        assert indices.dtype == torch.int64
        assert torch.equal(indices, indices.sort().values)
    together = torch.cat(result.values())
    assert len(together.unique()) == len(together)


def test_caps_take_anomalies_evenly_and_as_far_as_they_last(pool):
    task = one_class("a", 0)
    sizes = SplitSizes(0.5, train_images=7, validation_images=6, test_images=9)
    result = split(task, pool, sizes, seed=0)
    assert counts(pool, result.train) == [7, 0, 0, 0]
    assert counts(pool, result.validation.normal) == [6, 0, 0, 0]
    assert counts(pool, result.validation.outsiders[OTHER_CLASSES]) == [0, 2, 2, 2]
    assert counts(pool, result.test.normal) == [8, 0, 0, 0]
    assert counts(pool, result.test.outsiders[OTHER_CLASSES]) == [0, 4, 3, 2]


def test_caps_take_normals_of_several_classes_in_proportion(toy):
    pool = Pool([toy(TRAIN, TEST, name="a"), toy([0], [9], name="b")])
    result = split(against("a", ["b"]), pool, SplitSizes(0.5, 25, 10, 10), seed=0)
    assert counts(pool, result.train) == [10, 8, 5, 2]
    assert counts(pool, result.validation.normal) == [4, 3, 2, 1]
    assert counts(pool, result.test.normal) == [4, 3, 2, 1]


def test_a_larger_cap_contains_the_smaller(pool):
    task = one_class("a", 1)
    small = split(task, pool, SplitSizes(0.5, 3, 3, 3), seed=0)
    large = split(task, pool, SplitSizes(0.5, 9, 5, 5), seed=0)
    for few, many in zip(small.values(), large.values(), strict=True):
        assert set(few.tolist()) < set(many.tolist())


def test_caps_beyond_the_supply_change_nothing(pool):
    task = one_class("a", 1)
    for capped, free in zip(
        split(task, pool, SplitSizes(0.2, 999, 999, 999), seed=0).values(),
        split(task, pool, SplitSizes(0.2), seed=0).values(),
        strict=True,
    ):
        assert torch.equal(capped, free)


def test_seeds_decide_and_nothing_else(pool):
    task, sizes = one_class("a", 1), SplitSizes(0.2, test_images=4)
    first, again, other = (split(task, pool, sizes, seed) for seed in (3, 3, 4))
    for one, two, three in zip(first.values(), again.values(), other.values(), strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, three)


def test_other_sets_in_the_pool_do_not_matter(toy, pool):
    before = toy([7, 7], [3, 3], name="z")
    shared = Pool([before, toy(TRAIN, TEST, name="a")])
    sizes = SplitSizes(0.2, 10, 10, 5)
    task = one_class("a", 0)
    alone, moved = (split(task, some_pool, sizes, seed=2) for some_pool in (pool, shared))
    for one, two in zip(alone.values(), moved.values(), strict=True):
        assert torch.equal(one + shared.train_range("a").start, two)
        assert torch.equal(pool.images(one), shared.images(two))


def test_the_cut_is_random_and_covers_all_images(pool):
    held = torch.zeros(len(pool))
    for seed in range(200):
        held[split(one_class("a", 0), pool, SplitSizes(0.25), seed).validation.normal] += 1
    share = held[pool.by_class("a", pool.train_range("a"))[0]] / 200
    assert abs(float(share.mean()) - 0.25) < 1e-6
    assert share.min() > 0.1
    assert share.max() < 0.4


def test_data_sets_against_data_sets_never_show_outsiders_to_selection(toy):
    pool = Pool(
        [toy([10, 10], [4, 4], name="a"), toy([5], [6], name="b"), toy([0], [3], name="c")]
    )
    result = split(against("a", ["b", "c"]), pool, SplitSizes(0.2), seed=0)
    assert len(result.train) == 16
    assert len(result.validation.normal) == 4
    assert result.validation.outsiders == {}
    assert torch.equal(result.test.outsiders["b"], torch.tensor(pool.test_range("b")))
    assert torch.equal(result.test.outsiders["c"], torch.tensor(pool.test_range("c")))
    assert torch.equal(result.test.normal, torch.tensor(pool.test_range("a")))


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_a_whole_data_set_has_no_anomalies_anywhere(pool, toy, fraction):
    several = Pool([toy(TRAIN, TEST, name="a"), toy([9, 9], [9, 9], name="b")])
    result = split(whole("a"), several, SplitSizes(fraction), seed=0)
    assert result.validation.outsiders == {}
    assert result.test.outsiders == {}
    assert torch.equal(result.test.normal, torch.tensor(several.test_range("a")))
    trained = torch.cat((result.train, result.validation.normal)).sort().values
    assert torch.equal(trained, torch.tensor(several.train_range("a")))
    assert len(result.validation.normal) == fraction * sum(TRAIN)
    alone = split(whole("a"), pool, SplitSizes(fraction), seed=0)
    for one, two in zip(alone.values(), result.values(), strict=True):
        assert torch.equal(one, two)


def test_caps_take_a_whole_data_set_in_proportion_to_its_classes(pool):
    result = split(whole("a"), pool, SplitSizes(0.5, 25, 10, 10), seed=0)
    assert counts(pool, result.train) == [10, 8, 5, 2]
    assert counts(pool, result.validation.normal) == [4, 3, 2, 1]
    assert counts(pool, result.test.normal) == [4, 3, 2, 1]


def test_the_images_of_a_class_are_held_out_alike_of_a_class_and_of_the_whole(pool):
    together = set(split(whole("a"), pool, SplitSizes(0.25), seed=3).validation.normal.tolist())
    for label in range(4):
        alone = split(one_class("a", label), pool, SplitSizes(0.25), seed=3)
        assert set(alone.validation.normal.tolist()) <= together


@pytest.mark.parametrize(
    ("train", "test", "label", "fraction", "words"),
    [
        ([0, 9], [2, 2], 0, 0.1, r"class 0 \(class 0\) of a has no training image"),
        (
            [3, 9],
            [2, 2],
            0,
            0.1,
            "has 3 training images, too few for a validation fraction of 0.1",
        ),
        ([1, 9], [2, 2], 0, 0.9, "has 1 training images, too few"),
        ([9, 9], [0, 2], 0, 0.1, "the test set has no normal image"),
        ([9, 9], [2, 0], 0, 0.1, "the test set has no image of the other classes"),
        ([9], [2], 0, 0.1, "the test set has no image of the other classes"),
        ([0, 0], [2, 2], 0, 0.1, "a has no training images, so it can only be an outsider"),
        ([9, 9], [2, 2], 2, 0.1, "a has no class 2; choose one from 0 to 1"),
    ],
)
def test_degenerate_splits_are_refused_with_values_and_remedy(
    toy, train, test, label, fraction, words
):
    with pytest.raises(UserError, match=words) as caught:
        split(one_class("a", label), Pool([toy(train, test, name="a")]), SplitSizes(fraction), 0)
    assert str(caught.value).startswith(f"task a/{label}: ")
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refusal_names_the_class_by_its_title(toy):
    with pytest.raises(UserError, match="task a/cat: "):
        split(one_class("a", 0, "cat"), Pool([toy([0, 9], [2, 2], name="a")]), SplitSizes(), 0)


def test_small_other_classes_do_not_stop_a_task(toy):
    pool = Pool([toy([20, 0, 2, 20], [4, 0, 1, 4], name="a")])
    result = split(one_class("a", 0), pool, SplitSizes(0.1), seed=0)
    assert counts(pool, result.validation.outsiders[OTHER_CLASSES]) == [0, 0, 0, 2]
    assert counts(pool, result.test.outsiders[OTHER_CLASSES]) == [0, 0, 1, 4]


def test_a_missing_outsider_is_named(pool):
    with pytest.raises(UserError, match="'b' is not loaded"):
        split(against("a", ["b"]), pool, SplitSizes(), seed=0)


@pytest.mark.parametrize(
    "options",
    [{"validation_fraction": 1.0}, {"validation_fraction": -0.1}, {"test_images": 0}],
)
def test_impossible_sizes_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        SplitSizes(**options)
    with pytest.raises(UserError, match="validation_fraction"):
        SplitSizes(float("nan"))
