"""The numbers that a study may quote, and what each rests on."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from analysis import frame
from analysis.document.format import short
from analysis.stats.estimates import Estimate, estimate
from analysis.study import StudyRecords
from analysis.trials import unchanged_trials
from tune_ad.search.selection import describe, mean, ranked
from tune_ad.storage.records import TrialRecord, Values


class Result(NamedTuple):
    """The number that a study quotes, and what it rests on.

    Attributes:
        baseline: of the configuration.
        label: the baseline's name, or the stratum's where a study quotes one number for each.
        source: what was tested: the winner on fresh seeds, or a trial where nothing was selected.
        rule: what selected, in words.
        panel: AUROC on test images, averaged over classes; one value per seed.
        classes: the same for each class.
        variants: the panel's AUROC under other score-time values.
        outsiders: where other data sets are anomalous, the AUROC against each of them, by the
            name of the score; "score" is the one of `panel`, which is against the first.
        params: of the configuration, the searched ones only.
        seeds: that were tested, failed ones included.
        planned: seeds that are to be tested; more than `seeds` while that still runs.
        failed: of them.
        collapsed: models that gave every test image one score, but for rounding.
        identity: of the configuration.
        tested: the records that the number comes from.
    """

    baseline: str
    label: str
    source: str
    rule: str
    panel: Estimate
    classes: dict[str, Estimate]
    variants: dict[str, Estimate]
    outsiders: dict[str, dict[str, Estimate]]
    params: dict[str, Any]
    seeds: int
    planned: int
    failed: int
    collapsed: int
    identity: str
    tested: Sequence[TrialRecord]

    @property
    def first(self) -> str:
        """The name of the first set of outsiders; empty where the outsiders are other classes."""
        return next(iter(self.outsiders), "")

    @property
    def against(self) -> str:
        """The task with the outsiders that `panel` is against; empty as `first`."""
        source = next(iter(self.classes), "").partition("-vs-")[0]
        return f"{source}-vs-{self.first}" if self.first else ""


def results(study: StudyRecords) -> list[Result]:
    """The numbers that may be quoted; none while there is no such number.

    - The winner on fresh seeds.
    - Where the budget trains none again: each configuration's own test if nothing was chosen
      between them (one per baseline, or each baseline with nothing changed where a plan varies
      it, for each stratum of the claim that the study tests; each configuration of a list), or
      the best by `oracle`, named as that.

    A trial chosen by a rule is never quoted by the number that chose it, save under `oracle`. A
    panel of which nothing is anomalous has no AUROC.
    """
    if study.whole:
        return []
    best = ranked(study.trials, study.rule)
    if study.budget["evaluation_seeds"]:
        fresh = [r for r in study.evaluation if best and r.identity == best[0].identity]
        source = "the winner, trained again on fresh seeds"
        planned = int(study.budget["evaluation_seeds"])
        return [_result(source, describe(study.rule), fresh, best, planned)] if fresh else []
    if study.rule == "oracle":
        source = "the best trial on the test set itself, which is optimistic"
        return [_result(source, describe(study.rule), best[:1], best)] if best else []
    nothing = "none; nothing was chosen between."
    listed = dict.fromkeys(name for space in study.spaces.values() for name in space)
    claims = bool(study.asked.get("claim"))
    strata = study.strata if claims else tuple(listed) if study.plan == "Listed" else ()
    unchanged = [] if study.chooses else unchanged_trials(study.defaults, study.trials, strata)
    if len(study.trials) > len(study.baselines) and unchanged:
        source = "its baseline with nothing changed"
        if len(unchanged) == len({each.baseline for each in unchanged}):
            return [_result(source, nothing, [r], [r]) for r in unchanged]
        source = f"{source} but the stratum" if claims else "a configuration of a list"
        varied = [n for n in strata if len({short(r.params.get(n)) for r in unchanged}) > 1]
        return [
            _result(source, nothing, [r], [r])._replace(label=study.stratum(varied, r))
            for r in unchanged
        ]
    alone = Counter(record.baseline for record in study.trials)
    source = "the only configuration of its baseline"
    tested = [r for r in study.trials if "test_auroc" in r.metrics and alone[r.baseline] == 1]
    return [_result(source, nothing, [r], [r]) for r in tested]


def why_nothing(study: StudyRecords) -> str:
    """Why a study quotes no AUROC."""
    if study.whole:
        return f"nothing is anomalous in the whole of {study.asked['data_set']}"
    if not study.complete:
        return "no trial is complete" if study.trials else "no trial has ended"
    if not study.chooses:
        return "no baseline was tested with nothing changed"
    if not study.budget["evaluation_seeds"]:
        return "its budget trains no winner again, and a trial was chosen among several"
    if study.stored.get("evaluate") is False:
        return (
            "the winner was not trained again on fresh seeds (--no-evaluation); --resume does it"
        )
    return "the winner has not been trained again on fresh seeds yet"


def _result(
    source: str,
    rule: str,
    tested: Sequence[TrialRecord],
    best: Sequence[TrialRecord],
    planned: int = 0,
) -> Result:
    columns = ["task", "seed", "state", "test_auroc", "test_collapsed"]
    table = frame.replicas(tested).reindex(columns=columns)
    by_seed = frame.by_seed(table)
    complete = table[table["seed"].isin(by_seed.index)]
    return Result(
        baseline=best[0].baseline,
        label=best[0].baseline,
        source=source,
        rule=rule,
        panel=estimate(list(by_seed)),
        classes={
            str(task): estimate(list(rows["test_auroc"]))
            for task, rows in complete.groupby("task", observed=True)
        },
        variants=_variants(tested, "test_auroc"),
        outsiders=_outsiders(tested),
        params={name: best[0].params[name] for name in best[0].searched},
        seeds=table["seed"].nunique(),
        planned=planned or table["seed"].nunique(),
        failed=table["seed"].nunique() - len(by_seed),
        collapsed=int((complete["test_collapsed"] == 1).sum()),
        identity=best[0].identity,
        tested=tuple(tested),
    )


def _outsiders(tested: Sequence[TrialRecord]) -> dict[str, dict[str, Estimate]]:
    """AUROC of every score against every outsider set, one value per seed."""
    metrics = dict.fromkeys(name for record in tested for name in record.metrics)
    sets = [name for name in metrics if name.startswith("test_auroc/")]
    return {
        name.partition("/")[2]: {
            "score": estimate(_per_seed(tested, [r.metrics.get(name, []) for r in tested])),
            **_variants(tested, name),
        }
        for name in sets
    }


def _variants(tested: Sequence[TrialRecord], metric: str) -> dict[str, Estimate]:
    """A metric of each score variant over the panel, one value per seed."""
    names = dict.fromkeys(name for record in tested for name in record.variants)
    found = {
        name: _per_seed(tested, [r.variants.get(name, {}).get(metric, []) for r in tested])
        for name in names
    }
    return {name: estimate(values) for name, values in found.items() if values}


def _per_seed(tested: Sequence[TrialRecord], values: Sequence[Values]) -> list[float]:
    """The mean over classes of each seed that has a number for all of them."""
    means = []
    for record, own in zip(tested, values, strict=True):
        for seed in sorted({replica.seed for replica in record.replicas}) if len(own) else []:
            cells = [v for v, r in zip(own, record.replicas, strict=True) if r.seed == seed]
            if (value := mean(cells)) is not None:
                means.append(value)
    return means
