"""A study as one Markdown page and CSV tables; works on running, failed and empty studies, too."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis import frame
from analysis.statistics import Estimate, estimate
from tune_ad.records import StudyFolder, TrialRecord, write_atomically
from tune_ad.selection import describe, mean, ranked

SHOWN_TRIALS = 10


class Result(NamedTuple):
    """The number that a study quotes, and what it rests on.

    Attributes:
        source: what was tested: the winner on fresh seeds, or a trial where nothing was selected.
        rule: what selected, in words.
        panel: AUROC on test images, averaged over classes; one value per seed.
        classes: the same for each class.
        variants: the panel's AUROC under other score-time values.
        params: of the configuration, the searched ones only.
        seeds: that were tested, failed ones included.
        failed: of them.
        identity: of the configuration.
    """

    source: str
    rule: str
    panel: Estimate
    classes: dict[str, Estimate]
    variants: dict[str, Estimate]
    params: dict[str, Any]
    seeds: int
    failed: int
    identity: str


class Written(NamedTuple):
    """Where a report is, and its result in a line or two."""

    path: Path
    summary: str


def result(study: dict[str, Any], folder: StudyFolder) -> Result | None:
    """The winner on fresh seeds; without an evaluation, the only configuration's own test.

    None while there is neither. A trial chosen among several is never quoted by its own numbers.
    """
    records, fresh = folder.read_trials(), folder.read_evaluation()
    rule = study["selection"]
    best = ranked(records, rule)
    if fresh and best:
        fresh = [record for record in fresh if record.identity == best[0].identity]
        if fresh:
            return _result("the winner, trained again on fresh seeds", describe(rule), fresh, best)
    tested = [r for r in records if r.state == "complete" and "test_auroc" in r.metrics]
    if study["budget"]["evaluation_seeds"] == 0 and len(records) == 1 and tested:
        return _result(
            "the only configuration", "none; nothing was chosen between.", tested, tested
        )
    return None


def _result(
    source: str, rule: str, tested: Sequence[TrialRecord], best: Sequence[TrialRecord]
) -> Result:
    table = frame.replicas(tested)
    complete = table[table["state"] == "complete"]
    whole = complete.groupby("seed").size() == table["task"].nunique()
    seeds = list(whole[whole].index)
    complete = complete[complete["seed"].isin(seeds)]
    by_seed = complete.groupby("seed")["test_auroc"].mean()
    return Result(
        source=source,
        rule=rule,
        panel=estimate(list(by_seed)),
        classes={
            str(task): estimate(list(rows["test_auroc"]))
            for task, rows in complete.groupby("task")
        },
        variants=_variants(tested),
        params={name: best[0].params[name] for name in best[0].searched},
        seeds=table["seed"].nunique(),
        failed=table["seed"].nunique() - len(seeds),
        identity=best[0].identity,
    )


def _variants(tested: Sequence[TrialRecord]) -> dict[str, Estimate]:
    """Panel AUROC of each score variant, one value per seed."""
    values: dict[str, list[float]] = {}
    for record in tested:
        for seed in sorted({replica.seed for replica in record.replicas}):
            own = [k for k, replica in enumerate(record.replicas) if replica.seed == seed]
            for name, metrics in record.variants.items():
                value = mean([metrics.get("test_auroc", [None])[k] for k in own])
                if value is not None:
                    values.setdefault(name, []).append(value)
    return {name: estimate(each) for name, each in values.items()}


def write_report(path: Path) -> Written:
    """Write `report.md` and `tables/*.csv` into the folder of a study.

    Raises:
        UserError: if the folder holds no study, or one of a newer schema.
    """
    folder = StudyFolder(path)
    stored = folder.read_study()
    study = stored["study"]
    records, fresh = folder.read_trials(), folder.read_evaluation()
    quoted = result(study, folder)
    tables = {
        "trials": frame.trials(records),
        "replicas": frame.replicas(records),
        "variants": frame.variants(records),
        "evaluation": frame.replicas(fresh),
        "evaluation_variants": frame.variants(fresh),
    }
    for name, table in tables.items():
        if not table.empty:
            write_atomically(folder.tables / f"{name}.csv", table.to_csv(index=False))
    summary = _summary(study, quoted, records)
    sections = [
        f"# {study['name']}",
        summary,
        _quoted(quoted),
        _trials(study, tables["trials"]),
        _health(records, fresh),
        _provenance(stored),
    ]
    write_atomically(folder.report, "\n\n".join(filter(None, sections)) + "\n")
    return Written(folder.report, summary)


def _summary(study: dict[str, Any], quoted: Result | None, records: list[TrialRecord]) -> str:
    counts = Counter(record.state for record in records)
    ended = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
    head = (
        f"{study['name']} (budget {study['budget_name']}): {len(records)} of "
        f"{study['budget']['trials']} trials ended: {ended}."
    )
    if quoted is None:
        why = "no trial has ended" if not records else "the winner has not been trained again yet"
        if records and not any(record.state == "complete" for record in records):
            why = "no trial is complete"
        return f"{head}\nNo test AUROC can be quoted: {why}."
    if quoted.panel.n == 0:
        return f"{head}\nNo test AUROC can be quoted: all {quoted.seeds} seeds failed."
    lost = f"; {quoted.failed} of {quoted.seeds} seeds failed" if quoted.failed else ""
    classes = _count(len(quoted.classes), "class")
    return (
        f"{head}\nTest AUROC {quoted.panel}, mean over {classes}{lost}: {quoted.source}.\n"
        f"Selection: {quoted.rule}"
    )


def _count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> _count(1, "class"), _count(2, "class")
    ('1 class', '2 classes')
    """
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def _quoted(quoted: Result | None) -> str:
    if quoted is None or quoted.panel.n == 0:
        return ""
    chosen = ", ".join(f"{name} = {_short(value)}" for name, value in quoted.params.items())
    classes = [
        {"class": name, "test AUROC (mean ± std over seeds [95 % interval])": str(each)}
        for name, each in quoted.classes.items()
    ]
    parts = [
        "## Best AUROC",
        f"Configuration {quoted.identity}: {chosen or 'the defaults'}.",
        pd.DataFrame(classes).to_markdown(index=False),
        "Intervals are Student's over seeds; the classes are fixed, not sampled.",
    ]
    if quoted.variants:
        rows = [{"score": name, "test AUROC": str(each)} for name, each in quoted.variants.items()]
        parts += [
            "### Other scores of the same models",
            pd.DataFrame(rows).to_markdown(index=False),
            "Shown for comparison; none of them was selected by these numbers.",
        ]
    return "\n\n".join(parts)


def _trials(study: dict[str, Any], table: pd.DataFrame) -> str:
    if table.empty:
        return "## Trials\n\nNo trial has ended."
    searched = [
        name
        for name in dict.fromkeys(n for b in study["baselines"].values() for n in b["space"])
        if name in table
    ]
    best = table.sort_values("objective", ascending=False, na_position="last", kind="stable")
    shown = best[["number", "baseline", "state", "objective", *searched, "seconds"]]
    shown = shown.head(SHOWN_TRIALS).map(_short)
    about = "Nothing was held out, so no number ranks these."
    if table["objective"].notna().any():
        about = (
            f"Ranked by {describe(study['selection'])} These numbers selected; they are not "
            "results."
        )
    return "\n\n".join(
        [
            "## Trials",
            f"{about} All trials: `tables/trials.csv`.",
            shown.to_markdown(index=False, disable_numparse=True),
        ]
    )


def _health(records: list[TrialRecord], fresh: list[TrialRecord]) -> str:
    lines = ["## Health", ""]
    for title, group in (("trials", records), ("evaluation", fresh)):
        reasons = Counter(record.reason for record in group if record.state == "failed")
        lines += [f"- {title}: {count} failed: {reason}" for reason, count in reasons.items()]
        pruned = sum(record.state == "pruned" for record in group)
        lines += [f"- {title}: {pruned} stopped early"] if pruned else []
        collapsed = [r.number for r in group if any(frame.collapses(r))]
        if collapsed:
            lines.append(f"- {title}: a model gave every image one score in {collapsed}")
    if len(lines) == 2:
        lines.append("No trial failed, was stopped early or collapsed.")
    return "\n".join(lines)


def _provenance(stored: dict[str, Any]) -> str:
    budget = {
        name: value for name, value in stored["study"]["budget"].items() if value is not None
    }
    rows = {
        "data": "; ".join(f"{name}: {each['about']}" for name, each in stored["data"].items()),
        "panel": ", ".join(task["name"] for task in stored["tasks"]),
        "budget": ", ".join(f"{name} {value}" for name, value in budget.items()),
        "fixed by the user": stored["study"]["settings"] or "nothing",
        "versions": ", ".join(f"{name} {value}" for name, value in stored["versions"].items()),
        "hardware": ", ".join(f"{k} {v}" for k, v in stored["hardware"].items() if v),
        "created": stored["created"],
    }
    table = pd.DataFrame([{"": name, " ": str(value)} for name, value in rows.items()])
    return "## Provenance\n\n" + table.to_markdown(index=False)


def _short(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value)
