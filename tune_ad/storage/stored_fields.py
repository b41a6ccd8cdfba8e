"""The fields of `study.json` and of the files of curves and histograms, with their types."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import NoneType
from typing import Any

from tune_ad.storage.json_files import NUMBER, Kind, faults
from tune_ad.storage.plan_traits import PlanTraits

COUNT = (int, NoneType)
VALUE = (str, *NUMBER, bool, NoneType)
BUDGET: Mapping[str, Kind] = {
    "trials": int,
    "evaluation_seeds": int,
    "seeds?": int,
    "epochs?": COUNT,
    "classes?": (list, NoneType),
    "train_images?": COUNT,
    "validation_images?": COUNT,
    "test_images?": COUNT,
    "validation_fraction?": NUMBER,
    "evaluations?": int,
    "test_curve?": bool,
    "only?": {"*": list},
    "settings?": dict,
}
TRAITS: Mapping[str, Kind] = {
    f"{name}{'?' if name in PlanTraits._field_defaults else ''}": kind
    for name, kind in PlanTraits.__annotations__.items()
}
STUDY: Mapping[str, Kind] = {
    "name": str,
    "data_set?": str,
    "image_shape?": [int],
    "seed?": int,
    "selection": str,
    "settings": dict,
    "precision?": {"*": str},
    "chooses_scores?": bool,
    "budget_name": str,
    "budget": BUDGET,
    "pruning?": bool,
    "whole?": bool,
    "outsiders?": [str],
    "patience?": int,
    "claim?": dict,
    "baselines": {
        "*": {"space": {"*": str}, "params?": dict, "score_space?": {"*": list}, "detector?": str}
    },
}
RUN: Mapping[str, Kind] = {
    "began": str,
    "trials_before": int,
    "code": {"*": str},
    "versions": {"*": str},
    "hardware?": {"*": VALUE},
    "accepted": [str],
}
FIELDS: Mapping[str, Kind] = {
    "schema": int,
    "study": STUDY,
    "tasks": [
        {
            "name": str,
            "source?": str,
            "normal_class?": COUNT,
            "outsiders?": [str],
            "class_name?": str,
            "title?": str,
        }
    ],
    "data": {
        "*": {"about": str, "train_images?": int, "test_images?": int, "digest?": str},
    },
    "seeds?": [int],
    "fresh_seeds?": [int],
    "changes?": dict,
    "evaluate?": bool,
    "score_meanings?": {"*": {"*": str}},
    "startup?": COUNT,
    "planned?": {"*": int},
    "shortfalls?": [str],
    "resources?": {"*": VALUE},
    "versions": {"*": str},
    "hardware": {"*": VALUE},
    "runs?": [RUN],
    "created": str,
}
SINCE_SCHEMA_2: Mapping[str, Kind] = {
    "study": {
        "chooses": bool,
        "quotes": str,
        "plan": {"name": str, "random_trials?": COUNT, "traits": TRAITS},
    }
}
"""Further fields of `study.json`, which are derived for schema 1."""
HISTOGRAM: Mapping[str, Kind] = {
    "task": str,
    "component": str,
    "outsider?": str,
    "edges": [NUMBER],
    "counts": {"normal": [NUMBER], "outsiders": {"*": [NUMBER]}},
}


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
    if wrong := _places(details, {"histograms?": [HISTOGRAM]}):
        return wrong
    return [
        f"histograms.{number}"
        for number, histogram in enumerate(details.get("histograms", ()))
        if not _fits(histogram["edges"], histogram["counts"])
    ]


def _fits(edges: Sequence[float], counts: Mapping[str, Any]) -> bool:
    """Whether edges ascend, and there is a number of 0 or more between each two of them."""
    groups = [counts["normal"], *counts["outsiders"].values()]
    ascends = all(low < high for low, high in pairwise(edges))
    fits = all(len(group) == len(edges) - 1 and min(group, default=0) >= 0 for group in groups)
    return ascends and fits and math.isfinite(sum(map(sum, groups)))
