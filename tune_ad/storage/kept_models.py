"""Which trained models of a study are kept."""

from collections.abc import Mapping
from types import MappingProxyType

KEEP_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "none": "no model",
        "best": "those of the winner on fresh seeds",
        "all": "those of every trial as well",
    }
)
"""Which trained models are kept, with what that means."""
