"""GPND: the detector, its networks, densities and Jacobian volume."""

from tune_ad.detectors.gpnd.detector import GPND, GPNDConfig

__all__ = ["GPND", "GPNDConfig"]
