"""The parameters that a budget sets or restricts, in words."""

from collections.abc import Container, Mapping, Sequence

from tune_ad.wording import either


def restrictions(only: Mapping[str, Sequence[object]], parameters: Container[str]) -> list[str]:
    """The values that a budget allows of parameters, which may differ from the published ones.

    Args:
        only: the allowed values, by parameter; a single one if the budget sets it.
        parameters: the parameters of the detectors that the user has not fixed.

    >>> restrictions({"batch_size": (20,), "width": (0.5, 1.0)}, {"width"})
    ['width 0.5 or 1.0']
    """
    return [
        f"{name} {either(map(str, values))}" for name, values in only.items() if name in parameters
    ]
