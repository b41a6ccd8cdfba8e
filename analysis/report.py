"""A study as one Markdown page and CSV tables; works on running, failed and empty studies, too."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis import frame
from analysis.ablation import auroc, effects, references
from analysis.rates import rates
from analysis.results import Result, defaults, is_ablation, results
from analysis.statistics import estimate
from tune_ad.records import StudyFolder, TrialRecord, write_atomically
from tune_ad.selection import describe

SHOWN_TRIALS = 10


class Written(NamedTuple):
    """Where a report is, and its result in a line or two."""

    path: Path
    summary: str


def write_report(path: Path) -> Written:
    """Write `report.md` and `tables/*.csv` into the folder of a study.

    Raises:
        UserError: if the folder holds no study, or one of a newer schema.
    """
    folder = StudyFolder(path)
    stored = folder.read_study()
    study = stored["study"]
    records, fresh = folder.read_trials(), folder.read_evaluation()
    quoted = results(study, folder)
    tables = {
        "trials": frame.trials(records),
        "replicas": frame.replicas(records),
        "variants": frame.variants(records),
        "evaluation": frame.replicas(fresh),
        "evaluation_variants": frame.variants(fresh),
        "rates": rates(records),
    }
    for name, table in tables.items():
        if not table.empty:
            write_atomically(folder.tables / f"{name}.csv", table.to_csv(index=False))
    summary = _summary(study, quoted, records)
    sections = [
        f"# {study['name']}",
        summary,
        _comparison(quoted),
        _ablation(study, records),
        *map(_quoted, quoted),
        _trials(study, tables["trials"]),
        _rates(tables["rates"]),
        _health(records, fresh),
        _provenance(stored),
    ]
    write_atomically(folder.report, "\n\n".join(filter(None, sections)) + "\n")
    return Written(folder.report, summary)


def _summary(study: dict[str, Any], quoted: list[Result], records: list[TrialRecord]) -> str:
    counts = Counter(record.state for record in records)
    ended = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"
    head = (
        f"{study['name']} (budget {study['budget_name']}): {len(records)} of "
        f"{study['budget']['trials']} trials ended: {ended}."
    )
    if len(quoted) > 1:
        return "\n".join([head, *map(_line, quoted), _common(quoted)])
    if quoted:
        return f"{head}\n{_sentence(quoted[0])}"
    if study.get("whole"):
        why = f"nothing is anomalous in the whole of {study['data_set']}"
        return f"{head}\nThere is no AUROC: {why}. The metrics are in `tables/replicas.csv`."
    why = "the winner has not been trained again yet"
    if not study["budget"]["evaluation_seeds"]:
        why = "its budget trains no winner again, and a trial was chosen among several"
    if not any(record.state == "complete" for record in records):
        why = "no trial is complete" if records else "no trial has ended"
    return f"{head}\nNo test AUROC can be quoted: {why}."


def _sentence(quoted: Result) -> str:
    if quoted.panel.n == 0:
        return (
            f"No test AUROC of {quoted.baseline} can be quoted: all {quoted.seeds} seeds failed."
        )
    classes = _count(len(quoted.classes), "class")
    return (
        f"Test AUROC of {quoted.baseline} {quoted.panel}, mean over {classes}{_faults(quoted)}: "
        f"{quoted.source}.\nSelection: {quoted.rule}"
    )


def _faults(quoted: Result) -> str:
    """What a reader must know beside the number."""
    faults = ""
    if quoted.failed:
        faults += f"; {quoted.failed} of {quoted.seeds} seeds failed"
    if quoted.collapsed:
        models = _count(quoted.collapsed, "model")
        faults += f"; {models} collapsed (one score for every image, but for rounding)"
    return faults


def _line(quoted: Result) -> str:
    if quoted.panel.n == 0:
        return _sentence(quoted)
    return f"- {quoted.baseline}: {quoted.panel}{_faults(quoted)}"


def _common(quoted: list[Result]) -> str:
    """What the numbers of several baselines have in common."""
    first, classes = quoted[0], _count(max(len(each.classes) for each in quoted), "class")
    return f"Test AUROC, mean over {classes}; each is {first.source}.\nSelection: {first.rule}"


def _comparison(quoted: list[Result]) -> str:
    """The baselines side by side, class by class, in the form of the papers' tables."""
    if len(quoted) < 2:
        return ""
    classes = list(dict.fromkeys(name for each in quoted for name in each.classes))
    rows = [
        {
            "baseline": each.baseline,
            **{name: each.classes[name].short if name in each.classes else "" for name in classes},
            "mean": each.panel.short,
            "n": each.panel.n,
        }
        for each in quoted
    ]
    return "\n\n".join(
        [
            "## Baselines side by side",
            pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True),
            "Test AUROC in per cent, mean ± standard deviation over n seeds.",
        ]
    )


def _ablation(study: dict[str, Any], records: Sequence[TrialRecord]) -> str:
    """The effects of single changes, where the plan makes them and the trials were tested."""
    if not is_ablation(study):
        return ""
    known = defaults(study)
    unchanged, found = references(known, records), effects(known, records)
    if not found:
        return ""
    rows = [
        {
            "baseline": each.baseline,
            "change": "nothing",
            "test AUROC": estimate(list(auroc(each))).short,
            "difference [95 % interval]": "",
        }
        for each in unchanged
    ]
    rows += [
        {
            "baseline": each.baseline,
            "change": f"{each.parameter} = {_short(each.value)} (from {_short(each.default)})",
            "test AUROC": each.auroc.short,
            "difference [95 % interval]": str(each.difference),
        }
        for each in found
    ]
    order = list(known)
    rows.sort(key=lambda row: order.index(row["baseline"]))
    return "\n\n".join(
        [
            "## One change at a time",
            pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True),
            "Differences from the baseline's default, paired by seed, in points of AUROC; each "
            "interval is for its row alone, not corrected for the number of rows.",
        ]
    )


def _count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> _count(1, "class"), _count(2, "class")
    ('1 class', '2 classes')
    """
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def _quoted(quoted: Result) -> str:
    if quoted.panel.n == 0:
        return ""
    chosen = ", ".join(f"{name} = {_short(value)}" for name, value in quoted.params.items())
    classes = [
        {"class": name, "test AUROC (mean ± std over seeds [95 % interval])": str(each)}
        for name, each in quoted.classes.items()
    ]
    parts = [
        f"## AUROC of {quoted.baseline}",
        f"Configuration {quoted.identity}: {chosen or 'the defaults of its baseline'}.",
        pd.DataFrame(classes).to_markdown(index=False),
        "Intervals are Student's over seeds; the classes are fixed, and all seeds share one "
        "choice of training images.",
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
    names = dict.fromkeys(n for b in study["baselines"].values() for n in b["space"])
    searched = [f"param/{name}" for name in names if f"param/{name}" in table]
    best = table.sort_values("objective", ascending=False, na_position="last", kind="stable")
    shown = best[["number", "baseline", "state", "objective", *searched, "seconds"]]
    shown = shown.head(SHOWN_TRIALS).map(_short)
    shown.columns = shown.columns.str.removeprefix("param/")
    why = "is anomalous" if study.get("whole") else "was held out"
    about = f"Nothing {why}, so no number ranks these."
    if table["objective"].notna().any():
        said = "These numbers selected; they are not results."
        if not (study["budget"]["evaluation_seeds"] or study["selection"] == "oracle"):
            said = "Nothing was selected by these numbers."
        about = f"Ranked by {describe(study['selection'])} {said}"
    return "\n\n".join(
        [
            "## Trials",
            f"{about} All trials: `tables/trials.csv`.",
            shown.to_markdown(index=False, disable_numparse=True),
        ]
    )


def _rates(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    parts = {"test": "test images (normals)", "validation": "held-out normals"}
    where = ", ".join(parts[part] for part in table["part"].unique())
    shown = table.drop(columns="part").map(_short)
    shown.columns = shown.columns.str.removeprefix("param/")
    return "\n\n".join(
        [
            "## Rate and distortion",
            f"Means over replicas (n) on {where}; nats per image, and bits per dimension "
            "(none for squared error and L1, which are likelihoods up to a constant). All "
            "complete trials; none was selected by these numbers.",
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
            said = "a model gave every image one score, but for rounding, in"
            lines.append(f"- {title}: {said} {collapsed}")
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
