"""Where an image is anomalous: reconstruction errors and gradients of the score."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.detectors.cases import COLOUR, GREY, module_of, pixels, quick, small
from tests.marks import slow
from tests.models.test_kept_scores import trained
from tune_ad.detectors import every_detector
from tune_ad.detectors.shallow.base import ShallowDetector
from tune_ad.errors import UserError
from tune_ad.models.ensemble import Ensemble, Standardisation
from tune_ad.models.heatmaps import heatmaps, write_pictures
from tune_ad.models.member import Member
from tune_ad.training.replicas.kept import KeptState

NETWORKS = {n: d for n, d in every_detector().items() if not issubclass(d, ShallowDetector)}


def ensemble(detector, shape, models=1):
    images = pixels(shape)
    config = small(detector, shape, **quick(detector))
    replica_set = trained(detector, config, images)
    state = KeptState.of(replica_set.replicas[0])
    members = [Member(detector, config, shape, state, "m") for _ in range(models)]
    return Ensemble(members, [Standardisation(0.0, 1.0)] * models), images, replica_set


@pytest.mark.parametrize(
    "shape",
    [pytest.param(GREY, id="grey"), slow(COLOUR, id="colour")],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_heatmaps(name, shape):
    models, images, replica_set = ensemble(NETWORKS[name], shape)
    maps = heatmaps(models, images[:5])
    assert maps.shape == (5, *shape[1:])
    assert np.isfinite(maps).all()
    assert maps.min() >= 0 and 0 < maps.max() <= 1
    scaled = images[:5].float() / 255
    drawn = module_of(replica_set).eval().illustrate(scaled)
    if drawn and models.members[0].module.config.scaling == "unit":
        with torch.no_grad():
            expected = (scaled - drawn["reconstruction"]).abs().mean(1)
        assert maps == pytest.approx(expected.detach().numpy(), abs=1e-5)
    elif not drawn:
        assert maps.reshape(5, -1).max(1) == pytest.approx(np.ones(5))


def test_the_map_of_several_models_is_their_mean():
    one, images, _ = ensemble(NETWORKS["AE"], GREY)
    two = Ensemble(one.members * 2, one.standardisations * 2)
    assert heatmaps(two, images) == pytest.approx(heatmaps(one, images))


def test_a_fitted_estimator_has_none():
    models, images, _ = ensemble(every_detector()["KDE"], GREY)
    with pytest.raises(UserError, match="KDE is fitted .* leave --heatmaps out"):
        heatmaps(models, images)


def test_a_picture_shows_the_image_beside_its_map(tmp_path):
    images = pixels(GREY, 2)
    maps = np.zeros((2, 8, 8))
    maps[:, 0, 0] = 1
    write_pictures(tmp_path, ["a/b.png", "ünd so.jpg"], images, maps)
    picture = np.asarray(Image.open(tmp_path / "a" / "b.png.png"))
    assert picture.shape == (128, 256, 3)
    assert np.array_equal(picture[::16, :128:16, 0], images[0, 0].numpy())
    hot, cold = picture[0, 128].astype(int), picture[64, 200].astype(int)
    assert hot.sum() > 500 > 50 > cold.sum()
    assert (tmp_path / "ünd so.jpg.png").exists()
