"""Models that are trained on the arrays of a Python program, without a study."""
