"""Comparison of methods and studies: paired tests, mean ranks, probabilities of improvement."""
