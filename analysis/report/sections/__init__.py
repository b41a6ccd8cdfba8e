"""The sections of a report, one file each: discovered automatically and sorted by PLACE.

A file defines `PLACE`, a number, and `section(findings)`, which returns a section of texts, tables
and figures, or None if it does not apply to the study. It must also work for a study without
trials and for one in which every trial failed.
"""

import importlib
import pkgutil
from types import ModuleType

from analysis.document.blocks import Section
from analysis.report.findings import Findings


def modules() -> list[ModuleType]:
    """The modules of all sections, in the report's order."""
    names = [module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")]
    return sorted(map(importlib.import_module, names), key=lambda module: module.PLACE)


def sections(findings: Findings) -> list[Section]:
    """The sections of a study's report, in order."""
    candidates = (module.section(findings) for module in modules())
    return [section for section in candidates if section is not None]
