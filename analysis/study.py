"""What a study stores, read once: what was asked, the trials, the winner on fresh seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.distributions import BaseDistribution, json_to_distribution

from analysis import frame
from analysis.document.format import short
from tune_ad.errors import UserError
from tune_ad.search.selection import RULES
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import TrialRecord


@dataclass(frozen=True)
class StudyRecords:
    """A study as its folder tells it, finished or still running.

    Attributes:
        folder: where it lies.
        stored: the content of `study.json`.
        trials: that have ended, by their numbers.
        evaluation: the winner on fresh seeds, one record a seed.
        begun: trials that were handed out, whether they have ended or not.
    """

    folder: StudyFolder
    stored: Mapping[str, Any]
    trials: Sequence[TrialRecord]
    evaluation: Sequence[TrialRecord]
    begun: int = 0

    @classmethod
    def read(cls, path: Path) -> "StudyRecords":
        """The study in a folder.

        Raises:
            UserError: if the folder holds no study, a damaged one, or one of a newer schema.
        """
        folder = StudyFolder(path)
        stored = folder.read_study()
        if (rule := stored["study"]["selection"]) not in RULES:
            raise UserError(
                f"{folder.study} names the selection rule {rule!r}, this version knows "
                f"{', '.join(RULES)}; install a newer tune_ad"
            )
        trials = sorted(folder.read_trials(compact=True), key=lambda record: record.number)
        begun = len(folder.read_trial_specs())
        return cls(folder, stored, trials, folder.read_evaluation(), begun)

    @property
    def asked(self) -> Mapping[str, Any]:
        """The search under its budget."""
        described: Mapping[str, Any] = self.stored["study"]
        return described

    @property
    def name(self) -> str:
        """As in `--search`."""
        return str(self.asked["name"])

    @property
    def rule(self) -> str:
        """The name of the rule that ranked trials."""
        return str(self.asked["selection"])

    @property
    def budget(self) -> Mapping[str, Any]:
        """How much it might spend."""
        budget: Mapping[str, Any] = self.asked["budget"]
        return budget

    @property
    def whole(self) -> bool:
        """Whether nothing is anomalous: the panel is a whole data set."""
        return bool(self.asked.get("whole"))

    @property
    def plan(self) -> str:
        """The name of the plan."""
        return str(self.asked.get("plan", {}).get("name", ""))

    @property
    def chooses(self) -> bool:
        """Whether a rule chose among the trials; otherwise each of them may be quoted."""
        adapts = self.plan in ("", "Optuna")
        return bool(self.budget["evaluation_seeds"]) or self.rule == "oracle" or adapts

    @property
    def changes_single_parameters(self) -> bool:
        """Whether trials exist that differ in one parameter alone, by the design of the plan."""
        return self.plan in ("OneAtATime", "Grid")

    @property
    def is_ablation(self) -> bool:
        """Whether the plan changes one parameter at a time."""
        return self.plan == "OneAtATime"

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines, in the search's order."""
        return list(self.asked["baselines"])

    @cached_property
    def defaults(self) -> dict[str, dict[str, Any]]:
        """The resolved default parameters of each baseline."""
        return {name: dict(each["params"]) for name, each in self.asked["baselines"].items()}

    @cached_property
    def spaces(self) -> dict[str, dict[str, BaseDistribution]]:
        """The distributions of what was searched, by baseline.

        Raises:
            UserError: if one of them cannot be read.
        """
        return {
            name: {key: self._distribution(key, text) for key, text in each["space"].items()}
            for name, each in self.asked["baselines"].items()
        }

    def _distribution(self, name: str, text: str) -> BaseDistribution:
        try:
            return json_to_distribution(text)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{self.folder.study}: the distribution of {name} cannot be read ({error!r}); "
                "restore the file from a backup"
            ) from error

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The trials that ran to their end: neither failed nor stopped early."""
        return [record for record in self.trials if record.state == "complete"]

    def of(self, baseline: str) -> list[TrialRecord]:
        """The complete trials of a baseline."""
        return [record for record in self.complete if record.baseline == baseline]

    @property
    def strata(self) -> tuple[str, ...]:
        """The parameters that the study's claim holds fixed within a verdict; none without one."""
        claim = self.asked.get("claim")
        declared = claim.get("strata") if isinstance(claim, Mapping) else None
        is_list = isinstance(declared, list | tuple)
        return tuple(map(str, declared)) if declared and is_list else ()

    def stratum(self, strata: Sequence[str], record: TrialRecord) -> str:
        """The stratum of a trial in words: its baseline, where there are several, and parameters.

        Args:
            strata: names of the parameters.
            record: of the trial.
        """
        fixed = [f"{name} = {short(record.params.get(name))}" for name in strata]
        several = [record.baseline] if len(self.baselines) > 1 else []
        return ", ".join([*several, *fixed])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per trial, as in `frame.trials`."""
        return frame.trials(self.trials)

    @cached_property
    def replicas(self) -> pd.DataFrame:
        """One row per replica of a trial, as in `frame.replicas`."""
        return frame.replicas(self.trials)

    @cached_property
    def fresh_replicas(self) -> pd.DataFrame:
        """One row per replica of the evaluation, as in `frame.replicas`."""
        return frame.replicas(self.evaluation)
