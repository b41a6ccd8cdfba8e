"""The parts of a report, one file each: found by import, put in the order of their PLACE.

A file holds `PLACE`, a number, and `section(study)`, which computes, and returns texts, tables and
figures; None where the study has nothing of the kind. It must stand an empty study and a failed
one.
"""

import importlib
import pkgutil
from types import ModuleType

from analysis.document.blocks import Section
from analysis.study import StudyRecords


def modules() -> list[ModuleType]:
    """Every part, in the report's order."""
    names = [each.name for each in pkgutil.iter_modules(__path__, f"{__name__}.")]
    return sorted(map(importlib.import_module, names), key=lambda module: module.PLACE)


def sections(study: StudyRecords) -> list[Section]:
    """What there is to say of a study."""
    made = (module.section(study) for module in modules())
    return [section for section in made if section is not None]
