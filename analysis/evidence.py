"""The models of a study that tests a claim, as the tables that `analysis.verdict` judges."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from analysis.document import short
from analysis.study import StudyRecords
from analysis.verdict import RULES, Claim, Verdict, capacity, forward_kl

BITS = ("validation_negative_elbo_bits_per_dim", "test_negative_elbo_bits_per_dim")
PREFIX = "test_auroc"
REST = "the other classes"


class Asked(NamedTuple):
    """The claim that a study declares, in `study.json` under "claim".

    Attributes:
        claim: which one.
        factor: parameter whose levels are compared.
        strata: parameters that are held fixed within a verdict.
        baseline: level of the factor from which differences are taken; for "forward_kl".
        control: level of the encoder-only refit; empty = none.
        fault: why the declaration cannot be read; empty otherwise.
    """

    claim: Claim
    factor: str
    strata: tuple[str, ...]
    baseline: str
    control: str
    fault: str = ""


class Evidence(NamedTuple):
    """The models of one task against one outsider set.

    Attributes:
        task: name of the task.
        outsider: name of the outsider set.
        bits: name of the metric of bits per dimension; empty where none is recorded.
        failed: models that did not end complete; they are in the table without numbers.
        table: as `analysis.verdict` wants it.
    """

    task: str
    outsider: str
    bits: str
    failed: int
    table: pd.DataFrame


def asked(study: StudyRecords) -> Asked | None:
    """The claim that the study tests; None where it tests none."""
    declared: Mapping[str, Any] = study.asked.get("claim") or {}
    if not declared:
        return None
    kind, factor = declared.get("kind"), str(declared.get("factor", ""))
    fault = ""
    if kind not in RULES:
        fault = f"the claim {kind!r} is none of {', '.join(RULES)}"
    elif not factor:
        fault = "the claim names no factor"
    elif kind == "forward_kl" and not declared.get("baseline_level"):
        fault = "the claim names no baseline_level"
    return Asked(
        claim="forward_kl" if kind == "forward_kl" else "capacity",
        factor=factor,
        strata=tuple(declared.get("strata") or ()),
        baseline=str(declared.get("baseline_level", "")),
        control=str(declared.get("control_level") or ""),
        fault=fault,
    )


def evidence(study: StudyRecords, claim: Asked) -> list[Evidence]:
    """The models by task and outsider set; of trials that have the factor, stopped ones left out.

    A stratum is told in words from the claim's strata, and from the baseline where there are
    several.
    """
    replicas = study.replicas
    with_factor = {
        record.number: _levels(study, claim, record.baseline, record.params)
        for record in study.trials
        if record.state != "pruned" and claim.factor in record.params
    }
    if replicas.empty or not with_factor:
        return []
    own = replicas[replicas["number"].isin(with_factor)]
    own = own.assign(
        factor=[with_factor[number][0] for number in own["number"]],
        stratum=[with_factor[number][1] for number in own["number"]],
    )
    metrics = [name for name in map(str, own.columns) if name.partition("/")[0] == PREFIX]
    return [
        _evidence(str(task), metric, models)
        for task, models in own.groupby("task", sort=False)
        for metric in metrics
        if models[metric].notna().any()
    ]


def verdicts(claim: Asked, found: Evidence) -> list[Verdict]:
    """The verdicts on one task and outsider set, one per stratum.

    Raises:
        ValueError: if the models do not have the form that the claim needs.
    """
    if claim.claim == "capacity":
        return capacity(found.table)
    return forward_kl(found.table, claim.baseline, claim.control)


def _levels(
    study: StudyRecords, claim: Asked, baseline: str, params: Mapping[str, Any]
) -> tuple[Any, str]:
    """The factor's level of a trial, and its stratum in words."""
    fixed = [f"{name} = {short(params.get(name))}" for name in claim.strata]
    several = [baseline] if len(study.baselines) > 1 else []
    return params[claim.factor], ", ".join([*several, *fixed]) or "all models"


def _evidence(task: str, metric: str, models: pd.DataFrame) -> Evidence:
    complete = models["state"] == "complete"
    bits = next((name for name in BITS if name in models and models[name].notna().any()), "")
    table = pd.DataFrame(
        {
            "factor": models["factor"],
            "seed": models["seed"],
            "auroc": models[metric].where(complete),
            "bits_per_dim": models[bits].where(complete) if bits else math.nan,
            "stratum": models["stratum"],
        }
    )
    outsider = metric.partition("/")[2] or REST
    return Evidence(task, outsider, bits, int((~complete).sum()), table)
