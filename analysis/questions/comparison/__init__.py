"""Methods and studies side by side: paired tests, mean ranks, probabilities of improvement."""
