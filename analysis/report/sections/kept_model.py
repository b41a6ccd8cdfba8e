"""The winner's models in `best/`: their thresholds, and how often normal images raise an alarm."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.document.blocks import Cell, Section, Table, Text
from analysis.report.findings import Findings
from tune_ad.errors import UserError
from tune_ad.storage.kept_models import read_description

PLACE = 16
ABOUT = (
    "The models of the winner on fresh seeds are kept as one detector, whose score is the mean of "
    "their standardised scores. Its threshold comes from normal test images, which neither "
    "training nor selection has seen."
)
CAPTION = (
    "False alarms, at most: the share of new normal images that score above the threshold, on "
    "average over calibration sets (conformal, without an assumption on the detector), if they "
    "are taken like the normal images of the study. [ ]: the 95 % interval of that share for this "
    "one set of n images. Held-out alarms: share and number of alarms of the same n images, each "
    "half decided by the threshold of the other half; at most: what these two thresholds "
    "guarantee on average, not the kept one; by chance the share is a little more or less."
)
OF_AUROC = (
    " AUROC of the kept detector: not the mean over seeds, but that of the averaged scores, with "
    "the 95 % interval that is due to the sampling of test images (DeLong); it selected nothing."
)


class Kept(NamedTuple):
    """A task of the kept model.

    Attributes:
        title: the title of the task.
        threshold: what `model.json` says of the threshold; empty if there is none.
        check: what it says of the alarms of held-out normal images; empty if there is nothing.
        aurocs: value, low and high of the test AUROC, by outsider set.
        models: the number of models.
    """

    title: str
    threshold: Mapping[str, Any]
    check: Mapping[str, Any]
    aurocs: Mapping[str, Mapping[str, Any]]
    models: int


def kept_tasks(findings: Findings) -> list[Kept]:
    """The tasks of the kept model; empty if no model is kept, or its description is damaged.

    `analysis.left_out` says which.
    """
    try:
        content = read_description(findings.study.folder.best) or {"tasks": ()}
    except UserError:
        return []
    return [
        Kept(
            title=task["title"],
            threshold=task["threshold"] or {},
            check=task["check"] or {},
            aurocs=task["aurocs"],
            models=len(task["members"]),
        )
        for task in content["tasks"]
    ]


def section(findings: Findings) -> Section | None:
    """The thresholds by task; None if no model is kept."""
    tasks = kept_tasks(findings)
    if not tasks:
        return None
    best = shlex.quote(str(findings.study.folder.best))
    use = Text(
        f"Score new images: python run.py --score {best} --input IMAGES --output scores.csv",
        "note",
    )
    return Section("The kept model", [Text(ABOUT), use, _thresholds(tasks)])


def _thresholds(tasks: Sequence[Kept]) -> Table:
    shown = pd.DataFrame([_row(task) for task in tasks])
    data = [
        {
            "task": task.title,
            "models": task.models,
            **{f"threshold {name}": value for name, value in task.threshold.items()},
            **{f"held-out {name}": value for name, value in task.check.items()},
            **{
                f"AUROC {outsider} {name}".replace("  ", " "): value
                for outsider, auroc in task.aurocs.items()
                for name, value in auroc.items()
            },
        }
        for task in tasks
    ]
    caption = CAPTION + (OF_AUROC if any(task.aurocs for task in tasks) else "")
    return Table("kept_model", shown, caption, pd.DataFrame(data))


def _auroc(value: float, low: float | None, high: float | None) -> Cell:
    """An AUROC in per cent with its interval."""
    ends = ", ".join(f"{100 * end:.1f}" for end in (low, high) if end is not None)
    return Cell(f"{100 * value:.1f}" + (f" [{ends}]" if ends else ""), value)


def _row(task: Kept) -> dict[str, object]:
    limit, check = task.threshold, task.check
    rate = Cell("none")
    if limit:
        text = f"{limit['rate']:.2%} [{limit['low']:.2%}, {limit['high']:.2%}]"
        too_few = limit["rate"] > limit["wished"]
        note = f"{limit['images']} images are too few for {limit['wished']:g}" if too_few else ""
        rate = Cell(text + (" (too few images)" if too_few else ""), limit["rate"], note=note)
    held_out = Cell("none")
    if check:
        share = check["alarms"] / check["images"]
        text = f"{share:.2%} ({check['alarms']} of {check['images']}); at most "
        held_out = Cell(f"{text}{check['guaranteed']:.2%}", share)
    aurocs = {
        f"AUROC {outsider}".strip(): _auroc(**auroc) for outsider, auroc in task.aurocs.items()
    }
    return {
        "task": task.title,
        "models": task.models,
        "false alarms, at most": rate,
        "threshold": Cell(f"{limit['value']:.4g}", limit["value"]) if limit else Cell("none"),
        "n": limit.get("images", 0),
        "held-out alarms": held_out,
        **aurocs,
    }
