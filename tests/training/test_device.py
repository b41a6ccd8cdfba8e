"""What a GPU needs, tested without one: no step mixes devices or waits for a number.

Fake tensors (`torch._subclasses.fake_tensor`) have a device and a shape, but no values. They
refuse operations on tensors of several devices, and every use of a value.
"""

import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.detectors.cases import GREY, MNIST, SMALL, pixels, quick, trained_cases
from tests.training.cases import PARTS, SECOND, planted, stepped, study_of, trial_of
from tune_ad.data import ScaledImages
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector, Noise, Terms, TrainedDetector
from tune_ad.detectors.gpnd import volume
from tune_ad.detectors.nets import ImageShape, pooling
from tune_ad.execution.ray.trainable import CHECKPOINT_FILE, TrialTrainable
from tune_ad.storage.precision import FLOAT32, PRECISIONS
from tune_ad.training.replicas import replica
from tune_ad.training.replicas.precision import batch_norm
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

TRAINED = {n: d for n, d in every_detector().items() if issubclass(d, TrainedDetector)}
CASES = trained_cases()
COMBINED = [case for case in CASES if not case.id.endswith("-default")]
DEFAULTS = [pytest.param(detector, quick(detector), id=name) for name, detector in TRAINED.items()]
IMAGES = 20
WAITING = (  # what a GPU can only do after everything before, because a size or a branch needs it
    torch.ops.aten._local_scalar_dense,
    torch.ops.aten.equal,
    torch.ops.aten.is_nonzero,
    torch.ops.aten.masked_select,
    torch.ops.aten.nonzero,
    torch.ops.aten._unique2,
)
ON_THE_HOST = (Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.item, Tensor.__bool__)


def set_of(
    detector: type[Detector[Any]],
    settings: dict[str, Any],
    pictures: Tensor,
    count: int,
    precision: str,
) -> ReplicaSet:
    """Replicas that are trained and scored as one stack."""
    config = detector.Config.released(ImageShape(*pictures.shape[1:]), **{**SMALL, **settings})
    specs = [ReplicaSpec(f"t{k}", k, torch.arange(IMAGES - k)) for k in range(count)]
    images = ScaledImages(pictures, config.scaling)
    space = score_space(config, detector.score_parameters)
    options = {"together": count, "scored_together": count, "precision": precision}
    return ReplicaSet(detector, config, images, specs, space, **options)


def score_space(config: Any, names: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Every choice of each score-time parameter that is possible and not slow."""
    rules, impossible = type(config).rules(), {"regret"}
    if not getattr(config, "closed_form", True):
        impossible.add("inf")
    return {name: tuple(v for v in rules[name].options if v not in impossible) for name in names}


# ------------------------------------------------------------------------------ fake tensors


def moved(module: nn.Module, device: Any = None, memory_format: Any = None) -> nn.Module:
    """`nn.Module.to` for fake tensors, which cannot change their device in place."""
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            value = parameter.detach().to(device or parameter.device)
            if memory_format is not None and value.dim() == 4:
                value = value.contiguous(memory_format=memory_format)
            setattr(layer, name, nn.Parameter(value))
        for name, value in layer.named_buffers(recurse=False):
            setattr(layer, name, value.to(device or value.device))
    return module


def statistics_of(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Batch statistics with the shape and type of the real ones."""
    dtype = torch.float32 if maps.dtype == torch.bfloat16 else maps.dtype
    channels = maps.shape[1]
    return maps.new_empty(channels, dtype=dtype), maps.new_empty(channels, dtype=dtype)


def no_gradient(loss: Any, inputs: Any, *arguments: Any, **options: Any) -> tuple[Tensor, ...]:
    """Gradients without a backward pass, for which PyTorch needs a real device."""
    return tuple(torch.empty_like(tensor) for tensor in inputs)


def no_jacobian(network: Any, codes: Tensor) -> Tensor:
    """Jacobians without forward mode, which fake tensors do not have."""
    images = network(codes)
    return codes.new_empty(len(codes), codes.shape[1], images[0].numel())


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Context manager: tensors are fake, random streams of a GPU draw fake tensors."""
    stream = replica.torch_stream

    def draw(noise: Noise, generator: torch.Generator) -> Tensor:
        return torch.empty(noise.shape, device=getattr(generator, "place", "cpu"))

    class Stream:
        def __init__(self, device: str) -> None:
            self.place = self.device = device

    def streams(seed: int, *purpose: Any, device: str = "cpu") -> Any:
        return Stream(device) if device == "cuda" else stream(seed, *purpose)

    with ExitStack() as stack:
        for place, name, value in (
            (nn.Module, "to", moved),
            (Noise, "draw", draw),
            (replica, "torch_stream", streams),
            (replica, "training_range", lambda *arguments: None),
            (pooling, "batch_statistics", statistics_of),
            (torch.autograd, "grad", no_gradient),
            (volume, "forward_jacobian", no_jacobian),
            (torch.cuda, "is_bf16_supported", lambda: True),
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        ):
            stack.enter_context(patch.object(place, name, value))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield


def on_gpu(values: Terms) -> bool:
    return all(tensor.device.type == "cuda" for tensor in values.values())


def check_devices(
    detector: type[Detector[Any]], settings: dict[str, Any], count: int, precision: str
) -> None:
    """Train for one step of every stage and score, on a fake GPU."""
    shape = ImageShape(1, 32, 32) if detector.__name__ == "LikelihoodVAE" else MNIST
    with fake_gpu():
        pictures = torch.empty((IMAGES, *shape), dtype=torch.uint8, device="cuda")
        replica_set = set_of(detector, settings, pictures, count, precision)
        stack = replica_set.stack_of(tuple(range(count)))
        indices = torch.zeros((count, 8), dtype=torch.long, device="cuda")
        progress = torch.zeros((), device="cuda")
        for stage in stack.lead.stages:
            for one in stack.replicas:
                one.make_optimisers(stage)
            stack.lead.set_mode(stage)
            means = stack.update(stage, indices, progress, 1e-3)
            assert on_gpu(means)
        known = {
            name: torch.zeros(IMAGES, dtype=torch.float64)
            for name in stack.lead.module.image_statistics
        }
        for one in stack.replicas:
            one.fitted = True
        wanted = dict.fromkeys(stack.replicas, torch.arange(IMAGES))
        for scores in stack.score(wanted, True, dict.fromkeys(stack.replicas, known)).values():
            assert on_gpu(scores)
        assert on_gpu(stack.lead.score(torch.arange(IMAGES), True, known))


@pytest.mark.parametrize(("detector", "settings"), COMBINED)
@pytest.mark.slow
def test_a_step_and_a_score_of_a_stack_stay_on_the_gpu(detector, settings):
    check_devices(detector, settings, 2, FLOAT32)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("detector", "settings"), DEFAULTS)
@pytest.mark.slow
def test_a_step_and_a_score_stay_on_the_gpu_in_both_precisions(
    detector, settings, count, precision
):
    check_devices(detector, settings, count, precision)


# ------------------------------------------------------------------------------ no waiting


class NoWaiting(TorchDispatchMode):
    """Refuses operations for which the host must wait until the device has a number."""

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        assert function.overloadpacket not in WAITING, f"{function} waits for the device"
        if function.overloadpacket == torch.ops.aten.index:
            indices = [index for index in arguments[1] if index is not None]
            assert all(index.dtype != torch.bool for index in indices), "a mask waits"
        return function(*arguments, **(named or {}))


class NothingOnTheHost(TorchFunctionMode):
    """Refuses functions that copy a tensor to the host."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        assert function not in ON_THE_HOST, f"{function} waits for the device"
        return function(*arguments, **(named or {}))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("detector", "settings"), CASES)
def test_no_step_waits_for_a_number(detector, settings, count):
    shape = ImageShape(1, 32, 32) if detector.__name__ == "LikelihoodVAE" else MNIST
    shape = GREY if settings.get("networks") == "lenet" else shape
    replica_set = set_of(detector, settings, pixels(shape), count, FLOAT32)
    stack = replica_set.stack_of(tuple(range(count)))
    indices, progress = torch.zeros((count, 8), dtype=torch.long), torch.zeros(())
    for stage in stack.lead.stages:
        for one in stack.replicas:
            one.make_optimisers(stage)
        stack.lead.set_mode(stage)
        with NoWaiting(), NothingOnTheHost():
            stack.update(stage, indices, progress, 1e-3)


@pytest.mark.parametrize(
    "waits",
    [
        lambda values: float(values.sum()),
        lambda values: bool(values[0] > 0),
        lambda values: values[values > 0],
        lambda values: values.tolist(),
        lambda values: values.nonzero(),
        lambda values: values.unique(),
    ],
)
def test_waiting_is_noticed(waits):
    with pytest.raises(AssertionError, match="wait"), NoWaiting(), NothingOnTheHost():
        waits(torch.arange(3.0))


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm_for_gpus_is_that_of_pytorch(training):
    stream = torch.Generator().manual_seed(0)
    maps, weight, bias, mean, variance = (
        torch.rand(2, *sizes, generator=stream) for sizes in ((6, 3, 4, 4), *[(3,)] * 4)
    )

    def of_replica(function, *values):
        maps, mean, variance, weight, bias = values
        return function(maps, mean, variance, weight, bias, training, 0.1, 1e-5)

    ours, theirs = (
        torch.vmap(partial(of_replica, function))(
            maps, mean.clone(), variance.clone(), weight, bias
        )
        for function in (batch_norm, functional.batch_norm)
    )
    assert torch.equal(ours, theirs)


def test_float32_is_not_rounded_on_a_gpu():
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    set_of(TRAINED["PGN"], {}, pixels(GREY), 1, FLOAT32)
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert not torch.backends.cudnn.allow_tf32


def test_a_mixture_of_devices_is_noticed():
    with fake_gpu(), pytest.raises(RuntimeError, match="device"):
        torch.empty(3, device="cuda") + torch.empty(3)


# ---------------------------------------------------------------------- images and checkpoints


def test_trials_of_a_process_share_one_copy_of_the_images_on_the_device(monkeypatch):
    moves, move = [], Tensor.to

    def counted(tensor, *arguments, **named):
        if tensor.dtype == torch.uint8 and arguments == ("cpu",):
            moves.append(arguments)
            return tensor.clone()
        return move(tensor, *arguments, **named)

    monkeypatch.setattr(Tensor, "to", counted)
    suite = planted(PARTS, SECOND, stripes=True)
    trials = [trial_of(study_of(TRAINED["PGN"]), suite, latent_dim=16) for _ in range(3)]
    copies = {trial.replica_set.replicas[0].images.pixels.data_ptr() for trial in trials}
    assert len(moves) == len(copies) == 1
    assert copies != {suite.pixels.data_ptr()}


def test_a_suite_is_sent_without_its_copies_on_devices():
    suite = planted(PARTS)
    suite.pixels_on("cpu")
    split = suite.split("toy/0")
    assert suite.groups("toy/0", "test") is split.test, "made once"
    assert suite.split("toy/0") is split
    sent = pickle.loads(pickle.dumps(suite))
    assert {"_copies", "_splits"} <= vars(suite).keys()
    assert set(vars(sent)) == {field.name for field in fields(suite)}


def noisy() -> ReplicaSet:
    """Two replicas of a detector whose training draws noise."""
    return set_of(TRAINED["VAE"], {}, pixels(GREY), 2, FLOAT32)


def of_a_gpu(position: int) -> tuple[dict[str, Any], ReplicaSet]:
    """A state after one epoch as a GPU stores it, and the replicas that it was taken from."""
    replica_set = noisy()
    replica_set.train(1)
    state = replica_set.state_dict()
    for saved in state["replicas"]:
        saved["noise"] = torch.arange(position, position + 16, dtype=torch.uint8)
        saved["noise_device"] = "cuda"
    return state, replica_set


def draws(replica_set: ReplicaSet) -> Tensor:
    return torch.stack([torch.rand(5, generator=r.noise) for r in replica_set.replicas])


def test_noise_drawn_on_a_gpu_goes_on_from_a_new_stream_on_the_cpu():
    drawn = {}
    for position in (3, 3, 4):
        state, _ = of_a_gpu(position)
        replica_set = noisy()
        replica_set.load_state_dict(state)
        numbers = draws(replica_set)
        assert torch.equal(drawn.setdefault(position, numbers), numbers)
        assert not torch.equal(numbers[0], numbers[1])
    assert not torch.equal(drawn[3], drawn[4])
    assert not torch.equal(drawn[3], draws(noisy()))


def test_weights_and_moments_of_a_gpu_go_on_on_the_cpu():
    state, source = of_a_gpu(3)
    replica_set = noisy()
    replica_set.load_state_dict(state)
    assert replica_set.epoch == 1
    for ours, theirs in zip(replica_set.replicas, source.replicas, strict=True):
        assert all(map(torch.equal, ours.module.parameters(), theirs.module.parameters()))
        for name, adam in ours.optimisers.items():
            assert all(map(torch.equal, adam.second, theirs.optimisers[name].second))
    assert all(replica_set.train(1))


def test_a_checkpoint_of_a_gpu_is_read_without_one(monkeypatch, tmp_path):
    def trainable() -> TrialTrainable:
        made = TrialTrainable.__new__(TrialTrainable)
        made.trial = trial_of(study_of(TRAINED["VAE"]), latent_dim=16)
        return made

    first, second = trainable(), trainable()
    stepped(first.trial)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        first.save_checkpoint(str(tmp_path))
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(tmp_path / CHECKPOINT_FILE, weights_only=True)
    second.load_checkpoint(str(tmp_path))
    assert second.trial.replica_set.epoch == first.trial.replica_set.epoch > 0
