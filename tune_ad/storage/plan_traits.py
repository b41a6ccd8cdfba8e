"""The traits that a plan declares: the engine uses them, `study.json` stores them for reports."""

from collections.abc import Sequence
from typing import NamedTuple


class PlanTraits(NamedTuple):
    """The kind of study that a plan makes.

    Attributes:
        title: the source of configurations in words for users, e.g. "every combination".
        adapts: whether proposals depend on the results of earlier trials.
        changes_single_parameters: whether it has trials that differ in only one parameter.
        is_designed: whether every configuration is of interest by itself; otherwise they are
            samples of the space, from which sensitivities are estimated.
        quotes: the trials that are reported if nothing is selected: "defaults" or
            "configurations", as in `tune_ad.search.study.Study.quotes`.
        in_turns: whether the baselines take turns, each searched by itself, and the best trial of
            each is trained again.
    """

    title: str
    adapts: bool = False
    changes_single_parameters: bool = False
    is_designed: bool = False
    quotes: str = "defaults"
    in_turns: bool = False

    @property
    def is_ablation(self) -> bool:
        """Whether it changes one parameter of the default at a time."""
        return self.changes_single_parameters and self.is_designed

    def competing(self, baselines: Sequence[str]) -> list[list[str]]:
        """The groups of baselines that have one winner each: one group, unless they take turns.

        >>> PlanTraits("", in_turns=True).competing(["PGN", "AE"])
        [['PGN'], ['AE']]

        Args:
            baselines: the names of all baselines.
        """
        return [[name] for name in baselines] if self.in_turns else [[*baselines]]
