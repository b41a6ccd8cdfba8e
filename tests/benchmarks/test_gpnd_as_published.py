"""The program that shows what the defects of a published script do computes those defects."""

import math

import numpy as np
import torch

from benchmarks.gpnd_as_published import (
    CASES,
    Defects,
    Outputs,
    SharedTrunk,
    re_estimate,
    row_log_volumes,
    scores,
)
from tests.detectors.cases import GREY, IMAGES, module_of, pixels, replica_set_of, small
from tune_ad.training.replicas.replica import build

LENET = {"networks": "lenet", "reconstruction_weight": 0.5}


def test_encoder_and_discriminator_share_all_but_their_last_layers():
    module = build(SharedTrunk, small(SharedTrunk, GREY, **LENET), GREY, 0)
    assert module.encoder[0] is module.image_discriminator[0]
    assert module.encoder[1] is not module.image_discriminator[1]


def test_rows_of_the_jacobian_are_taken_for_images():
    """J matrices of the image's size, whose singular values are not those of the Jacobian."""
    module = build(SharedTrunk, small(SharedTrunk, GREY, **LENET), GREY, 0).double().eval()
    images = pixels(GREY, 3).double() / 255
    log_volumes = row_log_volumes(module, images)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: module.encoder(x[None])[0]))(images)
    for image, volume in zip(jacobian.detach().numpy(), log_volumes, strict=True):
        values = np.linalg.svd(image, compute_uv=False)
        assert values.size == module.config.latent_dim * 8  # eight for each row
        floor = np.maximum(values, np.finfo(np.float32).tiny)
        assert math.isclose(np.log(floor).sum(), float(volume), rel_tol=1e-6)


def outputs(distances, volume=0.0, seed=0):
    codes = torch.randn(len(distances), 2, generator=torch.Generator().manual_seed(seed))
    volumes = {name: torch.full((len(distances),), volume) for name in ("decoder", "rows")}
    return Outputs(codes.double(), torch.tensor(distances, dtype=torch.float64), volumes)


def test_the_squared_distance_doubles_the_exponent():
    """Between images with the same density of the histogram only the power law is left."""
    fitted_to = outputs(list(np.linspace(1, 2, 3001)))
    test = outputs([1.001, 1.002, 1.5])
    plain, squared = (
        scores(fitted_to, test, Defects("", squared=is_squared), pixels=102)["residual"]
        for is_squared in (False, True)
    )
    slope = math.log(1.002 / 1.001)
    assert math.isclose(float(plain[1] - plain[0]), 99 * slope, rel_tol=1e-9)
    assert math.isclose(float(squared[1] - squared[0]), 2 * 100 * slope, rel_tol=1e-9)


def test_a_larger_volume_makes_an_image_likelier():
    fitted_to, test = outputs([1.0, 1.5, 2.0]), [1.2, 1.7]
    small_volume, large = (
        scores(fitted_to, outputs(test, volume), Defects(""), pixels=10)["score"]
        for volume in (0.0, 3.0)
    )
    torch.testing.assert_close(small_volume - large, torch.full((2,), 3.0).double())


def test_batch_statistics_are_estimated_again_from_real_images():
    replica_set = replica_set_of(SharedTrunk, small(SharedTrunk, GREY, **LENET), GREY)
    replica_set.train(1)
    norm = module_of(replica_set).encoder[0].layers[1]
    before = norm.running_mean.clone()
    re_estimate(replica_set.replicas[0])
    assert not torch.equal(norm.running_mean, before)
    assert not norm.training
    assert IMAGES == len(replica_set.replicas[0].images)


def test_every_defect_has_a_row_of_its_own_and_one_has_all():
    alone = {(case.model, case.test_fit, case.log_volume, case.squared) for case in CASES}
    assert len(alone) == len(CASES)
    assert CASES[-1] == Defects("all", "shared", True, "rows", True)
