"""Marks of the values of parametrised tests."""

from typing import Any

import pytest


def slow(*values: Any, **options: Any) -> Any:
    """Values that `make check` tries, and `make test` does not; options as in `pytest.param`."""
    return pytest.param(*values, marks=pytest.mark.slow, **options)
