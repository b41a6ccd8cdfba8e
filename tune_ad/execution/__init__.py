"""Runs the trials of a study: the loop, its callbacks, and the backends with and without Ray."""
