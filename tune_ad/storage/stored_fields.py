"""The fields of `study.json` and of the files of curves and histograms: types and meanings."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import NoneType
from typing import Any

from tune_ad.storage.json_files import NUMBER, Field, Kind, faults
from tune_ad.storage.jsonl import CONVERSION
from tune_ad.storage.metric import metrics_from_json
from tune_ad.storage.plan_traits import PlanTraits

COUNT = (int, NoneType)
VALUE = (str, *NUMBER, bool, NoneType)
BUDGET: Mapping[str, Kind] = {
    "trials": Field(int, "number of configurations; with --extend, that of all together"),
    "evaluation_seeds": Field(
        int, "number of fresh seeds on which the winner is trained again; 0: it is not"
    ),
    "seeds?": Field(int, "models per task and configuration"),
    "epochs?": Field(
        COUNT, "epochs of the main stage of a model; null: as published for its detector"
    ),
    "classes?": Field((list, NoneType), "numbers of the normal classes; null: all"),
    "train_images?": Field(COUNT, "most training images per model; null: all"),
    "validation_images?": Field(
        COUNT, "most held-out images per model, of normal and of anomalous ones each; null: all"
    ),
    "test_images?": Field(
        COUNT, "most test images per model, of normal and of anomalous ones each; null: all"
    ),
    "validation_fraction?": Field(
        NUMBER, "share of the training images that is held out, in [0, 1)"
    ),
    "evaluations?": Field(
        int, "most reports per trial, or with patience of its longest stage, evenly spaced"
    ),
    "test_curve?": Field(bool, "whether the test AUROC is recorded over the epochs as well"),
    "only?": Field({"*": list}, "the values that a parameter may take under this budget"),
    "settings?": Field(dict, "values that replace the defaults of detectors, by parameter"),
}
TRAITS: Mapping[str, Kind] = {
    f"{name}{'?' if name in PlanTraits._field_defaults else ''}": kind
    for name, kind in PlanTraits.__annotations__.items()
}
"""The fields of `PlanTraits`, which says what they mean."""
BASELINE: Mapping[str, Kind] = {
    "space": Field(
        {"*": str}, "the distribution of a searched parameter, as JSON text in Optuna's format"
    ),
    "params?": Field(dict, "all hyperparameters of the default configuration"),
    "score_space?": Field({"*": list}, "the values of a score-time parameter that are tried"),
    "detector?": Field(str, "the class of the detector"),
}
STUDY: Mapping[str, Kind] = {
    "name": Field(str, "name of the study: that of the search, and what it was changed by"),
    "data_set?": Field(str, "data set of the normal images"),
    "image_shape?": Field([int], "channels, height and width of an image, in pixels"),
    "seed?": Field(int, "seed of the study; models have seeds of their own"),
    "selection": Field(str, "name of the selection rule that ranks trials"),
    "settings": Field(dict, "hyperparameters that the user fixed (--set), by name"),
    "precision?": Field(
        {"*": str}, "precision of training, float32 or bfloat16, by baseline; float32 if missing"
    ),
    "chooses_scores?": Field(
        bool, "whether values of score-time parameters may be chosen after training"
    ),
    "budget_name": Field(str, "quick, standard or paper"),
    "budget": BUDGET,
    "pruning?": Field(bool, "whether trials may end early because others are better"),
    "whole?": Field(bool, "whether the only task is a whole data set, without any anomaly"),
    "outsiders?": Field([str], "names of the outsider sets; empty if each class is a task"),
    "patience?": Field(
        int, "reports without a lower held-out loss after which a stage stops; 0: none does"
    ),
    "claim?": Field(dict, "the claim that the study tests; empty if none"),
    "baselines": {"*": BASELINE},
}
VERSIONS = Field({"*": str}, "version of a package, and the commit of the project")
HARDWARE = Field({"*": VALUE}, "device, GPU, number of CPU cores, processor, operating system")
OWN_FILE: Mapping[str, Kind] = {
    "path": Field(str, "where the file was"),
    "sha256": Field(str, "its SHA-256, in hexadecimal digits"),
}
RUN: Mapping[str, Kind] = {
    "began": Field(str, "time at which the first trial of the run began, as in created"),
    "trials_before": Field(int, "number of trials that had ended before"),
    "code": Field(
        {"*": str}, "SHA-256 of the code that computes numbers, of the project and of own files"
    ),
    "versions": VERSIONS,
    "hardware?": HARDWARE,
    "accepted": Field([str], "what had changed and was accepted by --accept-changes, in words"),
}
TASK: Mapping[str, Kind] = {
    "name": Field(str, "name of the task, to which models in trials.jsonl refer"),
    "source?": Field(str, "data set of its normal images"),
    "normal_class?": Field(COUNT, "number of the normal class; null: the whole data set"),
    "outsiders?": Field(
        [str], "data sets of the anomalies; empty: the other classes of the same data set"
    ),
    "class_name?": Field(str, "name of the normal class"),
    "title?": Field(str, "what the report calls the task"),
}
DATA: Mapping[str, Kind] = {
    "about": Field(str, "what the data set is, in words"),
    "train_images?": Field(int, "number of its training images"),
    "test_images?": Field(int, "number of its test images"),
    "digest?": Field(str, "SHA-256 of all images and labels"),
    "classes?": Field([str], "names of its classes, in the order of their numbers"),
}
FIELDS: Mapping[str, Kind] = {
    "schema": Field(int, "version of the format of all records of the study"),
    "search?": Field(str, "name of the search"),
    "search_file?": OWN_FILE,
    "ablation?": Field((str, NoneType), "kind of the ablation (--ablate); null: none"),
    "baselines?": Field([str], "the baselines that take part (--baselines); missing: all"),
    "detector?": Field(str, "what --detector named, if it was given"),
    "detector_file?": OWN_FILE,
    "study": STUDY,
    "tasks": [TASK],
    "data": {"*": DATA},
    "seeds?": Field([int], "seeds of the models of the search"),
    "fresh_seeds?": Field([int], "seeds of the models of the winner"),
    "changes?": Field(dict, "numbers of the budget that the user changed, by name"),
    "evaluate?": Field(bool, "whether the winner is trained again (false: --no-evaluation)"),
    "score_meanings?": Field(
        {"*": {"*": str}},
        "what a component of the score or a score-time parameter is, by baseline and name",
    ),
    "startup?": Field(COUNT, "number of trials before an adaptive plan uses results"),
    "backend?": Field(str, "ray or serial"),
    "planned?": Field({"*": int}, "number of planned trials by baseline, if all are known"),
    "shortfalls?": Field([str], "what the study is too small to answer, in sentences"),
    "resources?": Field(
        {"*": VALUE}, "cores and GPUs of a trial (cpus, gpus), trials in parallel (concurrent)"
    ),
    "versions": VERSIONS,
    "hardware": HARDWARE,
    "runs?": [RUN],
    "created": Field(str, "time at which the study began, such as 2026-11-30T09:00:00+0000"),
}
SINCE_SCHEMA_2: Mapping[str, Kind] = {
    "study": {
        "chooses": Field(bool, "whether a trial is selected"),
        "quotes": Field(
            str,
            "what may be quoted: winner, winners (of each baseline), oracle (selected on the test "
            "set), single, strata, configurations, defaults, or nothing",
        ),
        "plan": {
            "name": Field(str, "class of the plan"),
            "random_trials?": Field(
                COUNT, "random trials before the plan adapts; null: a third of the trials, 4 to 10"
            ),
            "traits": TRAITS,
        },
    }
}
"""Further fields of `study.json`, which are derived for schema 1."""
HISTOGRAM: Mapping[str, Kind] = {
    "task": Field(str, "name of the task"),
    "component": Field(str, "component of the score; empty: the score itself"),
    "outsider?": Field(
        str, "the set of anomalies, if a task has several histograms; empty: all are in this one"
    ),
    "edges": Field([NUMBER], "edges of the bins, ascending, in units of the score"),
    "counts": {
        "normal": Field([NUMBER], "number of normal images in each bin, one less than edges"),
        "outsiders": Field(
            {"*": [NUMBER]},
            "number of anomalies in each bin, by their set; empty name: the other classes",
        ),
    },
}
"""A histogram of the scores of a task by the first of its models."""
CURVES: Mapping[str, Kind] = {
    "epoch": [NUMBER],
    "learning_rate": [NUMBER],
    "replicas": [{"part": str, "term": str, "values": [[(*NUMBER, NoneType)]]}],
}
"""The fields of curves that are read."""


def wrong_fields(study: Mapping[str, Any]) -> list[str]:
    """The fields of the content of `study.json` that are missing or of the wrong type."""
    wrong = _places(study, FIELDS)
    if wrong or study["schema"] == 1:
        return wrong
    return _places(study, SINCE_SCHEMA_2)


def _places(value: Mapping[str, Any], kind: Kind) -> list[str]:
    return [fault.place for fault in faults(value, kind)]


def wrong_details(details: Mapping[str, Any]) -> list[str]:
    """The fields of curves and histograms that are missing, of the wrong type or do not fit."""
    curves = details.get("curves") or None  # a trial that crashed has none
    kinds: Kind = {"histograms?": [HISTOGRAM], **({} if curves is None else {"curves": CURVES})}
    if wrong := _places(details, kinds):
        return wrong
    if curves is not None and not _curves_fit(curves):
        return ["curves"]
    return [
        f"histograms.{number}"
        for number, histogram in enumerate(details.get("histograms", ()))
        if not _fits(histogram["edges"], histogram["counts"])
    ]


def _curves_fit(curves: Mapping[str, Any]) -> bool:
    """Whether there is a value of everything at every report, and all metrics are known."""
    try:
        metrics = metrics_from_json(curves["replicas"])
    except CONVERSION:
        return False
    lengths = {len(curves["learning_rate"]), *map(len, metrics.values())}
    return lengths == {len(curves["epoch"])}


def _fits(edges: Sequence[float], counts: Mapping[str, Any]) -> bool:
    """Whether edges ascend, and there is a number of 0 or more between each two of them."""
    groups = [counts["normal"], *counts["outsiders"].values()]
    ascends = all(low < high for low, high in pairwise(edges))
    fits = all(len(group) == len(edges) - 1 and min(group, default=0) >= 0 for group in groups)
    return ascends and fits and math.isfinite(sum(map(sum, groups)))
