"""Parameters of detectors that earlier versions did not have.

Their models were trained as with one of the values that such a parameter has now. Records get that
value when they are read, and it does not count for the identifier of a configuration, so that
studies of earlier versions can be compared and continued.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Later(NamedTuple):
    """A parameter that earlier versions did not have.

    Attributes:
        value: the value with which they trained.
        companion: another parameter, which every detector with this one had in those versions.
    """

    value: Any
    companion: str


LATER: Mapping[str, Later] = {
    "last_batch": Later("filled", companion="batch_size"),
    "updates": Later("alternating", companion="adversarial_weight"),
    "mixture_components": Later(1, companion="defensive"),
    "component_share": Later(0.2, companion="defensive"),
}
"""The parameters, by name."""


def completed(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a configuration, with those that its version did not have.

    >>> completed({"batch_size": 200})
    {'batch_size': 200, 'last_batch': 'filled'}
    """
    missing = {
        name: later.value
        for name, later in LATER.items()
        if name not in params and later.companion in params
    }
    return {**params, **missing}


def without_earlier_values(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a configuration, without the values that earlier versions had fixed.

    >>> without_earlier_values({"batch_size": 200, "last_batch": "filled"})
    {'batch_size': 200}
    """
    return {
        name: value
        for name, value in params.items()
        if name not in LATER or value != LATER[name].value
    }
