"""Whether a claim holds: published numbers beside ours, and verdicts by rules fixed before."""
