"""Studies side by side: what each quotes, in what they differ, and what their results share."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.document.blocks import Block, Cell, Document, Section, Table, Text
from analysis.document.format import count, short
from analysis.questions.comparison.contenders import (
    Contender,
    Pair,
    contender,
    contrasts,
    every_pair,
    shared,
)
from analysis.questions.comparison.side_by_side import (
    pair_blocks,
    points,
    ranking_blocks,
    results_table,
    so_far,
)
from analysis.quoted import results, why_nothing
from analysis.stats.estimates import LEAST_PAIRS, bootstrap, seeds_alike
from analysis.study import StudyRecords
from tune_ad.errors import UserError

UNTOLD = ("schema", "created", "study.name", "study.baselines")
LONGEST = 120  # letters of a value that differs


def compare(studies: Sequence[StudyRecords]) -> Document:
    """The report on several studies.

    Raises:
        UserError: if there are fewer than two, or one is named twice.
    """
    names = labels(studies)
    contenders = quoted(studies)
    pairs = across(contenders)
    blocks = [
        results_table(contenders, "results", "result"),
        *ranking_blocks(contenders, "results", "result"),
        *pair_blocks(pairs, "results"),
    ]
    sections = [
        Section("What each quotes", _quotes(studies, contenders)),
        Section("In what they differ", _differing(studies)),
    ]
    if contenders:
        sections.append(Section("Class by class", [*blocks, *_unshared(contenders)]))
    title = f"{', '.join(names[:-1])} and {names[-1]}"
    warned = [f"\n- Beware: {each}" for each in _warnings(studies, differences_of(studies))]
    return Document(title, _summary(studies, contenders, pairs) + "".join(warned), sections)


def labels(studies: Sequence[StudyRecords]) -> list[str]:
    """The studies' names; with its folder where two have one name.

    Raises:
        UserError: if there are fewer than two, or one is named twice.
    """
    if len(studies) < 2:
        raise UserError(f"a comparison needs two studies, got {len(studies)}; name another one")
    folders = Counter(study.folder.path.resolve() for study in studies)
    if twice := [str(path) for path, times in folders.items() if times > 1]:
        raise UserError(f"{', '.join(twice)} is named twice; name each study once")
    names = Counter(study.name for study in studies)
    parents = Counter((study.name, study.folder.path.parent) for study in studies)
    return [_label(study, names, parents) for study in studies]


def _label(study: StudyRecords, names: Counter[str], parents: Counter[tuple[str, Path]]) -> str:
    if names[study.name] == 1:
        return study.name
    path = study.folder.path
    alone = parents[study.name, path.parent] == 1
    return f"{study.name} in {path.parent if alone else path}"


def quoted(studies: Sequence[StudyRecords]) -> list[Contender]:
    """Every result that a study quotes, told apart by its baseline and its study.

    A class task that is defined otherwise elsewhere keeps its name in its own study's result, but
    is shared with no other.
    """
    unlike = _unlike_tasks(studies)
    found = []
    for study, name in zip(studies, labels(studies), strict=True):
        for result in results(study):
            own = contender(f"{result.label}, {name}", result, name)
            kept = [task for task in own.values.index if task not in unlike]
            found.append(own._replace(values=own.values.loc[kept]))
    return found


def across(contenders: Sequence[Contender]) -> list[Pair]:
    """Pairs of different studies; of one baseline only where both studies quote several."""
    several = {name for name, times in Counter(e.study for e in contenders).items() if times > 1}
    return [
        (a, b)
        for a, b in every_pair(contenders)
        if a.study != b.study
        and (a.result.label == b.result.label or not {a.study, b.study} <= several)
    ]


def differences_of(studies: Sequence[StudyRecords]) -> pd.DataFrame:
    """A row for everything that `study.json` tells and that is not the same in all of them.

    Columns: what, then one per study; empty = not recorded there. What baselines are by default
    and what was searched is compared for those that all have.
    """
    told = [dict(_told(study)) for study in studies]
    common = set.intersection(*(set(study.baselines) for study in studies))
    rows = []
    for what in dict.fromkeys(key for each in told for key in each):
        if what.startswith("baselines.") and what.split(".")[1] not in common:
            continue
        values = [each.get(what, "") for each in told]
        if len(set(values)) > 1:
            rows.append([what, *values])
    return pd.DataFrame(rows, columns=["what", *labels(studies)])


def _told(study: StudyRecords) -> Iterator[tuple[str, str]]:
    """Everything that is recorded of a study, by its dotted name."""
    yield "baselines", ", ".join(study.baselines)
    for name, value in _flat(study.stored, ""):
        if not name.startswith(UNTOLD):
            yield name.removeprefix("study."), value
    for name, each in study.asked["baselines"].items():
        yield from _flat(each, f"baselines.{name}.")


def _flat(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _text(value)


def _text(value: object) -> str:
    if not isinstance(value, list):
        return "none" if value is None else short(value)
    named = [each.get("name", each) if isinstance(each, Mapping) else each for each in value]
    return ", ".join(map(short, named))


def _unlike_tasks(studies: Sequence[StudyRecords]) -> set[str]:
    """Class tasks of one name that are not the same task in every study."""
    known: dict[str, Mapping[str, Any]] = {}
    unlike = set()
    for study in studies:
        for task in study.stored["tasks"]:
            task = {**task, "class_name": ""}  # studies of schema 1 do not store it
            if known.setdefault(task["name"], task) != task:
                unlike.add(task["name"])
    return unlike


def _quotes(studies: Sequence[StudyRecords], contenders: Sequence[Contender]) -> list[Block]:
    rows, silent = [], []
    for study, name in zip(studies, labels(studies), strict=True):
        own = [each for each in contenders if each.study == name]
        rows += [_quote(study, each) for each in own]
        if not own:
            silent.append(f"- {name} quotes no test AUROC: {why_nothing(study)}.")
    blocks: list[Block] = [_quotes_table(rows)] if rows else []
    return [*blocks, *([Text("\n".join(silent), "warning")] if silent else [])]


def _quotes_table(rows: Sequence[Mapping[str, object]]) -> Table:
    caption = (
        "Test AUROC over classes: mean ± standard deviation over seeds [95 % interval of "
        "Student's t over n seeds]."
    )
    shown = pd.DataFrame(rows)
    if (shown["bootstrap"] == "").all():
        return Table("quotes", shown.drop(columns="bootstrap"), caption)
    more = (
        " Bootstrap: 95 % interval of the same mean in per cent, seeds resampled; from "
        f"{LEAST_PAIRS} seeds on, and still too narrow for few."
    )
    return Table("quotes", shown, caption + more)


def _quote(study: StudyRecords, each: Contender) -> dict[str, object]:
    result = each.result
    failed = f" ({result.failed} failed)" if result.failed else ""
    return {
        "study": each.study,
        "baseline": result.label,
        "test AUROC": Cell(str(result.panel), result.panel.mean),
        "bootstrap": _resampled(each),
        "seeds": f"{so_far(result) or result.seeds}{failed}",
        "classes": len(result.classes),
        "what was tested": result.source,
        "selected by": result.rule,
        "budget": str(study.asked["budget_name"]),
    }


def _resampled(each: Contender) -> str:
    """The bootstrap interval of what is quoted; empty where there are too few seeds for one."""
    values = contender(each.label, each.result).values  # of all classes, shared or not
    if seeds_alike(values):
        return ""
    found = bootstrap(list(values.mean()))
    if math.isnan(found.low):
        return ""
    return f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _differing(studies: Sequence[StudyRecords]) -> list[Block]:
    table = differences_of(studies)
    blocks: list[Block] = [Text(each, "warning") for each in _warnings(studies, table)]
    if table.empty:
        return blocks or [Text("Nothing that is recorded differs but their names and dates.")]
    shown = table.map(lambda text: text if len(text) <= LONGEST else f"{text[:LONGEST]} ...")
    caption = "Only what is not the same in all; empty = not recorded. Whole values: in the file."
    return [*blocks, Table("differences", shown, caption, table)]


def _warnings(studies: Sequence[StudyRecords], table: pd.DataFrame) -> Iterator[str]:
    """What makes a difference between results more than one between methods."""
    differing = list(table["what"])
    if budget := [each.removeprefix("budget.") for each in differing if _is_budget(each)]:
        yield (
            f"The budgets differ ({', '.join(budget)}): a comparison across budgets is not like "
            "with like."
        )
    if "selection" in differing:
        yield "They were selected by different rules; a result of oracle is optimistic."
    if any(each.endswith(".score_by") for each in differing):
        yield "The scores differ (score_by): one model has another AUROC by each."
    if any(each.startswith("data.") or each == "budget.test_images" for each in differing):
        yield "The images differ, so the results are not scored on the same test set."
    if unlike := sorted(_unlike_tasks(studies)):
        yield (
            f"{', '.join(unlike)}: one name, but not the same task in all; set against each other "
            "nowhere."
        )


def _is_budget(what: str) -> bool:
    return what.startswith("budget.") or what == "early_stopping"


def _unshared(contenders: Sequence[Contender]) -> list[Block]:
    """Which pairs of studies have nothing to set against each other, and which no common seed."""
    groups: dict[str, list[Contender]] = {}
    for each in contenders:
        groups.setdefault(each.study, []).append(each)
    said = []
    for (one, first), (other, second) in combinations(groups.items(), 2):
        alike = [(a, b) for a in first for b in second if shared(a, b)]
        if not alike:
            said.append(f"- {one} and {other} share no class task: no numbers are paired.")
        elif not any(set(a.values.columns) & set(b.values.columns) for a, b in alike):
            said.append(f"- {one} and {other} share no seed: differences are not paired.")
    return [Text("\n".join(said), "note")] if said else []


def _summary(
    studies: Sequence[StudyRecords], contenders: Sequence[Contender], pairs: Sequence[Pair]
) -> str:
    lines = [
        "; ".join(filter(None, (f"- {each.label}: {each.result.panel}", so_far(each.result))))
        for each in contenders
    ]
    having = {each.study for each in contenders}
    for study, name in zip(studies, labels(studies), strict=True):
        if name not in having:
            lines.append(f"- {name}: no test AUROC, {why_nothing(study)}")
    if len(pairs) == 1:
        (found,) = contrasts(pairs)
        where = f"{found.first} against {found.second}, over {count(found.classes, 'class')}"
        by = points(found.paired.difference)
        said = f"{by} points; " if by else "not paired; "
        lines.append(f"{where}: {said}{found.verdict.reason}.")
    elif not pairs and len(having) > 1:
        lines.append("No class task is shared, so no result is set against another.")
    return "\n".join(lines)
