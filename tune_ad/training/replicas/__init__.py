"""Trains and scores the replicas of one configuration, alone or stacked."""
