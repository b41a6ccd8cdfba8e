"""The reported results class by class, and the configurations behind them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text
from analysis.document.format import in_words, short
from analysis.image_sampling import covers
from analysis.questions.alarms.points import (
    MEAN,
    OperatingPoint,
    about,
    beside,
    operating_points,
    without_empty,
)
from analysis.questions.sensitivity.edges import edges
from analysis.quoted import ABOUT_OUTSIDERS, SCORE, Result
from analysis.report.findings import Findings
from analysis.report.meanings import explained
from analysis.stats.estimates import ALIKE, Estimate
from analysis.study import StudyRecords
from tune_ad.storage.precision import FLOAT32
from tune_ad.wording import count

PLACE = 15
ABOUT = (
    "Test AUROC in per cent: mean ± standard deviation over seeds [95 % interval, clipped to 0 "
    "and 100]; without ± if n = 1 or all seeds are equal. They hold for these classes only."
)
PICKED = (
    "For comparison only: to pick another score by this table would be to select on test data."
)
SCORES = (
    "Test AUROC of components of the score: each row is another score of the same trained models. "
    f"{{covers}} {PICKED}"
)
OUTSIDERS = (
    "Test AUROC in per cent of every score of the same models against each outsider set. {covers} "
    f"{ABOUT_OUTSIDERS} Below 50 %: the anomalies score as more normal than the normal "
    "images. The main result is the reported score against the first set. Selection used no "
    f"outsider set. {PICKED}"
)
EVERY = "every baseline"
"""The baseline of a score that uses no model."""


def section(findings: Findings) -> Section | None:
    """The reported results by class and by score; None without a result."""
    study = findings.study
    results = [result for result in findings.results if result.auroc.n]
    if not results:
        return None
    tested = [_configurations(results), results[0].selection, *_at_edges(study, results)]
    blocks: list[Block] = [
        Text("\n\n".join(tested)),
        _classes(study, results),
    ]
    if any(result.outsiders for result in results):
        shown = {name.partition("=")[0] for result in results for name in result.variants}
        about_outsiders = OUTSIDERS.format(covers=_variants_cover(results))
        blocks += explained(study, results, shown)
        blocks.append(Table("outsiders", _by_outsider(results), about_outsiders))
        blocks += _beside_outsiders(results)
    elif any(map(_by_component, results)):
        shown = {name for result in results for name in result.components}
        blocks += explained(study, results, shown)
        by_score = _rows(results, "score", _by_component)
        blocks.append(Table("scores", by_score, SCORES.format(covers=_variants_cover(results))))
    return Section("Test AUROC", blocks)


def _at_edges(study: StudyRecords, results: Sequence[Result]) -> list[str]:
    """Which parameters of selected configurations have the first or last value of their range."""
    if not study.chooses:
        return []
    found = [
        (result.label, at)
        for result in results
        if (at := edges(study.spaces.get(result.baseline, {}), result.params))
    ]
    several = len(results) > 1
    return [
        f"{f'{label}: at' if several else 'At'} the edge of the searched range: {in_words(at)}. A "
        "wider range may be better."
        for label, at in found
    ]


def _classes(study: StudyRecords, results: Sequence[Result]) -> Table:
    """AUROC, AUPR and FPR at 95 % TPR of each class; without what no result has."""
    rows: list[dict[str, object]] = []
    every: list[OperatingPoint] = []
    for result in results:
        points = operating_points(result)
        every += points.values()
        for title, (task, auroc) in _by_class(study, result).items():
            row = {"baseline": result.label, "class": title, "test AUROC": _cell(auroc)}
            rows.append(row | beside(points[task]) | {"n": auroc.n})
    table = without_empty(pd.DataFrame(rows))
    details = f"{_covers(results)}{about(table, every)}".strip()
    table = table if len(results) > 1 else table.drop(columns="baseline")
    return Table("classes", table, ABOUT, details=details)


def _covers(results: Sequence[Result]) -> str:
    return covers({r.label: r.coverage for r in results if r.auroc.n > 1})


def _variants_cover(results: Sequence[Result]) -> str:
    return covers({r.label: r.variants_coverage for r in results if r.auroc.n > 1})


def _configurations(results: Sequence[Result]) -> str:
    mark = "- " if len(results) > 1 else ""
    return "\n".join(f"{mark}{_configuration(result)}" for result in results)


def _configuration(result: Result) -> str:
    """What was tested, with its searched parameters."""
    params = ", ".join(f"{name} = {short(value)}" for name, value in result.params.items())
    searched = f"with {params}" if params else "with the default parameters"
    precisions = {record.precision for record in result.tested} - {FLOAT32}
    trained = "".join(f", trained in {precision}" for precision in sorted(precisions))
    return (
        f"{result.label}: {result.source}; configuration {result.identity}, {searched}{trained}"
        f"{_scored_with(result)}."
    )


def _scored_with(result: Result) -> str:
    """The values of score-time parameters that were chosen after training, in a clause."""
    used = Counter(
        ", ".join(f"{name} = {short(value)}" for name, value in record.chosen.items())
        for record in result.tested
        if record.chosen
    )
    if not used:
        return ""
    runs = [f"{text}{f' ({n} of {used.total()})' * (len(used) > 1)}" for text, n in used.items()]
    return f"; scored with {' or '.join(runs)}, chosen after training on held-out images"


def _by_class(study: StudyRecords, result: Result) -> dict[str, tuple[str, Estimate]]:
    """Task and AUROC of each class and of their mean, by title; for a single task, no mean."""
    classes = {study.task_title(task): (task, auroc) for task, auroc in result.classes.items()}
    if len(classes) > 1:
        return classes | {f"mean over {count(len(classes), 'class')}": (MEAN, result.auroc)}
    return {result.against or title: of_class for title, of_class in classes.items()}


def _by_component(result: Result) -> dict[str, Estimate]:
    """The AUROC of each component of the score; values of parameters have another section."""
    reported = result.same_as_reported
    return {
        f"{name} (reported)" if name in reported else name: auroc
        for name, auroc in result.components.items()
    }


def _by_outsider(results: Sequence[Result]) -> pd.DataFrame:
    """One row per baseline and score, the reported one first; one column per outsider set.

    A score that uses no model, so that it is the same for every baseline, has a single row.
    """
    rows = [row for result in results for row in _score_rows(result)]
    if len(results) > 1:
        rows = _without_repeats(rows, len(results))
    table = pd.DataFrame(rows)
    return table if len(results) > 1 else table.drop(columns="baseline")


def _without_repeats(rows: Sequence[dict[str, object]], results: int) -> list[dict[str, object]]:
    """The rows, of which those that are equal for every result are one, at the end."""
    kept: dict[tuple[str, ...], list[dict[str, object]]] = {}
    for row in rows:
        key = tuple(str(value) for name, value in row.items() if name != "baseline")
        kept.setdefault(key, []).append(row)
    shared = [{**same[0], "baseline": EVERY} for same in kept.values() if len(same) == results]
    own = [row for same in kept.values() if len(same) < results for row in same]
    return [*sorted(own, key=rows.index), *shared]


def _beside_outsiders(results: Sequence[Result]) -> list[Table]:
    """AUPR and FPR at 95 % TPR of the reported score against each outsider set; no empty table."""
    rows: list[dict[str, object]] = []
    points: list[OperatingPoint] = []
    for result in results:
        for outsider, by_score in result.outsiders.items():
            point = operating_points(result, outsider)[MEAN]
            points.append(point)
            auroc = by_score[SCORE]
            row = {"baseline": result.label, "outsider set": outsider, "test AUROC": _cell(auroc)}
            rows.append(row | beside(point) | {"n": auroc.n})
    table = without_empty(pd.DataFrame(rows))
    if "AUPR" not in table and "FPR95" not in table:
        return []
    table = table if len(results) > 1 else table.drop(columns="baseline")
    caption = f"The reported score against each outsider set.{about(table, points)}"
    return [Table("outsider_alarms", table, caption)]


def _score_rows(result: Result) -> list[dict[str, object]]:
    scores = dict.fromkeys(score for by_score in result.outsiders.values() for score in by_score)
    rows: list[dict[str, object]] = []
    for score in [score for score in scores if score not in result.same_as_reported]:
        aurocs = {name: by_score.get(score) for name, by_score in result.outsiders.items()}
        title = f"{result.tested[0].main_score or score} (reported)" if score == SCORE else score
        row: dict[str, object] = {"baseline": result.label, "score": title}
        row |= {name: _cell(auroc) if auroc else "" for name, auroc in aurocs.items()}
        measured = [auroc for auroc in aurocs.values() if auroc]
        varies = any(auroc.std > ALIKE for auroc in measured)
        row["n"] = max(auroc.n for auroc in measured) if varies else 1
        rows.append(row)
    return rows


def _rows(
    results: Sequence[Result], title: str, of: Callable[[Result], Mapping[str, Estimate]]
) -> pd.DataFrame:
    """One row per baseline and class or score; the baseline is named if there are several."""
    rows = [
        {"baseline": result.label, title: name, "test AUROC": _cell(auroc), "n": auroc.n}
        for result in results
        for name, auroc in of(result).items()
    ]
    table = pd.DataFrame(rows)
    return table if len(results) > 1 else table.drop(columns="baseline")


def _cell(auroc: Estimate) -> Cell:
    return Cell(auroc.mean_std_interval(), auroc.mean)
