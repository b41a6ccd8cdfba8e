"""Does a claim hold: published tables beside ours, and verdicts by rules declared before."""
