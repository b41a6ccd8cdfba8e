"""Converts the values of `--set` to the types that the detectors declare."""

from collections.abc import Mapping, Sequence
from typing import Any

from tune_ad.detectors.config import Rule
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline, check_parameters

TRUTH = {"true": True, "True": True, "false": False, "False": False}
PLAIN = {**TRUTH, "none": None, "None": None}


def read_settings(settings: Mapping[str, Any], baselines: Sequence[Baseline]) -> dict[str, Any]:
    """The settings, converted to values that are legal for every baseline that has them.

    Only texts are converted; a value of another type is kept.

    Args:
        settings: values or texts, by name of the hyperparameter.
        baselines: baselines of the search.

    Raises:
        UserError: if no baseline has such a hyperparameter, or its value is illegal for one.
    """
    check_parameters(settings, baselines)
    declared = [baseline.detector.Config.rules() for baseline in baselines]
    values = {}
    for name, value in settings.items():
        rules = [rules[name] for rules in declared if name in rules]
        values[name] = _read_by_any(value, rules) if isinstance(value, str) else value
        for rule in rules:
            if not rule.allows(values[name]):
                raise UserError(f"--set {name} must be {rule}, got {_typed(value)}")
    return values


def _typed(value: object) -> str:
    """A value as the user wrote it; a text that is not a number is in quotation marks."""
    try:
        float(str(value))
    except ValueError:
        return repr(value)
    return str(value)


def _read_by_any(text: str, rules: Sequence[Rule]) -> Any:  # noqa: ANN401
    """The text parsed by the first rule whose result all rules allow; otherwise by the first."""
    readings = [read(text, rule) for rule in rules]
    legal = (value for value in readings if all(rule.allows(value) for rule in rules))
    return next(legal, readings[0])


def read(text: str, rule: Rule) -> Any:  # noqa: ANN401
    """The text parsed as a value of the rule's type; the text itself if that fails.

    A text that is one of the rule's options stays a text, even if it looks like a number.

    >>> read("inf", Rule(options=("inf",), interval="[0, 9]", kind=int))
    'inf'
    >>> read("2", Rule(interval="[0, 9]"))
    2.0
    >>> read("(0.5, 0.75)", Rule(interval="(0, 1)", kind=tuple))
    (0.5, 0.75)
    >>> read("true", Rule(options=(False, True)))
    True
    >>> [read(text, Rule(kind=object)) for text in ("20", "0.5", "auto", "None")]
    [20, 0.5, 'auto', None]
    """
    if text in rule.options:
        return text
    if rule.kind is object:
        return _plain(text)
    if text in TRUTH and TRUTH[text] in rule.options:
        return TRUTH[text]
    if not rule.interval:
        return text
    try:
        return _numbers(text) if rule.kind is tuple else rule.kind(text)
    except ValueError:
        return text


def _plain(text: str) -> Any:  # noqa: ANN401
    """The number, True, False or None that a text stands for; otherwise the text itself."""
    if text in PLAIN:
        return PLAIN[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers of a tuple, with or without its brackets.

    >>> _numbers("0.5,0.75"), _numbers("[0.5]"), _numbers("(0.5,)"), _numbers("()")
    ((0.5, 0.75), (0.5,), (0.5,), ())

    Raises:
        ValueError: if a part is not a number.
    """
    inner = text.strip()
    if (inner[:1], inner[-1:]) in (("(", ")"), ("[", "]")):
        inner = inner[1:-1]
    parts = inner.split(",")
    if not parts[-1].strip():  # the text is empty, or ends with a comma
        parts.pop()
    return tuple(float(part) for part in parts)
