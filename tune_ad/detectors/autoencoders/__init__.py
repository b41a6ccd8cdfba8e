"""Detectors that score by the error of a reconstruction: AE, VAE and beta-VAE, AAE."""
