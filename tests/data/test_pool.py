import pytest
import torch

from tune_ad.data import Pool
from tune_ad.errors import UserError


def test_sets_lie_end_to_end(toy):
    first, second = toy([3, 2], [2, 1], name="a"), toy([4], [2], name="b", seed=1)
    pool = Pool([first, second])
    assert pool.names == ("a", "b")
    assert len(pool) == 14
    assert pool.shape == (1, 4, 4)
    assert (pool.train_range("a"), pool.test_range("a")) == (range(5), range(5, 8))
    assert (pool.train_range("b"), pool.test_range("b")) == (range(8, 12), range(12, 14))
    for image_set in (first, second):
        for files, images, labels in (
            (pool.train_range(image_set.name), image_set.train_images, image_set.train_labels),
            (pool.test_range(image_set.name), image_set.test_images, image_set.test_labels),
        ):
            assert torch.equal(pool.images(torch.tensor(files)), images)
            assert torch.equal(pool.labels[files.start : files.stop], labels)
    assert pool.images(torch.arange(2)).dtype == torch.uint8


def test_members_of_each_class(toy):
    pool = Pool([toy([1, 1], [1, 1], name="a"), toy([3, 0, 2], [1, 1, 1], name="b")])
    groups = pool.by_class("b", pool.train_range("b"))
    assert [len(group) for group in groups] == [3, 0, 2]
    for label, group in enumerate(groups):
        assert (pool.labels[group] == label).all()
        assert set(group.tolist()) <= set(pool.train_range("b"))


def test_picked_images_are_copies(toy):
    image_set = toy([2, 2], [1, 1])
    picked = Pool([image_set]).images(torch.arange(4))
    image_set.train_images.zero_()
    assert picked.any()


def test_shapes_must_agree(toy):
    with pytest.raises(UserError, match=r"a have shape \(1, 4, 4\), those of b \(3, 4, 4\)"):
        Pool([toy([1], [1], name="a"), toy([1], [1], name="b", colour=True)])


def test_sets_must_differ_and_be_there(toy):
    with pytest.raises(UserError, match="at least one data set"):
        Pool([])
    with pytest.raises(UserError, match="a, a: name each data set once"):
        Pool([toy([1], [1], name="a"), toy([1], [1], name="a")])
    with pytest.raises(UserError, match="'c' is not loaded; loaded are a"):
        Pool([toy([1], [1], name="a")]).train_range("c")
