"""Calls the functions of a detector for one replica, or for several whose weights are joined.

Both classes take and return tensors with an axis of replicas, so that `Stack` has one loop. That
axis comes first, except in images (batch, replicas, c, h, w), where it stands before the channels:
there, replicas become groups of a convolution without a copy.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tune_ad.detectors.base import Detector, ScoreSpace, Terms
from tune_ad.training.replicas.precision import LayersUnderVmap

IMAGE_AXIS = 1
Gradients = Sequence[Tensor | None]


class Models(Protocol):
    """The models of replicas."""

    def leaves(self, rows: int) -> dict[str, Tensor]:
        """The parameters of the first `rows` replicas, with respect to which to differentiate."""
        ...

    def loss_and_terms(
        self, leaves: dict[str, Tensor], phase: str, images: Tensor, noise: Terms
    ) -> tuple[Tensor, Terms]:
        """`Detector.loss_and_terms` of each replica: the losses (rows,), the terms (rows, batch).

        Args:
            leaves: the parameters.
            phase: the name of the phase.
            images: the images of each replica, shape (batch, rows, c, h, w).
            noise: the noise of each replica, shape (rows, ...).
        """
        ...

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> None:
        """Store the buffers that `Detector.after_step` returns for each replica."""
        ...

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """`Detector.score_variants` of each replica, shape (rows, batch).

        Args:
            images: the images of each replica, shape (batch, rows, c, h, w).
            noise: the noise of each replica, shape (rows, ...).
            score_space: values of score-time parameters to score with.
        """
        ...

    def by_replica(self, gradients: Sequence[Tensor | None], rows: int) -> list[Gradients]:
        """The gradients of the parameters of each of the first `rows` replicas."""
        ...


class Alone:
    """The model of one replica, called directly.

    Args:
        module: the model.
    """

    def __init__(self, module: Detector[Any]) -> None:
        self.module = module

    def leaves(self, rows: int) -> dict[str, Tensor]:
        """As in `Models`: the parameters of the model itself, without an axis of replicas."""
        return dict(self.module.named_parameters())

    def loss_and_terms(
        self, leaves: dict[str, Tensor], phase: str, images: Tensor, noise: Terms
    ) -> tuple[Tensor, Terms]:
        """As in `Models`."""
        of_replica = {name: values[0] for name, values in noise.items()}
        loss, terms = self.module.loss_and_terms(phase, images[:, 0], of_replica)
        return loss[None], {name: values[None] for name, values in terms.items()}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> None:
        """As in `Models`."""
        of_replica = {name: values[0] for name, values in terms.items()}
        buffers = self.module.after_step(stage, phase, of_replica, progress)
        for name, value in buffers.items():
            self.module.get_buffer(name).copy_(value)

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """As in `Models`."""
        of_replica = {name: values[0] for name, values in noise.items()}
        scores = self.module.score_variants(images[:, 0], of_replica, score_space)
        return {name: values[None] for name, values in scores.items()}

    def by_replica(self, gradients: Sequence[Tensor | None], rows: int) -> list[Gradients]:
        """As in `Models`."""
        return [gradients]


class Joined:
    """The models of several replicas, whose parameters and buffers become slices of tensors.

    Args:
        modules: the models, of one configuration; the first one lends its structure, modes and
            settings.
    """

    def __init__(self, modules: Sequence[Detector[Any]]) -> None:
        self.module = modules[0]
        self.parameters = _join([dict(module.named_parameters()) for module in modules])
        self.buffers = _join([dict(module.named_buffers()) for module in modules])
        self.first_names = _first_names(self.module)
        self.changes_buffers = type(self.module).after_step is not Detector.after_step

    def leaves(self, rows: int) -> dict[str, Tensor]:
        """As in `Models`: shape (rows, ...); they share memory with the models."""
        return {name: p[:rows].requires_grad_() for name, p in self.parameters.items()}

    def loss_and_terms(
        self, leaves: dict[str, Tensor], phase: str, images: Tensor, noise: Terms
    ) -> tuple[Tensor, Terms]:
        """As in `Models`."""
        axes = (None, IMAGE_AXIS, 0)
        loss, terms = self._call(leaves, "loss_and_terms", (phase, images, noise), axes)
        return loss, terms

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> None:
        """As in `Models`."""
        if not self.changes_buffers:
            return
        rows, axes = len(terms["loss"]), (None, None, 0, None)
        parameters = _first(self.parameters, rows)
        new = self._call(parameters, "after_step", (stage, phase, terms, progress), axes)
        for name, values in new.items():
            self.buffers[name][:rows].copy_(values)

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """As in `Models`."""
        parameters = _first(self.parameters, images.shape[IMAGE_AXIS])
        arguments, axes = (images, noise, score_space), (IMAGE_AXIS, 0, None)
        scores: Terms = self._call(parameters, "score_variants", arguments, axes)
        return scores

    def _call(
        self,
        parameters: Terms,
        function: str,
        arguments: tuple[Any, ...],
        axes: tuple[int | None, ...],
    ) -> Any:  # noqa: ANN401 - what the function returns
        """Call a function of the detector for all replicas.

        Args:
            parameters: the parameters of the first replicas.
            function: the name of the function.
            arguments: its arguments.
            axes: the axis of the replicas in each argument; None if they share it.
        """

        def of_replica(state: Terms, *arguments: Any) -> Any:  # noqa: ANN401
            named = {name: state[first] for name, first in self.first_names.items()}
            call = (function, *arguments)
            return functional_call(self.module, named, call, tie_weights=False)

        rows = len(next(iter(parameters.values())))
        state = {**parameters, **_first(self.buffers, rows)}
        kind = next(iter(parameters.values())).device.type
        is_changed = kind == "cuda" or torch.is_autocast_enabled(kind)
        with LayersUnderVmap() if is_changed else nullcontext():
            return torch.vmap(of_replica, (0, *axes), randomness="error")(state, *arguments)

    def by_replica(self, gradients: Sequence[Tensor | None], rows: int) -> list[Gradients]:
        """As in `Models`."""
        slices = [[None] * rows if g is None else g.unbind() for g in gradients]
        return list(zip(*slices, strict=True))


def _first(tensors: Terms, rows: int) -> Terms:
    """The slices of the first replicas."""
    return {name: values[:rows] for name, values in tensors.items()}


def _first_names(module: nn.Module) -> dict[str, str]:
    """By the name of a parameter or buffer of each layer, the first name of the same tensor.

    A layer with several names appears once; layers may share a tensor.
    """
    firsts: dict[Tensor, str] = {}
    names: dict[str, str] = {}
    for prefix, layer in module.named_modules():
        tensors = (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False))
        for name, tensor in tensors:
            path = f"{prefix}.{name}" if prefix else name
            names[path] = firsts.setdefault(tensor, path)
    return names


@torch.no_grad()
def _join(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Joined tensors by name, of which the given ones become slices with the layout they had."""
    joined: dict[str, Tensor] = {}
    for name, like in states[0].items():
        joined[name] = torch.empty_strided(
            (len(states), *like.shape),
            (like.numel(), *like.stride()),
            dtype=like.dtype,
            device=like.device,
        )
        for k, state in enumerate(states):
            joined[name][k].copy_(state[name])
            state[name].data = joined[name][k]
    return joined
