"""Hyperparameters of the likelihood VAE."""

from dataclasses import dataclass
from typing import Any

from tune_ad.detectors.config import LONGEST, MOST_DRAWS, NetworkConfig, choice, number, require
from tune_ad.detectors.likelihood_vae.likelihoods import LIKELIHOODS
from tune_ad.detectors.nets import ImageShape
from tune_ad.storage.metric import DISTORTION, LIKELIHOOD, LOSS

OF_PIXELS = (LOSS, LIKELIHOOD, DISTORTION)  # quantities that depend on the pixel likelihood
FORWARD = {"objective": "forward_kl"}
REGRET = "regret"
SCORES = (
    "negative_elbo",
    "negative_iwae",
    "rate",
    "distortion",
    "gap",
    "complexity_corrected",
    "typicality",
    REGRET,
)


@dataclass(frozen=True)
class LikelihoodVAEConfig(NetworkConfig):
    """Hyperparameters of `LikelihoodVAE`.

    Attributes:
        networks: "dcgan" (32-64-128 channels on grey images, 64-128-256 on colour) or "lenet".
        likelihood: the likelihood of a pixel given the code: a name in `LIKELIHOODS`.
        sigma: scale of the Gaussian likelihood, in units of the pixel in [0, 1]; if the scale is
            learned, its initial value.
        least_sigma: floor of the learned scale; without a floor it falls towards 0 on images with
            constant pixels.
        dequantised: whether uniform noise is added to the grey values (dequantisation) if the
            likelihood is a density; without it bits per dimension are undefined.
        beta: weight of the rate in the ELBO's loss.
        objective: the objective of the encoder: "elbo" (reverse KL), "forward_kl" (wake), "sleep",
            or "mixed" (forward KL and sleep). With all except "elbo" the decoder is trained on a
            Rényi bound.
        samples: number of latent samples per image in training: L of the ELBO, otherwise K.
        alpha: order of the decoder's Rényi bound; 0 is IWAE, 1 the ELBO.
        tempering: power tau of the weights; 1 is the forward KL, 2 the chi-square divergence;
            below 1 the weights are flattened, and each step covers part of the way.
        sleep_share: weight of the sleep loss in "mixed".
        defensive: weight of the prior in the proposal.
        mixture_components: number of Gaussians in the encoder's mixture. All but the first are
            added one by one by forward KL, with the mixture so far as proposal (Jerfel et al.,
            arXiv 2106.15980). The ELBO trains only the first; ignored if nothing else is trained.
        component_share: number of additional epochs, as a multiple of `epochs`, in which each
            added component is trained alone; encoder and decoder are frozen meanwhile.
        truncated: whether the weights are truncated at sqrt(K) times their mean.
        warm_start: fraction of `epochs` that are first trained by the ELBO, unless it is 0 at
            least one and at most all but one epoch; ignored with "elbo".
        refit: number of additional epochs, as a multiple of `epochs`, in which only the encoder is
            trained, by forward KL with the decoder frozen: a control for claims about the decoder.
        score_by: name of the score; affects only scoring. All scores except "regret", which is
            slow to compute, are also recorded as components of the score.
        importance_samples: number of latent samples per image when scoring, with the same noise
            for all images; affects only scoring.
        regret_steps: number of optimiser steps of likelihood regret.
        regret_rate: learning rate of those steps.
    """

    networks: str = choice("dcgan", "lenet")
    likelihood: str = choice("categorical", *LIKELIHOODS, measures=OF_PIXELS)
    sigma: float = number(0.1, "(0, inf)", when={"likelihood": "gaussian"})
    least_sigma: float = number(
        0.01, "(0, inf)", when={"likelihood": "gaussian_learned"}, others=(0.5,)
    )
    dequantised: bool = choice(True, False, when={"likelihood": "gaussian"}, measures=OF_PIXELS)
    beta: float = number(1.0, "[0, inf)", measures=(LOSS,))
    objective: str = choice(
        "elbo", "forward_kl", "sleep", "mixed", when={"samples": 4}, measures=(LOSS,)
    )
    samples: int = number(1, f"[1, {MOST_DRAWS}]", measures=(LOSS,))
    alpha: float = number(
        0.0, "(-inf, 1]", when={**FORWARD, "samples": 4}, others=(1.0,), measures=(LOSS,)
    )
    tempering: float = number(1.0, "(0, inf)", when={**FORWARD, "samples": 4})
    sleep_share: float = number(0.5, "[0, 1]", when={"objective": "mixed", "samples": 4})
    defensive: float = number(0.0, "[0, 1)", when={**FORWARD, "samples": 4}, others=(0.5,))
    mixture_components: int = number(1, "[1, 8]", when={**FORWARD, "samples": 4}, others=(2,))
    component_share: float = number(
        0.2,
        "(0, inf)",
        when={**FORWARD, "samples": 4, "mixture_components": 2},
        others=(1.0,),
    )
    truncated: bool = choice(False, True, when={**FORWARD, "samples": 4})
    warm_start: float = number(0.25, "[0, 1)", when={**FORWARD, "samples": 4}, others=(0.0,))
    refit: float = number(0.0, "[0, inf)", when={"samples": 4}, others=(0.5,))
    score_by: str = choice("negative_elbo", *SCORES)
    importance_samples: int = number(16, f"[1, {MOST_DRAWS}]", measures=(LIKELIHOOD,))
    regret_steps: int = number(50, f"[1, {LONGEST}]", when={"score_by": REGRET})
    regret_rate: float = number(0.1, "(0, inf)", when={"score_by": REGRET})
    reduction: str = "mean"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: if a value is illegal, or `samples` is 1 although importance weights need at
                least 2.
        """
        super().__post_init__()
        require(
            self.samples > 1 or not self.weighs,
            "samples",
            self.samples,
            "at least 2 for forward KL: with one sample the weight is always 1",
        )

    @property
    def weighs(self) -> bool:
        """Whether a part of training follows the forward KL, by importance weights."""
        return self.objective in ("forward_kl", "mixed") or self.refit > 0

    @property
    def added_components(self) -> int:
        """The number of components after the first; 0 if nothing trains them."""
        return self.mixture_components - 1 if self.weighs else 0

    @property
    def warm_epochs(self) -> int:
        """The number of epochs that train by the ELBO."""
        if self.objective == "elbo":
            return self.epochs
        warm = min(max(round(self.warm_start * self.epochs), 1), self.epochs - 1)
        return warm if self.warm_start else 0

    @property
    def refit_epochs(self) -> int:
        """The number of additional epochs that refit the encoder."""
        return max(round(self.refit * self.epochs), 1) if self.refit else 0

    @property
    def component_epochs(self) -> int:
        """The number of additional epochs that train each added component alone."""
        return max(round(self.component_share * self.epochs), 1)

    @classmethod
    def released_settings(cls, shape: ImageShape) -> dict[str, Any]:
        """The published settings, but with scaling "unit": the likelihood is of grey values."""
        return {**super().released_settings(shape), "scaling": "unit"}
