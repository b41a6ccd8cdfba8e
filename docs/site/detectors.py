"""Every detector with its hyperparameters, and every selection rule, as they are declared."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from analysis.questions.claims.rules import CLAIM_RULES
from docs.site.markdown import attributes, code, summary, table
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Rule
from tune_ad.pseudo_outliers import generators
from tune_ad.selection import RULES


def hyperparameters() -> str:
    """A section for each detector: its hyperparameters, their defaults and legal values."""
    return "\n\n".join("\n\n".join(_section(d)) for d in every_detector().values())


def _section(detector: type[Detector[Any]]) -> Iterator[str]:
    yield f"## {detector.__name__}"
    config, said = detector.Config, attributes(detector.Config)
    rules = config.rules()
    rows = [
        [code(entry.name), code(entry.default), str(rules[entry.name]), _about(said, entry.name)]
        for entry in fields(config)
    ]
    yield table(["name", "default", "legal values", "meaning"], rows)
    if notes := [f"`{name}`{_when(rule)}" for name, rule in rules.items() if rule.when]:
        yield f"Only with some values of others: {'; '.join(notes)}."
    if scored := detector.score_parameters:
        yield f"Score-time parameters: {', '.join(map(code, sorted(scored)))}."


def _about(said: dict[str, str], name: str) -> str:
    return said.get(name, "")


def _when(rule: Rule) -> str:
    needed = ", ".join(f"`{name}` = {value}" for name, value in rule.when.items())
    return f" needs {needed}"


def selection_rules() -> str:
    """Every selection rule: what it looks at and what it ranks by."""
    rows = [[code(r.name), r.needs, r.title] for r in RULES.values()]
    return table(["rule", "needs", "trials are ranked by"], rows)


def pseudo_outliers() -> str:
    """Every kind of pseudo-outliers."""
    return table(["kind", "what it is"], [[code(g.name), g.title] for g in generators().values()])


def verdict_rules() -> str:
    """The rules of every claim, as reports print them."""
    return "\n\n".join(f"## Claim: {kind}\n\n{r.text}" for kind, r in CLAIM_RULES.items())


def detectors() -> str:
    """Every detector with the first sentence of its docstring."""
    rows = [[code(name), summary(d)] for name, d in every_detector().items()]
    return table(["detector", "what it is"], rows)
