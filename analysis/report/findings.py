"""The results that several sections of a report use, computed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from analysis.left_out import left_out
from analysis.questions.ablation import Effect, effects
from analysis.questions.claims.evidence import Evidence, evidence
from analysis.questions.claims.rules import Judgement, judge
from analysis.questions.comparison.contenders import (
    Contender,
    Contrast,
    contender,
    contrasts,
    every_pair,
    pairs_to_come,
)
from analysis.questions.glance import Glance, glance
from analysis.questions.selection.ensemble import EnsembleResult, ensembles
from analysis.questions.selection.pool import TrialPool
from analysis.quoted import Result, results, results_to_come
from analysis.study import StudyRecords
from tune_ad.search.claim import Claim
from tune_ad.storage.examples import TaskExamples, read


@dataclass(frozen=True)
class Findings:
    """The records of a study with cached results that several sections use.

    Attributes:
        study: the records.
    """

    study: StudyRecords

    @cached_property
    def left_out(self) -> list[str]:
        """What is damaged or lacking, in sentences; empty if nothing is."""
        return left_out(self.study)

    @cached_property
    def results(self) -> list[Result]:
        """The results that the study may report, as in `quoted.results`."""
        return results(self.study)

    @cached_property
    def glance(self) -> Glance | None:
        """The results beside what they compare with; None without a result."""
        return glance(self.study, self.results, self.pool)

    @cached_property
    def examples(self) -> Sequence[TaskExamples]:
        """What the kept models judge best and worst; empty unless they are of a result.

        Raises:
            UserError: if the file is damaged.
        """
        identity, tasks = read(self.study.folder.examples)
        return tasks if identity in {result.identity for result in self.results} else ()

    @cached_property
    def pool(self) -> TrialPool | None:
        """The trials that a rule chooses from; None if there is nothing to choose."""
        if not any(self.study.spaces.values()):
            return None
        return TrialPool.of(self.study)

    @cached_property
    def ensembles(self) -> list[EnsembleResult]:
        """The results of no choice at all; empty without stored ranks."""
        return ensembles(self.pool) if self.pool else []

    @cached_property
    def contenders(self) -> list[Contender]:
        """The results with their values per class and seed, for comparisons."""
        return [contender(result.label, result) for result in self.results]

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The comparison of every pair of results over their shared classes."""
        return contrasts(every_pair(self.contenders), self.pairs_to_come)

    @cached_property
    def pairs_to_come(self) -> int:
        """The number of pairs that results which the study is still to run will make."""
        return pairs_to_come(self.contenders, results_to_come(self.study, self.results))

    @cached_property
    def claim(self) -> Claim | None:
        """The claim that the study tests; None if it declares none, or an invalid one."""
        return self.study.claim

    @cached_property
    def evidence(self) -> list[Evidence]:
        """The models by which the claim is tested; empty without a valid claim."""
        return evidence(self.study, self.claim) if self.claim else []

    @cached_property
    def judgements(self) -> list[Judgement]:
        """The verdicts on the claim; empty without evidence."""
        claim = self.claim
        return [judge(claim, evidence) for evidence in self.evidence] if claim else []

    @cached_property
    def main_judgements(self) -> list[Judgement]:
        """The judgement on every suite by the main score against the first outsider set."""
        suites: dict[str, Judgement] = {}
        for judgement in self.judgements:
            suites.setdefault(judgement.evidence.suite, judgement)
        return list(suites.values())

    @cached_property
    def effects(self) -> list[Effect]:
        """The effects of single changes of a baseline; empty if the plan makes none."""
        return effects(self.study) if self.study.plan.changes_single_parameters else []
