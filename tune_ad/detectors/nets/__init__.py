"""Networks for images of any size, built from a list of channels and a width factor.

LeNet-like networks are those of the PGN paper; DCGAN-like networks are for likelihood models.
"""

from tune_ad.detectors.nets.dcgan import DCGANDecoder, DCGANEncoder, dcgan_channels
from tune_ad.detectors.nets.head import Head
from tune_ad.detectors.nets.lenet import LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.nets.shapes import (
    ImageShape,
    deepened,
    padding_of,
    scaled_channels,
    smallest_map,
)

__all__ = [
    "DCGANDecoder",
    "DCGANEncoder",
    "Head",
    "ImageShape",
    "LeNetDecoder",
    "LeNetEncoder",
    "dcgan_channels",
    "deepened",
    "lenet_channels",
    "padding_of",
    "scaled_channels",
    "smallest_map",
]
