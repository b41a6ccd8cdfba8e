"""Methods and studies side by side: paired tests, rankings, probabilities of improvement."""
