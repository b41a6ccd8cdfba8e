"""GPND: the detector, its adversarial autoencoder, its densities and log-volumes."""

from tune_ad.detectors.gpnd.adversarial_autoencoder import GPNDConfig
from tune_ad.detectors.gpnd.detector import GPND

__all__ = ["GPND", "GPNDConfig"]
