"""Kept models: files, thresholds with a known rate of false alarms, scores of new images."""
