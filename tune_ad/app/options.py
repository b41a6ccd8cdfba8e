"""What the user asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tune_ad.search.ablation import ABLATIONS

RESULTS = Path("results")


@dataclass(frozen=True)
class Options:
    """What the user asked for; None = the search's own value.

    Attributes:
        search: name of the search.
        ablate: "one", "grid" or "sobol": its ablation instead of the search itself.
        budget: "auto", "quick", "standard" or "paper".
        changes: to the budget, by the names of its fields; classes as numbers or names.
        settings: parameters fixed by the user.
        selection: name of the rule that ranks trials.
        seed: of the study.
        resume: go on with the study in the folder.
        extend: more trials to add to it.
        time_budget: minutes after which no trial starts.
        evaluate: whether to train the winner again on fresh seeds.
        backend: "ray" or "serial".
        device: "auto", "cpu" or "cuda".
        concurrent: trials at a time; None = as many as fit.
        cpus: per trial.
        gpus: per trial; None = a quarter where there is a GPU.
        address: of a Ray cluster.
        data_root: folder of the data sets.
        results: folder of the studies.
        progress: whether to show the progress line.
    """

    search: str
    ablate: str | None = None
    budget: str = "auto"
    changes: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    selection: str | None = None
    seed: int | None = None
    resume: bool = False
    extend: int = 0
    time_budget: float | None = None
    evaluate: bool = True
    backend: Literal["ray", "serial"] = "ray"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    concurrent: int | None = None
    cpus: int = 1
    gpus: float | None = None
    address: str = "local"
    data_root: str | None = None
    results: Path = RESULTS
    progress: bool = True

    @property
    def study(self) -> str:
        """Name of the study: the search's, or its ablation's."""
        return self.search + (ABLATIONS[self.ablate].suffix if self.ablate else "")
