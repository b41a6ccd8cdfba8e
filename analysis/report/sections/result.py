"""The numbers that may be quoted, class by class, and what they rest on."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text
from analysis.document.format import count, short
from analysis.quoted import Result
from analysis.report.findings import Findings
from analysis.stats.estimates import Estimate

PLACE = 15
ABOUT = (
    "Test AUROC in per cent: mean ± standard deviation over seeds [95 % interval of Student's t "
    "over n seeds, cut to 0 and 100]; one number where n is 1 or all seeds agree. "
    "The classes are fixed, and all seeds share one choice of training images."
)
OTHERS = (
    "Other scores of the same models, test AUROC as above; shown for comparison, none of them was "
    "selected by these numbers."
)
OUTSIDERS = (
    "Test AUROC in per cent of every score of the same models against each set of outsiders, as "
    "above. Below 50 % the outsiders look more normal than the normals. Only the score against "
    "the first set is the answer above; no set of outsiders was seen by selection."
)


def section(findings: Findings) -> Section | None:
    """What is quoted; None where nothing can be."""
    quoted = [result for result in findings.results if result.panel.n]
    if not quoted:
        return None
    blocks: list[Block] = [
        Text(f"{_configurations(quoted)}\n\nSelection: {quoted[0].rule}"),
        Table("classes", _rows(quoted, "class", _by_class), ABOUT),
    ]
    if any(each.outsiders for each in quoted):
        blocks.append(Table("outsiders", _by_outsider(quoted), OUTSIDERS))
    elif any(each.variants for each in quoted):
        blocks.append(Table("scores", _rows(quoted, "score", lambda r: r.variants), OTHERS))
    return Section("Test AUROC", blocks)


def _configurations(quoted: Sequence[Result]) -> str:
    mark = "- " if len(quoted) > 1 else ""
    return "\n".join(f"{mark}{_configuration(each)}" for each in quoted)


def _configuration(quoted: Result) -> str:
    chosen = ", ".join(f"{key} = {short(value)}" for key, value in quoted.params.items())
    return (
        f"{quoted.label}: {quoted.source}, {quoted.identity}: "
        f"{chosen or 'the defaults of its baseline'}."
    )


def _by_class(quoted: Result) -> dict[str, Estimate]:
    if len(quoted.classes) == 1:
        return {quoted.against or name: each for name, each in quoted.classes.items()}
    mean = {f"mean over {count(len(quoted.classes), 'class')}": quoted.panel}
    return quoted.classes | mean


def _by_outsider(quoted: Sequence[Result]) -> pd.DataFrame:
    """One row per baseline and score, one column per set of outsiders."""
    rows: list[dict[str, object]] = []
    for each in quoted:
        for score in dict.fromkeys(name for found in each.outsiders.values() for name in found):
            row: dict[str, object] = {"baseline": each.label, "score": score}
            for name, found in each.outsiders.items():
                row[name] = _cell(found[score]) if score in found else ""
            row["n"] = max(found[score].n for found in each.outsiders.values() if score in found)
            rows.append(row)
    table = pd.DataFrame(rows)
    return table if len(quoted) > 1 else table.drop(columns="baseline")


def _cell(auroc: Estimate) -> Cell:
    return Cell(auroc.mean_std_interval(), auroc.mean)


def _rows(
    quoted: Sequence[Result], title: str, of: Callable[[Result], Mapping[str, Estimate]]
) -> pd.DataFrame:
    """One row per baseline and class or score; the baseline is named where there are several."""
    rows = [
        {
            "baseline": each.label,
            title: name,
            "test AUROC": _cell(value),
            "n": value.n,
        }
        for each in quoted
        for name, value in of(each).items()
    ]
    table = pd.DataFrame(rows)
    return table if len(quoted) > 1 else table.drop(columns="baseline")
