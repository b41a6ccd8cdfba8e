"""The score of a kept model as one function of PyTorch, from its pixels on, and its check."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.data.image_statistics import Statistic
from tune_ad.data.scaling import SCALINGS, mapped
from tune_ad.errors import UserError
from tune_ad.models.conformal import Scores
from tune_ad.models.ensemble import Ensemble, Standardisation
from tune_ad.models.member import Member
from tune_ad.randomness import numpy_stream

RELATIVE = 1e-5
"""The largest relative difference of a score from that of the kept model."""
TESTED = 24
"""The number of photographs, and of images of noise, that are scored to compare."""
WHITE = 255


class MemberGraph(nn.Module):
    """The standardised score of one model: uint8 pixels (n, c, h, w) -> (n,), float64.

    Scaling, random numbers of scoring and standardisation are part of it.

    Args:
        member: the model.
        standardisation: how its scores are standardised.
    """

    def __init__(self, member: Member, standardisation: Standardisation) -> None:
        super().__init__()
        self.module, self.range = member.module, member.range
        self.standardisation = standardisation
        self.places = {name: f"noise_{k}" for k, name in enumerate(member.noise)}
        for name, place in self.places.items():
            self.register_buffer(place, member.noise[name])
        self.used = used_statistics(member)

    def forward(self, pixels: Tensor) -> Tensor:
        """The standardised score of each image."""
        levels = pixels.float()
        images = SCALINGS[self.module.config.scaling].function(levels)
        if self.range is not None:
            images = mapped(images, self.range)
        given = {name: self.get_buffer(place) for name, place in self.places.items()}
        for name, statistic in self.module.image_statistics.items():
            if name in self.used:
                given[name] = computed(name, statistic, levels / WHITE)
            else:
                given[name] = torch.zeros(pixels.shape[0], dtype=torch.float64)
        scores: Tensor = self.module.score_variants(images, given, {})["score"].double()
        return (scores - self.standardisation.centre) / self.standardisation.scale


class EnsembleGraph(nn.Module):
    """The score of an ensemble: uint8 pixels (n, c, h, w) -> (n,), float64.

    Args:
        ensemble: the models, whose parameters no longer require gradients afterwards.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        pairs = zip(ensemble.members, ensemble.standardisations, strict=True)
        self.members = nn.ModuleList(MemberGraph(*pair) for pair in pairs)
        self.requires_grad_(False)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """The mean of the standardised scores of the models."""
        return torch.stack([member(pixels) for member in self.members]).mean(0)


def computed(name: str, statistic: Statistic, images: Tensor) -> Tensor:
    """A statistic of images (n, c, h, w) in [0, 1], shape (n,), float64.

    Raises:
        UserError: if it is not computed by PyTorch alone.
    """
    try:
        return statistic(images).double()
    except RuntimeError as error:
        raise UserError(
            f"the score needs the image statistic {name}, which is not computed by PyTorch alone, "
            "so the model cannot be exported; score with AnomalyDetector.load"
        ) from error


def used_statistics(member: Member) -> tuple[str, ...]:
    """The names of the image statistics on which the score itself depends.

    The others only are components beside it. A statistic is replaced by NaN to find out.
    """
    images, given = member.prepared(example_pixels(member)[:1])
    unknown = torch.full((1,), torch.nan, dtype=torch.float64)
    with torch.no_grad():
        scores = {
            name: member.module.score_variants(images, {**given, name: unknown}, {})["score"]
            for name in member.module.image_statistics
        }
    return tuple(name for name, score in scores.items() if bool(score.isnan().any()))


def traced(ensemble: Ensemble) -> Any:  # noqa: ANN401 - of a module that is loaded when it is used
    """The score of an ensemble as `torch.export.ExportedProgram`, for any number of images.

    Raises:
        UserError: if PyTorch cannot follow the computation.
    """
    if not ensemble.members[0].module.stages():
        name = type(ensemble.members[0].module).__name__
        raise UserError(
            f"{name} is fitted by scikit-learn, not by PyTorch, so it is no graph that could be "
            "exported; score with AnomalyDetector.load"
        )
    graph = EnsembleGraph(ensemble)
    sizes = {0: torch.export.Dim("n", min=1)}
    example = example_pixels(ensemble.members[0])[:3]  # 1 would count as a constant
    # With gradients enabled, no detector divides a batch by the size of a cache.
    with torch.enable_grad():
        return torch.export.export(graph, (example,), dynamic_shapes=(sizes,), strict=False)


def require_equal(ensemble: Ensemble, scores: Callable[[Tensor], Scores], what: str) -> None:
    r"""Check that an exported model scores photographs and noise as the kept model does.

    The difference is relative to the score, or to $\frac1K \sum_k |s_k| / q_k$ if that is larger,
    with the scores $s_k$ and interquartile ranges $q_k$ of the K models: standardisation subtracts
    numbers that may be much larger than the result.

    Args:
        ensemble: the models.
        scores: the exported model: uint8 pixels (n, c, h, w) -> scores (n,).
        what: the name of the exported model, for the message.

    Raises:
        UserError: if a score differs.
    """
    pixels = example_pixels(ensemble.members[0])
    of_members = ensemble.member_scores(pixels)
    expected = ensemble.combined(of_members)
    scales = np.array([[s.scale] for s in ensemble.standardisations])
    size = np.maximum(np.abs(expected), (np.abs(of_members) / scales).mean(0))
    got = np.concatenate([scores(pixels[:1]), scores(pixels[1:])])
    difference = np.abs(got - expected) / np.where(size > 0, size, 1.0)
    if not (difference <= RELATIVE).all():
        raise UserError(
            f"{what} is not written: its scores differ from those of the kept model by up to a "
            f"relative {np.max(difference):.1e}, more than {RELATIVE:g}; use the kept model itself"
        )


def example_pixels(member: Member) -> Tensor:
    """Parts of photographs, noise, a black and a white image: uint8, shape (n, c, h, w)."""
    channels, height, width = member.module.shape
    stream = numpy_stream(0, "export")
    noise = stream.integers(0, WHITE + 1, (TESTED, channels, height, width), np.uint8)
    plain = np.zeros((2, channels, height, width), np.uint8)
    plain[1] = WHITE
    photographs = [_part(stream, channels, height, width) for _ in range(TESTED)]
    return torch.cat([torch.cat(photographs), torch.from_numpy(np.concatenate([noise, plain]))])


def _part(stream: np.random.Generator, channels: int, height: int, width: int) -> Tensor:
    """A random part of one of scikit-learn's two photographs, shape (1, c, h, w)."""
    from sklearn.datasets import load_sample_image

    name = ("china.jpg", "flower.jpg")[stream.integers(2)]
    photograph = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float()
    if channels == 1:
        photograph = photograph.mean(1, keepdim=True)
    side = int(stream.integers(64, photograph.shape[2]))
    row, column = (int(stream.integers(0, n - side + 1)) for n in photograph.shape[2:])
    part = photograph[..., row : row + side, column : column + side]
    resized = functional.interpolate(part, (height, width), mode="bilinear", antialias=True)
    return resized.round().clamp(0, WHITE).byte()
