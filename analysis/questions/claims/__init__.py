"""Tests of claims: comparison with published tables, and verdicts by rules fixed in advance."""
