"""What a GPU computes is what the CPU computes; skipped where there is no GPU."""

import pytest
import torch

from gpu import DETECTORS, SHAPES, agreement, shape_of
from tests.training.test_replica_set import config_of, images_of, specs_of, through_file
from tune_ad.detectors.pgn import PGN
from tune_ad.storage.precision import BFLOAT16
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


def test_training_in_bfloat16_lowers_the_loss():
    config = config_of(PGN, {"epochs": 20})
    replica_set = ReplicaSet(
        PGN, config, images_of().cuda(), specs_of(0, 1), precision=BFLOAT16, together=2
    )
    first, last = replica_set.train(1), replica_set.train(19)
    for before, after in zip(first, last, strict=True):
        (metric,) = (metric for metric in before if metric.term == "loss")
        assert after[metric] < before[metric]
