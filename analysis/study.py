"""A study read once from its folder: its search and budget, its trials, its evaluation."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.distributions import BaseDistribution

from analysis import frame
from analysis.document.format import short
from tune_ad.errors import UserError, cut, one_line
from tune_ad.search.checks.records import Misfit, Records, misfits
from tune_ad.search.claim import Claim
from tune_ad.search.distributions import from_json
from tune_ad.selection import RULES, winners
from tune_ad.storage.folder import RESTORE, StudyFolder
from tune_ad.storage.jsonl import CONVERSION
from tune_ad.storage.plan_traits import PlanTraits
from tune_ad.storage.records import TrialRecord
from tune_ad.storage.score_ranks import ScoreRanks
from tune_ad.storage.values import decode
from tune_ad.wording import count


@dataclass(frozen=True)
class StudyRecords:
    """The records of a study, finished or still running.

    Attributes:
        folder: the folder of the study's files.
        stored: the content of `study.json`.
        trials: the records of all finished trials, by number.
        evaluation: the records of the winner on fresh seeds, one per seed.
        begun: the number of started trials, finished or not; None = as many as have ended.
        misfits: the records that do not fit the study, which are not among the others.
        results: the folder of results in the commands of reports; None = where the study is.
    """

    folder: StudyFolder
    stored: Mapping[str, Any]
    trials: Sequence[TrialRecord]
    evaluation: Sequence[TrialRecord]
    begun: int | None = None
    misfits: Sequence[Misfit] = ()
    results: Path | None = None

    @classmethod
    def read(cls, path: Path) -> "StudyRecords":
        """Read the study in a folder.

        Args:
            path: the folder.

        Raises:
            UserError: if the folder contains no study, a damaged one, or one of a newer schema.
        """
        folder = StudyFolder(path)
        ended = folder.read_trials(compact=True)
        records = Records(folder.read_trial_specs(), ended, folder.read_evaluation())
        stored = folder.read_study()  # afterwards, since it may gain trials meanwhile
        if (rule := stored["study"]["selection"]) not in RULES:
            raise UserError(
                f"{folder.study} names the selection rule {cut(repr(rule))}, but this version "
                f"only has {', '.join(RULES)}; install a newer tune_ad"
            )
        study = cls(folder, stored, (), ())
        _ = study.spaces, study.defaults, folder.read_retried()  # refuse damaged ones
        unfit = tuple(misfits(folder, stored, records))
        left = {id(misfit.record) for misfit in unfit}
        trials = [record for record in records.trials if id(record) not in left]
        return cls(
            folder,
            stored,
            sorted(trials, key=lambda record: record.number),
            [record for record in records.evaluation if id(record) not in left],
            len(records.specs),
            unfit,
        )

    def ranks(self, record: TrialRecord, fresh: bool = False) -> ScoreRanks:
        """The ranks of the scores of a trial; empty if they are not stored, or damaged.

        `analysis.left_out` says in the report what is damaged.

        Args:
            record: the record of the trial.
            fresh: whether it is one of the evaluation.
        """
        try:
            return self.folder.read_ranks(record.identity, _seed(record, fresh))
        except UserError:
            return {}

    def read_details(self, record: TrialRecord, fresh: bool) -> Mapping[str, Any]:
        """The curves and histograms of a trial.

        Args:
            record: the record of the trial.
            fresh: whether it is one of the evaluation.

        Raises:
            UserError: if the file is missing or damaged, or its curves are of another number of
                models than the record has.
        """
        details = self.folder.read_details(record.identity, _seed(record, fresh))
        curves = details.get("curves") or {"replicas": []}
        rows = (row for metric in curves["replicas"] for row in metric["values"])
        if any(len(row) not in (0, len(record.replicas)) for row in rows):
            raise UserError(
                f"{self.details_path(record, fresh)} has curves of another number of models than "
                f"its record, {len(record.replicas)}; {RESTORE}"
            )
        return details

    def file_faults(self, record: TrialRecord, fresh: bool) -> Iterator[tuple[Path, str]]:
        """The files of a trial that are damaged or lacking, each with the fault.

        Args:
            record: the record of the trial.
            fresh: whether it is one of the evaluation.
        """
        identity, seed = record.identity, _seed(record, fresh)
        has_ranks = self.keeps_files and any(metric.is_test_auroc for metric in record.metrics)
        details, ranks = self.details_path(record, fresh), self.folder.ranks(identity, seed)
        files = (
            (details, lambda: self.read_details(record, fresh), self.keeps_files),
            (
                ranks,
                lambda: self.folder.read_ranks(identity, seed),
                has_ranks,
            ),
        )
        for path, read, is_expected in files:
            if not os.path.lexists(path):
                if is_expected:
                    yield path, "does not exist"
                continue
            try:
                read()
            except UserError as error:
                yield path, str(error).removeprefix(f"{path} ")

    def details_path(self, record: TrialRecord, fresh: bool) -> Path:
        """The file with the curves and histograms of a trial.

        Args:
            record: the record of the trial.
            fresh: whether it is one of the evaluation.
        """
        return self.folder.details(record.identity, _seed(record, fresh))

    @property
    def keeps_files(self) -> bool:
        """Whether every trial has a file of details, and of ranks if it was tested.

        Earlier versions did not store all of them, nor the runs of a study.
        """
        return bool(self.stored.get("runs"))

    @property
    def search(self) -> Mapping[str, Any]:
        """The search and its budget, as they were when the study began."""
        search: Mapping[str, Any] = self.stored["study"]
        return search

    @property
    def name(self) -> str:
        """The name of the study, that of its search."""
        return str(self.search["name"])

    @property
    def rule(self) -> str:
        """The name of the selection rule that ranked the trials."""
        return str(self.search["selection"])

    @property
    def budget(self) -> Mapping[str, Any]:
        """The limits of the study: trials, seeds, epochs, images."""
        budget: Mapping[str, Any] = self.search["budget"]
        return budget

    @property
    def whole(self) -> bool:
        """Whether the study has no anomalies (its only task is a whole data set)."""
        return bool(self.search.get("whole"))

    @property
    def averaged_over(self) -> str:
        """What a mean of a configuration is over, in words."""
        of_sets = self.whole or any(task.get("outsiders") for task in self.tasks.values())
        return "seeds" if of_sets else "classes and seeds"

    @cached_property
    def plan(self) -> PlanTraits:
        """What the plan that proposed the configurations said about itself."""
        traits = self.search["plan"]["traits"]
        return PlanTraits(**{name: traits[name] for name in PlanTraits._fields if name in traits})

    @property
    def chooses(self) -> bool:
        """Whether a trial is selected; otherwise all trials may be reported."""
        return bool(self.search["chooses"])

    @property
    def quotes(self) -> str:
        """Which results are reported, as in `tune_ad.search.study.Study.quotes`."""
        return str(self.search["quotes"])

    @property
    def retrains(self) -> bool:
        """Whether the results are those of winners that were trained again on fresh seeds."""
        return self.quotes in ("winner", "winners")

    @property
    def trials_planned(self) -> int:
        """The number of trials when the study has ended; a plan may have fewer than the budget."""
        most, planned = int(self.budget["trials"]), self.stored.get("planned")
        return min(most, sum(planned.values())) if planned else most

    @property
    def fresh_left(self) -> int:
        """The number of fresh seeds on which the winners of now are still to be trained again."""
        if not (self.retrains and self.stored.get("evaluate", True)):
            return 0
        groups = self.plan.competing(self.baselines)
        trained = Counter(record.identity for record in self.evaluation)
        wanted = int(self.budget["evaluation_seeds"])
        return sum(
            max(0, wanted - trained[winner.identity])
            for _, winner in winners(self.trials, self.rule, groups)
        )

    @property
    def so_far(self) -> str:
        """How far the study is, as the beginning of a sentence; empty if it has ended."""
        return so_far([self])

    @property
    def trials_left(self) -> int:
        """The number of planned trials that have no record."""
        return self.trials_planned - len(self.trials)

    @property
    def left_by_baseline(self) -> dict[str, int]:
        """The number of trials that have no record, of each baseline that has such trials.

        One entry without a name if it is not known which trials are planned.
        """
        planned: Mapping[str, int] = self.stored.get("planned") or {}
        if sum(planned.values()) != self.trials_planned:
            return {"": self.trials_left} if self.trials_left else {}
        ended = Counter(record.baseline for record in self.trials)
        return dict(Counter(planned) - ended)

    def is_open_for(self, baselines: Collection[str]) -> bool:
        """Whether trials of some baselines, or fresh seeds of a winner, are still to be run."""
        return bool({"", *baselines} & self.left_by_baseline.keys()) or self.fresh_left > 0

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines, in the search's order."""
        return list(self.search["baselines"])

    @cached_property
    def defaults(self) -> dict[str, dict[str, Any]]:
        """All default parameters of each baseline, by its name.

        Raises:
            UserError: if one of them cannot be read.
        """
        baselines = self.search["baselines"].items()
        try:
            return {name: decode(baseline.get("params", {})) for name, baseline in baselines}
        except CONVERSION as error:
            raise UserError(
                f"{self.folder.study}: the parameters of a baseline cannot be read "
                f"({one_line(error)}); restore the file from a backup"
            ) from error

    @cached_property
    def spaces(self) -> dict[str, dict[str, BaseDistribution]]:
        """The distributions of the searched parameters, by baseline and parameter.

        Raises:
            UserError: if one of them cannot be read.
        """
        return {
            name: {key: self._distribution(key, text) for key, text in baseline["space"].items()}
            for name, baseline in self.search["baselines"].items()
        }

    def _distribution(self, name: str, text: str) -> BaseDistribution:
        try:
            return from_json(text)
        except CONVERSION as error:
            raise UserError(
                f"{self.folder.study}: the distribution of {name} cannot be read "
                f"({one_line(error)}); "
                "restore the file from a backup"
            ) from error

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The trials that ran to their last epoch: neither failed nor pruned."""
        return [record for record in self.trials if record.state == "complete"]

    def of(self, baseline: str) -> list[TrialRecord]:
        """The complete trials of a baseline."""
        return [record for record in self.complete if record.baseline == baseline]

    @property
    def strata(self) -> tuple[str, ...]:
        """The parameters that are held fixed within each verdict on the study's claim.

        Empty for a study without a claim.
        """
        return self.claim.strata if self.claim else ()

    @property
    def claim(self) -> Claim | None:
        """The claim that the study tests; None if it declares none, or an invalid one."""
        return self._claim[0]

    @property
    def claim_fault(self) -> str:
        """The error in the declared claim; empty if it is valid."""
        return self._claim[1]

    @cached_property
    def _claim(self) -> tuple[Claim | None, str]:
        if not (declared := self.search.get("claim")):
            return None, ""
        try:
            return Claim.read(declared), ""
        except UserError as error:
            return None, str(error)

    def stratum(self, strata: Sequence[str], record: TrialRecord) -> str:
        """The name of a trial's stratum, such as "VAE, likelihood = bernoulli".

        The baseline is named if the study has several. Parameters that it does not have are left
        out.

        Args:
            strata: the names of the parameters that define the strata.
            record: the record of the trial.
        """
        values = [
            f"{name} = {short(record.params[name])}" for name in strata if name in record.params
        ]
        baseline = [record.baseline] if len(self.baselines) > 1 else []
        return ", ".join([*baseline, *values])

    @cached_property
    def tasks(self) -> dict[str, Mapping[str, Any]]:
        """The tasks by name, each with source, normal_class, class_name, outsiders and title."""
        return {task["name"]: task for task in self.stored["tasks"]}

    @cached_property
    def _titles(self) -> dict[str, str]:
        titles = {name: task.get("title") for name, task in self.tasks.items()}
        return unique_titles({name: title for name, title in titles.items() if title})

    def task_title(self, name: str) -> str:
        """The title of a task, such as "cifar10/airplane" for "cifar10/0".

        Args:
            name: the name of the task; returned unchanged if no unique title is stored.
        """
        return self._titles.get(name, name)

    def source_of(self, name: str) -> str:
        """The data set of a task's normal images.

        Args:
            name: the name of the task; returned unchanged if the task is not stored.
        """
        return str(self.tasks.get(name, {}).get("source", name))

    def title_against(self, name: str, outsider: str) -> str:
        """A task against one of its outsider sets in words, such as "cifar10 against svhn".

        If this is the task's only outsider set and the task has a title, the title is returned.

        Args:
            name: the name of the task.
            outsider: the name of the outsider set.
        """
        title = self.task_title(name)
        if title != name and list(self.tasks[name].get("outsiders", ())) == [outsider]:
            return title
        return f"{self.source_of(name)} against {outsider}"

    def score_meanings(self, baseline: str) -> Mapping[str, str]:
        """What components of the score and score-time parameters are, by their names.

        Empty for studies of earlier versions, which do not store it.
        """
        meanings: Mapping[str, str] = self.stored.get("score_meanings", {}).get(baseline, {})
        return meanings

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


def _seed(record: TrialRecord, fresh: bool) -> int | None:
    """The seed by which the files of a record of the evaluation are named; otherwise None."""
    return record.replicas[0].seed if fresh else None


def unique_titles(titles: Mapping[str, str]) -> dict[str, str]:
    """The titles by the names of their tasks, without those that several tasks have."""
    uses = Counter(titles.values())
    return {name: title for name, title in titles.items() if uses[title] == 1}


def so_far(studies: Sequence[StudyRecords]) -> str:
    """How far studies are together, as the beginning of a sentence; empty if all have ended."""
    ended = sum(len(study.trials) for study in studies)
    planned = sum(study.trials_planned for study in studies)
    if ended < planned:
        return f"So far, after {ended} of {count(planned, 'trial')}: "
    if left := sum(study.fresh_left for study in studies):
        return f"So far, before {count(left, 'fresh seed')} of the winner: "
    return ""
