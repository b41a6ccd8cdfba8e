"""The models of a study that tests a claim, as the tables that are judged."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.questions.claims.spec import ClaimSpec
from analysis.questions.claims.strata import BITS_PER_DIMENSION
from analysis.study import StudyRecords
from tune_ad.storage.records import TrialRecord

AUROC = "test_auroc"
LIKELIHOODS = (
    "test_negative_iwae",  # the ELBO of an encoder trained by forward KL is a looser bound
    "test_negative_elbo",
    "validation_negative_iwae",  # of the images by which early stopping chose the weights
    "validation_negative_elbo",
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


class _Metric(NamedTuple):
    """What the name of a metric says."""

    term: str
    outsider: str
    in_bits: bool


def _parse_metric(name: str) -> _Metric:
    """The parts of a metric's name, "<term>[_bits_per_dim][/<outsider set>]"."""
    term, _, outsider = name.partition("/")
    return _Metric(term.removesuffix("_bits_per_dim"), outsider, term.endswith("_bits_per_dim"))


def evidence(study: StudyRecords, claim: ClaimSpec) -> list[Evidence]:
    """The models of all trials at a level of the claim, by task, outsider set and response.

    Trials that were stopped early are left out. Where outsider sets are named, the metric without
    a name is a copy of the first one's and is left out. -ELBO and -IWAE are judged wherever they
    are recorded; one of them is the main score where it has the main score's numbers.
    """
    models = _models(study, claim)
    if models.empty:
        return []
    return [
        _evidence(str(suite), metric, response, column, group)
        for suite, group in models.groupby("task", sort=False, observed=True)
        for metric in _auroc_metrics(group)
        for response, column in _responses(group, metric).items()
    ]


def unmatched_trials(study: StudyRecords, claim: ClaimSpec) -> int:
    """The number of trials, but for those stopped early, that are at no level of the claim."""
    trials = [record for record in study.trials if record.state != "pruned"]
    return sum(not claim.levels_of(record.params) for record in trials)


def _models(study: StudyRecords, claim: ClaimSpec) -> pd.DataFrame:
    """One row per model: as in `frame.replicas`, with its level, stratum and other responses."""
    matched = [
        (record, level)
        for record in study.trials
        if record.state != "pruned"
        for level in claim.levels_of(record.params)
    ]
    if not matched:
        return pd.DataFrame()
    records = [record for record, _ in matched]
    trials = pd.DataFrame(
        {
            "factor": pd.Series([level for _, level in matched], dtype=object),
            "stratum": [study.stratum(claim.strata, r) or ALL_MODELS for r in records],
            "score_by": [str(record.params.get("score_by", "")) for record in records],
            "parameters": [record.models.get("parameters", math.nan) for record in records],
            "flops": [record.models.get("flops", math.nan) for record in records],
        }
    )
    models = frame.replicas(records)
    sizes = [len(record.replicas) for record in records]
    of_trials = trials.loc[np.repeat(trials.index, sizes)].reset_index(drop=True)
    of_variants = {
        _column(response, metric): np.concatenate([_variant(r, response, metric) for r in records])
        for response in RESPONSES
        for metric in map(str, models.columns)
        if _parse_metric(metric).term == AUROC
    }
    return models.assign(**{str(name): of_trials[name] for name in of_trials}, **of_variants)


def _variant(record: TrialRecord, response: str, metric: str) -> np.ndarray:
    values = record.variants.get(response, {}).get(metric)
    if values is None:
        return np.full(len(record.replicas), math.nan)
    return np.asarray(values, dtype=float)


def _column(response: str, metric: str) -> str:
    """The column of an AUROC by a response."""
    return f"{response} {metric}"


def _recorded(models: pd.DataFrame) -> dict[str, _Metric]:
    """The columns that hold a number, with what their names say."""
    names = [name for name in map(str, models.columns) if models[name].notna().any()]
    return {name: _parse_metric(name) for name in names}


def _auroc_metrics(models: pd.DataFrame) -> list[str]:
    """AUROC against each outsider set; against the other classes where no set is named."""
    aurocs = {name: m for name, m in _recorded(models).items() if m.term == AUROC}
    return [name for name, metric in aurocs.items() if metric.outsider] or list(aurocs)


def _responses(models: pd.DataFrame, metric: str) -> dict[str, str]:
    """The columns of AUROC by every score that is judged; the main score is the first.

    The main score is the one that `score_by` names; without that, the one with its numbers.
    """
    columns = {response: _column(response, metric) for response in RESPONSES}
    recorded = [name for name, column in columns.items() if models[column].notna().any()]
    main = [name for name in recorded if _is_main(models, name, metric)]
    others = {name: columns[name] for name in recorded if name not in main}
    return {next(iter(main), MAIN_SCORE): metric, **others}


def _is_main(models: pd.DataFrame, response: str, metric: str) -> bool:
    if models["score_by"].ne("").all():
        return bool(models["score_by"].eq(response).all())
    values = models[_column(response, metric)].to_numpy(float)
    return np.array_equal(values, models[metric], equal_nan=True)


def _evidence(
    suite: str, metric: str, response: str, column: str, models: pd.DataFrame
) -> Evidence:
    strata = [group for _, group in models.groupby("stratum", sort=False, observed=True)]
    likelihoods, gaps = (list(map(choose, strata)) for choose in (_likelihood, _gap))
    tables = map(_table, strata, likelihoods, gaps, [column] * len(strata))
    return Evidence(
        suite=suite,
        source=suite.partition("-vs-")[0],
        outsider=_parse_metric(metric).outsider or OTHER_CLASSES,
        response=response,
        main=column == metric,
        bits=" or ".join(dict.fromkeys(filter(None, likelihoods))),
        gap=" or ".join(dict.fromkeys(filter(None, gaps))),
        failed=int((models["state"] != "complete").sum()),
        table=pd.concat(tables).sort_index(),
    )


def _table(models: pd.DataFrame, likelihood: str, gap: str, column: str) -> pd.DataFrame:
    """The models of one stratum, with numbers where they are complete."""
    in_nats = bool(likelihood) and not _parse_metric(likelihood).in_bits
    numbers = {"auroc": column, "bits_per_dim": likelihood, "gap": gap, "plateau": "plateau"}
    complete = models["state"] == "complete"
    nothing = pd.Series(math.nan, models.index)
    kept = models[["number", "factor", "seed", "stratum", "parameters", "flops"]]
    return kept.assign(
        unit=NATS_PER_IMAGE if in_nats else BITS_PER_DIMENSION,
        **{name: models.get(metric, nothing).where(complete) for name, metric in numbers.items()},
    )


def _likelihood(models: pd.DataFrame) -> str:
    """The metric of how likely normals are; in nats where the likelihood has no bits."""
    metrics = {
        name: (not metric.in_bits, LIKELIHOODS.index(metric.term))
        for name, metric in _recorded(models).items()
        if metric.term in LIKELIHOODS and not metric.outsider
    }
    return min(metrics, key=metrics.__getitem__, default="")


def _gap(models: pd.DataFrame) -> str:
    """The metric of the train-test gap: in bits per dimension and of the IWAE bound, if it can."""
    metrics = {
        name: (not metric.in_bits, "iwae" not in metric.term)
        for name, metric in _recorded(models).items()
        if metric.term == "gap" or metric.term.startswith("gap_")
    }
    return min(metrics, key=metrics.__getitem__, default="")
