"""What a plan says about itself: the engine acts on it, `study.json` keeps it, reports read it."""

from typing import NamedTuple


class PlanTraits(NamedTuple):
    """What kind of study a plan makes.

    Attributes:
        title: where configurations come from, in words for users, such as "every combination".
        adapts: whether the results of earlier trials decide what is tried next.
        changes_single_parameters: whether it has trials that differ in one parameter alone.
        is_designed: whether each configuration is meant by itself; otherwise they are spread over
            the space, of which sensitivities are estimated.
        quotes: the trials that a report quotes where nothing is selected: "defaults" or
            "configurations", as in `tune_ad.search.study.Study.quotes`.
    """

    title: str
    adapts: bool = False
    changes_single_parameters: bool = False
    is_designed: bool = False
    quotes: str = "defaults"

    @property
    def is_ablation(self) -> bool:
        """Whether it changes one parameter of the default at a time."""
        return self.changes_single_parameters and self.is_designed
