"""Where the numbers come from: data, panel, budget, versions, machine, what it cost."""

from collections.abc import Iterator, Mapping

import pandas as pd

from analysis.document.blocks import Section, Table
from analysis.document.format import short
from analysis.report.findings import Findings
from analysis.study import StudyRecords

PLACE = 95


def section(findings: Findings) -> Section:
    """What a reader needs to run the study again."""
    study = findings.study
    rows = pd.DataFrame(list(_rows(study)), columns=["what", "value"])
    about = "What was asked, on which data, by which versions, on which machine."
    return Section("Provenance", [Table("provenance", rows, about)])


def _rows(study: StudyRecords) -> Iterator[tuple[str, str]]:
    stored, asked = study.stored, study.asked
    yield "search", f"{study.name}; plan {study.plan or 'unknown'}, seed {asked.get('seed', 0)}"
    yield "data", "; ".join(f"{name}: {each['about']}" for name, each in stored["data"].items())
    yield "panel", ", ".join(task["name"] for task in stored["tasks"])
    yield "budget", f"{asked['budget_name']}: {_listed(study.budget)}"
    changes = {**stored.get("changes", {}), **asked["settings"]}
    yield "changed by the user", _listed(changes) or "nothing"
    yield "versions", _listed(stored["versions"])
    yield "hardware", _listed({key: value for key, value in stored["hardware"].items() if value})
    yield "resources of a trial", _listed(stored.get("resources", {})) or "not recorded"
    yield "created", str(stored["created"])


def _listed(values: Mapping[str, object]) -> str:
    shown = {key: value for key, value in values.items() if value is not None}
    return ", ".join(f"{key} {short(value)}" for key, value in shown.items())
