"""Four detectors as a careful user of PyTorch writes them, with the networks of the PGN paper.

They compute what `tune_ad` computes with its published settings: the same networks, losses and
scores. The layers are those of PyTorch, in its default memory format, in the order of the paper;
images come from a DataLoader, and nothing is printed. `benchmarks/peers.py` measures these loops.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

BATCH = 200
KERNEL, SLOPE, DROPOUT, PASSES = 5, 0.1, 0.5, 20
FIRST_SIDE = 4  # side of the first feature map of a decoder
LEAST_CENTRE = 0.1


class Architecture(NamedTuple):
    """The sizes of the LeNet-like networks for one image shape.

    Attributes:
        channels: output channels of the encoder's convolutions.
        features: number of features that the encoder returns.
        code: length of the code.
        growth: of each convolution of the decoder, the factor of the upsampling before it and its
            padding.
    """

    channels: tuple[int, ...]
    features: int
    code: int
    growth: tuple[tuple[int, int], ...]


MNIST = Architecture((8, 4), 4 * 7 * 7, 32, ((2, 2), (2, 3), (2, 2)))
CIFAR = Architecture((32, 64, 128), 128 * 4 * 4, 128, ((1, 2), (2, 2), (2, 2), (2, 2)))
ARCHITECTURES = {(1, 28, 28): MNIST, (3, 32, 32): CIFAR}


class Encoder(nn.Sequential):
    """Images (batch, c, h, w) to features (batch, F)."""

    def __init__(self, shape: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((shape[0], *ARCHITECTURES[tuple(shape)].channels)):
            layers += [
                nn.Conv2d(inputs, outputs, KERNEL, padding=KERNEL // 2),
                nn.BatchNorm2d(outputs, affine=False),
                nn.LeakyReLU(SLOPE),
                nn.MaxPool2d(2),
            ]
        super().__init__(*layers, nn.Flatten())


class Decoder(nn.Sequential):
    """Codes (batch, J) to logits of images (batch, c, h, w)."""

    def __init__(self, shape: Sequence[int]) -> None:
        sizes = ARCHITECTURES[tuple(shape)]
        channels = (sizes.code // FIRST_SIDE**2, *reversed(sizes.channels), shape[0])
        layers: list[nn.Module] = [nn.Unflatten(1, (-1, FIRST_SIDE, FIRST_SIDE))]
        for (inputs, outputs), (factor, padding) in zip(
            pairwise(channels), sizes.growth, strict=True
        ):
            norm = [] if len(layers) == 1 else [nn.BatchNorm2d(inputs, affine=False)]
            upsampling = [nn.Upsample(scale_factor=factor)] if factor > 1 else []
            convolution = nn.ConvTranspose2d(inputs, outputs, KERNEL, padding=padding)
            layers += [*norm, nn.LeakyReLU(SLOPE), *upsampling, convolution]
        super().__init__(*layers)


class PGN(nn.Module):
    """Prior generating network: the loss is the KL divergence of the code from N(0, I)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        sizes = ARCHITECTURES[tuple(shape)]
        layer = nn.Linear(sizes.features, sizes.features)
        self.encoder = nn.Sequential(Encoder(shape), layer)
        self.mean = nn.Linear(sizes.features, sizes.code)
        self.log_variance = nn.Linear(sizes.features, sizes.code)
        self.dropout = nn.Dropout(DROPOUT)

    def divergence(self, images: Tensor) -> Tensor:
        """The divergence of each image with dropout, shape (batch,), in nats."""
        features = self.encoder(images)
        return rate(self.mean(self.dropout(features)), self.log_variance(features))

    def loss(self, images: Tensor) -> Tensor:
        """The sum of the divergences of a batch."""
        return self.divergence(images).sum()

    def score(self, images: Tensor) -> Tensor:
        """The mean divergence over 20 forward passes with dropout, shape (batch,)."""
        self.dropout.train()
        return torch.stack([self.divergence(images) for _ in range(PASSES)]).mean(0)


class DeepSVDD(nn.Module):
    """One-class Deep SVDD: loss and score are the squared distance of the code from the centre."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        sizes = ARCHITECTURES[tuple(shape)]
        head = nn.Linear(sizes.features, sizes.code, bias=False)
        self.encoder = nn.Sequential(Encoder(shape), head)
        self.register_buffer("centre", torch.zeros(sizes.code))

    @torch.no_grad()
    def begin(self, loader: "DataLoader[tuple[Tensor, ...]]") -> None:
        """Set the centre to the mean code, with coordinates near 0 moved away from it."""
        self.eval()
        centre = torch.cat([self.encoder(images) for (images,) in loader]).mean(0)
        near = centre.abs() < LEAST_CENTRE
        self.centre.copy_(torch.where(near, centre.sign() * LEAST_CENTRE, centre))

    def score(self, images: Tensor) -> Tensor:
        """The squared distance of each image, shape (batch,)."""
        return (self.encoder(images) - self.centre).square().sum(1)

    def loss(self, images: Tensor) -> Tensor:
        """The mean squared distance of a batch."""
        return self.score(images).mean()


class AE(nn.Module):
    """Autoencoder: loss and score are the squared error of the reconstruction."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        sizes = ARCHITECTURES[tuple(shape)]
        self.encoder = nn.Sequential(Encoder(shape), nn.Linear(sizes.features, sizes.code))
        self.decoder = Decoder(shape)

    def score(self, images: Tensor) -> Tensor:
        """The squared error of each image, shape (batch,)."""
        return squared_error(self.decoder(self.encoder(images)), images)

    def loss(self, images: Tensor) -> Tensor:
        """The mean over a batch of the squared errors."""
        return self.score(images).mean()


class VAE(nn.Module):
    """Variational autoencoder: trained on the ELBO with cross-entropy, scores by squared error."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        sizes = ARCHITECTURES[tuple(shape)]
        self.encoder = Encoder(shape)
        self.mean = nn.Linear(sizes.features, sizes.code)
        self.log_variance = nn.Linear(sizes.features, sizes.code)
        self.decoder = Decoder(shape)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codes, each (batch, J)."""
        features = self.encoder(images)
        return self.mean(features), self.log_variance(features)

    def logits(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Logits of the reconstructions of one sampled code per image."""
        deviation = (0.5 * log_variance).exp()
        logits: Tensor = self.decoder(mean + deviation * torch.randn_like(deviation))
        return logits

    def loss(self, images: Tensor) -> Tensor:
        """The sum over a batch of cross-entropy plus divergence."""
        mean, log_variance = self.encode(images)
        logits = self.logits(mean, log_variance)
        entropy = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum")
        return entropy + rate(mean, log_variance).sum()

    def score(self, images: Tensor) -> Tensor:
        """The squared error of the reconstruction of each image, shape (batch,)."""
        return squared_error(self.logits(*self.encode(images)), images)


DETECTORS = {"PGN": PGN, "DeepSVDD": DeepSVDD, "AE": AE, "VAE": VAE}
Plain = PGN | DeepSVDD | AE | VAE


def rate(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The KL divergence of N(mean, variance) from N(0, I), shape (batch,), in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def squared_error(logits: Tensor, images: Tensor) -> Tensor:
    """The squared error of each reconstruction, summed over the image, shape (batch,)."""
    return (logits.sigmoid() - images).square().flatten(1).sum(1)


def loader_of(images: Tensor, shuffle: bool) -> "DataLoader[tuple[Tensor, ...]]":
    """Batches of images, loaded in the process that trains."""
    return DataLoader(TensorDataset(images), BATCH, shuffle=shuffle)


def adam(model: nn.Module) -> torch.optim.Adam:
    """Adam with the published settings."""
    return torch.optim.Adam(model.parameters(), 1e-4, betas=(0.5, 0.999), weight_decay=1e-4)


def train_epoch(
    model: Plain, loader: "DataLoader[tuple[Tensor, ...]]", optimiser: torch.optim.Optimizer
) -> None:
    """Train for one epoch."""
    model.train()
    for (images,) in loader:
        loss = model.loss(images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def scores(model: Plain, images: Tensor) -> Tensor:
    """The scores of images, shape (n,)."""
    model.eval()
    return torch.cat([model.score(batch) for (batch,) in loader_of(images, shuffle=False)])
