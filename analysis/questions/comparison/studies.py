"""Comparison of studies: their results, their differences, and tests of what they share."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis.document.blocks import Block, Cell, Document, Section, Table, Text
from analysis.document.format import in_words, interval_text
from analysis.image_sampling import covers
from analysis.left_out import left_out, paragraph
from analysis.questions.alarms.points import (
    MEAN,
    OperatingPoint,
    about,
    beside,
    operating_points,
    without_empty,
)
from analysis.questions.comparison.conclusion import ByStudy, not_comparable, not_tested, tested
from analysis.questions.comparison.contenders import (
    Contender,
    Pair,
    contender,
    contrasts,
    every_pair,
)
from analysis.questions.comparison.settings import caveats, differing_tasks, setting_differences
from analysis.questions.comparison.side_by_side import comparison_tables
from analysis.quoted import Result, results, why_nothing
from analysis.stats.estimates import bootstrap, seeds_alike
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.sample_sizes import LEAST_PAIRS

LONGEST_VALUE = 120  # maximum length of a displayed value
TABLES = "results"
PAIRS = f"pairs_{TABLES}"
"""The name of the table of tests."""
NOT_COMPARABLE, NOT_TESTED = "Not comparable:", "Not tested:"


class _Notes(NamedTuple):
    """The conclusions of a comparison, in sentences.

    Attributes:
        without_result: why a study has no test AUROC, by its label.
        not_comparable: the pairs of studies without a shared class, with the reason.
        tested: the pairs of results that were tested, with the outcome.
        not_tested: the pairs of results that were not, with the reason.
        caveats: what may explain a difference, apart from the methods.
        left_out: what is damaged or lacking in a study.
    """

    without_result: Mapping[str, str]
    not_comparable: Sequence[str]
    tested: Sequence[str]
    not_tested: Sequence[str]
    caveats: Sequence[str]
    left_out: Sequence[str]


def compare(
    studies: Sequence[StudyRecords], baselines: Collection[tuple[str, str]] = ()
) -> Document:
    """The report on several studies.

    Args:
        studies: the records of the studies.
        baselines: the names of two baselines for each pair of results that is compared, one of
            each study, fixed before the results are known; none: see `pairs_across_studies`.

    Raises:
        UserError: if there are fewer than two, one is named twice, or a pair is of no two results.
    """
    names = labels(studies)
    unlike = differing_tasks(studies)
    quoted = {name: results(study) for name, study in zip(names, studies, strict=True)}
    contenders = contenders_of(quoted, unlike)
    by_study = {name: [c for c in contenders if c.study == name] for name in names}
    pairs = _pairs_of(contenders, baselines) if baselines else pairs_across_studies(contenders)
    pair_contrasts = contrasts(pairs)
    differences = setting_differences(studies, names)
    notes = _Notes(
        {n: why_nothing(s) for n, s in zip(names, studies, strict=True) if not by_study[n]},
        [*not_comparable(by_study)],
        [*tested(pair_contrasts)],
        [*not_tested(pair_contrasts)],
        [*caveats(differences, unlike)],
        [f"{n}: {fault}" for n, s in zip(names, studies, strict=True) for fault in left_out(s)],
    )
    sections = [
        Section("Results of the studies", _quotes(studies, by_study, notes)),
        Section("Differences between the studies", _differing(differences, notes.caveats)),
    ]
    if contenders:
        tables = comparison_tables(contenders, pairs, pair_contrasts, TABLES)
        sections.append(Section("Class by class", [*_untested(notes), *tables]))
    return Document(in_words(names), _summary(contenders, notes), sections)


def labels(studies: Sequence[StudyRecords]) -> list[str]:
    """Unique labels of the studies: the name, plus the folder if two have the same name.

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


def contenders_of(
    results_by_study: Mapping[str, Sequence[Result]], unlike_tasks: Collection[str]
) -> list[Contender]:
    """Every reported result, labelled by its baseline and its study.

    A class task that is defined differently in another study keeps its number in the result of its
    own study, but is not compared.

    Args:
        results_by_study: the reported results, by the label of their study.
        unlike_tasks: names of tasks that are not the same task in all studies.
    """
    contenders = []
    for name, quoted in results_by_study.items():
        for result in quoted:
            whole = contender(f"{result.label}, {name}", result, name)
            kept = [task for task in whole.values.index if task not in unlike_tasks]
            contenders.append(whole._replace(values=whole.values.loc[kept]))
    return contenders


def pairs_across_studies(contenders: Sequence[Contender]) -> list[Pair]:
    """Pairs of results from different studies.

    If both studies report several baselines, only pairs of the same baseline.
    """
    quotes = Counter(contender.study for contender in contenders)
    several = {study for study, times in quotes.items() if times > 1}
    return [
        (first, second)
        for first, second in every_pair(contenders)
        if first.study != second.study
        and (
            first.result.label == second.result.label or not {first.study, second.study} <= several
        )
    ]


def _pairs_of(
    contenders: Sequence[Contender], baselines: Collection[tuple[str, str]]
) -> list[Pair]:
    """The pairs of results from different studies with these baselines, in this order of studies.

    Raises:
        UserError: if there are none.
    """
    order = list(dict.fromkeys(contender.study for contender in contenders))

    def names(pair: Pair) -> tuple[str, ...]:
        first, second = sorted(pair, key=lambda one: order.index(one.study))
        return first.result.label, second.result.label

    found = [
        pair
        for pair in every_pair(contenders)
        if pair[0].study != pair[1].study and names(pair) in baselines
    ]
    if odd := [pair for pair in baselines if pair not in map(names, found)]:
        raise UserError(
            f"the studies {in_words(order)} have no results of {in_words(odd[0])} that share a "
            f"class; they have {in_words(sorted({one.result.label for one in contenders}))}"
        )
    return found


def _quotes(studies: Sequence[StudyRecords], by_study: ByStudy, notes: _Notes) -> list[Block]:
    """The table of reported results, why other studies have none, and what is damaged."""
    reasons = notes.without_result
    quoted = [
        (study, contender, operating_points(contender.result)[MEAN])
        for study, contenders in zip(studies, by_study.values(), strict=True)
        for contender in contenders
    ]
    rows = [_quote(study, contender, point) for study, contender, point in quoted]
    points = [point for _, _, point in quoted]
    covered = {
        contender.label: contender.result.coverage
        for contenders in by_study.values()
        for contender in contenders
        if contender.result.auroc.n > 1
    }
    blocks: list[Block] = [_quotes_table(rows, covers(covered), points)] if rows else []
    if reasons:
        silent = [f"{name} has no test AUROC: {why}." for name, why in reasons.items()]
        blocks.append(Text(_listed("", silent), "warning"))
    blocks += [Text(text, "warning") for text in paragraph(notes.left_out)]
    return blocks


def _quotes_table(
    rows: Sequence[Mapping[str, object]], about_intervals: str, points: Sequence[OperatingPoint]
) -> Table:
    shown = without_empty(pd.DataFrame(rows))
    caption = (
        "Test AUROC, mean over classes: mean ± standard deviation over n seeds [95 % interval]. "
        f"{about_intervals}{about(shown, points)}"
    )
    if (shown["bootstrap"] == "").all():
        return Table("quotes", shown.drop(columns="bootstrap"), caption)
    more = (
        " Bootstrap: 95 % interval of the same mean in per cent, seeds resampled; shown for at "
        f"least {LEAST_PAIRS} seeds; too narrow for few seeds."
    )
    return Table("quotes", shown, caption + more)


def _quote(study: StudyRecords, contender: Contender, point: OperatingPoint) -> dict[str, object]:
    result = contender.result
    failed = f" ({result.failed} failed)" if result.failed else ""
    return {
        "study": contender.study,
        "baseline": result.label,
        "test AUROC": Cell(str(result.auroc), result.auroc.mean),
        **beside(point),
        "bootstrap": _bootstrap_interval(result),
        "seeds": f"{result.so_far or result.seeds}{failed}",
        "classes": len(result.classes),
        "tested": result.source,
        "selected by": result.rule,
        "budget": str(study.search["budget_name"]),
    }


def _bootstrap_interval(result: Result) -> str:
    """The bootstrap interval of a result; empty for too few seeds."""
    values = contender("", result).values  # of all classes, shared or not
    if seeds_alike(values):
        return ""
    resampled = bootstrap(list(values.mean()))
    return "" if math.isnan(resampled.low) else interval_text(resampled.low, resampled.high)


def _differing(differences: pd.DataFrame, warnings: Sequence[str]) -> list[Block]:
    """Warnings about differing settings, followed by their table."""
    blocks: list[Block] = [Text(warning, "warning") for warning in warnings]
    if differences.empty:
        return blocks or [Text("The recorded settings are identical, except for names and dates.")]
    shown = differences.map(
        lambda text: text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} ..."
    )
    caption = (
        "Settings that differ between the studies; empty = not recorded. Long values are "
        "shortened; the CSV file has them in full."
    )
    return [*blocks, Table("differences", shown, caption, differences)]


def _untested(notes: _Notes) -> list[Text]:
    """What could not be compared, and what could not be tested."""
    blocks = []
    if notes.not_comparable:
        blocks.append(Text(_listed(NOT_COMPARABLE, notes.not_comparable), "warning"))
    if notes.not_tested:
        blocks.append(Text(_listed(NOT_TESTED, notes.not_tested), "note"))
    return blocks


def _summary(contenders: Sequence[Contender], notes: _Notes) -> str:
    """What is not comparable, the results of the studies, what was tested, and what was not."""
    quotes = [
        "; ".join(filter(None, (f"{one.label}: {one.result.auroc}", one.result.so_far)))
        for one in contenders
    ]
    quotes += [f"{name}: no test AUROC, {why}" for name, why in notes.without_result.items()]
    lists = {
        NOT_COMPARABLE: notes.not_comparable,
        "": quotes,
        "Tested:": notes.tested,
        NOT_TESTED: notes.not_tested,
        "Caution:": notes.caveats,
    }
    paragraphs = [_listed(title, items) for title, items in lists.items() if items]
    return "\n\n".join([*paragraphs, *paragraph(notes.left_out)])


def _listed(title: str, items: Iterable[str]) -> str:
    """A list under its title, in the form of a document."""
    return "\n".join(filter(None, (title, *(f"- {item}" for item in items))))
