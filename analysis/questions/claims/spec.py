"""The claim that a study declares: which one, and which parameters it is about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from analysis.document.format import short
from analysis.study import StudyRecords

Claim = Literal["capacity", "forward_kl"]
CLAIMS: tuple[str, ...] = get_args(Claim)


@dataclass(frozen=True)
class ClaimSpec:
    """A claim as a search file declares it (`Search.claim`) and `study.json` stores it.

    Attributes:
        kind: which claim.
        factor: name of the parameter whose levels are compared.
        strata: names of the parameters that are held fixed within a verdict.
        baseline_level: level from which differences are taken; needed for "forward_kl".
        control_level: level at which only the encoder was trained again; empty = none.
        levels: by name of the level, the values that parameters must have; empty = a level is the
            value of the factor.
    """

    kind: Claim
    factor: str
    strata: tuple[str, ...] = ()
    baseline_level: str = ""
    control_level: str = ""
    levels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, declared: object) -> "ClaimSpec":
        """The claim in a declaration.

        Raises:
            ValueError: if the declaration is invalid; the first fault, in a sentence.
        """
        for fault in _faults(declared):
            raise ValueError(fault)
        assert isinstance(declared, Mapping)
        return cls(
            kind=declared["kind"],
            factor=declared["factor"],
            strata=tuple(declared.get("strata") or ()),
            baseline_level=short(declared.get("baseline_level")),
            control_level=short(declared.get("control_level")),
            levels=declared.get("levels") or {},
        )

    def levels_of(self, params: Mapping[str, Any]) -> list[Any]:
        """The level that a trial is at, as a list of one; empty where it is at no level.

        A value that is neither a number nor a text, such as a list, is given as text.

        Args:
            params: of the trial.
        """
        if not self.levels:
            return [_plain(params[self.factor])] if self.factor in params else []
        for name, wanted in self.levels.items():
            if all(key in params and params[key] == value for key, value in wanted.items()):
                return [name]
        return []


def declared_claim(study: StudyRecords) -> ClaimSpec | None:
    """The claim that the study tests; None where it declares none, or an invalid one."""
    declared = study.search.get("claim")
    return None if not declared or claim_fault(study) else ClaimSpec.read(declared)


def claim_fault(study: StudyRecords) -> str:
    """What is wrong with the claim that the study declares; empty where nothing is."""
    declared = study.search.get("claim")
    return next(_faults(declared), "") if declared else ""


def _faults(declared: object) -> Iterator[str]:
    """Everything that is wrong with a declaration, in sentences without a full stop."""
    if not isinstance(declared, Mapping):
        yield f"the claim must be a table of kind, factor and strata, got {declared!r}"
        return
    kind, factor = declared.get("kind"), declared.get("factor")
    if kind not in CLAIMS:
        yield f"the claim {kind!r} is none of {', '.join(CLAIMS)}"
    if not factor:
        yield "the claim names no factor"
    elif not isinstance(factor, str):
        yield f"the claim's factor must be the name of one parameter, got {factor!r}"
    strata = declared.get("strata") or []
    if not isinstance(strata, list | tuple) or not all(isinstance(name, str) for name in strata):
        yield f"the claim's strata must be a list of names, got {strata!r}"
    yield from _level_faults(declared)


def _level_faults(declared: Mapping[str, Any]) -> Iterator[str]:
    named = {key: declared.get(f"{key}_level") for key in ("baseline", "control")}
    if declared.get("kind") == "forward_kl" and named["baseline"] in (None, ""):
        yield "the claim names no baseline_level"
    levels = declared.get("levels") or {}
    is_table = isinstance(levels, Mapping)
    if not is_table or not all(isinstance(values, Mapping) for values in levels.values()):
        yield f"the claim's levels must give the parameters of each level, got {levels!r}"
        return
    wanted = [short(level) for level in named.values() if levels and level]
    if missing := [level for level in wanted if level not in levels]:
        yield f"the claim's levels lack {', '.join(missing)}"


def _plain(value: object) -> int | float | str:
    return value if isinstance(value, int | float | str) else short(value)
