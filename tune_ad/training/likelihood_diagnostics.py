"""What bounds of the likelihood say of a trained model besides the score.

At a trial's end, for each replica:

    training_negative_elbo    as test_negative_elbo, of as many training images
    gap_negative_elbo         test less training, in nats per image: larger = more overfitted

and the same of negative_iwae, which does not move with the encoder alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tune_ad.storage.records import EFFECTIVE, Values
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.scoring import Key, by_name
from tune_ad.training.suite import Suite

BOUNDS = ("negative_elbo", "negative_iwae")


def train_test_gap(
    replica_set: ReplicaSet, suite: Suite, keys: Sequence[Key], tested: Mapping[str, Values]
) -> dict[str, Values]:
    """How much better the models know their training images than test images.

    Args:
        replica_set: the replicas, as they were tested.
        suite: tasks and images.
        keys: of the replicas.
        tested: metrics on test images; a bound that is not among them has no gap.

    Returns:
        "training_<bound>", of at most as many training images as there are normal test images,
        evenly taken, and "gap_<bound>", both in nats per image.
    """
    known = [bound for bound in BOUNDS if f"test_{bound}" in tested]
    replicas: list[dict[str, float]] = [{} for _ in keys]
    for k in replica_set.living() if known else ():
        seen = replica_set.score(k, seen_again(suite, keys[k].task))
        for bound in known:
            value, own = tested[f"test_{bound}"][k], float(seen[bound].mean())
            if value is not None:
                replicas[k] |= {f"training_{bound}": own, f"gap_{bound}": value - own}
    return by_name(replicas)


def seen_again(suite: Suite, task: int) -> Tensor:
    """At most as many training images of a task as it has normal test images, evenly taken."""
    train = suite.positions(task, "train")
    count = min(len(train), len(suite.positions(task, "test_normal")))
    return train[torch.arange(count) * len(train) // count]


def nearly_one_code(metrics: Mapping[str, Values], params: Mapping[str, Any]) -> int:
    """Replicas whose importance weights lie on nearly a single of several codes: ESS below 2.

    They are trained on the best of K codes, which is no forward KL. Either the last epoch shows it
    or the mean over all steps at which weights trained. Of two codes nothing can be said.
    """
    codes = params.get("samples", 1)
    if codes <= 2:
        return 0
    told = [values for name in EFFECTIVE if (values := metrics.get(name))]
    return sum(
        any(share is not None and share < 2 / codes for share in of_one)
        for of_one in zip(*told, strict=True)
    )
