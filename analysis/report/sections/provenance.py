"""The origin of the results: data, tasks, budget, software versions and hardware."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.document.blocks import Section, Table
from analysis.document.format import in_words, short
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.search.distributions import range_text
from tune_ad.storage.precision import in_words as precision_in_words
from tune_ad.wording import count

PLACE = 95


def section(findings: Findings) -> Section:
    """The information that is needed to run the study again."""
    rows = pd.DataFrame(list(_rows(findings.study)), columns=["what", "value"])
    caption = "Settings, data, software versions and hardware of the study."
    return Section("Provenance", [Table("provenance", rows, caption)])


def _rows(study: StudyRecords) -> Iterator[tuple[str, str]]:
    stored, search = study.stored, study.search
    data = (f"{name}: {data_set['about']}" for name, data_set in stored["data"].items())
    titles = [study.task_title(task["name"]) for task in stored["tasks"]]
    changes = {**stored.get("changes", {}), **search["settings"]}
    if "classes" in changes:
        changes["classes"] = in_words(titles)
    hardware = {name: value for name, value in stored["hardware"].items() if value}
    yield "search", f"{study.name}; plan: {study.plan.title}; seed {search.get('seed', 0)}"
    yield "data", "; ".join(data)
    yield "tasks", ", ".join(titles)
    yield "budget", f"{search['budget_name']}: {_listed(_without_classes(study.budget))}"
    for name, space in study.spaces.items():
        if space:
            ranges = (f"{parameter} {range_text(of)}" for parameter, of in space.items())
            yield f"search space of {name}", "; ".join(ranges)
    yield "settings changed by the user", _listed(changes) or "none"
    yield "precision", precision_in_words(search["precision"])
    yield "versions", _listed(stored["versions"])
    yield "hardware", _listed(hardware)
    yield "resources of a trial", _listed(stored.get("resources", {})) or "not recorded"
    yield "created", str(stored["created"])
    yield from _runs(stored.get("runs", []))


def _runs(runs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The runs that trained, if there are several: when, with which code, and what had changed."""
    for number, run in enumerate(runs if len(runs) > 1 else [], start=1):
        code = ", ".join(f"{name} {digest[:12]}" for name, digest in run["code"].items())
        changed = "; ".join(run["accepted"])
        yield (
            f"run {number}",
            f"{run['began']}, after {count(run['trials_before'], 'trial')}; commit "
            f"{run['versions'].get('commit', 'unknown')}; code {code}; "
            f"device {run.get('hardware', {}).get('device', 'unknown')}"
            + (f". Accepted although trials are not comparable: {changed}" if changed else ""),
        )


def _without_classes(budget: Mapping[str, object]) -> dict[str, object]:
    """The budget without the numbers of the classes, which the tasks name."""
    return {name: value for name, value in budget.items() if name != "classes"}


def _listed(values: Mapping[str, object]) -> str:
    """Names and values that are set, in words."""
    present = {name: value for name, value in values.items() if value not in (None, {})}
    return ", ".join(f"{name} {short(value)}" for name, value in present.items())
