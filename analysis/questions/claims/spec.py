"""The claim that a study declares, read and checked."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from analysis.document.format import short
from analysis.questions.claims.rules import RULES, Claim
from analysis.study import StudyRecords


class Asked(NamedTuple):
    """The claim that a study declares, in `study.json` under "claim".

    Attributes:
        claim: which one.
        factor: parameter whose levels are compared.
        strata: parameters that are held fixed within a verdict.
        baseline: level of the factor from which differences are taken; for "forward_kl".
        control: level of the encoder-only refit; empty = none.
        levels: what parameters must be at each level; empty = a level is the factor's value.
        fault: why the declaration cannot be read; empty otherwise.
    """

    claim: Claim
    factor: str
    strata: tuple[str, ...] = ()
    baseline: str = ""
    control: str = ""
    levels: Mapping[str, Mapping[str, Any]] = {}
    fault: str = ""

    def levels_of(self, params: Mapping[str, Any]) -> list[Any]:
        """The level that a trial is at; none where it is at no level.

        A value that is neither a number nor a text, such as a list, is told in words.

        Args:
            params: of the trial.
        """
        if not self.levels:
            return [_plain(params[self.factor])] if self.factor in params else []
        for name, wanted in self.levels.items():
            if all(key in params and params[key] == value for key, value in wanted.items()):
                return [name]
        return []


def asked(study: StudyRecords) -> Asked | None:
    """The claim that the study tests; None where it tests none."""
    declared = study.asked.get("claim")
    if not declared:
        return None
    if fault := next(_faults(declared), ""):
        return Asked("capacity", "", fault=fault)
    return Asked(
        claim="forward_kl" if declared["kind"] == "forward_kl" else "capacity",
        factor=declared["factor"],
        strata=tuple(declared.get("strata") or ()),
        baseline=short(declared.get("baseline_level")),
        control=short(declared.get("control_level")),
        levels=declared.get("levels") or {},
    )


def _faults(declared: object) -> Iterator[str]:
    """What is wrong with a declaration, in sentences without a full stop."""
    if not isinstance(declared, Mapping):
        yield f"the claim must be a table of kind, factor and strata, got {declared!r}"
        return
    kind, factor = declared.get("kind"), declared.get("factor")
    if not isinstance(kind, str) or kind not in RULES:
        yield f"the claim {kind!r} is none of {', '.join(RULES)}"
    if not factor:
        yield "the claim names no factor"
    elif not isinstance(factor, str):
        yield f"the claim's factor must be the name of one parameter, got {factor!r}"
    strata = declared.get("strata") or []
    if not isinstance(strata, list | tuple) or not all(isinstance(e, str) for e in strata):
        yield f"the claim's strata must be a list of names, got {strata!r}"
    yield from _level_faults(declared)


def _level_faults(declared: Mapping[str, Any]) -> Iterator[str]:
    named = {key: declared.get(f"{key}_level") for key in ("baseline", "control")}
    if declared.get("kind") == "forward_kl" and named["baseline"] in (None, ""):
        yield "the claim names no baseline_level"
    levels = declared.get("levels") or {}
    if not isinstance(levels, Mapping) or not all(isinstance(e, Mapping) for e in levels.values()):
        yield f"the claim's levels must tell the parameters of each level, got {levels!r}"
    elif lost := [each for each in named.values() if levels and each and each not in levels]:
        yield f"the claim's levels lack {', '.join(map(short, lost))}"


def _plain(value: object) -> int | float | str:
    return value if isinstance(value, int | float | str) else short(value)
