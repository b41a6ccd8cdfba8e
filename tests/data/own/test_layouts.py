"""How a folder of images is laid out, from its paths alone."""

from pathlib import PurePosixPath

import pytest

from tune_ad.data.own.layouts import Layout, is_tested, layout_of
from tune_ad.errors import UserError


def read(*paths: str) -> Layout:
    return layout_of(map(PurePosixPath, paths), "photos")


def parts(layout):
    return {(item.part, item.label) for item in layout.items}


@pytest.mark.parametrize(
    ("paths", "normal", "expected"),
    [
        (
            ["train/good/1.png", "test/good/2.png", "test/hole/3.png", "ground_truth/hole/3.png"],
            "good",
            {("train", "good"), ("test", "good"), ("test", "hole")},
        ),
        (["train/bag/1.png", "test/bag/2.png", "test/shoe/3.png"], "bag", None),
        (["train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "test/dog/2.png"], None, None),
        (
            ["train/Normal/1.png", "train/crack/2.png", "test/Normal/3.png"],
            "Normal",
            {("train", "Normal"), ("train", "crack"), ("test", "Normal")},
        ),
        (
            ["train/cat/1.png", "val/cat/2.png", "train/dog/4.png", "test/dog/3.png"],
            None,
            {("train", "cat"), ("train", "dog"), ("test", "dog")},
        ),
        (["train/1.png", "test/2.png", "test/odd/3.png"], "normal", None),
        (["normal/1.png", "anomalous/2.png"], "normal", {("", "normal"), ("", "anomalous")}),
        (["regular/1.png", "Defect/2.png"], "regular", {("", "regular"), ("", "Defect")}),
        (["train/bag/1.png", "train/ng/2.png", "test/bag/3.png"], "bag", None),
        (["bags/good/1.png", "bags/good/2.png"], "bags", {("", "bags")}),
        (["ok/day/1.png", "ng/2.png", "scratch/3.png"], "ok", None),
        (["cat/1.png", "dog/2.png"], None, {("", "cat"), ("", "dog")}),
        (["1.png", "2.png"], "normal", {("", "normal")}),
        (["bags/monday/1.png", "bags/tuesday/2.png"], "bags", {("", "bags")}),
        (["train/good/1.png", "train/good/2.png"], "good", {("", "good")}),
    ],
)
def test_layouts_that_people_have(paths, normal, expected):
    layout = read(*paths)
    assert layout.normal == normal
    if expected is not None:
        assert parts(layout) == expected


def test_what_is_in_no_split_is_counted():
    layout = read("train/good/1.png", "test/good/2.png", "ground_truth/3.png", "logo.png")
    assert (len(layout.items), layout.ignored) == (2, 2)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "photos contains no image file; give a folder with train/CLASS"),
        (["1.png", "cat/2.png"], "contains both folders and 1.png, so its layout is unclear"),
        (["a/normal/1.png", "b/normal/2.png"], "its layout begins below the top; give photos/a"),
        (["bad/1.png"], "contains only bad/, whose images are anomalies by its name"),
        (["good/1.png", "ok/2.png"], "the classes good and ok are both called normal"),
        (
            ["train/hole/1.png", "train/crack/1.png", "test/good/2.png"],
            "the normal class 'good' has no training image",
        ),
        (["test/good/1.png", "test/hole/2.png"], "no folder of training images; put normal"),
        (["bad/1.png"], "contains only bad/, whose images are anomalies by its name"),
        (["train/ng/1.png", "test/hole/2.png"], "'ng' is called anomalous, and there is no other"),
        (
            ["cat/1.png", "dog/2.png", "bad/3.png"],
            "'bad' is called anomalous, and which of cat, dog is normal is unclear; put",
        ),
    ],
)
def test_unclear_layouts_are_refused_in_one_line(paths, words):
    with pytest.raises(UserError, match=words) as caught:
        read(*paths)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("paths", "inner", "remedy"),
    [
        (["bottle/train/good/1.png", "bottle/test/hole/2.png"], "bottle/test", "bottle"),
        (
            ["bottle/train/good/1.png", "bottle/ground_truth/1.png", "cable/train/good/1.png"],
            "bottle/train",
            "bottle",
        ),
        (["set/normal/1.png", "set/anomalous/2.png"], "set/anomalous", "set"),
        (["set/ok/1.png", "set/scratch/2.png"], "set/ok", "set"),
        (["a/b/good/1.png", "a/b/hole/2.png"], "a/b/good", "a/b"),
    ],
)
def test_a_layout_below_the_top_is_refused_rather_than_trained_on_as_normal(paths, inner, remedy):
    with pytest.raises(UserError) as caught:
        read(*paths)
    assert str(caught.value) == (
        f"photos contains {inner}, so its layout begins below the top; give photos/{remedy}"
    )
    read(*(path.removeprefix(f"{remedy}/") for path in paths if path.startswith(f"{remedy}/")))


def test_a_fifth_of_normal_images_without_splits_is_tested_by_content_alone():
    tested = [is_tested(str(k).encode()) for k in range(4000)]
    assert 0.17 < sum(tested) / 4000 < 0.23
    assert tested[:100] == [is_tested(str(k).encode()) for k in range(100)]


def test_the_order_of_the_file_system_does_not_matter():
    paths = [f"train/good/{k}.png" for k in range(9)] + ["test/good/1.png"]
    assert read(*paths) == read(*reversed(paths))
