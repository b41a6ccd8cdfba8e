"""The mathematics of the autoencoder."""

import pytest
import torch
from torch.nn import functional

from tests.detectors.cases import COLOUR, GREY, module_of, small, trained
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.errors import UserError
from tune_ad.training.replicas.replica import build


@torch.no_grad()
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_ae_loss_and_score_are_the_squared_error(shape):
    replica_set = trained(AE, shape)
    module, images = module_of(replica_set).eval(), replica_set.replicas[0].images
    reconstructions = module.decoder(module.encoder(images))
    expected = functional.mse_loss(reconstructions, images, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(module.score(images, {}), expected)
    torch.testing.assert_close(module.loss_and_terms("train", images, {})[0], expected.mean())
    torch.testing.assert_close(module.illustrate(images)["reconstruction"], reconstructions)
    assert float(expected.min()) > 0


def test_ae_refuses_a_latent_that_makes_no_map():
    with pytest.raises(UserError, match="got 24; use 16 or 32"):
        build(AE, small(AE, GREY, latent_dim=24), GREY, 0)
