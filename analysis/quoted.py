"""The results that a study may report, and the records behind them.

A result is reported only if it was not used to select its configuration; the exception, `oracle`,
is marked as optimistic. `study.json` stores the kind of result, which follows from the study's
budget, rule, plan and claim; `QUOTATIONS` says how each kind is found.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis import frame
from analysis.document.format import short
from analysis.image_sampling import ImageRanks, image_error
from analysis.stats.estimates import Coverage, Estimate, ImageError, estimate
from analysis.study import StudyRecords
from analysis.trials import unchanged_trials
from tune_ad.errors import UserError, cut
from tune_ad.selection import RULES, SelectionRule, ranked, winners
from tune_ad.storage.metric import TEST_AUROC, Metric, ScoreVariant
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

ABOUT_OUTSIDERS = (
    "Outsider set: an out-of-distribution data set, that is, another one than that of the normal "
    "images; all its images are anomalies."
)
NOTHING = "nothing"
SCORE = "score"
"""The name of the reported score in `Result.outsiders`."""
SAW = {
    "held-out anomalies": "The rule used labelled anomalies, of the same classes as the test.",
    "held-out normals": "The rule saw no anomaly.",
}
"""Which anomalies a rule saw, by the images that it looks at."""
NOT_SELECTED = "Nothing was selected: every configuration was fixed before the run."


class Result(NamedTuple):
    """A reported result and the records behind it.

    Attributes:
        baseline: the name of the baseline.
        label: the baseline's name, or the stratum's if there is one result for each.
        source: what was tested: the winner on fresh seeds, or a trial if none was selected.
        rule: the title of the rule that selected the configuration; "nothing" if none did.
        auroc: test AUROC, averaged over classes; one value per seed. Its interval and those of the
            classes also cover the sampling of test images, if ranks are stored.
        classes: test AUROC of each class, by the name of its task.
        variants: test AUROC, averaged over classes, by every score variant; the intervals as
            above, if ranks by the variants are stored.
        outsiders: if other data sets are anomalous, the AUROC against each of these outsider
            sets, by the name of the score; "score" is the main score, as in `auroc`, which is
            against the first set.
        against: the data sets that `auroc` compares, in words; empty without outsider sets.
        params: the searched parameters of the configuration.
        seeds: the number of tested seeds, failed ones included.
        planned: the number of planned seeds; larger than `seeds` while the evaluation runs.
        failed: the number of seeds of which at least one class has no result.
        collapsed: the number of collapsed models, as in `frame.models_collapsed`.
        identity: the hash of the configuration.
        tested: the records of the test.
        titles: the titles of the tasks of `classes` that have one, by their names.
        looks_at: the images that the rule used; empty if nothing was selected.
        ranks: the ranks of the test images; empty if none are stored.
        coverage: what the interval of `auroc` covers.
        variants_coverage: what all intervals of `variants` and `outsiders` cover.
    """

    baseline: str
    label: str
    source: str
    rule: str
    auroc: Estimate
    classes: dict[str, Estimate]
    variants: dict[str, Estimate]
    outsiders: dict[str, dict[str, Estimate]]
    against: str
    params: dict[str, Any]
    seeds: int
    planned: int
    failed: int
    collapsed: int
    identity: str
    tested: Sequence[TrialRecord]
    titles: Mapping[str, str]
    looks_at: str
    ranks: ImageRanks
    coverage: Coverage
    variants_coverage: Coverage

    @property
    def selection(self) -> str:
        """What selected the configuration, and which anomalies the rule saw, in sentences."""
        if self.rule == NOTHING:
            return NOT_SELECTED
        return " ".join(filter(None, (f"Selected by {self.rule}.", SAW.get(self.looks_at, ""))))

    @property
    def components(self) -> dict[str, Estimate]:
        """The test AUROC of each component of the score, by its name."""
        variants = (variant for record in self.tested for variant in record.variants)
        names = dict.fromkeys(str(variant) for variant in variants if not variant.parameter)
        return {name: self.variants[name] for name in names if name in self.variants}

    @property
    def same_as_reported(self) -> set[str]:
        """The names of the score variants that are the reported score itself.

        These are the component that is the score, and the configuration's own values of
        score-time parameters.
        """
        variants = {variant for record in self.tested for variant in record.variants}
        return {
            str(variant)
            for variant in variants
            if all(record.scored_by(variant) for record in self.tested)
        }

    @property
    def so_far(self) -> str:
        """Progress of an unfinished evaluation, in words; empty if it is finished."""
        if self.seeds >= self.planned:
            return ""
        return f"so far {self.seeds} of {count(self.planned, 'fresh seed')}"

    @property
    def failures(self) -> str:
        """The number of failed seeds, in words; empty without any."""
        return f"{self.failed} of {count(self.seeds, 'seed')} failed" if self.failed else ""


class _Tested(NamedTuple):
    """A configuration with the records of its test.

    Attributes:
        configuration: the trial of the configuration.
        records: the records of its test; the trial itself if it was not trained again.
        label: the label of the result; empty = the name of its baseline.
        planned: the number of planned seeds; 0 = those of the records.
        fresh: whether the records are of fresh seeds, one record for each.
    """

    configuration: TrialRecord
    records: Sequence[TrialRecord]
    label: str = ""
    planned: int = 0
    fresh: bool = False


class Quotation(NamedTuple):
    """How the results of one kind are found.

    Attributes:
        source: what was tested, in words.
        selected: whether a rule selected it.
        find: the function that finds the configurations and the records of their tests.
    """

    source: str
    selected: bool
    find: Callable[[StudyRecords], list[_Tested]]


def results(study: StudyRecords) -> list[Result]:
    """The results that a study may report; empty while there are none.

    The value that selected a trial is never reported as its result, except under `oracle`. A study
    without anomalies (`StudyRecords.whole`) has no AUROC.

    Raises:
        UserError: if `study.json` names another kind of results than this version knows.
    """
    if study.whole:
        return []
    if study.quotes not in QUOTATIONS:
        raise UserError(
            f"{study.folder.study} reports {cut(repr(study.quotes))}, but this version only knows "
            f"{', '.join(QUOTATIONS)}; install a newer tune_ad"
        )
    quotation = QUOTATIONS[study.quotes]
    is_selected = quotation.selected and study.budget["trials"] > 1
    rule = RULES[study.rule] if is_selected else None
    return [_result(study, quotation.source, rule, tested) for tested in quotation.find(study)]


def results_to_come(study: StudyRecords, here: Sequence[Result]) -> int:
    """The number of results that a study is still to run, as far as its plan fixes them.

    One for each trial that is left if every configuration is a result; one for each group of
    baselines without a winner that is trained again; otherwise one for each baseline with trials
    left that has no result. Strata of a claim are not counted.

    Args:
        study: the records.
        here: its results.
    """
    known = {result.baseline for result in here}
    if study.quotes == "strata":
        return 0
    if study.quotes == "configurations":
        return study.trials_left
    if study.quotes == "winners":
        groups = study.plan.competing(study.baselines)
        return sum(study.is_open_for(group) and not known & {*group} for group in groups)
    return len(study.left_by_baseline.keys() - known - {""})


def of_trial(study: StudyRecords, record: TrialRecord) -> Result:
    """The test of a trial on the seeds of the search, which is no result that a study reports.

    Args:
        study: the records.
        record: a complete trial with a test AUROC.
    """
    return _result(study, "a trial of the search", None, _Tested(record, [record]))


def why_nothing(study: StudyRecords) -> str:
    """Why a study has no test AUROC to report."""
    if study.whole:
        return f"all images of {study.search['data_set']} are normal in this study"
    if not study.complete:
        return "no trial is complete" if study.trials else "no trial has finished"
    if not study.chooses:
        return "no baseline was tested with its default parameters"
    if not study.retrains:
        return (
            "a trial was selected among several, but the budget does not train it again on fresh "
            "seeds"
        )
    several = study.quotes == "winners" and len(study.baselines) > 1
    if study.stored.get("evaluate") is False:
        which = "winners" if several else "winner"
        return (
            f"--no-evaluation skipped the final training of the {which}; run with --resume to do "
            "it"
        )
    if several:
        return "none of the winners has been trained again on fresh seeds yet"
    return "the winner has not been trained again on fresh seeds yet"


def _trained_again(study: StudyRecords) -> list[_Tested]:
    """The winners, as far as they have records on fresh seeds, without earlier winners."""
    planned = int(study.budget["evaluation_seeds"])
    tested = [
        _Tested(
            winner,
            [record for record in study.evaluation if record.identity == winner.identity],
            planned=planned,
            fresh=True,
        )
        for _, winner in winners(study.trials, study.rule, study.plan.competing(study.baselines))
    ]
    return [winner for winner in tested if winner.records]


def _best_on_test(study: StudyRecords) -> list[_Tested]:
    return [_Tested(record, [record]) for record in ranked(study.trials, study.rule)[:1]]


def _defaults(study: StudyRecords) -> list[_Tested]:
    return _each_of(unchanged_trials(study.defaults, study.trials))


def _default_of_each_stratum(study: StudyRecords) -> list[_Tested]:
    return _labelled(study, study.strata)


def _every_configuration(study: StudyRecords) -> list[_Tested]:
    return _labelled(study, [*dict.fromkeys(n for space in study.spaces.values() for n in space)])


def _only_configuration(study: StudyRecords) -> list[_Tested]:
    trials = Counter(record.baseline for record in study.trials)
    tested = [r for r in study.trials if TEST_AUROC in r.metrics]
    return _each_of([record for record in tested if trials[record.baseline] == 1])


def _labelled(study: StudyRecords, strata: Sequence[str]) -> list[_Tested]:
    """The defaults in each stratum, labelled by the strata's parameters that differ."""
    records = unchanged_trials(study.defaults, study.trials, strata)
    several = len(records) > len({record.baseline for record in records})
    values = {name: {short(record.params.get(name)) for record in records} for name in strata}
    varied = [name for name in strata if several and len(values[name]) > 1]
    return [_Tested(record, [record], study.stratum(varied, record)) for record in records]


def _each_of(records: Sequence[TrialRecord]) -> list[_Tested]:
    """Each trial by its own test."""
    return [_Tested(record, [record]) for record in records]


QUOTATIONS: Mapping[str, Quotation] = {
    "winner": Quotation("the winner, trained again on fresh seeds", True, _trained_again),
    "winners": Quotation(
        "the best configuration of the baseline, trained again on fresh seeds",
        True,
        _trained_again,
    ),
    "oracle": Quotation(
        "the trial with the best test AUROC, which is optimistic", True, _best_on_test
    ),
    "defaults": Quotation("the baseline with its default parameters", False, _defaults),
    "strata": Quotation(
        "the baseline with its default parameters, in each stratum of the claim",
        False,
        _default_of_each_stratum,
    ),
    "configurations": Quotation("every configuration of the list", False, _every_configuration),
    "single": Quotation("the only configuration of the baseline", False, _only_configuration),
}
"""How the results of each kind are found, by the kind that `study.json` stores as `quotes`."""


def _result(
    study: StudyRecords, source: str, rule: SelectionRule | None, tested: _Tested
) -> Result:
    variants = list(dict.fromkeys(variant for r in tested.records for variant in r.variants))
    table = frame.replicas(tested.records, variants)
    by_seed, seeds = frame.by_seed(table), table["seed"].nunique()
    complete = table[table["seed"].isin(by_seed.index)]
    configuration = tested.configuration
    task = tested.records[0].replicas[0].task
    ranks = ImageRanks.read(study, tested.records, tested.fresh)
    images = _Images(ranks, list(map(str, complete["task"].unique())), list(by_seed.index))
    outsiders = {
        metric.outsider: {
            SCORE: images.covered(
                estimate(list(frame.by_seed(table, str(metric)))), outsider=metric.outsider
            )
        }
        | _by_variant(table, variants, metric, images)
        for metric in dict.fromkeys(
            metric for record in tested.records for metric in record.metrics
        )
        if metric.outsider and metric.is_test_auroc
    }
    return Result(
        baseline=configuration.baseline,
        label=tested.label or configuration.baseline,
        source=source,
        rule=rule.title if rule else NOTHING,
        auroc=images.covered(estimate(list(by_seed))),
        classes={
            str(task): images._replace(tasks=[str(task)]).covered(
                estimate(list(rows[frame.AUROC]))
            )
            for task, rows in complete.groupby("task", observed=True)
        },
        variants=_by_variant(table, variants, TEST_AUROC, images),
        outsiders=outsiders,
        against=study.title_against(task, next(iter(outsiders))) if outsiders else "",
        params={name: configuration.params[name] for name in configuration.searched},
        seeds=seeds,
        planned=tested.planned or seeds,
        failed=seeds - len(by_seed),
        collapsed=sum(map(frame.models_collapsed, tested.records)),
        identity=configuration.identity,
        tested=tuple(tested.records),
        titles={
            task: title
            for task in map(str, complete["task"].unique())
            if (title := study.task_title(task)) != task
        },
        looks_at=rule.looks_at if rule else "",
        ranks=ranks,
        coverage=images.error().coverage,
        variants_coverage=Coverage.of_all(
            images.by_variant(str(variant)).error().coverage for variant in variants
        ),
    )


class _Images(NamedTuple):
    """The test images of a result, by whose sampling its intervals are wider.

    Attributes:
        ranks: their ranks.
        tasks: the names of the tasks over which an AUROC is averaged.
        seeds: the seeds over which it is averaged.
    """

    ranks: ImageRanks
    tasks: Sequence[str]
    seeds: Sequence[int]

    def by_variant(self, variant: str) -> "_Images":
        """The same images by a score variant, given by its name."""
        return self._replace(ranks=self.ranks.by_variant(variant))

    def error(self, outsider: str | None = None) -> ImageError:
        """The standard error of the AUROC; unknown if ranks are missing.

        Args:
            outsider: the name of the set of anomalies; None = the first.
        """
        return image_error([(self.ranks, 1.0)], self.tasks, self.seeds, outsider)

    def covered(self, auroc: Estimate, outsider: str | None = None) -> Estimate:
        """An AUROC with an interval that also covers the images, if their ranks are stored.

        Args:
            auroc: the estimate over seeds.
            outsider: the name of the set of anomalies; None = the first.
        """
        return auroc.with_error(self.error(outsider).value)


def _by_variant(
    table: pd.DataFrame, variants: Sequence[ScoreVariant], metric: Metric, images: _Images
) -> dict[str, Estimate]:
    """A metric by each score variant that has it, averaged over classes, one value per seed."""
    by_seed = {str(v): frame.by_seed(table, frame.score_column(v, metric)) for v in variants}
    return {
        name: images.by_variant(name)
        ._replace(seeds=list(values.index))
        .covered(estimate(list(values)), metric.outsider or None)
        for name, values in by_seed.items()
        if len(values)
    }
