"""Likelihood VAE: the detector, pixel likelihoods, importance weights, image statistics."""

from tune_ad.detectors.likelihood_vae.config import LikelihoodVAEConfig
from tune_ad.detectors.likelihood_vae.detector import LikelihoodVAE

__all__ = ["LikelihoodVAE", "LikelihoodVAEConfig"]
