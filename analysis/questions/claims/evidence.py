"""The models of a study that tests a claim, as the tables that are judged."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.document.format import short
from analysis.questions.claims.strata import BITS_PER_DIMENSION
from analysis.study import StudyRecords
from tune_ad.search.claim import Claim
from tune_ad.storage.metric import STOPPED, TEST_AUROC, Metric, ScoreVariant
from tune_ad.storage.records import TrialRecord

LIKELIHOODS = (
    Metric("test", "negative_iwae"),  # the ELBO of an encoder trained by forward KL is looser
    Metric("test", "negative_elbo"),
    Metric("validation", "negative_iwae"),  # of the images by which early stopping chose weights
    Metric("validation", "negative_elbo"),
)
"""Metrics of how likely normals are to a model, best first; the first that is recorded is used."""
RESPONSES = {"negative_elbo": "-ELBO", "negative_iwae": "-IWAE"}
"""Scores that are judged, by the name of the variant, and as they are written."""
MAIN_SCORE = "score"  # a main score that is none of these
NATS_PER_IMAGE = "nats per image"
ALL_MODELS = "all models"  # the one stratum where no strata are declared
OTHER_CLASSES = "the other classes"


class Evidence(NamedTuple):
    """The models of one task against one outsider set, by one response.

    Attributes:
        suite: name of the task as recorded, with all its outsider sets.
        source: name of the data set, or class, that is normal.
        outsider: name of the outsider set, or "the other classes".
        response: one of `RESPONSES`, or "score" where the main score is neither.
        main: whether that is the score that the study is about.
        bits: name of the metric of bits per dimension, or of nats in strata that have none; empty
            where neither is recorded.
        gap: name of the metric of the train-test gap; empty where none is recorded.
        failed: models that did not complete; they are in the table without numbers.
        table: of models, as in `analysis.questions.claims.strata`, with the columns number (of the
            trial), parameters, flops (of a forward pass of one image), unit (of bits_per_dim), gap
            and plateau (1 = reached); NaN where not recorded.
    """

    suite: str
    source: str
    outsider: str
    response: str
    main: bool
    bits: str
    gap: str
    failed: int
    table: pd.DataFrame

    @property
    def task(self) -> str:
        """Name of the task against this outsider set alone, for the names of files."""
        if self.outsider == OTHER_CLASSES:
            return self.suite
        return f"{self.source}-vs-{self.outsider}"

    @property
    def title(self) -> str:
        """What is judged, in words."""
        score = RESPONSES.get(self.response, "the main score")
        return f"{self.source} against {self.outsider}, by {score}"


class _Models(NamedTuple):
    """The models of all trials at a level of a claim.

    Attributes:
        table: one row per model: as in `frame.replicas`, with its level, stratum and the AUROCs by
            other scores.
        metrics: by the name of its column, each metric.
    """

    table: pd.DataFrame
    metrics: dict[str, Metric]

    def recorded(self) -> dict[str, Metric]:
        """The metrics of which a model has a number, by the name of their column."""
        metrics = self.metrics.items()
        return {name: metric for name, metric in metrics if self.table[name].notna().any()}

    def grouped(self, column: str) -> "list[tuple[str, _Models]]":
        """The models of each value of a column."""
        groups = self.table.groupby(column, sort=False, observed=True)
        return [(str(value), self._replace(table=group)) for value, group in groups]


def evidence(study: StudyRecords, claim: Claim) -> list[Evidence]:
    """The models of all trials at a level of the claim, by task, outsider set and response.

    Trials that were stopped early are left out. Where outsider sets are named, the metric without
    a name is a copy of the first one's and is left out. -ELBO and -IWAE are judged wherever they
    are recorded; one of them is the main score where it has the main score's numbers.
    """
    models = _models(study, claim)
    if models.table.empty:
        return []
    return [
        _evidence((suite, study.source_of(suite)), metric, response, column, group)
        for suite, group in models.grouped("task")
        for metric in _auroc_metrics(group)
        for response, column in _responses(group, metric).items()
    ]


def levels_of(claim: Claim, params: Mapping[str, Any]) -> list[Any]:
    """The level of a claim that a trial is at, as a list of one; empty where it is at no level.

    A value that is neither a number nor a text, such as a list, is given as text.

    Args:
        claim: that is tested.
        params: of the trial.
    """
    if not claim.levels:
        return [_plain(params[claim.factor])] if claim.factor in params else []
    for name, wanted in claim.levels.items():
        if all(key in params and params[key] == value for key, value in wanted.items()):
            return [name]
    return []


def _plain(value: object) -> int | float | str:
    return value if isinstance(value, int | float | str) else short(value)


def unmatched_trials(study: StudyRecords, claim: Claim) -> int:
    """The number of trials, but for those stopped early, that are at no level of the claim."""
    trials = [record for record in study.trials if record.state != "pruned"]
    return sum(not levels_of(claim, record.params) for record in trials)


def _models(study: StudyRecords, claim: Claim) -> _Models:
    matched = [
        (record, level)
        for record in study.trials
        if record.state != "pruned"
        for level in levels_of(claim, record.params)
    ]
    records = [record for record, _ in matched]
    metrics = dict.fromkeys(metric for record in records for metric in record.metrics)
    if not records:
        return _Models(pd.DataFrame(), {})
    trials = pd.DataFrame(
        {
            "factor": pd.Series([level for _, level in matched], dtype=object),
            "stratum": [study.stratum(claim.strata, r) or ALL_MODELS for r in records],
            "main_score": [record.main_score for record in records],
            "parameters": [record.models.get("parameters", math.nan) for record in records],
            "flops": [record.models.get("flops", math.nan) for record in records],
        }
    )
    sizes = [len(record.replicas) for record in records]
    of_trials = trials.loc[np.repeat(trials.index, sizes)].reset_index(drop=True)
    of_variants = {
        _column(response, metric): np.concatenate([_variant(r, response, metric) for r in records])
        for response in RESPONSES
        for metric in metrics
        if _is_test_auroc(metric)
    }
    table = frame.replicas(records).assign(
        **{str(name): of_trials[name] for name in of_trials}, **of_variants
    )
    return _Models(table, {str(metric): metric for metric in metrics})


def _is_test_auroc(metric: Metric) -> bool:
    return metric._replace(outsider="") == TEST_AUROC


def _variant(record: TrialRecord, response: str, metric: Metric) -> np.ndarray:
    values = record.variants.get(ScoreVariant.of_part(response), {}).get(metric)
    if values is None:
        return np.full(len(record.replicas), math.nan)
    return np.asarray(values, dtype=float)


def _column(response: str, metric: Metric) -> str:
    """The column of an AUROC by a response."""
    return f"{response} {metric}"


def _auroc_metrics(models: _Models) -> list[Metric]:
    """AUROC against each outsider set; against the other classes where no set is named."""
    aurocs = [metric for metric in models.recorded().values() if _is_test_auroc(metric)]
    return [metric for metric in aurocs if metric.outsider] or aurocs


def _responses(models: _Models, metric: Metric) -> dict[str, str]:
    """The columns of AUROC by every score that is judged; the main score is the first."""
    columns = {response: _column(response, metric) for response in RESPONSES}
    recorded = [name for name, column in columns.items() if models.table[column].notna().any()]
    main = [name for name in recorded if models.table["main_score"].eq(name).all()]
    others = {name: columns[name] for name in recorded if name not in main}
    return {next(iter(main), MAIN_SCORE): str(metric), **others}


def _evidence(
    suite: tuple[str, str], metric: Metric, response: str, column: str, models: _Models
) -> Evidence:
    """The evidence of one task, given with its source, outsider set and response."""
    strata = [group for _, group in models.grouped("stratum")]
    likelihoods, gaps = (list(map(choose, strata)) for choose in (_likelihood, _gap))
    tables = map(_table, strata, likelihoods, gaps, [column] * len(strata))
    return Evidence(
        suite=suite[0],
        source=suite[1],
        outsider=metric.outsider or OTHER_CLASSES,
        response=response,
        main=column == str(metric),
        bits=" or ".join(dict.fromkeys(str(m) for m in likelihoods if m)),
        gap=" or ".join(dict.fromkeys(str(m) for m in gaps if m)),
        failed=int((models.table["state"] != "complete").sum()),
        table=pd.concat(tables).sort_index(),
    )


def _table(
    models: _Models, likelihood: Metric | None, gap: Metric | None, column: str
) -> pd.DataFrame:
    """The models of one stratum, with numbers where they are complete."""
    in_nats = likelihood is not None and not likelihood.unit
    numbers = {"auroc": column, "bits_per_dim": likelihood, "gap": gap, "plateau": STOPPED}
    complete = models.table["state"] == "complete"
    nothing = pd.Series(math.nan, models.table.index)
    kept = models.table[["number", "factor", "seed", "stratum", "parameters", "flops"]]
    return kept.assign(
        unit=NATS_PER_IMAGE if in_nats else BITS_PER_DIMENSION,
        **{
            name: models.table.get(str(metric), nothing).where(complete)
            for name, metric in numbers.items()
        },
    )


def _likelihood(models: _Models) -> Metric | None:
    """The metric of how likely normals are; in nats where the likelihood has no bits."""
    known = {metric: place for place, metric in enumerate(LIKELIHOODS)}
    metrics = [m for m in models.recorded().values() if m._replace(unit="") in known]
    return min(
        metrics,
        key=lambda metric: (not metric.unit, known[metric._replace(unit="")]),
        default=None,
    )


def _gap(models: _Models) -> Metric | None:
    """The metric of the train-test gap: in bits per dimension and of the IWAE bound, if it can."""
    metrics = [metric for metric in models.recorded().values() if metric.part == "gap"]
    return min(
        metrics,
        key=lambda metric: (not metric.unit, metric.term != "negative_iwae"),
        default=None,
    )
