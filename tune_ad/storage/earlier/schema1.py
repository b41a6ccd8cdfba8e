"""Converts records of schema 1.

Schema 1 named a metric by one text ("test_auroc/svhn", "train_pretraining/loss_bits_per_dim") and
a score variant by another ("mc_samples=5"). It did not store which results are reported, whether a
trial is selected, the traits of the plan, the main score, which trials are comparable, and the
warnings of detectors.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tune_ad.storage.metric import (
    BEST_EPOCH,
    BITS_PER_DIM,
    OTHER_CLASSES,
    RESUBSTITUTION,
    STOPPED,
    Metric,
    ScoreVariant,
)
from tune_ad.storage.plan_traits import PlanTraits

STAGES = ("pretraining", "warm start", "train")  # before the last; other names are phases
PARTS = {"training": RESUBSTITUTION}  # the current names of renamed parts
EARLY_STOPPING = {"best_epoch": BEST_EPOCH, "plateau": STOPPED}
BOUNDS = ("negative_elbo", "negative_iwae")
NEARLY_ONE_CODE = (
    "almost all importance weight is on one of {codes} samples (effective sample size below 2), "
    "so training hardly follows the forward KL; use more samples, a smaller latent_dim or a "
    "smaller tempering"
)
"""The only warning for schema 1, which is derived from the effective shares."""
PLANS = {
    "Optuna": PlanTraits("adaptive search (Optuna's TPE)", adapts=True),
    "Grid": PlanTraits("every combination", changes_single_parameters=True),
    "OneAtATime": PlanTraits(
        "one parameter at a time", changes_single_parameters=True, is_designed=True
    ),
    "Sobol": PlanTraits("spread evenly over the space"),
    "Listed": PlanTraits("a list of configurations", is_designed=True, quotes="configurations"),
}
"""The traits of the plans of schema 1, which stored only names and settings."""
Row = dict[str, Any]


def metric_named(name: str) -> Metric:
    """The metric with this name in schema 1.

    >>> metric_named("test_auroc/svhn")
    Metric(part='test', term='auroc', outsider='svhn', unit='', stage='', phase='')
    >>> str(metric_named("train_warm start/rate_bits_per_dim"))
    'train_warm start/rate_bits_per_dim'
    """
    if name in EARLY_STOPPING:
        return EARLY_STOPPING[name]
    unit = BITS_PER_DIM if name.endswith(f"_{BITS_PER_DIM}") else ""
    part, _, rest = name.removesuffix(f"_{BITS_PER_DIM}").partition("_")
    *before, term = rest.split("/")
    if part != "train":
        outsider = term if before else ""
        return Metric(PARTS.get(part, part), before[0] if before else term, outsider, unit)
    first, *phases = before or [""]
    if phases or first in STAGES:
        return Metric(part, term, "", unit, first, *phases)
    return Metric(part, term, "", unit, phase=first)


def variant_named(name: str) -> ScoreVariant:
    """The score variant with this name in schema 1: a parameter's value, or a component.

    >>> variant_named("mc_samples=5"), variant_named("rate")
    (ScoreVariant(parameter='mc_samples', value=5), ScoreVariant(parameter='', value='rate'))
    """
    parameter, equals, text = name.partition("=")
    if not equals:
        return ScoreVariant.of_component(name)
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    return ScoreVariant(parameter, value)


def upgraded_trial(line: Mapping[str, Any]) -> Row:
    """A line of `trials.jsonl` of schema 1, converted to schema 2; missing fields stay missing.

    Its `schema` remains 1, because the wording of its `scales` differs from that of schema 2.
    """
    upgraded: Row = {**line}
    metrics, variants = line.get("metrics"), line.get("variants") or {}
    if metrics is None:
        return upgraded
    params = line.get("params") or {}
    upgraded["metrics"] = _rows(metrics)
    upgraded["variants"] = [
        {**variant_named(name)._asdict(), "metrics": _rows(named)}
        for name, named in variants.items()
    ]
    upgraded["main_score"] = params.get("score_by") or _same_numbers(metrics, variants)
    upgraded["scales"] = _scales(line.get("baseline", ""), params)
    upgraded["warnings"] = [*_warnings(metrics, params)]
    return upgraded


def _rows(metrics: Mapping[str, Any]) -> list[Row]:
    return [{**metric_named(name)._asdict(), "values": values} for name, values in metrics.items()]


def _same_numbers(metrics: Mapping[str, Any], variants: Mapping[str, Any]) -> str:
    """The likelihood bound whose test AUROCs all equal those of the score, if any."""
    tested = {name: values for name, values in metrics.items() if name.startswith("test_auroc")}
    for bound in BOUNDS if tested else ():
        other = variants.get(bound, {})
        if all(_equal(other.get(name), values) for name, values in tested.items()):
            return bound
    return ""


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401
    if one is None:
        return False
    return np.array_equal(np.array(one, float), np.array(other, float), equal_nan=True)


def _scales(baseline: str, params: Mapping[str, Any]) -> dict[str, str]:
    likelihood = str(params.get("likelihood", ""))
    error = params.get("likelihood", params.get("reconstruction"))
    return {
        "loss": f"{baseline}, {likelihood}" if likelihood else baseline,
        **({"likelihood": likelihood} if likelihood else {}),
        **({"distortion": str(error)} if error else {}),
    }


def _warnings(metrics: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[Row]:
    names = ("train_effective_share", "overall_effective_share")
    recorded = [values for name in names if (values := metrics.get(name))]
    if not recorded or (codes := params.get("samples", 1)) <= 2:
        return
    starved = [
        k
        for k, shares in enumerate(zip(*recorded, strict=True))
        if any(share is not None and share < 2 / codes for share in shares)
    ]
    if starved:
        yield {"text": NEARLY_ONE_CODE.format(codes=codes), "replicas": starved}


def upgraded_study(study: Mapping[str, Any]) -> Row:
    """The content of `study.json` of schema 1, converted to schema 2."""
    search = {"whole": False, "outsiders": [], "patience": 0, "claim": {}, **study["study"]}
    search["pruning"] = search.pop("early_stopping", False)
    search["budget"] = {"only": {}, **search["budget"]}
    search["plan"] = _plan(search.get("plan") or {"name": ""})
    search["chooses"] = _chooses(search)
    search["quotes"] = _quotes(search)
    tasks = [{"class_name": "", "title": task["name"], **task} for task in study["tasks"]]
    return {**study, "schema": 2, "study": search, "tasks": tasks}


def _chooses(search: Mapping[str, Any]) -> bool:
    """Whether a trial is selected, as reports of schema 1 derived it."""
    decides = bool(search["budget"]["evaluation_seeds"]) or search["selection"] == "oracle"
    return decides or search["plan"]["name"] in ("", "Optuna")


def _plan(plan: Mapping[str, Any]) -> Row:
    """The plan with its traits; a plan that schema 1 did not have counts as adaptive."""
    traits = PLANS.get(plan["name"], PlanTraits(plan["name"] or "unknown", adapts=True))
    return {**plan, "traits": traits._asdict()}


def _quotes(search: Mapping[str, Any]) -> str:
    """Which trials are reported, as in `tune_ad.search.study.Study.quotes`."""
    if search["whole"]:
        return "nothing"
    if search["budget"]["evaluation_seeds"]:
        return "winner"
    if search["selection"] == "oracle":
        return "oracle"
    if search["chooses"] or search["budget"]["trials"] <= len(search["baselines"]):
        return "single"
    if search["claim"]:
        return "strata"
    return str(search["plan"]["traits"]["quotes"])


def upgraded_details(details: Mapping[str, Any]) -> Row:
    """A file of curves and histograms of schema 1, converted to schema 2."""
    curves = {"epoch": [], "learning_rate": [], **(details.get("curves") or {})}
    curves["replicas"] = _rows(curves.get("replicas") or {})
    kept = details.get("histograms") or {}
    histograms = [_histogram(title, counts) for title, counts in kept.items()]
    return {**details, "schema": 2, "curves": curves, "histograms": histograms}


def _histogram(title: str, counts: Mapping[str, Any]) -> Row:
    """A histogram of schema 1; its title is "<task>", or "<task>, <component>" for a component.

    The name of the other classes of a data set was "rest".
    """
    task, _, component = title.partition(", ")
    outsiders = {
        OTHER_CLASSES if name == "rest" else name: values
        for name, values in counts.items()
        if name not in ("edges", "normal")
    }
    return {
        "task": task,
        "component": component,
        "outsider": "",
        "edges": counts["edges"],
        "counts": {"normal": counts["normal"], "outsiders": outsiders},
    }
