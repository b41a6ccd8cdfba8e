"""The networks of GPND for images of any size: an encoder, a decoder, and discriminators.

They are those of the official code of Pidhorskyi et al. (2020). Three 4x4 convolutions with stride
2 and padding 1 halve the sides of the image (`deepened`: more of them above 32 pixels), and a last
convolution covers the remaining feature map. Batch normalisation has affine parameters and is
omitted in the layer next to the image. Weights are drawn from N(0, 0.02^2), biases are 0. The
official code resizes images to 32x32 by bilinear interpolation; here they are padded with zeros so
that the sides can be halved, which changes no pixel, and the decoder's images are cropped.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.nets import (
    ImageShape,
    deepened,
    padding_of,
    scaled_channels,
    smallest_map,
)

GPND_KERNEL = 4
GPND_SLOPE = 0.2  # negative slope of LeakyReLU
WEIGHT_STD = 0.02
ENCODER_CHANNELS = (128, 256, 512)
DISCRIMINATOR_CHANNELS = (64, 256, 512)
DECODER_CHANNELS = (128, 256, 256)  # from the image inwards, as those of the encoder
LATENT_DISCRIMINATOR_WIDTHS = (128, 128)


def last_map(shape: ImageShape) -> tuple[int, int]:
    """Height and width of the feature map that the last convolution of an encoder covers."""
    return smallest_map(shape, len(deepened(ENCODER_CHANNELS, shape)))


class PaddedEncoder(nn.Module):
    """Maps images (batch, c, h, w), padded with zeros, to vectors (batch, `outputs`).

    The vectors are codes, or the logits of a discriminator.

    Args:
        shape: the shape of the images.
        channels: channels of the three convolutions with stride 2, before multiplication by
            `width`.
        outputs: length of a vector.
        width: factor on the channels.

    Raises:
        UserError: if `width` is so small that a layer has no channel.
    """

    def __init__(
        self, shape: ImageShape, channels: Sequence[int], outputs: int, width: float
    ) -> None:
        super().__init__()
        hidden = scaled_channels(deepened(channels, shape), width)
        self.padding = padding_of(shape, len(hidden))
        blocks: list[nn.Module] = []
        for before, after in pairwise((shape.channels, *hidden)):
            blocks.append(nn.Conv2d(before, after, GPND_KERNEL, stride=2, padding=1))
            blocks += [nn.BatchNorm2d(after)] if len(blocks) > 1 else []
            blocks.append(nn.LeakyReLU(GPND_SLOPE))
        blocks += [nn.Conv2d(hidden[-1], outputs, smallest_map(shape, len(hidden))), nn.Flatten()]
        self.layers = nn.Sequential(*blocks)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Vectors, shape (batch, `outputs`)."""
        vectors: Tensor = self.layers(functional.pad(images, self.padding))
        return vectors.to(images.dtype)


class CroppedDecoder(nn.Module):
    """Maps codes (batch, latent_dim) to images (batch, c, h, w) in (0, 1), cropped to their size.

    Args:
        shape: the shape of the images.
        latent_dim: length of the code.
        width: factor on the channels.

    Raises:
        UserError: if `width` is so small that a layer has no channel.
    """

    def __init__(self, shape: ImageShape, latent_dim: int, width: float) -> None:
        super().__init__()
        hidden = scaled_channels(deepened(DECODER_CHANNELS, shape), width)[::-1]
        self.shape, self.padding = shape, padding_of(shape, len(hidden))
        blocks: list[nn.Module] = [
            nn.Unflatten(1, (latent_dim, 1, 1)),
            nn.ConvTranspose2d(latent_dim, hidden[0], smallest_map(shape, len(hidden))),
        ]
        for before, after in pairwise((*hidden, shape.channels)):
            blocks += [nn.BatchNorm2d(before), nn.ReLU()]
            blocks.append(nn.ConvTranspose2d(before, after, GPND_KERNEL, stride=2, padding=1))
        self.layers = nn.Sequential(*blocks)
        initialise(self)

    def logits(self, codes: Tensor) -> Tensor:
        r"""Logits of images: $2 y$, since the official $(1 + \tanh y) / 2$ is sigmoid(2 y)."""
        grown: Tensor = 2 * self.layers(codes).to(codes.dtype)
        left, _, above, _ = self.padding
        rows = slice(above, above + self.shape.height)
        return grown[..., rows, left : left + self.shape.width]

    def forward(self, codes: Tensor) -> Tensor:
        """Images in (0, 1), shape (batch, c, h, w)."""
        return self.logits(codes).sigmoid()


def initialise(network: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers from N(0, 0.02^2), set biases to 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if not layer.weight.is_meta:  # there, it would only load the compiler of PyTorch
                nn.init.normal_(layer.weight, std=WEIGHT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
