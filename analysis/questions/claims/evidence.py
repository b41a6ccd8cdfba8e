"""Collects, for a claim, one table of models per task, outsider set and score."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis import frame
from analysis.document.format import short
from analysis.questions.claims.strata import BITS_PER_DIMENSION, RankedImages
from analysis.questions.importance_weights import effective_numbers, is_spread
from analysis.study import StudyRecords
from tune_ad.search.claim import Claim
from tune_ad.storage.metric import (
    BITS_PER_DIM,
    OTHER_CLASSES,
    STOPPED,
    Metric,
    ScoreVariant,
    outsider_title,
)
from tune_ad.storage.records import TrialRecord
from tune_ad.storage.score_ranks import PartRanks

UNITS = (BITS_PER_DIM, "")
LIKELIHOODS = tuple(
    Metric(part, bound, unit=unit)
    for unit in UNITS
    for part in ("test", "validation")  # early stopping chose weights by the validation images
    for bound in ("negative_iwae", "negative_elbo")  # the ELBO after forward KL is looser
)
"""Metrics of the likelihood of normal images, in order of preference."""
GAPS = tuple(
    Metric("gap", bound, unit=unit)
    for unit in UNITS
    for bound in ("negative_iwae", "negative_elbo")
)
"""Metrics of the train-test gap, in order of preference."""
SCORES = {"negative_elbo": "-ELBO", "negative_iwae": "-IWAE"}
"""Scores for which verdicts are given: name of the part of the score -> displayed name."""
MAIN_SCORE = "score"  # a main score that is none of these
NATS_PER_IMAGE = "nats per image"
ALL_MODELS = "all models"  # the only stratum if no strata are declared


class Evidence(NamedTuple):
    """The models of one task against one outsider set, by one score.

    Attributes:
        suite: name of the task as recorded, with all its outsider sets.
        source: name of the data set, or class, that is normal.
        outsider: name of the outsider set, or "the other classes".
        score: one of `SCORES`, or "score" if the main score is neither.
        main: whether that is the main score of the study.
        bits: metrics of bits per dimension, or of nats in strata that have none; empty if neither
            is recorded.
        gap: metrics of the train-test gap; empty if none is recorded.
        failed: number of models that did not complete; the table has no numbers of them.
        table: models, as in `analysis.questions.claims.strata`, with the columns number (of the
            trial), parameters, flops (of a forward pass of one image), unit (of bits_per_dim),
            gap, codes (K, the number of codes of an image in training) and effective (their
            effective number); NaN if not recorded.
        ranks: the ranks of test images by this score of each trial, by its number; empty if none
            are stored.
    """

    suite: str
    source: str
    outsider: str
    score: str
    main: bool
    bits: tuple[Metric, ...]
    gap: tuple[Metric, ...]
    failed: int
    table: pd.DataFrame
    ranks: Mapping[int, PartRanks]

    @property
    def images(self) -> RankedImages:
        """The test images with their ranks."""
        return RankedImages(self.suite, self.outsider, self.ranks)

    @property
    def task(self) -> str:
        """Name of the task against this outsider set alone, for the names of files."""
        if self.outsider == OTHER_CLASSES:
            return self.suite
        return f"{self.source}-vs-{self.outsider}"

    @property
    def title(self) -> str:
        """The task, the outsider set and the score in words."""
        score = SCORES.get(self.score, "the main score")
        return f"{self.source} against {outsider_title(self.outsider)}, by {score}"


def evidence(study: StudyRecords, claim: Claim) -> list[Evidence]:
    """The models of all trials at a level of the claim, by task, outsider set and score.

    Pruned trials are left out. Where outsider sets are named, the metric without a name is a copy
    of the first one's and is left out. -ELBO and -IWAE are used wherever they are recorded; one of
    them is the main score if it has the main score's numbers.
    """
    matched = [
        (record, level)
        for record in study.trials
        if record.state != "pruned"
        for level in levels_of(claim, record.params)
    ]
    if not matched:
        return []
    metrics = list(dict.fromkeys(metric for record, _ in matched for metric in record.metrics))
    tasks = _models(study, claim, matched).groupby("task", sort=False, observed=True)
    return [item for task, models in tasks for item in _of_task(study, str(task), models, metrics)]


def levels_of(claim: Claim, params: Mapping[str, Any]) -> list[Any]:
    """The level of the claim that a trial belongs to: a list with one element, or an empty one.

    A value that is neither a number nor a text, such as a list, is given as text.

    Args:
        claim: the claim that is tested.
        params: the hyperparameters of the trial.
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
    """The number of trials, without pruned ones, that match no level of the claim."""
    trials = [record for record in study.trials if record.state != "pruned"]
    return sum(not levels_of(claim, record.params) for record in trials)


def _models(
    study: StudyRecords, claim: Claim, matched: Sequence[tuple[TrialRecord, Any]]
) -> pd.DataFrame:
    """One row per model, as in `frame.replicas`, with its level, stratum, size and main score."""
    records = [record for record, _ in matched]
    trials = pd.DataFrame(
        {
            "factor": pd.Series([level for _, level in matched], dtype=object),
            "stratum": [study.stratum(claim.strata, r) or ALL_MODELS for r in records],
            "main_score": [record.main_score for record in records],
            "parameters": [record.models.get("parameters", math.nan) for record in records],
            "flops": [record.models.get("flops", math.nan) for record in records],
            "codes": [float(record.params.get("samples", math.nan)) for record in records],
        }
    ).set_index(pd.Index([record.number for record in records]))
    return frame.replicas(records, map(ScoreVariant.of_component, SCORES)).join(
        trials, on="number"
    )


def _of_task(
    study: StudyRecords, task: str, models: pd.DataFrame, metrics: Iterable[Metric]
) -> Iterator[Evidence]:
    """The evidence of one task: against each outsider set, by each score."""
    recorded = [metric for metric in metrics if models[str(metric)].notna().any()]
    by_stratum = [models for _, models in models.groupby("stratum", sort=False)]
    bits, gaps = ([_first(of, models) for models in by_stratum] for of in (LIKELIHOODS, GAPS))
    table = pd.concat(map(_table, by_stratum, bits, gaps)).sort_index()
    complete = models["state"] == "complete"
    aurocs = [metric for metric in recorded if metric.is_test_auroc]
    ranks = _ranks(study, task, table["number"])
    for metric in [metric for metric in aurocs if metric.outsider] or aurocs:
        for score, column in _scores(models, metric).items():
            yield Evidence(
                suite=task,
                source=study.source_of(task),
                outsider=metric.outsider,
                score=score,
                main=column == str(metric),
                bits=tuple(dict.fromkeys(filter(None, bits))),
                gap=tuple(dict.fromkeys(filter(None, gaps))),
                failed=int((~complete).sum()),
                table=table.assign(auroc=models[column].where(complete)),
                ranks=ranks if column == str(metric) else _by_score(ranks, score),
            )


def _ranks(study: StudyRecords, task: str, numbers: pd.Series) -> dict[int, PartRanks]:
    """The stored ranks of test images of each trial that has some, by its number."""
    chosen = set(numbers)
    stored = {
        record.number: study.ranks(record).get(("test", task))
        for record in study.trials
        if record.number in chosen
    }
    return {number: ranks for number, ranks in stored.items() if ranks is not None}


def _by_score(ranks: Mapping[int, PartRanks], score: str) -> dict[int, PartRanks]:
    """The ranks of a sample of the images by another score, of the trials that store them."""
    variant = str(ScoreVariant.of_component(score))
    return {n: part.variants[variant] for n, part in ranks.items() if variant in part.variants}


def _first(metrics: Iterable[Metric], models: pd.DataFrame) -> Metric | None:
    """The first metric of which a model has a number."""
    names = {metric: str(metric) for metric in metrics}
    return next((m for m, n in names.items() if n in models and models[n].notna().any()), None)


def _table(models: pd.DataFrame, bits: Metric | None, gap: Metric | None) -> pd.DataFrame:
    """The models of one stratum, with numbers if they are complete."""
    complete, nothing = models["state"] == "complete", pd.Series(math.nan, models.index)
    numbers = {"bits_per_dim": bits, "gap": gap, "plateau": STOPPED}
    kept = ["number", "factor", "seed", "stratum", "parameters", "flops", "codes"]
    effective = effective_numbers(models, models["codes"]).where(complete)
    return models[kept].assign(
        unit=NATS_PER_IMAGE if bits and not bits.unit else BITS_PER_DIMENSION,
        effective=effective,
        spread=is_spread(effective, models["codes"]),
        **{
            name: models.get(str(metric), nothing).where(complete)
            for name, metric in numbers.items()
        },
    )


def _scores(models: pd.DataFrame, metric: Metric) -> dict[str, str]:
    """The column of AUROC by every score; the main score is the first."""
    columns = {
        score: frame.score_column(ScoreVariant.of_component(score), metric) for score in SCORES
    }
    recorded = {s: c for s, c in columns.items() if c in models and models[c].notna().any()}
    main = next((s for s in recorded if models["main_score"].eq(s).all()), MAIN_SCORE)
    return {main: str(metric)} | {s: c for s, c in recorded.items() if s != main}
