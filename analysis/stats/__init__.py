"""Estimates with intervals, tests over paired seeds, aggregates over class tasks."""
