"""Image statistics are those of the original image, and are computed once."""

import pytest
import torch

from tune_ad.data import SCALINGS, ImageStatistics, ScaledImages


class Counted:
    """The mean of each image; remembers the images that it was given, of which there are some."""

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        assert len(images)
        self.seen += images.flatten(1).tolist()
        return images.mean((1, 2, 3))


@pytest.fixture
def pixels():
    stream = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (9, 1, 2, 3), generator=stream, dtype=torch.uint8)


def test_a_statistic_is_computed_once_for_each_image_that_is_asked_for(pixels):
    mean, statistics = Counted(), ImageStatistics(pixels)
    for asked in ([3, 1], [1, 3, 3], [5, 1], []):
        found = statistics.of({"mean": mean}, torch.tensor(asked, dtype=torch.int64))
        expected = (pixels[asked].float() / 255).mean((1, 2, 3)).double()
        assert found.keys() == {"mean"}
        assert torch.equal(found["mean"], expected)
    assert len(mean.seen) == 3
    assert statistics.of({}, torch.arange(9)) == {}


def test_two_statistics_of_one_name_are_not_confused(pixels):
    statistics, first = ImageStatistics(pixels), torch.arange(2)
    statistics.of({"value": Counted()}, first)
    largest = statistics.of({"value": lambda images: images.amax((1, 2, 3))}, first)
    assert torch.equal(largest["value"], (pixels[:2].amax((1, 2, 3)).float() / 255).double())


@pytest.mark.parametrize("scaling", SCALINGS)
def test_statistics_do_not_depend_on_the_scaling_and_are_shared(scaling, pixels):
    mean, statistics = Counted(), ImageStatistics(pixels)
    for _ in range(2):
        images = ScaledImages(pixels, scaling, statistics)
        found = images.statistics.of({"mean": mean}, torch.arange(9))["mean"]
        assert torch.equal(found, (pixels.float() / 255).mean((1, 2, 3)).double())
    assert len(mean.seen) == 9


def test_float_images_are_taken_as_they_are(pixels):
    images = pixels.double() / 255
    found = ImageStatistics(images).of({"mean": Counted()}, torch.arange(9))["mean"]
    assert torch.equal(found, images.float().mean((1, 2, 3)).double())
