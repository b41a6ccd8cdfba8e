"""Images per second of each score of a trained likelihood VAE, on one thread.

    python benchmarks/scores.py --data fmnist --images 200

Likelihood regret is also measured in loops over single images: by optimising the code of the
image, and, as published, by training a copy of the encoder for each image (Xiao et al., arXiv
2003.02977, section 4), with the same number of steps and with the 100 steps of the released code.
The table has the regret of each in nats, for normal images and for the outsider set; a higher
regret is nearer to the optimum.
"""

import argparse
import copy
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tune_ad.data import load, scaled
from tune_ad.data.controls import padded
from tune_ad.detectors import gaussian
from tune_ad.detectors.likelihood_vae.detector import REGRET_PAIRS, LikelihoodVAE
from tune_ad.detectors.likelihood_vae.image_statistics import png_bits
from tune_ad.detectors.nets import ImageShape
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

SIDE = 32
SINGLE_IMAGES = 10  # number of images of each kind in the loops over single images
RELEASED_STEPS = 100  # number of steps in the released code
OUTSIDERS = {"fmnist": "mnist", "mnist": "fmnist", "cifar": "svhn"}
EPOCHS, TRAIN_IMAGES = 8, 4000


class Timed(NamedTuple):
    """Images per second of a score, and the scores."""

    rate: float
    scores: Tensor


def timed(images: int, score: Callable[[], Tensor]) -> Timed:
    """The faster of two calls, after one call as warm-up.

    Args:
        images: number of images scored in a call.
        score: the function that computes their scores.
    """
    times = []
    for _ in range(3):
        started = time.perf_counter()
        scores = score()
        times.append(time.perf_counter() - started)
    return Timed(images / min(times[1:]), scores)


def trained(data: str, likelihood: str, width: float, steps: int, images: int) -> ReplicaSet:
    """A briefly trained model.

    Its images are `TRAIN_IMAGES` training images, then `images` / 2 normal test images, then
    `images` / 2 images of the outsider set.
    """
    normal, outsiders = (padded(load(name), SIDE) for name in (data, OUTSIDERS[data]))
    test = [image_set.test_images[: images // 2] for image_set in (normal, outsiders)]
    pixels = scaled(torch.cat([normal.train_images[:TRAIN_IMAGES], *test]), "unit")
    config = LikelihoodVAE.Config.released(
        ImageShape(*normal.shape),
        likelihood=likelihood,
        width=width,
        epochs=EPOCHS,
        batch_size=50,
        milestones=(),
        regret_steps=steps,
        score_by="regret",
    )
    replica_set = ReplicaSet(
        LikelihoodVAE, config, pixels, [ReplicaSpec("all", 0, torch.arange(TRAIN_IMAGES))]
    )
    replica_set.train(EPOCHS)
    return replica_set


def rates(replica_set: ReplicaSet) -> dict[str, Timed]:
    """The time and values of every score of the test images, by its name in the table."""
    replica = replica_set.replicas[0]
    module = replica.module.eval()
    assert isinstance(module, LikelihoodVAE)
    test = replica.pick(torch.arange(TRAIN_IMAGES, len(replica.images)))
    normal, outsiders = test.chunk(2)
    singles = torch.cat([normal[:SINGLE_IMAGES], outsiders[:SINGLE_IMAGES]])
    code = replica.score_noise["code"]
    cell = replica.score_noise.get("cell")

    def bound(count: int) -> Callable[[], Tensor]:
        @torch.no_grad()
        def score() -> Tensor:
            mean, log_variance = module.encode(test)
            noise = torch.randn(count, 1, code.shape[-1])
            weights = module.weighed(mean, log_variance, module.pixels(test, cell), noise)[1]
            return weights.logsumexp(0)

        return score

    @torch.no_grad()
    def regret(batch: Tensor) -> Tensor:
        mean, log_variance = module.encode(batch)
        pixels = module.pixels(batch, cell)
        return module.regret(mean, log_variance, pixels, replica.score_noise["regret"])

    def one_by_one() -> Tensor:
        return torch.cat([regret(image) for image in singles.split(1)])

    def copies(steps: int) -> Callable[[], Tensor]:
        return lambda: torch.cat(
            [regret_by_a_copy(module, image, cell, steps) for image in singles.split(1)]
        )

    steps = module.config.regret_steps
    return {
        "-ELBO, 1 code": timed(len(test), bound(1)),
        "-IWAE, 16 codes": timed(len(test), bound(16)),
        "-IWAE, 64 codes": timed(len(test), bound(64)),
        "length of a PNG file": timed(len(test), lambda: png_bits(test)),
        f"likelihood regret, {steps} steps": timed(len(test), lambda: regret(test)),
        f"{steps} steps, image by image": timed(len(singles), one_by_one),
        f"{steps} steps, a copy of the encoder each": timed(len(singles), copies(steps)),
        f"{RELEASED_STEPS} steps, a copy of the encoder each": timed(
            len(singles), copies(RELEASED_STEPS)
        ),
    }


def regret_by_a_copy(
    module: LikelihoodVAE, image: Tensor, cell: Tensor | None, steps: int
) -> Tensor:
    """Likelihood regret of one image by training a copy of the encoder on it, shape (1,)."""
    networks = [copy.deepcopy(n) for n in (module.encoder, module.mean, module.log_variance)]
    encoder, mean_of, log_variance_of = networks
    parameters = [parameter for network in networks for parameter in network.parameters()]
    adam = torch.optim.Adam(parameters, lr=2e-4, weight_decay=5e-5)
    pixels = module.pixels(image, cell)
    judging_noise = torch.randn(2 * REGRET_PAIRS, 1, module.config.latent_dim)

    def elbo(noise: Tensor) -> Tensor:
        features = encoder(image)
        mean, log_variance = mean_of(features), log_variance_of(features)
        codes = gaussian.codes(mean, log_variance, noise)
        likelihood = module.log_likelihood(codes, pixels).mean(0)
        return likelihood - gaussian.rate(mean, log_variance)

    with torch.no_grad():
        start = elbo(judging_noise)
    for _ in range(steps):
        adam.zero_grad()
        (-elbo(torch.randn_like(judging_noise[:1]))).sum().backward()
        adam.step()
    with torch.no_grad():
        return elbo(judging_noise) - start


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="fmnist", choices=tuple(OUTSIDERS))
    parser.add_argument("--likelihood", default="bernoulli")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    replica_set = trained(
        options.data, options.likelihood, options.width, options.steps, options.images
    )
    print(
        f"{options.data}, {options.likelihood}, width {options.width}, {options.threads} threads; "
        f"{options.images} images, {2 * SINGLE_IMAGES} in the loops over single images"
    )
    print("| score | images/s | nats, normal | nats, outsiders |\n|:--|--:|--:|--:|")
    for name, (rate, scores) in rates(replica_set).items():
        regrets = ["", ""]
        if "steps" in name:
            regrets = [f"{float(half.mean()):.1f}" for half in scores.chunk(2)]
        print(f"| {name} | {rate:,.1f} | {regrets[0]} | {regrets[1]} |")


if __name__ == "__main__":
    main()
