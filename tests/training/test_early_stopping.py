"""When a replica stops, the weights that it keeps, and its state as plain data."""

import math

import pytest
import torch

from tune_ad.storage.metric import Metric
from tune_ad.training.replicas.early_stopping import EarlyStopping


def noted(losses, patience=2):
    stopping = EarlyStopping(patience)
    for epoch, loss in enumerate(losses, 1):
        stopping.note(epoch, loss, {"w": torch.tensor([float(epoch)])})
    return stopping


@pytest.mark.parametrize(
    ("losses", "epoch", "stopped"),
    [
        ([3.0, 2.0, 1.0], 3, None),
        ([3.0, 2.0, 2.0], 2, None),
        ([3.0, 2.0, 2.5, 2.0], 2, 4),
        ([3.0, 4.0, 2.0, 4.0, 4.0], 3, 5),
        ([3.0, math.nan, math.nan], 1, 3),
        ([math.inf, math.nan], 0, 2),
    ],
)
def test_a_replica_stops_after_patience_intervals_without_a_lower_loss(losses, epoch, stopped):
    stopping = noted(losses)
    assert (stopping.epoch, stopping.stopped) == (epoch, stopped)
    assert stopping.weights.get("w") == (torch.tensor([float(epoch)]) if epoch else None)


def test_the_weights_are_a_copy():
    weights, stopping = {"w": torch.zeros(1)}, EarlyStopping(1)
    stopping.note(1, 0.5, weights)
    weights["w"] += 1
    assert float(stopping.weights["w"]) == 0


def test_its_state_is_restored():
    first, second = noted([3.0, 2.0, 2.5]), EarlyStopping(2)
    first.terms = {Metric("train", "loss"): 0.5}
    second.load_state_dict(first.state_dict())
    assert second == first
    assert "patience" not in first.state_dict()
    assert first.state_dict()["terms"] == [(tuple(Metric("train", "loss")), 0.5)], "plain data"
    second.note(4, 2.1, {})
    assert (second.stopped, second.loss) == (4, 2.0)


def test_a_new_stage_resets_everything_but_the_terms():
    stopping = noted([3.0, 2.0, 2.5, 2.0])
    stopping.terms = {Metric("train", "loss"): 0.5}
    stopping.begin_stage()
    assert stopping == EarlyStopping(2, terms=stopping.terms)
    stopping.note(5, 9.0, {"w": torch.zeros(1)})
    assert (stopping.loss, stopping.epoch, stopping.stopped) == (9.0, 5, None)
