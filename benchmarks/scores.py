"""Images per second of each score of a trained likelihood VAE, on one thread.

    python benchmarks/scores.py --data fmnist --images 200

Likelihood regret is also measured as two loops over single images: on the code of the image, and
as published, on a copy of the encoder for each image (Xiao et al., arXiv 2003.02977, section 4).
"""

import argparse
import copy
import time
from collections.abc import Callable

import torch

from tune_ad.cohort import Cohort
from tune_ad.data import load, scaled
from tune_ad.data.controls import padded
from tune_ad.detectors import gaussian
from tune_ad.detectors.image_statistics import png_bits
from tune_ad.detectors.likelihood_vae import LikelihoodVAE
from tune_ad.learner import Member
from tune_ad.nets import ImageShape

SIDE = 32
SINGLE = 20  # images that the loop over single images takes


def per_second(images: int, work: Callable[[], object]) -> float:
    """Images per second of the better of two calls, after a first one."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return images / min(times[1:])


def trained(data: str, likelihood: str, width: float, steps: int) -> tuple[Cohort, torch.Tensor]:
    """A briefly trained model and the positions of test images."""
    images = padded(load(data), SIDE)
    train, test = images.train_images[:1000], images.test_images
    pixels = scaled(torch.cat([train, test]), "unit")
    config = LikelihoodVAE.Config.released(
        ImageShape(*images.shape),
        likelihood=likelihood,
        width=width,
        epochs=1,
        batch_size=100,
        regret_steps=steps,
        score_by="regret",
    )
    members = [Member("all", 0, torch.arange(len(train)))]
    cohort = Cohort(LikelihoodVAE, config, pixels, members)
    cohort.train(1)
    return cohort, torch.arange(len(train), len(pixels))


def rates(cohort: Cohort, positions: torch.Tensor, images: int) -> dict[str, float]:
    """Images per second by score."""
    learner, taken = cohort.learners[0], positions[:images]
    module = learner.module.eval()
    assert isinstance(module, LikelihoodVAE)
    few = learner.pick(taken)
    code = learner.score_noise["code"]

    def elbo(count: int) -> Callable[[], object]:
        @torch.no_grad()
        def work() -> object:
            mean, log_variance = module.encode(few)
            pixels = module.pixels(few, learner.score_noise.get("cell"))
            normal = torch.randn(count, 1, code.shape[-1])
            return module.weighed(mean, log_variance, pixels, normal)

        return work

    @torch.no_grad()
    def regret(batch: torch.Tensor) -> object:
        mean, log_variance = module.encode(batch)
        pixels = module.pixels(batch, learner.score_noise.get("cell"))
        return module.regret(mean, log_variance, pixels, learner.score_noise["regret"])

    def one_by_one() -> None:
        for k in range(SINGLE):
            regret(few[k : k + 1])

    def copies() -> None:
        for k in range(SINGLE):
            by_a_copy(module, few[k : k + 1], code[:1], learner.score_noise.get("cell"))

    steps = module.config.regret_steps
    return {
        "-ELBO, 1 code": per_second(len(few), elbo(1)),
        "-IWAE, 16 codes": per_second(len(few), elbo(16)),
        "-IWAE, 64 codes": per_second(len(few), elbo(64)),
        "length of a PNG file": per_second(len(few), lambda: png_bits(few)),
        f"likelihood regret, {steps} steps": per_second(len(few), lambda: regret(few)),
        f"likelihood regret, {steps} steps, image by image": per_second(SINGLE, one_by_one),
        f"likelihood regret, {steps} steps, a copy of the encoder each": per_second(
            SINGLE, copies
        ),
    }


def by_a_copy(
    module: LikelihoodVAE, image: torch.Tensor, code: torch.Tensor, cell: torch.Tensor | None
) -> float:
    """Likelihood regret of one image by training a copy of the encoder on it."""
    heads = [copy.deepcopy(each) for each in (module.encoder, module.mean, module.log_variance)]
    encoder, mean_of, log_variance_of = heads
    adam = torch.optim.Adam([p for each in heads for p in each.parameters()], lr=2e-4)
    pixels = module.pixels(image, cell)

    def elbo() -> torch.Tensor:
        features = encoder(image)
        mean, log_variance = mean_of(features), log_variance_of(features)
        codes = mean + (0.5 * log_variance).exp() * code
        distortion = -module.log_likelihood(codes, pixels).mean()
        return -distortion - gaussian.rate(mean, log_variance).mean()

    start = float(elbo().detach())
    for _ in range(module.config.regret_steps):
        adam.zero_grad()
        (-elbo()).backward()
        adam.step()
    return float(elbo().detach()) - start


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="fmnist")
    parser.add_argument("--likelihood", default="bernoulli")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cohort, positions = trained(given.data, given.likelihood, given.width, given.steps)
    print(f"{given.data}, {given.likelihood}, width {given.width}, {given.threads} threads")
    print("| score | images/s |\n|:--|--:|")
    for name, rate in rates(cohort, positions, given.images).items():
        print(f"| {name} | {rate:,.1f} |")


if __name__ == "__main__":
    main()
