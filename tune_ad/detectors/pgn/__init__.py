"""PGN: the detector, its hyperparameters, and its KL divergence under dropout."""

from tune_ad.detectors.pgn.config import PGNConfig
from tune_ad.detectors.pgn.detector import PGN

__all__ = ["PGN", "PGNConfig"]
