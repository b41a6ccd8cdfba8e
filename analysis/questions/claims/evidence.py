"""The models of a study that tests a claim, as the tables that `verdict` judges."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.questions.claims.spec import Asked
from analysis.questions.claims.verdict import BITS, Verdict, capacity, forward_kl
from analysis.study import StudyRecords
from tune_ad.storage.records import TrialRecord

FITS = (
    "test_negative_iwae",  # the ELBO of a forward-KL encoder is looser
    "test_negative_elbo",
    "validation_negative_iwae",  # on the images by which patience chose the weights
    "validation_negative_elbo",
)
"""What tells how well models know normals, in nats per image; the first that is recorded."""
IN_BITS = "_bits_per_dim"
NATS = "nats per image"
PREFIX = "test_auroc"
WHOLE = "all models"  # the one stratum where none is declared
REST = "the other classes"
RESPONSES = {"negative_elbo": "-ELBO", "negative_iwae": "-IWAE"}
"""Variants of the score that are judged, and how they are called."""
SCORE = "score"  # a main score that is neither


class Evidence(NamedTuple):
    """The models of one task against one outsider set, by one response.

    Attributes:
        task: name of the task, "<data set>-vs-<outsiders>" where it has outsider sets.
        panel: name of the task as recorded, which may have several outsider sets.
        outsider: name of the outsider set.
        response: one of `RESPONSES`, or "score" where the main score is neither.
        main: whether that is the score that the study is about.
        bits: name of the metric of bits per dimension, or of nats in strata that have none; empty
            where neither is recorded.
        gap: name of the metric of the train-test gap; empty where none is recorded.
        failed: models that did not end complete; they are in the table without numbers.
        table: as `verdict` wants it, with the columns number (of the trial), parameters, flops
            (forward, per image), unit (of bits_per_dim), gap and plateau (1 = reached); NaN where
            not recorded.
    """

    task: str
    panel: str
    outsider: str
    response: str
    main: bool
    bits: str
    gap: str
    failed: int
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """What is judged, in words."""
        where = self.task if "-vs-" in self.task else f"{self.task} against {self.outsider}"
        return f"{where}, {RESPONSES.get(self.response, 'the score')}"


def evidence(study: StudyRecords, claim: Asked) -> list[Evidence]:
    """The models by task, outsider set and response; of trials at a level of the factor.

    Trials that were stopped early are left out. A stratum is told in words from the claim's
    strata, and from the baseline where there are several. Where outsider sets are named, the
    metric without a name is a copy of the first one's and is left out. Minus the ELBO and minus
    the IWAE bound are judged wherever they are recorded, one of them as the main score where that
    has its numbers.
    """
    models = _models(study, claim)
    if models.empty:
        return []
    return [
        _evidence(str(task), metric, response, own)
        for task, own in models.groupby("task", sort=False, observed=True)
        for metric in _metrics(own)
        for response in _responses(own, metric)
    ]


def verdicts(claim: Asked, found: Evidence) -> list[Verdict]:
    """The verdicts on one task, outsider set and response, one per stratum.

    Raises:
        ValueError: if the models do not have the form that the claim needs.
    """
    if claim.claim == "capacity":
        return capacity(found.table)
    return forward_kl(found.table, claim.baseline, claim.control)


def nowhere(study: StudyRecords, claim: Asked) -> int:
    """Trials, but for those stopped early, that are at no level of the factor."""
    own = [record for record in study.trials if record.state != "pruned"]
    return sum(not claim.levels_of(record.params) for record in own)


def _models(study: StudyRecords, claim: Asked) -> pd.DataFrame:
    """One row per model: as in `frame.replicas`, with its level, stratum and other responses."""
    found = [
        (record, level)
        for record in study.trials
        if record.state != "pruned"
        for level in claim.levels_of(record.params)
    ]
    if not found:
        return pd.DataFrame()
    records = [record for record, _ in found]
    sizes = [len(record.replicas) for record in records]
    models = frame.replicas(records)
    added: dict[str, Any] = {
        "factor": np.repeat(np.array([level for _, level in found], dtype=object), sizes),
        "stratum": np.repeat([study.stratum(claim.strata, r) or WHOLE for r in records], sizes),
        "parameters": np.repeat([r.models.get("parameters", math.nan) for r in records], sizes),
        "score_by": np.repeat([str(r.params.get("score_by", "")) for r in records], sizes),
        "flops": np.repeat([r.models.get("flops", math.nan) for r in records], sizes),
    }
    scores = [name for name in map(str, models.columns) if name.partition("/")[0] == PREFIX]
    for response in RESPONSES:
        for metric in scores:
            values = [_variant(record, response, metric) for record in records]
            added[_column(response, metric)] = np.concatenate(values)
    return models.assign(**added)


def _variant(record: TrialRecord, response: str, metric: str) -> np.ndarray:
    values = record.variants.get(response, {}).get(metric)
    if values is None:
        return np.full(len(record.replicas), math.nan)
    return np.asarray(values, dtype=float)


def _column(response: str, metric: str) -> str:
    return f"{response} {metric}" if response else metric


def _metrics(models: pd.DataFrame) -> list[str]:
    """AUROC against each outsider set; against the other classes where no set is named."""
    having = [name for name in map(str, models.columns) if models[name].notna().any()]
    named = [name for name in having if name.startswith(f"{PREFIX}/")]
    return named or [name for name in having if name == PREFIX]


def _responses(models: pd.DataFrame, metric: str) -> list[str]:
    """The main score (empty) and the responses that have other numbers."""
    return ["", *(each for each in RESPONSES if _told(models, each, metric) == "other")]


def _told(models: pd.DataFrame, response: str, metric: str) -> str:
    """Whether a response is the main score, another one, or not recorded (empty).

    The main score is the one that `score_by` names; without that, the one with its numbers.
    """
    values = models[_column(response, metric)].to_numpy(float)
    if np.isnan(values).all():
        return ""
    if models["score_by"].ne("").all():
        return "main" if models["score_by"].eq(response).all() else "other"
    return "main" if np.array_equal(values, models[metric], equal_nan=True) else "other"


def _evidence(panel: str, metric: str, response: str, models: pd.DataFrame) -> Evidence:
    complete = models["state"] == "complete"
    strata = [own for _, own in models.groupby("stratum", sort=False, observed=True)]
    fits, gaps = [_fit(own) for own in strata], [_gap(own) for own in strata]
    nothing = pd.Series(math.nan, models.index)
    table = pd.DataFrame(
        {
            "number": models["number"],
            "factor": models["factor"],
            "seed": models["seed"],
            "auroc": models[_column(response, metric)].where(complete),
            "bits_per_dim": _of_each(strata, fits).where(complete),
            "unit": pd.concat(
                [
                    pd.Series(NATS if fit and IN_BITS not in fit else BITS, own.index)
                    for own, fit in zip(strata, fits, strict=True)
                ]
            ),
            "stratum": models["stratum"],
            "parameters": models["parameters"],
            "flops": models["flops"],
            "gap": _of_each(strata, gaps).where(complete),
            "plateau": models.get("plateau", nothing).where(complete),
        }
    )
    outsider = metric.partition("/")[2]
    return Evidence(
        task=f"{panel.partition('-vs-')[0]}-vs-{outsider}" if outsider else panel,
        panel=panel,
        outsider=outsider or REST,
        response=response or _main(models, metric),
        main=not response,
        bits=" or ".join(dict.fromkeys(name for name in fits if name)),
        gap=" or ".join(dict.fromkeys(name for name in gaps if name)),
        failed=int((~complete).sum()),
        table=table,
    )


def _main(models: pd.DataFrame, metric: str) -> str:
    """The response that the main score is."""
    return next((each for each in RESPONSES if _told(models, each, metric) == "main"), SCORE)


def _of_each(strata: Sequence[pd.DataFrame], names: Sequence[str]) -> pd.Series:
    """The numbers of each stratum under a name of its own; NaN where it has none."""
    found: pd.Series = pd.concat(
        [
            own[name] if name else pd.Series(math.nan, own.index)
            for own, name in zip(strata, names, strict=True)
        ]
    )
    return found


def _fit(models: pd.DataFrame) -> str:
    """The metric of how well models know normals; in nats where its likelihood has no bits."""
    names = [*(f"{name}{IN_BITS}" for name in FITS), *FITS]
    return next((name for name in names if name in models and models[name].notna().any()), "")


def _gap(models: pd.DataFrame) -> str:
    """The metric of the train-test gap, in bits per dimension and by the IWAE bound if it can."""
    having = [name for name in map(str, models.columns) if models[name].notna().any()]
    names = [name for name in having if name == "gap" or name.startswith("gap_")]
    return min(names, key=lambda name: (IN_BITS not in name, "iwae" not in name), default="")
