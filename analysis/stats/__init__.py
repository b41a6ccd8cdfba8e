"""Estimates with intervals, tests of paired seeds, aggregates over tasks, rankings."""
