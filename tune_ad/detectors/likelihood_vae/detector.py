"""Likelihood VAE: an image is anomalous if its likelihood under a trained model is low."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from tune_ad.detectors import gaussian
from tune_ad.detectors.base import (
    Buffers,
    Noise,
    Numbers,
    ScoreSpace,
    Terms,
    TrainedDetector,
    variant_name,
)
from tune_ad.detectors.likelihood_vae import importance
from tune_ad.detectors.likelihood_vae.config import REGRET, LikelihoodVAEConfig
from tune_ad.detectors.likelihood_vae.decoder import PixelDecoder
from tune_ad.detectors.likelihood_vae.image_statistics import STATISTICS
from tune_ad.detectors.likelihood_vae.likelihoods import GREYS
from tune_ad.detectors.likelihood_vae.posterior import (
    LOG_VARIANCE,
    AddedComponent,
    Mixture,
    single,
)
from tune_ad.detectors.nets import (
    DCGANEncoder,
    Head,
    ImageShape,
    LeNetEncoder,
    dcgan_channels,
    lenet_channels,
)
from tune_ad.detectors.nets.running_statistics import running_statistics_kept
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.detectors.train_test_gap import train_test_gap
from tune_ad.randomness import torch_stream
from tune_ad.sample_sizes import least_effective
from tune_ad.storage.metric import DISTORTION, LIKELIHOOD, Metric

BETA1, BETA2 = 0.9, 0.999  # decay rates of Adam for likelihood regret
REGRET_PAIRS = 8  # number of antithetic pairs of samples used to evaluate likelihood regret
AT_ONCE = 8  # number of codes per image that are decoded together when scoring
BOUNDS = ("negative_elbo", "negative_iwae")
WATCHED = ("effective_share", "raw_effective_share")
SHARES = tuple(Metric(part, share) for part in ("train", "overall") for share in WATCHED)
ELBO, WAKE, SLEEP, REFIT = "elbo", "wake", "sleep", "refit"
COMPONENT = "component {}"  # phase that adds a component to the mixture, by its number from 2
MOST_TYPICAL = 2_000  # number of training images from which the mean of typicality is computed


class LikelihoodVAE(TrainedDetector[LikelihoodVAEConfig]):
    r"""VAE with a likelihood of the 256 grey values of a pixel, scored by that likelihood.

    With $q(z|x) = N(\mu, \sigma^2)$, codes $z_k$ and $\log w_k = \log p(x|z_k) + \log p(z_k) -
    \log q(z_k|x)$, in nats per image:

    - distortion $D = -\frac1K \sum_k \log p(x|z_k)$, rate $R = KL(q(z|x) \| N(0, I))$;
    - "negative_elbo" $D + R$; "negative_iwae" $-\log \frac1K \sum_k w_k$;
    - "gap" $\log \frac1K \sum_k w_k - \frac1K \sum_k \log w_k$, at least 0;
    - "complexity_corrected" $D + R - L \log 2$ with L the bits of a PNG file of the image (Serrà
      et al., arXiv 1909.11480);
    - "typicality" $|D + R - H|$ with H its mean over the training images (Nalisnick et al.,
      arXiv 1906.02994, with one image);
    - "regret": the decrease of minus the ELBO after `regret_steps` steps of Adam on the posterior
      mean and variance of the image (Xiao et al., arXiv 2003.02977), about 0 or more;
    - "png_bits", "pixel_mean", "pixel_variance": statistics of the image before scaling, as
      trivial baselines.

    For all of them larger = more anomalous. Nats are those of the 8-bit pixel, also for a density
    (see `tune_ad.detectors.likelihood_vae.likelihoods`).

    The encoder is trained by the ELBO, or by the forward KL $KL(p(z|x) \| q(z|x))$ with
    self-normalised importance weights, or on codes and images sampled from the model ("sleep");
    see `tune_ad.detectors.likelihood_vae.importance`. "effective_share" is the effective sample
    size of the K weights used in training, divided by K; "raw_effective_share" is that of the
    weights before tempering and truncation.

    Sources: Kingma and Welling, arXiv 1312.6114 (ELBO); Burda et al., arXiv 1509.00519 (IWAE);
    Bornschein and Bengio, arXiv 1406.2751 (wake and sleep); and those given above.
    """

    Config = LikelihoodVAEConfig
    entropy: Tensor
    score_parameters = ("importance_samples", "score_by")
    image_statistics = STATISTICS
    meanings: ClassVar[Mapping[str, str]] = {
        "negative_elbo": "minus the ELBO, distortion plus rate, in nats",
        "negative_iwae": "minus the importance-weighted bound of the log-likelihood, in nats",
        "rate": "KL divergence of the code from the prior, in nats",
        "distortion": "minus the log-likelihood of the image given its codes, in nats",
        "gap": "importance-weighted bound minus the ELBO, both from the same codes, in nats",
        "complexity_corrected": "minus the ELBO minus the size of the image as a PNG, in nats",
        "typicality": "distance of minus the ELBO from its mean over the training images, in nats",
        "regret": "gain of the ELBO by optimising the code's distribution for the image, in nats",
        "png_bits": "size of the image as a PNG file, in bits; uses no model",
        "pixel_mean": "mean of the pixels; uses no model",
        "pixel_variance": "variance of the pixels; uses no model",
        "importance_samples": "K, the number of codes of each image when scoring",
        "score_by": "which of the components is the score",
    }
    watched = WATCHED

    def __init__(self, config: LikelihoodVAEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.encoder: LeNetEncoder | DCGANEncoder
        if config.networks == "lenet":
            self.encoder = LeNetEncoder(shape, lenet_channels(shape, config.width))
        else:
            self.encoder = DCGANEncoder(shape, dcgan_channels(shape, config.width))
        self.mean = Head(self.encoder.features, config.latent_dim)
        self.log_variance = Head(self.encoder.features, config.latent_dim)
        self.decoder = PixelDecoder(config, shape)
        # Last, so that the other weights are drawn as without a mixture: controls are paired.
        self.added = nn.ModuleList(
            AddedComponent(self.encoder.features, config.latent_dim)
            for _ in range(config.added_components)
        )
        self.register_buffer("entropy", torch.zeros(()))
        kind = self.decoder.kind
        self.dequantise = kind.dequantised and config.dequantised
        self.main_score = config.score_by
        if config.score_by != "negative_elbo":
            self.histograms = ("negative_elbo",)
        if kind.proper and config.scaling == "unit" and kind.dequantised == self.dequantise:
            self.nats = ("rate", "distortion", "negative_elbo", "negative_iwae")

    @classmethod
    def scales(cls, config: LikelihoodVAEConfig) -> dict[str, str]:
        """As `Detector.scales`; the distortion is minus the log-likelihood of the pixels."""
        quantities = (LIKELIHOOD, DISTORTION)
        return super().scales(config) | {name: config.scale(name) for name in quantities}

    def stages(self) -> tuple[Stage, ...]:
        """The ELBO (also a warm start), each added component, the main objective, the refit."""
        single_gaussian = ("encoder", "mean", "log_variance", "decoder")
        encoder = (*single_gaussian[:3], *(["added"] if self.added else []))
        config, parts = self.config, []
        warm, refit = config.warm_epochs, config.refit_epochs
        if config.objective == "elbo":
            parts.append(("train", warm, Phase(ELBO, single_gaussian)))
        else:
            parts.append(("warm start", warm, Phase(ELBO, single_gaussian)))
            joint = Phase(WAKE, (*encoder, "decoder"))
            parts += self.sequential("train", config.epochs - warm, joint)
        parts += self.sequential("refit", refit, Phase(REFIT, encoder))
        return tuple(self.part(name, lasting, phase) for name, lasting, phase in parts if lasting)

    def sequential(self, name: str, epochs: int, joint: Phase) -> list[tuple[str, int, Phase]]:
        """Stages that add the components one by one, if not yet added, and then train all of them.

        Args:
            name: the name of the last of them.
            epochs: the number of epochs of the last; without any there are none of the others.
            joint: the phase of the last.
        """
        there = joint.name == REFIT and self.config.objective != "elbo"
        alone = self.config.component_epochs if epochs and not there else 0
        phases = [
            Phase(COMPONENT.format(c), (f"added.{c - 2}",)) for c in range(2, 2 + len(self.added))
        ]
        return [*((phase.name, alone, phase) for phase in phases), (name, epochs, joint)]

    def part(self, name: str, epochs: int, phase: Phase) -> Stage:
        """A stage with this number of epochs."""
        return replace(self.stage(phase), name=name, epochs=epochs)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and bounded log-variance of the first Gaussian, each (batch, latent_dim)."""
        return self._first(self.encoder(images))

    def _first(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(features), self.log_variance(features).clamp(*LOG_VARIANCE)

    def posterior(self, images: Tensor) -> Mixture:
        """The encoder's distribution of the codes of each image, q(z|x), with all components."""
        return self.mixtures(images)[-1]

    def mixtures(self, images: Tensor) -> list[Mixture]:
        """The encoder's mixtures of the first component, of the first two, and so on."""
        features = self.encoder(images)
        mixtures = [single(*self._first(features))]
        for component in self.added:
            mixtures.append(component(features, mixtures[-1]))
        return mixtures

    def pixels(self, images: Tensor, cell: Tensor | None) -> Tensor:
        """The pixels for the likelihood: grey values, dequantised for a density."""
        images = images.clamp(0, 1)
        if not self.dequantise or cell is None:
            return images
        return ((images * (GREYS - 1)).round() + cell) / GREYS

    def log_likelihood(self, codes: Tensor, pixels: Tensor) -> Tensor:
        """Log p(x|z) in nats, shape (K, batch), float64, of codes (K, batch, J).

        Weights are differences of sums over thousands of pixels, too small to resolve in float32.
        """
        flat = codes.flatten(0, 1)
        repeated = pixels.expand(len(codes), *pixels.shape).flatten(0, 1)
        if torch.is_grad_enabled():
            summed = self._summed(flat, repeated)
        else:
            size = self.decoder.at_once
            pairs = zip(flat.split(size), repeated.split(size), strict=True)
            summed = torch.cat([self._summed(*pair) for pair in pairs])
        by_code: Tensor = summed.unflatten(0, (len(codes), -1))
        return by_code

    def _summed(self, codes: Tensor, pixels: Tensor) -> Tensor:
        log_prob = self.decoder.likelihood.log_prob(self.decoder(codes), pixels)
        summed: Tensor = log_prob.flatten(1).double().sum(1)
        return summed

    @property
    def scoring_modules(self) -> tuple[str, ...]:
        """All modules, whichever of them the last stage trains."""
        return tuple(name for name, _ in self.named_children())

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """Noise of the codes, of dequantisation, of the defensive proposal and of sleep."""
        config = self.config
        wanted = {"code": Noise("normal", (config.samples, batch, config.latent_dim))}
        if self.dequantise:
            wanted["cell"] = Noise("uniform", (batch, *self.shape))
        if phase != ELBO and (config.defensive or self.added):
            wanted["particle"] = Noise("uniform", (config.samples, batch))
        if phase == WAKE and config.objective in (SLEEP, "mixed"):
            wanted["prior"] = Noise("normal", (batch, config.latent_dim))
            wanted["pixel"] = Noise("uniform", (batch, *self.shape))
        return wanted

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The "loss" and its terms, per image, in nats."""
        pixels = self.pixels(images, noise.get("cell"))
        if phase == ELBO:
            return self.elbo_terms(images, pixels, noise["code"])
        return self.importance_terms(phase, images, pixels, noise)

    def elbo_terms(self, images: Tensor, pixels: Tensor, code: Tensor) -> Terms:
        """The terms of minus the ELBO, with reparametrised codes."""
        mean, log_variance = self.encode(images)
        codes = gaussian.codes(mean, log_variance, code)
        distortion = -self.log_likelihood(codes, pixels).mean(0)
        rate = gaussian.rate(mean, log_variance)
        loss = distortion + self.config.beta * rate
        return {"loss": loss, "distortion": distortion, "rate": rate}

    def importance_terms(self, phase: str, images: Tensor, pixels: Tensor, noise: Terms) -> Terms:
        """The encoder's loss plus the decoder's (only the encoder's if the decoder is frozen).

        The two have no parameters in common, so one step minimises both. Codes are sampled from
        the encoder's mixture of before the step; for a component that is being added, from the
        mixture without it.
        """
        config = self.config
        mixtures = self.mixtures(images)
        adding = [COMPONENT.format(count) for count in range(2, len(mixtures) + 1)]
        trained = adding.index(phase) + 1 if phase in adding else len(mixtures) - 1
        before = mixtures[trained - 1] if phase in adding else mixtures[trained]
        proposal = before.detached().defended(config.defensive)
        codes = proposal.sample(noise["code"], noise.get("particle"))
        proposed = proposal.log_density(codes)
        log_weights = self.log_likelihood(codes, pixels) + importance.log_prior(codes) - proposed
        fixed = log_weights.detach()
        density = mixtures[trained].log_density(codes)
        ratio = (density - proposed).detach() if config.defensive or phase in adding else None
        weights = importance.normalised(fixed, config.tempering, config.truncated, ratio)
        wake = importance.wake_loss(density, weights)
        bound = importance.bound(log_weights, config.alpha)
        share = {"sleep": 1.0, "mixed": config.sleep_share}.get(config.objective, 0.0)
        terms = {
            "effective_share": importance.effective_share(weights),
            "raw_effective_share": importance.effective_share(importance.normalised(fixed)),
            "forward_kl": importance.forward_kl(fixed),
            "bound": bound,
            "wake": wake,
        }
        if phase != WAKE:
            return {"loss": wake, **terms}
        encoder = (1 - share) * wake
        if share:
            terms["sleep"] = self.sleep_loss(noise["prior"], noise["pixel"])
            encoder = encoder + share * terms["sleep"]
        return {"loss": encoder - bound, **terms}

    def sleep_loss(self, codes: Tensor, uniform: Tensor) -> Tensor:
        r"""$-\log q(z|x)$ of samples z of the prior and images sampled given z, shape (batch,)."""
        with running_statistics_kept([self]):  # scoring uses the statistics of real images
            with torch.no_grad():
                dreamt = self.decoder.likelihood.sample(self.decoder(codes), uniform)
            return -self.posterior(dreamt).log_density(codes.unsqueeze(0)).squeeze(0)

    def held_out_loss(self, phase: str, terms: Terms) -> Tensor:
        """Minus the bound in training by forward KL, whose loss is not comparable over epochs."""
        return -terms["bound"] if phase == WAKE else terms["loss"]

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        """The mean of minus the ELBO over training images, for typicality."""
        stream = torch_stream(seed, "typicality")
        total, count = 0.0, 0
        for images in batches:
            if count >= MOST_TYPICAL:
                break
            wanted = self.noise(WAKE if self.added else ELBO, len(images))
            noise = {name: one.draw(stream).to(images.device) for name, one in wanted.items()}
            pixels = self.pixels(images, noise.get("cell"))
            total += float(self.negative_elbo(images, pixels, noise).double().sum())
            count += len(images)
        return {"entropy": torch.tensor(total / max(count, 1))}

    def negative_elbo(self, images: Tensor, pixels: Tensor, noise: Terms) -> Tensor:
        """Minus the ELBO, shape (batch,); its rate is exact for a single Gaussian."""
        if self.added:
            posterior = self.posterior(images)
            codes = posterior.sample(noise["code"], noise["particle"])
            return -self.log_weights(posterior, codes, pixels)[1].mean(0)
        terms = self.elbo_terms(images, pixels, noise["code"])
        return terms["distortion"] + terms["rate"]

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """Noise for the largest number of samples, and dequantisation noise of each pixel."""
        tried = score_space.get("importance_samples", ())
        most = max((self.config.importance_samples, *tried))
        wanted = {"code": Noise("normal", (most, 1, self.config.latent_dim))}
        if self.added:
            wanted["particle"] = Noise("uniform", (most, 1))
        if self.dequantise:
            wanted["cell"] = Noise("uniform", (1, *self.shape))
        if REGRET in (self.config.score_by, *score_space.get("score_by", ())):
            draws = math.ceil(self.config.regret_steps / 2) + REGRET_PAIRS
            wanted["regret"] = Noise("normal", (draws, 1, self.config.latent_dim))
        return wanted

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score, its components, and the score at every value of the score space."""
        posterior = self.posterior(images)
        mean, log_variance = posterior.means[0], posterior.log_variances[0]
        pixels = self.pixels(images, noise.get("cell"))
        rate = None if self.added else gaussian.rate(mean, log_variance)
        likelihoods, log_weights = self.weighed(
            posterior, pixels, noise["code"], noise.get("particle")
        )
        declared, tried = self.config.importance_samples, score_space.get("importance_samples", ())
        statistics = {name: noise[name] for name in self.image_statistics}
        by = {
            count: self.scores(rate, likelihoods[:count], log_weights[:count], statistics)
            for count in {declared, *tried}
        }
        components = {**by[declared], **statistics}
        if REGRET in (self.config.score_by, *score_space.get("score_by", ())):
            regret = self.regret(mean, log_variance, pixels, noise["regret"])
            by = {count: {**scores, REGRET: regret} for count, scores in by.items()}
        scores = {"score": by[declared][self.config.score_by], **components}
        for count in tried:
            scores[variant_name("importance_samples", count)] = by[count][self.config.score_by]
        for name in score_space.get("score_by", ()):
            scores[variant_name("score_by", name)] = by[declared][name]
        return scores

    @property
    def scoring_size(self) -> int:
        """The number of codes that are decoded together."""
        return AT_ONCE

    def weighed(
        self, posterior: Mixture, pixels: Tensor, normal: Tensor, uniform: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Log p(x|z) and log w of codes of the posterior, each (K, batch), a few at a time."""
        batch, parts = pixels.shape[0], []
        for start in range(0, len(normal), AT_ONCE):
            few = slice(start, start + AT_ONCE)
            chosen = None if uniform is None else uniform[few].expand(-1, batch)
            codes = posterior.sample(normal[few].expand(-1, batch, -1), chosen)
            parts.append(self.log_weights(posterior, codes, pixels))
        likelihoods, log_weights = zip(*parts, strict=True)
        return torch.cat(likelihoods), torch.cat(log_weights)

    def log_weights(
        self, posterior: Mixture, codes: Tensor, pixels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log p(x|z) and log w, each (K, batch), of codes (K, batch, J) of the posterior."""
        likelihood = self.log_likelihood(codes, pixels)
        return likelihood, likelihood + importance.log_prior(codes) - posterior.log_density(codes)

    def scores(
        self, rate: Tensor | None, likelihoods: Tensor, weights: Tensor, known: Terms
    ) -> Terms:
        """The components of the score computed from K codes, each of shape (batch,).

        Args:
            rate: the rate of the images, shape (batch,); None to estimate it from the codes, which
                a mixture needs.
            likelihoods: log p(x|z) of the codes, shape (K, batch), float64.
            weights: log w of the codes, the same shape.
            known: the image statistics.
        """
        distortion = -likelihoods.mean(0)
        if rate is None:
            rate = (likelihoods - weights).mean(0)
        negative_elbo = distortion + rate
        iwae = importance.log_mean_exp(weights)
        return {
            "negative_elbo": negative_elbo,
            "negative_iwae": -iwae,
            "rate": rate,
            "distortion": distortion,
            "gap": iwae - weights.mean(0),
            "complexity_corrected": negative_elbo - math.log(2) * known["png_bits"],
            "typicality": (negative_elbo - self.entropy).abs(),
        }

    def regret(self, mean: Tensor, log_variance: Tensor, pixels: Tensor, normal: Tensor) -> Tensor:
        """Likelihood regret of each image, all images of the batch at once; float64, (batch,).

        Every step uses new noise; with fixed noise the variance could be overfitted. The optimum
        is the mean of the second half of the iterates. It is evaluated with other noise than that
        of the steps, so the regret may be slightly negative. Noise is drawn in antithetic pairs,
        whose errors cancel to first order. Adam is implemented here, because `torch.func.vmap`
        cannot stack an optimiser.

        Args:
            mean: mean of the encoder's posterior, shape (batch, J).
            log_variance: its log-variance, the same shape.
            pixels: the pixels for the likelihood, shape (batch, c, h, w).
            normal: standard normal noise, shape (ceil(steps / 2) + `REGRET_PAIRS`, 1, J); the last
                `REGRET_PAIRS` are for the evaluation.
        """
        steps = self.config.regret_steps
        normal, evaluation = (
            torch.stack([half, -half], 1).flatten(0, 1)
            for half in (normal[:-REGRET_PAIRS], normal[-REGRET_PAIRS:])
        )

        def loss(posterior: Tensor, code: Tensor) -> Tensor:
            return -self.elbo(posterior, pixels, code).sum()

        posterior = start = torch.stack([mean, log_variance])
        first, second = torch.zeros_like(posterior), torch.zeros_like(posterior)
        total, counted = torch.zeros_like(posterior), 0
        for step in range(1, steps + 1):
            slope = torch.func.grad(loss)(posterior, normal[step - 1 : step])
            first = BETA1 * first + (1 - BETA1) * slope
            second = BETA2 * second + (1 - BETA2) * slope.square()
            size = (second / (1 - BETA2**step)).sqrt() + 1e-8
            posterior = posterior - self.config.regret_rate * first / (1 - BETA1**step) / size
            if step > steps // 2:
                total, counted = total + posterior, counted + 1
        return self.elbo(total / counted, pixels, evaluation) - self.elbo(
            start, pixels, evaluation
        )

    def elbo(self, posterior: Tensor, pixels: Tensor, normal: Tensor) -> Tensor:
        """The ELBO for a posterior (mean, log-variance); float64, shape (batch,)."""
        bounded = posterior[1].clamp(*LOG_VARIANCE)
        codes = gaussian.codes(posterior[0], bounded, normal)
        return self.log_likelihood(codes, pixels).mean(0) - gaussian.rate(posterior[0], bounded)

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        """The train-test gap of both bounds, as in `tune_ad.detectors.train_test_gap`.

        The gap of the IWAE bound depends less on the encoder than that of the ELBO.
        """
        return train_test_gap(scored, BOUNDS)

    def warnings(self, numbers: Mapping[Metric, float]) -> list[str]:
        """A warning if the effective sample size of the weights is below `least_effective`.

        It is the smaller of that of the last epoch and the mean over all steps that used weights,
        also before tempering and truncation. Such a model is trained on the best of K codes, not
        by forward KL.
        """
        codes = self.config.samples
        shares = [numbers[share] for share in SHARES if share in numbers]
        if not shares or min(shares) >= least_effective(codes) / codes:
            return []
        return [
            f"almost all importance weight is on one of {codes} samples (effective sample size "
            f"below {least_effective(codes):g}), so training hardly follows the forward KL; use "
            "another likelihood, a smaller latent_dim or more samples"
        ]

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """The expected images given the mean codes."""
        mean, _ = self.encode(images)
        return {"reconstruction": self.decoder.likelihood.mean(self.decoder(mean))}

    def codes(self, images: Tensor) -> Tensor:
        """The means of the first Gaussian of the codes, shape (batch, latent_dim)."""
        return self.encode(images)[0]
