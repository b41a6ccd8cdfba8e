"""Checks of the parameters that a baseline declares, against the rules of its detector."""

from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution

from tune_ad.detectors.config import Rule
from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.distributions import equal_choices, extremes

Rules = Mapping[str, Rule]
"""The rule of each parameter of a detector, by the parameter's name."""


def check_space(title: str, rules: Rules, space: Mapping[str, object]) -> None:
    """Refuse unknown parameters, illegal values and choices that are equal.

    Args:
        title: name of the baseline.
        rules: rules of its detector.
        space: distributions of the searched parameters, by name.

    Raises:
        UserError: naming the parameter and the value.
    """
    for name, distribution in space.items():
        rule = _rule(title, rules, name)
        if not isinstance(distribution, BaseDistribution):
            raise UserError(
                f"the search space of {name} of {title} must be a distribution of Optuna, such as "
                f"CategoricalDistribution([1, 2]), got {distribution!r}"
            )
        if pair := equal_choices(distribution):
            raise UserError(
                f"the choices {pair[0]!r} and {pair[1]!r} of {name} of {title} are equal; leave "
                "one out"
            )
        for value in extremes(distribution):
            _check_value(f"the search space of {name} of {title}", rule, value)


def check_score_space(
    title: str, rules: Rules, score_parameters: Sequence[str], space: Mapping[str, object]
) -> None:
    """Refuse what is not a score-time parameter, and illegal values of one.

    Args:
        title: name of the baseline.
        rules: rules of its detector.
        score_parameters: names of the detector's score-time parameters.
        space: values of score-time parameters, by name.

    Raises:
        UserError: naming the parameter and the value.
    """
    for name, values in space.items():
        if name not in score_parameters:
            names = ", ".join(score_parameters) or "none"
            hint = did_you_mean(name, score_parameters) or f"it has: {names}"
            raise UserError(f"{name!r} is not a score-time parameter of {title}; {hint}")
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise UserError(
                f"score_space of {title} must give a tuple of values for {name}, got {values!r}"
            )
        for value in values:
            _check_value(f"the score space of {name} of {title}", rules[name], value)


def check_settings(title: str, rules: Rules, settings: Mapping[str, object]) -> None:
    """Refuse unknown parameters and illegal values.

    Args:
        title: name of the baseline.
        rules: rules of its detector.
        settings: fixed parameters, by name.

    Raises:
        UserError: naming the parameter and the value.
    """
    for name, value in settings.items():
        _rule(title, rules, name).check(name, value)


def _rule(title: str, rules: Rules, name: str) -> Rule:
    """The rule of a parameter.

    Raises:
        UserError: if the detector has no such parameter, with the nearest names or all names.
    """
    if name not in rules:
        hint = did_you_mean(name, rules) or f"its parameters: {', '.join(rules)}"
        raise UserError(f"{title} has no parameter {name!r}; {hint}")
    return rules[name]


def _check_value(place: str, rule: Rule, value: object) -> None:
    if not rule.allows(value):
        raise UserError(f"{place} contains {value!r}; a value must be {rule}")
