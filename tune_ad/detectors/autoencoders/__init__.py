"""Detectors that score by a reconstruction error: AE, VAE and beta-VAE, AAE."""
