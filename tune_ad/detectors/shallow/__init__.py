"""Detectors fitted by scikit-learn: one-class SVM, isolation forest, kernel density."""
