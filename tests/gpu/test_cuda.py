"""What a GPU computes is what the CPU computes; skipped where there is no GPU."""

import pytest
import torch

from gpu import (
    DETECTORS,
    SHAPES,
    Sizes,
    agreement,
    load_of,
    planned,
    shape_of,
    stack_limits,
    stack_of,
)
from tests.training.test_replica_set import config_of, images_of, specs_of, through_file
from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.detectors.pgn import PGN
from tune_ad.execution.gpu_probe import busy_share_of
from tune_ad.storage.precision import BFLOAT16, FLOAT32
from tune_ad.training.replicas.replica_set import ReplicaSet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("data", SHAPES)
@pytest.mark.parametrize("name", DETECTORS)
def test_a_stack_on_the_gpu_does_what_each_replica_does_on_the_cpu(name, data):
    differences = agreement(DETECTORS[name], shape_of(name, data), "cuda")
    assert all(float(difference) < 1e-6 for difference in differences.values())


@pytest.mark.parametrize("together", [1, 3])
def test_training_continues_from_a_state_on_the_gpu(together, tmp_path):
    def replica_set() -> ReplicaSet:
        config = config_of(PGN, {})
        images = images_of().cuda()
        return ReplicaSet(PGN, config, images, specs_of(0, 1, 2), together=together)

    straight, first, second = replica_set(), replica_set(), replica_set()
    straight.train(3)
    first.train(1)
    second.load_state_dict(through_file(first.state_dict(), tmp_path))
    second.train(2)
    for k in range(3):
        ours, theirs = (r.score(k, torch.arange(8))["score"] for r in (straight, second))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("source", "target"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_state_goes_on_on_another_device(source, target, tmp_path):
    def on(device: str) -> ReplicaSet:
        images = images_of().to(device)
        return ReplicaSet(VAE, config_of(VAE, {}), images, specs_of(0, 1), together=2)

    first, second = on(source), on(target)
    first.train(1)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", map_location="cpu"))
    for k in range(2):
        ours, theirs = (r.score(k, torch.arange(8))["score"].cpu() for r in (first, second))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    second.train(2)
    assert second.epoch == 3
    assert not second.failures


@pytest.mark.parametrize("name", DETECTORS)
def test_no_step_waits_for_the_gpu(name):
    replica_set = stack_of(name, "MNIST", 2, Sizes(trained=200, scored=8), "cuda", FLOAT32)
    stack = replica_set.stack_of([0, 1])
    indices, progress = torch.zeros((2, 8), dtype=torch.long).cuda(), torch.zeros(()).cuda()
    first = 0
    for stage in stack.lead.stages:
        stack.train_epoch(first)  # begins the stage, and loads kernels
        torch.cuda.set_sync_debug_mode("error")
        try:
            means = stack.update(stage, indices, progress, 1e-4)  # raises if it waits
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert all(bool(values.isfinite().all()) for values in means.values())
        first += stage.epochs


@pytest.mark.parametrize("name", DETECTORS)
def test_no_more_memory_is_used_than_planned(name):
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    sizes = Sizes(trained=400, scored=400)
    load = load_of(name, "CIFAR-10", 4, sizes)
    bound = planned(load, stack_limits(load, "cuda"), sizes.scored)
    replica_set = stack_of(name, "CIFAR-10", 4, sizes, "cuda", FLOAT32)
    replica_set.train(1)
    replica_set.scores(dict.fromkeys(range(4), torch.arange(400)))
    assert torch.cuda.max_memory_allocated() - before < bound  # without that of the process


def test_training_keeps_the_gpu_busy_for_a_part_of_the_time():
    replica_set = stack_of("PGN", "MNIST", 2, Sizes(trained=2000, scored=8), "cuda", FLOAT32)
    assert 0 < busy_share_of(replica_set) <= 1


def test_training_in_bfloat16_lowers_the_loss():
    config = config_of(PGN, {"epochs": 20})
    replica_set = ReplicaSet(
        PGN, config, images_of().cuda(), specs_of(0, 1), precision=BFLOAT16, together=2
    )
    first, last = replica_set.train(1), replica_set.train(19)
    for before, after in zip(first, last, strict=True):
        (metric,) = (metric for metric in before if metric.term == "loss")
        assert after[metric] < before[metric]
