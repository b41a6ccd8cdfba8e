"""In what studies differ: everything that is recorded of them, and what that means for results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.document.format import short
from analysis.study import StudyRecords

NOT_COMPARED = (
    "schema",
    "created",
    "study.name",
    "study.baselines",
    "study.plan.name",
    "study.plan.traits",
)


def setting_differences(studies: Sequence[StudyRecords], labels: Sequence[str]) -> pd.DataFrame:
    """A row for everything in `study.json` that is not the same in all studies.

    Columns: what, then one per study; empty = not recorded there. The defaults and the search
    space of a baseline are compared where all studies have that baseline.

    Args:
        studies: that are compared.
        labels: of the studies.
    """
    recorded = [dict(_recorded(study)) for study in studies]
    common = set.intersection(*(set(study.baselines) for study in studies))
    rows = []
    for what in dict.fromkeys(name for values in recorded for name in values):
        if what.startswith("baselines.") and what.split(".")[1] not in common:
            continue
        texts = [values.get(what, "") for values in recorded]
        if len(set(texts)) > 1:
            rows.append([what, *texts])
    return pd.DataFrame(rows, columns=["what", *labels])


def caveats(differences: pd.DataFrame, unlike_tasks: set[str]) -> Iterator[str]:
    """What, besides the methods, may explain a difference between results.

    Args:
        differences: as `setting_differences` returns them.
        unlike_tasks: names of tasks that are not the same task in all studies.
    """
    differing = list(differences["what"])
    if budget := [name.removeprefix("budget.") for name in differing if _is_budget(name)]:
        yield (
            f"The budgets differ ({', '.join(budget)}): a difference in results may come from "
            "that alone."
        )
    if "selection" in differing:
        yield "The results were selected by different rules; a result of oracle is optimistic."
    if any(name.endswith(".score_by") for name in differing):
        yield "The scores differ (score_by): the same model has another AUROC by each score."
    if any(name.startswith("data.") or name == "budget.test_images" for name in differing):
        yield "The images differ, so the results are not from the same test set."
    if unlike_tasks:
        yield (
            f"{', '.join(sorted(unlike_tasks))}: the studies use this name for different tasks, "
            "which are not compared."
        )


def differing_tasks(studies: Sequence[StudyRecords]) -> set[str]:
    """Names of tasks that are not the same task in every study, whatever their titles."""
    first: dict[str, Mapping[str, Any]] = {}
    tasks = [_without_titles(task) for study in studies for task in study.stored["tasks"]]
    return {task["name"] for task in tasks if first.setdefault(task["name"], task) != task}


def _without_titles(task: Mapping[str, Any]) -> dict[str, Any]:
    """What defines a task; studies of earlier versions store no titles."""
    return {key: value for key, value in task.items() if key not in ("title", "class_name")}


def _is_budget(name: str) -> bool:
    return name.startswith("budget.") or name == "pruning"


def _recorded(study: StudyRecords) -> Iterator[tuple[str, str]]:
    """Everything that is recorded of a study, by its dotted name."""
    yield "baselines", ", ".join(study.baselines)
    yield "plan", study.plan.title
    for name, text in _flat(study.stored, ""):
        if not name.startswith(NOT_COMPARED):
            yield name.removeprefix("study."), text
    for name, baseline in study.search["baselines"].items():
        yield from _flat(baseline, f"baselines.{name}.")


def _flat(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _text(value)


def _text(value: object) -> str:
    if not isinstance(value, list):
        return "none" if value is None else short(value)
    names = [item.get("name", item) if isinstance(item, Mapping) else item for item in value]
    return ", ".join(map(short, names))
