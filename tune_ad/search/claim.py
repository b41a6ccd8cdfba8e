"""The claim that a study tests: its kind and the parameters that it uses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from tune_ad.errors import UserError

ClaimKind = Literal["capacity", "forward_kl"]
CLAIM_KINDS: tuple[str, ...] = get_args(ClaimKind)


@dataclass(frozen=True)
class Claim:
    """A claim as a search declares it and `study.json` stores it.

    Attributes:
        kind: "capacity" (the likelihood of a VAE with more capacity detects out-of-distribution
            images) or "forward_kl" (that of a VAE whose encoder is trained by the forward KL
            divergence does).
        factor: name of the parameter whose levels are compared.
        strata: names of the parameters for whose combinations separate verdicts are given.
        baseline_level: level with which the other levels are compared; needed for "forward_kl".
        control_level: level at which only the encoder was trained again; empty = none.
        levels: values of parameters that define each level, by name of the level; empty = each
            value of the factor is a level.
    """

    kind: ClaimKind
    factor: str
    strata: tuple[str, ...] = ()
    baseline_level: str = ""
    control_level: str = ""
    levels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the declaration.

        Raises:
            UserError: with the first fault as message.
        """
        for fault in self._faults():
            raise UserError(fault)

    @classmethod
    def read(cls, stored: object) -> "Claim":
        """The claim that `study.json` stores.

        Raises:
            UserError: if it is invalid.
        """
        if not isinstance(stored, Mapping):
            raise UserError(f"a claim must be a table of kind, factor and strata, got {stored!r}")
        known = [field.name for field in fields(cls)]
        if unknown := [name for name in stored if name not in known]:
            raise UserError(f"a claim has no {', '.join(unknown)}; it has {', '.join(known)}")
        given: dict[str, Any] = {"kind": "", "factor": "", **stored}
        if isinstance(given.get("strata"), list):
            given["strata"] = tuple(given["strata"])
        return cls(**given)

    def describe(self) -> dict[str, Any]:
        """The claim as plain data; default values are left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["strata"] = list(self.strata)
        return {name: value for name, value in values.items() if value}

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters that the claim uses, each once."""
        in_levels = [name for values in self.levels.values() for name in values]
        return list(dict.fromkeys([self.factor, *self.strata, *in_levels]))

    def _faults(self) -> Iterator[str]:
        """The faults of the declaration, in sentences without a full stop."""
        if self.kind not in CLAIM_KINDS:
            yield f"the claim must be one of {', '.join(CLAIM_KINDS)}, got {self.kind!r}"
        if not self.factor or not isinstance(self.factor, str):
            yield f"the claim's factor must be the name of one parameter, got {self.factor!r}"
        if not isinstance(self.strata, tuple) or not all(isinstance(s, str) for s in self.strata):
            yield f"the claim's strata must be a tuple of names, got {self.strata!r}"
        if not isinstance(self.levels, Mapping) or not all(
            isinstance(values, Mapping) for values in self.levels.values()
        ):
            yield f"the claim's levels must give the parameters of each level, got {self.levels!r}"
        yield from self._level_faults()

    def _level_faults(self) -> Iterator[str]:
        if self.kind == "forward_kl" and not self.baseline_level:
            yield "the claim 'forward_kl' needs a baseline_level"
        given: tuple[object, ...] = (self.baseline_level, self.control_level)
        for level in filter(None, given):
            if not isinstance(level, str):
                yield f"the claim's baseline_level and control_level must be texts, got {level!r}"
            elif self.levels and level not in self.levels:
                yield f"the claim's levels must include {level!r}, got {', '.join(self.levels)}"
