"""Differences between the recorded settings of studies, and what they mean for the results."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from analysis.document.format import in_words, short
from analysis.study import StudyRecords, unique_titles
from tune_ad.storage.precision import in_words as precision_in_words

NOT_COMPARED = (
    "schema",
    "created",
    "name",
    "baselines",
    "changes",
    "score_meanings",
    "shortfalls",
)
"""Fields that differ between any two studies, or are compared in another way."""
SCORE = "main score"
NONE = "none"
KINDS = {"params": "default", "score_space": "scored with"}
"""Titles of the parameters of a baseline by how they are stored."""


def setting_differences(studies: Sequence[StudyRecords], labels: Sequence[str]) -> pd.DataFrame:
    """A row for every recorded setting that is not the same in all studies.

    Columns: part (of `study.json`, or "baseline" with its name), setting, then one per study;
    empty = not recorded there. Baselines are compared if all studies have them.

    Args:
        studies: the studies that are compared.
        labels: the labels of the studies.
    """
    common = set.intersection(*(set(study.baselines) for study in studies))
    titles = _titles(studies)
    recorded = [_recorded(study, common, titles) for study in studies]
    rows = []
    for part, setting in dict.fromkeys(key for settings in recorded for key in settings):
        texts = [settings.get((part, setting), "") for settings in recorded]
        if len(set(texts)) > 1:
            rows.append([part, setting, *texts])
    return pd.DataFrame(rows, columns=["part", "setting", *labels])


def caveats(differences: pd.DataFrame, unlike_tasks: Collection[str]) -> Iterator[str]:
    """What may explain a difference between results, apart from the methods.

    Args:
        differences: the differences as `setting_differences` returns them.
        unlike_tasks: names of tasks that are not the same task in all studies.
    """
    rows = {(str(part), str(name)): values for part, name, *values in differences.to_numpy()}
    differing = list(rows)
    budget = [
        f"{name} {in_words([value or 'not recorded' for value in values])}"
        for (part, name), values in rows.items()
        if part == "budget" or name == "pruning"
    ]
    if budget:
        yield (
            f"The budgets differ ({'; '.join(budget)}): a difference in results may come from "
            "that alone."
        )
    if ("study", "selection") in differing:
        yield (
            "The results were selected by different rules; a result selected by oracle is "
            "optimistic."
        )
    if ("study", "precision") in differing:
        yield "The models were trained in different precisions; the table of settings has them."
    if scores := [part for part, name in differing if name == SCORE]:
        yield f"The scores differ ({', '.join(scores)}), so these AUROCs are not comparable."
    if any(part == "data" for part, _ in differing) or ("budget", "test_images") in differing:
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


def _titles(studies: Sequence[StudyRecords]) -> dict[str, str]:
    """The titles of tasks by their names; earlier versions stored none."""
    tasks = (task for study in studies for task in study.stored["tasks"])
    return unique_titles({task["name"]: task["title"] for task in tasks if task.get("title")})


def _recorded(
    study: StudyRecords, baselines: Collection[str], titles: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """The recorded settings as text, by part and name.

    Args:
        study: the records.
        baselines: names of the baselines whose settings are included.
        titles: the titles of the tasks, by their names.
    """
    tasks = ", ".join(titles.get(name, name) for name in study.tasks)
    settings = {("study", "baselines"): ", ".join(study.baselines)}
    settings["study", "plan"] = study.plan.title
    top = {name: value for name, value in study.stored.items() if name != "study"}
    declared = study.search["plan"].items()
    plan = {name: value for name, value in declared if name not in ("name", "traits")}
    precision = precision_in_words(study.search["precision"])
    for name, value in {**study.search, "plan": plan, "precision": precision, **top}.items():
        if name == "budget":
            settings |= {(name, limit): text for limit, text in _limits(value, tasks)}
        elif name == "tasks":
            settings["study", name] = tasks
        elif name not in NOT_COMPARED and isinstance(value, Mapping):
            settings |= {(name, setting): text for setting, text in _flat(value)}
        elif name not in NOT_COMPARED:
            settings["study", name] = _text(value)
    for name in filter(baselines.__contains__, study.baselines):
        part = f"baseline {name}"
        declared = study.search["baselines"][name]
        settings[part, "detector"] = _text(declared.get("detector"))
        for kind, title in KINDS.items():
            values = _flat(declared.get(kind, {}))
            settings |= {(part, f"{title}: {setting}"): text for setting, text in values}
        settings |= {
            (part, f"searched: {key}"): range_text(distribution)
            for key, distribution in study.spaces[name].items()
        }
        scores = sorted({record.main_score for record in study.of(name)})
        settings[part, SCORE] = ", ".join(scores)
    return settings


def range_text(distribution: BaseDistribution) -> str:
    """The values of a searched parameter in words.

    >>> range_text(FloatDistribution(0.1, 0.7)), range_text(CategoricalDistribution([8, 64]))
    ('0.1 to 0.7', '8, 64')
    >>> range_text(FloatDistribution(1e-4, 0.01, log=True))
    '0.0001 to 0.01, log scale'
    >>> range_text(IntDistribution(2, 8, step=2))
    '2 to 8 in steps of 2'
    """
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(short, distribution.choices))
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return str(distribution)
    step = "" if distribution.step in (None, 1) else f" in steps of {short(distribution.step)}"
    scale = ", log scale" if distribution.log else ""
    return f"{short(distribution.low)} to {short(distribution.high)}{step}{scale}"


def _limits(budget: Mapping[str, Any], tasks: str) -> Iterator[tuple[str, str]]:
    """The limits of a budget in words: classes by the titles of the tasks."""
    for limit, text in _flat(budget):
        if text == NONE:
            yield limit, "as published" if limit == "epochs" else "all"
        elif limit == "classes":
            yield limit, tasks
        else:
            yield limit, text


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _text(value)


def _text(value: object) -> str:
    if not isinstance(value, list):
        return NONE if value is None else short(value)
    names = [item.get("name", item) if isinstance(item, Mapping) else item for item in value]
    return ", ".join(map(short, names))
