"""The comparison with other programs is on the same work, and its table is built."""

import itertools

import pytest
import torch
from torch import nn

from benchmarks import contenders, peers, plain
from tests.detectors.cases import CIFAR, MNIST
from tune_ad.detectors import every_detector
from tune_ad.training.replicas.replica import build

BATCH = 6
RATES = {"project": 300.0, "plain": 100.0}


class Masked(nn.Module):
    """Dropout with a given mask."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, features):
        return features * self.mask


def both(method, shape):
    """The project's detector and the plain one with the same weights, and images, in float64."""
    detector = every_detector()[method]
    ours = build(detector, detector.Config.released(shape), shape, seed=1).double().train()
    theirs = plain.DETECTORS[method](shape).double().train()
    with torch.no_grad():
        for weight, copy in zip(ours.parameters(), theirs.parameters(), strict=True):
            copy.copy_(weight)
    stream = torch.Generator().manual_seed(2)
    images = torch.rand(BATCH, *shape, generator=stream, dtype=torch.float64)
    if method == "DeepSVDD":
        centre = torch.rand(ours.config.latent_dim, generator=stream, dtype=torch.float64)
        ours.centre.copy_(centre)
        theirs.centre.copy_(centre)
    return ours, theirs, images


def share_noise(monkeypatch, ours, theirs):
    """The noise of one batch, which the plain detector will use, too."""
    stream = torch.Generator().manual_seed(3)
    noise = {name: wanted.draw(stream).double() for name, wanted in ours.noise("", BATCH).items()}
    if "dropout" in noise:
        theirs.dropout = Masked((noise["dropout"] >= plain.DROPOUT) / (1 - plain.DROPOUT))
    if "code" in noise:
        monkeypatch.setattr(torch, "randn_like", lambda _: noise["code"][0])
    return noise


@pytest.mark.parametrize("shape", [MNIST, CIFAR], ids=["MNIST", "CIFAR-10"])
@pytest.mark.parametrize("method", plain.DETECTORS)
def test_the_plain_loop_has_the_same_loss_and_gradient(monkeypatch, method, shape):
    ours, theirs, images = both(method, shape)
    noise = share_noise(monkeypatch, ours, theirs)
    phase = ours.stages()[-1].phases[0].name
    losses = ours.loss_and_terms(phase, images, noise)[0], theirs.loss(images)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-9, atol=0)
    gradients = [
        torch.cat(
            [part.flatten() for part in torch.autograd.grad(loss, list(module.parameters()))]
        )
        for loss, module in zip(losses, (ours, theirs), strict=True)
    ]
    largest = float(gradients[0].abs().max())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-11 * largest)


@pytest.mark.parametrize("method", ["PGN", "DeepSVDD", "AE"])
def test_the_plain_loop_has_the_same_scores(method):
    """Without dropout, because each of the plain loop's passes has its own mask per image."""
    ours, theirs, images = both(method, MNIST)
    ours.eval()
    theirs.dropout = nn.Identity()
    noise = {"dropout": torch.rand(20, 196).double()}
    variants = ours.score_variants(images, noise, {})
    expected = variants["kl" if method == "PGN" else "score"]
    torch.testing.assert_close(plain.scores(theirs, images), expected.detach(), rtol=1e-9, atol=0)


def test_the_plain_loop_uses_the_published_optimiser_and_batch():
    config = every_detector()["PGN"].Config.released(MNIST)
    settings = plain.adam(plain.PGN(MNIST)).defaults
    assert settings["lr"] == config.learning_rate
    assert settings["betas"] == (config.beta1, config.beta2)
    assert settings["weight_decay"] == config.weight_decay
    assert (plain.BATCH, plain.PASSES) == (config.batch_size, config.mc_samples)


@pytest.mark.parametrize("name", ["project", "project-bfloat16", "plain"])
@pytest.mark.parametrize("method", plain.DETECTORS)
def test_a_contender_counts_the_images_that_it_has_processed(name, method):
    train, scored = torch.rand(30, *MNIST), torch.rand(20, *MNIST)
    work = contenders.CONTENDERS[name].prepare(contenders.Task(method, train, scored, replicas=2))
    models = 1 if name == "plain" else 2
    assert work.train() == models * 30
    assert len(work.score(20)) == 20


def test_the_table_has_a_row_for_every_contender_with_the_method(monkeypatch):
    """Rates grow with the number of threads, which only the plain loop may use."""
    rounds = itertools.count()

    def measured(name, method, data, layout, sizes):
        return dict.fromkeys(peers.JOBS, RATES[name] * layout.threads * (1 + next(rounds) // 3))

    monkeypatch.setattr(peers, "measured", measured)
    sizes = peers.Sizes(train=10, score=10, replicas=1)
    rows = peers.compared("PGN", "MNIST", ["plain", "project", "pyod"], 2, 2, sizes)
    assert [row["contender"] for row in rows] == ["plain PyTorch loop", "this project"]
    assert [row["train: processes x threads"] for row in rows] == ["1 x 2", "2 x 1"]
    assert rows[0]["train, images/s"] == "300 [205, 395]"
    assert rows[1]["10,000 scored in, s"] == "25.00 [17.08, 32.92]"
    assert rows[1]["score: rate / plain loop"] == "1.50 [1.50, 1.50]"


@pytest.mark.slow
def test_a_contender_is_measured_in_processes_of_its_own():
    sizes = peers.Sizes(train=20, score=20, replicas=1)
    rates = peers.measured("plain", "PGN", "MNIST", peers.Layout(1, 1), sizes)
    assert set(rates) == set(peers.JOBS)
    assert all(rate > 0 for rate in rates.values())


@pytest.mark.slow
def test_a_process_that_fails_is_reported_with_its_errors():
    sizes = peers.Sizes(train=0, score=0, replicas=1)
    with pytest.raises(RuntimeError, match="num_samples"):
        peers.measured("plain", "PGN", "MNIST", peers.Layout(1, 1), sizes)


def test_a_peer_that_is_not_installed_is_left_out_with_one_line(monkeypatch, capsys):
    monkeypatch.setattr(peers, "available", lambda package: package != "pyod")
    assert peers.installed(["project", "pyod"]) == ["project"]
    assert capsys.readouterr().out == "PyOD is not installed: pip install pyod\n"
