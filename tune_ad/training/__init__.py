"""Trains and scores all models of one configuration; no Ray, no files."""
