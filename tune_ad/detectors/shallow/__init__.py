"""Detectors that scikit-learn fits: one-class SVM, isolation forest, kernel density."""
