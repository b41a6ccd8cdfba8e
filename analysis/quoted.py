"""The numbers that a study may quote, and what each rests on.

A number is quoted only if it did not select the configuration that it describes, or if it says
that it did (`oracle`). What kind of number that is follows from the study's budget, rule, plan and
claim: `quotes` names the kind, `QUOTATIONS` holds how each kind is found.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from analysis import frame
from analysis.document.format import short
from analysis.stats.estimates import Estimate, estimate
from analysis.study import StudyRecords
from analysis.trials import unchanged_trials
from tune_ad.search.selection import RULES, mean, ranked
from tune_ad.storage.metric import TEST_AUROC, Metric, Values
from tune_ad.storage.records import TrialRecord

COLLAPSED = str(Metric("test", "collapsed"))
Quotes = Literal["winner", "oracle", "defaults", "strata", "configurations", "single"]
"""The kind of number that a study quotes.

- winner: the configuration that the rule selected, trained again on fresh seeds.
- oracle: the trial with the best test AUROC, which is optimistic.
- defaults: each baseline with its default parameters, where a plan varies them.
- strata: the same in each stratum of the claim that the study tests.
- configurations: every configuration of a list.
- single: the one configuration of each baseline.
"""
NOTHING = "nothing"
NOT_SELECTED = "Nothing was selected: every configuration was fixed before the run."


class Result(NamedTuple):
    """The number that a study quotes, and what it rests on.

    Attributes:
        baseline: of the configuration.
        label: the baseline's name, or the stratum's where a study quotes one number for each.
        source: what was tested: the winner on fresh seeds, or a trial where nothing was selected.
        rule: what selected, the title of a rule; "nothing" where every configuration was fixed.
        auroc: on test images, averaged over classes; one value per seed.
        classes: the same for each class, by the name of its task.
        variants: the AUROC, averaged over classes, under other score-time values.
        outsiders: where other data sets are anomalous, the AUROC against each of them, by the
            name of the score; "score" is the one of `auroc`, which is against the first.
        against: what `auroc` sets against each other, in words; empty without outsider sets.
        params: of the configuration, the searched ones only.
        seeds: that were tested, failed ones included.
        planned: seeds that are to be tested; more than `seeds` while that still runs.
        failed: seeds of which at least one class has no number.
        collapsed: models that gave every test image one score, but for rounding.
        identity: of the configuration.
        tested: the records that the number comes from.
        titles: of the tasks of `classes` that have one, by their names.
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

    @property
    def selection(self) -> str:
        """What selected the configuration, as a sentence."""
        return NOT_SELECTED if self.rule == NOTHING else f"Selected by {self.rule}."


class _Tested(NamedTuple):
    """A configuration with the records of its test.

    Attributes:
        configuration: the trial that ran it.
        records: of its test; the trial itself where it was not trained again.
        label: of the result; empty = the name of its baseline.
        planned: seeds that are to be tested; 0 = those of the records.
    """

    configuration: TrialRecord
    records: Sequence[TrialRecord]
    label: str = ""
    planned: int = 0


class Quotation(NamedTuple):
    """How the numbers of one kind are found.

    Attributes:
        source: what was tested, in words.
        selected: whether a rule selected it.
        find: the configurations with the records of their tests; empty while there are none.
    """

    source: str
    selected: bool
    find: Callable[[StudyRecords], list[_Tested]]


def quotes(study: StudyRecords) -> Quotes:
    """The kind of number that a study may quote.

    A study in which nothing is chosen quotes the defaults of its baselines as soon as it has more
    trials than baselines.
    """
    stored = cast(Quotes, study.quotes)
    single = study.chooses or len(study.trials) <= len(study.baselines)
    return "single" if single and stored not in ("winner", "oracle") else stored


def results(study: StudyRecords) -> list[Result]:
    """The numbers that a study may quote; empty while there are none.

    A trial that a rule selected is never quoted by the number that selected it, save under
    `oracle`. A study in which nothing is anomalous (`StudyRecords.whole`) has no AUROC.
    """
    if study.whole:
        return []
    quotation = QUOTATIONS[quotes(study)]
    rule = RULES[study.rule].title if quotation.selected else NOTHING
    return [_result(study, quotation.source, rule, tested) for tested in quotation.find(study)]


def why_nothing(study: StudyRecords) -> str:
    """Why a study quotes no AUROC."""
    if study.whole:
        return f"nothing is anomalous in the whole of {study.search['data_set']}"
    if not study.complete:
        return "no trial is complete" if study.trials else "no trial has ended"
    if not study.chooses:
        return "no baseline was tested with its default parameters"
    if not study.budget["evaluation_seeds"]:
        return (
            "its budget does not train the winner again on fresh seeds, and a trial was selected "
            "among several"
        )
    if study.stored.get("evaluate") is False:
        return (
            "the winner was not trained again on fresh seeds (--no-evaluation); --resume does it"
        )
    return "the winner has not been trained again on fresh seeds yet"


def _winner(study: StudyRecords) -> list[_Tested]:
    """The records of the winner on fresh seeds; those of an earlier winner do not count."""
    winner = next(iter(ranked(study.trials, study.rule)), None)
    fresh = [r for r in study.evaluation if winner and r.identity == winner.identity]
    planned = int(study.budget["evaluation_seeds"])
    return [_Tested(winner, fresh, planned=planned)] if winner and fresh else []


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


QUOTATIONS: Mapping[Quotes, Quotation] = {
    "winner": Quotation("the winner, trained again on fresh seeds", True, _winner),
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
"""How the numbers of each kind are found."""


def _result(study: StudyRecords, source: str, rule: str, tested: _Tested) -> Result:
    columns = ["task", "seed", "state", frame.AUROC, COLLAPSED]
    table = frame.replicas(tested.records).reindex(columns=columns)
    by_seed, seeds = frame.by_seed(table), table["seed"].nunique()
    complete = table[table["seed"].isin(by_seed.index)]
    configuration, outsiders = tested.configuration, _outsiders(tested.records)
    task = tested.records[0].replicas[0].task
    return Result(
        baseline=configuration.baseline,
        label=tested.label or configuration.baseline,
        source=source,
        rule=rule,
        auroc=estimate(list(by_seed)),
        classes={
            str(task): estimate(list(rows[frame.AUROC]))
            for task, rows in complete.groupby("task", observed=True)
        },
        variants=_variants(tested.records, TEST_AUROC),
        outsiders=outsiders,
        against=study.title_against(task, next(iter(outsiders))) if outsiders else "",
        params={name: configuration.params[name] for name in configuration.searched},
        seeds=seeds,
        planned=tested.planned or seeds,
        failed=seeds - len(by_seed),
        collapsed=int((complete[COLLAPSED] == 1).sum()),
        identity=configuration.identity,
        tested=tuple(tested.records),
        titles={
            task: title
            for task in map(str, complete["task"].unique())
            if (title := study.task_title(task)) != task
        },
    )


def _outsiders(records: Sequence[TrialRecord]) -> dict[str, dict[str, Estimate]]:
    """AUROC of every score against every outsider set, one value per seed."""
    metrics = dict.fromkeys(metric for record in records for metric in record.metrics)
    return {
        metric.outsider: {
            "score": estimate(_per_seed(records, [r.metrics.get(metric, []) for r in records])),
            **_variants(records, metric),
        }
        for metric in metrics
        if metric.outsider and metric._replace(outsider="") == TEST_AUROC
    }


def _variants(records: Sequence[TrialRecord], metric: Metric) -> dict[str, Estimate]:
    """A metric of each score variant, averaged over classes, one value per seed."""
    variants = dict.fromkeys(variant for record in records for variant in record.variants)
    values = {
        str(variant): _per_seed(
            records, [r.variants.get(variant, {}).get(metric, []) for r in records]
        )
        for variant in variants
    }
    return {name: estimate(per_seed) for name, per_seed in values.items() if per_seed}


def _per_seed(records: Sequence[TrialRecord], values: Sequence[Values]) -> list[float]:
    """The mean over classes of each seed that has a number for all of them."""
    pairs = zip(records, values, strict=True)
    return [value for record, numbers in pairs for value in _means(record, numbers)]


def _means(record: TrialRecord, values: Values) -> Iterator[float]:
    """The means of one record, by seed; none where it has no numbers."""
    if not len(values):
        return
    for seed in sorted({replica.seed for replica in record.replicas}):
        pairs = zip(values, record.replicas, strict=True)
        average = mean([value for value, replica in pairs if replica.seed == seed])
        if average is not None:
            yield average
