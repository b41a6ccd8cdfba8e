"""The networks of GPND, for images of any size: an encoder, its mirror, and discriminators.

As in the official code of Pidhorskyi et al. (2020): 4x4 convolutions with stride 2 and padding 1
halve the image three times, one more covers the map that is left; batch normalisation with affine
parameters, not next to the image; weights from N(0, 0.02^2), biases 0. The official code resizes
images bilinearly to 32x32; here they are padded with zeros to the next multiple of 8, which
alters no pixel, and what the decoder makes is cropped back.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.nets import ImageShape, widened

KERNEL = 4
MULTIPLE = 8  # of a padded side: three halvings
SLOPE = 0.2
WEIGHT_STD = 0.02
ENCODER, DISCRIMINATOR, DECODER = (128, 256, 512), (64, 256, 512), (256, 256, 128)
LATENT_DISCRIMINATOR = (128, 128)


def padding_of(shape: ImageShape) -> tuple[int, int, int, int]:
    """Zeros to add left, right, above and below so that both sides are multiples of 8."""
    above, below = _split(-shape.height % MULTIPLE)
    left, right = _split(-shape.width % MULTIPLE)
    return left, right, above, below


def _split(extra: int) -> tuple[int, int]:
    return extra // 2, extra - extra // 2


def smallest_map(shape: ImageShape) -> tuple[int, int]:
    """Height and width of the map after three halvings of the padded image."""
    left, right, above, below = padding_of(shape)
    return (shape.height + above + below) // MULTIPLE, (shape.width + left + right) // MULTIPLE


class PaddedEncoder(nn.Module):
    """Maps images (batch, c, h, w) to vectors (batch, `outputs`): codes or logits.

    Args:
        shape: of the images.
        channels: of the three halving convolutions, before `width`.
        outputs: length of the vector.
        width: factor on the channels.

    Raises:
        UserError: if `width` leaves a layer without a channel.
    """

    def __init__(
        self, shape: ImageShape, channels: Sequence[int], outputs: int, width: float
    ) -> None:
        super().__init__()
        self.padding = padding_of(shape)
        hidden = widened(channels, width)
        blocks: list[nn.Module] = []
        for before, after in pairwise((shape.channels, *hidden)):
            blocks.append(nn.Conv2d(before, after, KERNEL, stride=2, padding=1))
            blocks += [nn.BatchNorm2d(after)] if len(blocks) > 1 else []
            blocks.append(nn.LeakyReLU(SLOPE))
        blocks += [nn.Conv2d(hidden[-1], outputs, smallest_map(shape)), nn.Flatten()]
        self.layers = nn.Sequential(*blocks)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Vectors, shape (batch, `outputs`)."""
        return self.layers(functional.pad(images, self.padding))  # type: ignore[no-any-return]


class CroppedDecoder(nn.Module):
    """Maps codes (batch, latent_dim) to images (batch, c, h, w) in (0, 1).

    Args:
        shape: of the images.
        latent_dim: length of the code.
        width: factor on the channels.

    Raises:
        UserError: if `width` leaves a layer without a channel.
    """

    def __init__(self, shape: ImageShape, latent_dim: int, width: float) -> None:
        super().__init__()
        self.shape, (self.left, _, self.above, _) = shape, padding_of(shape)
        hidden = widened(DECODER, width)
        blocks: list[nn.Module] = [
            nn.Unflatten(1, (latent_dim, 1, 1)),
            nn.ConvTranspose2d(latent_dim, hidden[0], smallest_map(shape)),
        ]
        for before, after in pairwise((*hidden, shape.channels)):
            blocks += [nn.BatchNorm2d(before), nn.ReLU()]
            blocks.append(nn.ConvTranspose2d(before, after, KERNEL, stride=2, padding=1))
        self.layers = nn.Sequential(*blocks)
        initialise(self)

    def logits(self, codes: Tensor) -> Tensor:
        r"""Logits of images: $2 y$, since the official $(1 + \tanh y) / 2$ is sigmoid(2 y)."""
        grown: Tensor = 2 * self.layers(codes)
        rows = slice(self.above, self.above + self.shape.height)
        return grown[..., rows, self.left : self.left + self.shape.width]

    def forward(self, codes: Tensor) -> Tensor:
        """Images in (0, 1), shape (batch, c, h, w)."""
        return self.logits(codes).sigmoid()


def initialise(network: nn.Module) -> None:
    """Weights of convolutions and linear layers from N(0, 0.02^2), their biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=WEIGHT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
