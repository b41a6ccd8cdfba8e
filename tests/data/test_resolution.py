"""The image sets of a search: of one size, with what is known of each."""

from functools import partial

import numpy as np
import pytest
import torch

from tune_ad.data import ImageSet, write_npz
from tune_ad.data.resolution import check_sets, load_sets, side_by_side
from tune_ad.errors import UserError


def image_set(name, shape, about=""):
    images = torch.full((3, *shape), 7, dtype=torch.uint8)
    labels = torch.zeros(3, dtype=torch.int64)
    return ImageSet(name, ("one",), images, labels, images, labels, about)


@pytest.mark.parametrize(
    ("shapes", "side"),
    [
        ([(1, 28, 28), (1, 28, 28)], 32),
        ([(1, 28, 28), (1, 32, 32)], 32),
        ([(3, 32, 32), (3, 32, 32)], 32),
        ([(1, 8, 8)], 8),
        ([(1, 8, 8), (1, 28, 28)], 32),
        ([(1, 16, 24)], 24),
    ],
)
def test_sets_get_one_side_that_is_a_multiple_of_eight(shapes, side):
    loaded = [image_set(f"s{k}", shape, "known") for k, shape in enumerate(shapes)]
    outsiders = [*(f"s{k}" for k in range(1, len(shapes))), "noise", "constant"]
    together = side_by_side(loaded, outsiders)
    assert [each_set.name for each_set in together] == ["s0", *outsiders]
    assert {each_set.shape for each_set in together} == {(shapes[0][0], side, side)}
    for before, after in zip(loaded, together, strict=False):
        padded = before.shape != after.shape
        assert after.about == (f"known; zero-padded to {side}x{side}" if padded else "known")
        # a border of zeros: nothing is resampled
        assert int(after.test_images.int().sum()) == int(before.test_images.int().sum())
        assert set(np.unique(after.train_images)) == ({0, 7} if padded else {7})
    controls = together[len(loaded) :]
    assert all("generated with seed 0" in control.about for control in controls)


def test_sets_of_different_channels_are_refused():
    with pytest.raises(UserError, match="1 channels, those of b 3") as refusal:
        side_by_side([image_set("a", (1, 8, 8)), image_set("b", (3, 8, 8))], ["b"])
    assert "\n" not in str(refusal.value)


def test_controls_have_the_border_of_the_images_beside_them():
    source, _, noise, constant = side_by_side(
        [image_set("a", (1, 28, 28)), image_set("b", (1, 28, 28))], ["b", "noise", "constant"]
    )
    for images in (source, noise, constant):
        inside = torch.zeros(32, 32, dtype=torch.bool)
        inside[2:30, 2:30] = True
        assert not images.test_images[..., ~inside].any(), images.name
    assert noise.test_images[..., 2:30, 2:30].float().std() > 60


def test_a_file_with_the_name_of_a_control_is_refused(tmp_path):
    for name in ("noise", "photos"):
        write_npz(tmp_path / f"{name}.npz", image_set(name, (1, 8, 8)))
    for source, outsiders in (("photos", ["noise"]), ("noise", ["photos"])):
        for asked in (check_sets, partial(load_sets, say=print)):
            with pytest.raises(UserError, match="noise.npz has the name of.*rename") as refusal:
                asked(source, outsiders, str(tmp_path))
            assert "\n" not in str(refusal.value)
    check_sets("photos", ["constant"], str(tmp_path))
