r"""Where an image is anomalous: one picture for each image.

For a detector that reconstructs images the map is $|x - \hat x|$, averaged over the channels and
over the models, in [0, 1]. For any other it is the magnitude of the gradient of the score with
respect to the pixels, $|\partial s / \partial x|$, divided by its largest value in the image:
which pixels the score reacts to, not which are anomalous (Simonyan et al., Deep Inside
Convolutional Networks, ICLR 2014 workshop). A fitted estimator of scikit-learn has no gradient.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_ad.errors import UserError
from tune_ad.models.ensemble import Ensemble
from tune_ad.models.member import Member

Maps = NDArray[np.float64]
RECONSTRUCTION = "reconstruction"
SMALLEST = 128
"""Pictures are enlarged by a whole factor to at least this height, in pixels."""


def heatmaps(ensemble: Ensemble, pixels: Tensor) -> Maps:
    """The map of each image, shape (n, h, w), in [0, 1].

    Args:
        ensemble: the models.
        pixels: uint8, shape (n, c, h, w).

    Raises:
        UserError: if the detector is a fitted estimator.
    """
    maps: Maps = np.mean([_of_member(member, pixels) for member in ensemble.members], axis=0)
    return maps


def _of_member(member: Member, pixels: Tensor) -> Maps:
    images, _ = member.prepared(pixels)
    with torch.no_grad():
        reconstruction = member.module.illustrate(images).get(RECONSTRUCTION)
    if reconstruction is None:
        return _gradients(member, pixels)
    difference: Maps = (images - reconstruction).abs().mean(1).clamp(0, 1).double().numpy()
    return difference


def _gradients(member: Member, pixels: Tensor) -> Maps:
    images, noise = member.prepared(pixels)
    images.requires_grad_()
    with torch.enable_grad():
        score = member.module.score_variants(images, noise, {})["score"].sum()
    if not score.requires_grad:
        raise UserError(
            f"{type(member.module).__name__} is fitted by scikit-learn and has no gradient, so it "
            "has no heatmaps; leave --heatmaps out"
        )
    (gradient,) = torch.autograd.grad(score, images)
    magnitudes = gradient.abs().mean(1).double()
    largest = magnitudes.amax((1, 2), keepdim=True)
    maps: Maps = (magnitudes / largest.clamp(min=torch.finfo(torch.float64).tiny)).numpy()
    return maps


def write_pictures(folder: Path, names: list[str], pixels: Tensor, maps: Maps) -> None:
    """Write a PNG for each image: the image at the left, its map at the right.

    Args:
        folder: the folder; below it, the path of an image is kept, with ".png" after it.
        names: the name of each image.
        pixels: uint8, shape (n, c, h, w).
        maps: shape (n, h, w), in [0, 1].

    Raises:
        OSError: if a file cannot be written.
    """
    from matplotlib import colormaps
    from PIL import Image

    for name, image, heat in zip(names, pixels.numpy(), maps, strict=True):
        left = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
        right = (255 * colormaps["magma"](heat)[..., :3]).round().astype(np.uint8)
        both = np.concatenate([left, right], axis=1)
        factor = max(1, -(-SMALLEST // both.shape[0]))
        picture = Image.fromarray(np.ascontiguousarray(both.repeat(factor, 0).repeat(factor, 1)))
        path = folder / f"{name.lstrip('/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
