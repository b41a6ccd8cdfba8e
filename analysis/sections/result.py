"""The numbers that may be quoted, class by class, and what they rest on."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from analysis.document import Block, Cell, Section, Table, Text, count, short
from analysis.results import Result, results
from analysis.statistics import Estimate
from analysis.study import StudyRecords

PLACE = 15
ABOUT = (
    "Test AUROC: mean ± standard deviation over seeds [95 % interval of Student's t over seeds]. "
    "The classes are fixed, and all seeds share one choice of training images."
)
OTHERS = (
    "Other scores of the same models, test AUROC as above; shown for comparison, none of them was "
    "selected by these numbers."
)


def section(study: StudyRecords) -> Section | None:
    """What is quoted; None where nothing can be."""
    quoted = [each for each in results(study) if each.panel.n]
    if not quoted:
        return None
    blocks: list[Block] = [
        Text(f"{_configurations(quoted)}\n\nSelection: {quoted[0].rule}"),
        Table("classes", _rows(quoted, "class", _by_class), ABOUT),
    ]
    if any(each.variants for each in quoted):
        blocks.append(Table("scores", _rows(quoted, "score", lambda r: r.variants), OTHERS))
    return Section("Test AUROC", blocks)


def _configurations(quoted: Sequence[Result]) -> str:
    mark = "- " if len(quoted) > 1 else ""
    return "\n".join(f"{mark}{_configuration(each)}" for each in quoted)


def _configuration(quoted: Result) -> str:
    chosen = ", ".join(f"{key} = {short(value)}" for key, value in quoted.params.items())
    return (
        f"{quoted.baseline}: {quoted.source}, {quoted.identity}: "
        f"{chosen or 'the defaults of its baseline'}."
    )


def _by_class(quoted: Result) -> dict[str, Estimate]:
    mean = {f"mean over {count(len(quoted.classes), 'class')}": quoted.panel}
    return quoted.classes | mean


def _rows(
    quoted: Sequence[Result], title: str, of: Callable[[Result], Mapping[str, Estimate]]
) -> pd.DataFrame:
    """One row per baseline and class or score; the baseline is named where there are several."""
    rows = [
        {
            "baseline": each.baseline,
            title: name,
            "test AUROC": Cell(str(value), value.mean),
            "n": value.n,
        }
        for each in quoted
        for name, value in of(each).items()
    ]
    table = pd.DataFrame(rows)
    return table if len(quoted) > 1 else table.drop(columns="baseline")
