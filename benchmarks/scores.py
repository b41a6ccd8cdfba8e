"""Images per second of each score of a trained likelihood VAE, on one thread.

    python benchmarks/scores.py --data fmnist --images 200

Likelihood regret is also measured as two loops over single images: on the code of the image, and
as published, on a copy of the encoder for each image (Xiao et al., arXiv 2003.02977, section 4),
with as many steps and with the 100 of the released code. Beside each stands the regret that it
finds, in nats, on normal images and outsiders: the higher, the nearer to the optimum.
"""

import argparse
import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor

from tune_ad.data import load, scaled
from tune_ad.data.controls import padded
from tune_ad.detectors import gaussian
from tune_ad.detectors.likelihood_vae.detector import REGRET_PAIRS, LikelihoodVAE
from tune_ad.detectors.likelihood_vae.image_statistics import png_bits
from tune_ad.detectors.nets import ImageShape
from tune_ad.training.replica import ReplicaSpec
from tune_ad.training.replica_set import ReplicaSet

SIDE = 32
SINGLE = 10  # images of each kind that the loops over single images take
RELEASED = 100  # steps of the released code
OUTSIDERS = {"fmnist": "mnist", "mnist": "fmnist", "cifar": "svhn"}
EPOCHS, TRAIN = 8, 4000


def per_second(images: int, work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Images per second of the better of two calls, after a first one, and the result."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - started)
    return images / min(times[1:]), found


def trained(data: str, likelihood: str, width: float, steps: int, images: int) -> ReplicaSet:
    """A briefly trained model, with half as many normal test images and outsiders after."""
    normal, outsiders = (padded(load(name), SIDE) for name in (data, OUTSIDERS[data]))
    test = [each.test_images[: images // 2] for each in (normal, outsiders)]
    pixels = scaled(torch.cat([normal.train_images[:TRAIN], *test]), "unit")
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
        LikelihoodVAE, config, pixels, [ReplicaSpec("all", 0, torch.arange(TRAIN))]
    )
    replica_set.train(EPOCHS)
    return replica_set


def rates(replica_set: ReplicaSet) -> dict[str, tuple[float, Tensor]]:
    """Images per second by score, and the scores."""
    replica = replica_set.replicas[0]
    module = replica.module.eval()
    assert isinstance(module, LikelihoodVAE)
    few = replica.pick(torch.arange(TRAIN, len(replica.images)))
    half = len(few) // 2
    singles = torch.cat([few[:SINGLE], few[half : half + SINGLE]])
    code = replica.score_noise["code"]
    cell = replica.score_noise.get("cell")

    def elbo(count: int) -> Callable[[], Tensor]:
        @torch.no_grad()
        def work() -> Tensor:
            mean, log_variance = module.encode(few)
            normal = torch.randn(count, 1, code.shape[-1])
            weights = module.weighed(mean, log_variance, module.pixels(few, cell), normal)[1]
            return weights.logsumexp(0)

        return work

    @torch.no_grad()
    def regret(batch: Tensor) -> Tensor:
        mean, log_variance = module.encode(batch)
        pixels = module.pixels(batch, cell)
        return module.regret(mean, log_variance, pixels, replica.score_noise["regret"])

    def one_by_one() -> Tensor:
        return torch.cat([regret(each) for each in singles.split(1)])

    def copies(steps: int) -> Callable[[], Tensor]:
        return lambda: torch.cat(
            [by_a_copy(module, each, cell, steps) for each in singles.split(1)]
        )

    steps = module.config.regret_steps
    return {
        "-ELBO, 1 code": per_second(len(few), elbo(1)),
        "-IWAE, 16 codes": per_second(len(few), elbo(16)),
        "-IWAE, 64 codes": per_second(len(few), elbo(64)),
        "length of a PNG file": per_second(len(few), lambda: png_bits(few)),
        f"likelihood regret, {steps} steps": per_second(len(few), lambda: regret(few)),
        f"{steps} steps, image by image": per_second(len(singles), one_by_one),
        f"{steps} steps, a copy of the encoder each": per_second(len(singles), copies(steps)),
        f"{RELEASED} steps, a copy of the encoder each": per_second(
            len(singles), copies(RELEASED)
        ),
    }


def by_a_copy(module: LikelihoodVAE, image: Tensor, cell: Tensor | None, steps: int) -> Tensor:
    """Likelihood regret of one image by training a copy of the encoder on it, shape (1,)."""
    heads = [copy.deepcopy(each) for each in (module.encoder, module.mean, module.log_variance)]
    encoder, mean_of, log_variance_of = heads
    parameters = [each for head in heads for each in head.parameters()]
    adam = torch.optim.Adam(parameters, lr=2e-4, weight_decay=5e-5)
    pixels = module.pixels(image, cell)
    judges = torch.randn(2 * REGRET_PAIRS, 1, module.config.latent_dim)

    def elbo(normal: Tensor) -> Tensor:
        features = encoder(image)
        mean, log_variance = mean_of(features), log_variance_of(features)
        codes = gaussian.codes(mean, log_variance, normal)
        likelihood = module.log_likelihood(codes, pixels).mean(0)
        return likelihood - gaussian.rate(mean, log_variance)

    with torch.no_grad():
        start = elbo(judges)
    for _ in range(steps):
        adam.zero_grad()
        (-elbo(torch.randn_like(judges[:1]))).sum().backward()
        adam.step()
    with torch.no_grad():
        return elbo(judges) - start


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="fmnist", choices=tuple(OUTSIDERS))
    parser.add_argument("--likelihood", default="bernoulli")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    replica_set = trained(given.data, given.likelihood, given.width, given.steps, given.images)
    print(
        f"{given.data}, {given.likelihood}, width {given.width}, {given.threads} threads; "
        f"{given.images} images, {2 * SINGLE} in the loops over single images"
    )
    print("| score | images/s | nats, normal | nats, outsiders |\n|:--|--:|--:|--:|")
    for name, (rate, scores) in rates(replica_set).items():
        told = ["", ""]
        if "steps" in name:
            told = [f"{float(each.mean()):.1f}" for each in scores.chunk(2)]
        print(f"| {name} | {rate:,.1f} | {told[0]} | {told[1]} |")


if __name__ == "__main__":
    main()
