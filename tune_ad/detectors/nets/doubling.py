r"""Layers that double both sides of a map, computed as convolutions of the smaller map.

Each pixel of the smaller map becomes four, and what a kernel finds around each of them are pixels
of the smaller map again. So a layer is equivalent to a convolution of the smaller map with four
times as many output channels, whose results are interleaved (Shi et al., arXiv 1609.05158,
section 3). That saves operations.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.nets.head import without_autocast

DCGAN_KERNEL = 4
LENET_KERNEL = 5
MOST_INTERLEAVED_CHANNELS = 4  # with more output channels, a plain convolution is faster
TAPS = ((-1, -1, 0, 0, 1), (-1, 0, 0, 1, 1))
"""By parity of the output pixel and tap of a 5-tap kernel: the offset of the input pixel."""


class Doubling(nn.Module):
    r"""A transposed 4x4 convolution that doubles both sides: stride 2, padding 1.

    Each output pixel depends on 2x2 input pixels. With few output channels, interleaving is
    several times as fast.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.transposed = nn.ConvTranspose2d(inputs, outputs, DCGAN_KERNEL, stride=2, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (batch, `inputs`, h, w) to maps (batch, `outputs`, 2 h, 2 w)."""
        weight, bias = self.transposed.weight, self.transposed.bias
        if self.transposed.out_channels > MOST_INTERLEAVED_CHANNELS or bias is None:
            doubled: Tensor = self.transposed(maps)
            return doubled
        # Along an axis, kernel taps 3 and 1 give the even output pixels, 2 and 0 the odd ones. Odd
        # pixels come first, because the interleaved map starts one pixel early.
        taps = weight.flip(2, 3).unflatten(2, (2, 2)).unflatten(4, (2, 2))
        kernel = taps.permute(1, 3, 5, 0, 2, 4).flip(1, 2).flatten(0, 2)
        interleaved = functional.conv2d(maps, kernel, bias.repeat_interleave(4), padding=1)
        return functional.pixel_shuffle(interleaved, 2)[..., 1:-1, 1:-1]


class DoublingConvolution(nn.ConvTranspose2d):
    r"""Nearest-neighbour doubling of a map, then a transposed 5x5 convolution of stride 1.

    Along an axis, the five taps around a pixel of the doubled map meet three pixels of the map, so
    the layer is a 3x3 convolution whose weights are sums of the kernel's.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        trims: number of pixels cut from both ends of the rows and of the columns of the result.
        bias: whether the convolution has biases.
    """

    def __init__(
        self, inputs: int, outputs: int, trims: tuple[int, int], bias: bool = True
    ) -> None:
        super().__init__(inputs, outputs, LENET_KERNEL, bias=bias)
        self.trims = trims
        # A comparison of tensors on the meta device would load the compiler of PyTorch.
        meets = [[[float(tap == k) for tap in taps] for k in (-1, 0, 1)] for taps in TAPS]
        self.register_buffer("meets", torch.tensor(meets), persistent=False)  # parity, source, tap

    def forward(self, maps: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Maps (batch, `inputs`, h, w) to (batch, `outputs`, 2 h - 2 `trims`[0], 2 w - ...)."""
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        interleaved = functional.conv2d(maps, self.folded(), bias, padding=1)
        doubled = functional.pixel_shuffle(interleaved, 2)
        rows, columns = self.trims
        return doubled[..., rows : doubled.shape[-2] - rows, columns : doubled.shape[-1] - columns]

    def folded(self) -> Tensor:
        """The 3x3 kernels, shape (4 `outputs`, `inputs`, 3, 3): for each output four parities."""
        kernels = self.weight.flip(2, 3).transpose(0, 1)
        with without_autocast(kernels):
            return torch.einsum("ask,btl,oikl->oabist", self.meets, self.meets, kernels).flatten(
                0, 2
            )
