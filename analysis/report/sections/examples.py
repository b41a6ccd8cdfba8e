"""What the kept models judge best and worst: images, codes, and scores with their threshold."""

import math
from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import PERCENT, file_name, not_drawn
from analysis.questions.alarms.missed import class_names
from analysis.questions.examples import (
    MOST_PANELS,
    draw_codes,
    draw_examples,
    draw_thresholds,
    drawn,
)
from analysis.report.findings import Findings
from analysis.stats.estimates import share_interval
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.examples import NORMAL, TaskExamples
from tune_ad.wording import count

PLACE = 58
TEST_DATA = "These are test images: to choose a configuration by them would be to select on them."


def section(findings: Findings) -> Section | None:
    """The pictures of the winner's kept models; None if none are stored, or of another winner."""
    study = findings.study
    try:
        tasks = findings.examples
    except UserError as error:
        fault = str(error).replace(f"{study.folder.path}/", "")
        return Section("Examples", [Text(f"There are no pictures: {fault}.", "warning")])
    if not tasks:
        return None
    blocks: list[Block] = [*_pictures(study, tasks), _codes(study, tasks), *_scores(study, tasks)]
    return Section("Examples", [block for block in blocks if block is not None])


def _pictures(study: StudyRecords, tasks: Sequence[TaskExamples]) -> list[Block]:
    shown = drawn(tasks)
    blocks: list[Block] = []
    for task in shown:
        title = study.task_title(task.task)
        names = class_names(study, study.source_of(task.task)) if not task.outsider else {}
        row = next(iter(task.rows.values()))
        made = "; below, its reconstruction by the first model" * (row.reconstructions is not None)
        about_map = (
            " and the map of its error, averaged over the models"
            if row.reconstructions is not None
            else "; below, which pixels the score reacts to (the magnitude of its gradient)"
        )
        maps = about_map * (row.maps is not None)
        caption = (
            f"{title}: the normal test images with the largest scores, the anomalies with the "
            "smallest ones, which are missed first, and random test images. Above an image: its "
            f"class, and its score by the kept models, larger = more anomalous{made}{maps}. "
            f"{TEST_DATA}"
        )
        figure = partial(draw_examples, task, names)
        blocks.append(Figure(file_name("examples", title), figure, caption))
    if more := len(tasks) - len(shown):
        blocks.append(Text(f"Images of {count(more, 'more class')} are in examples.npz.", "note"))
    return blocks


def _codes(study: StudyRecords, tasks: Sequence[TaskExamples]) -> Block:
    with_codes = [(study.task_title(task.task), task.codes) for task in tasks if task.codes]
    if not with_codes:
        return Text("The detector has no codes to draw.", "note")
    codes = with_codes[0][1]
    hidden = not_drawn(len(with_codes), MOST_PANELS)
    caption = (
        f"Codes of test images by the first model, {codes.dimensions} dimensions shown in two: "
        "principal components (PCA), which keep large distances, and t-SNE (perplexity 30, at "
        "least 91 images), which keeps neighbours but neither distances nor sizes of groups. A "
        f"sample of {int((~codes.is_anomaly).sum())} normal images and "
        f"{int(codes.is_anomaly.sum())} anomalies. Where both lie apart, the code tells them "
        f"apart; the score need not.{hidden}"
    )
    return Figure("codes", partial(draw_codes, with_codes), caption)


def _scores(study: StudyRecords, tasks: Sequence[TaskExamples]) -> list[Block]:
    titled = [(study.task_title(task.task), task) for task in tasks]
    hidden = not_drawn(len(tasks), MOST_PANELS)
    caption = (
        "Scores of test images by the kept models (the ensemble of all seeds, standardised by "
        "held-out normal images). Dashed: the threshold of the kept model; images to its right "
        "raise an alarm. The axis leaves out the most extreme 0.5 % of the images at each end."
        f"{hidden}"
    )
    blocks: list[Block] = [Figure("thresholds", partial(draw_thresholds, titled), caption)]
    if any(not math.isnan(task.threshold[0]) for task in tasks):
        blocks.append(_table(titled))
    return blocks


def _table(titled: Sequence[tuple[str, TaskExamples]]) -> Table:
    rows = []
    for title, task in titled:
        value, wished, rate, images = task.threshold
        if math.isnan(value):
            continue
        anomalies = int(sum(n.sum() for name, n in task.counts.items() if name != NORMAL))
        rows.append(
            {
                "class": title,
                "threshold": Cell(f"{value:.4g}", value),
                "false alarms, wished": Cell(f"{PERCENT.text(wished)} %", wished),
                "false alarms, at most": Cell(f"{rate:.2%}", rate),
                "normal images": int(images),
                "anomalies found": _found(task.alarms, anomalies),
                "anomalies": anomalies,
            }
        )
    about = (
        "Thresholds of the kept models. False alarms, at most: the share of new normal images "
        "that score above the threshold, on average over sets of so many normal test images as it "
        "comes from. Anomalies found: the share of the anomalous test images above it [95 % "
        "interval of Clopper and Pearson, over images, for these models]."
    )
    return Table("thresholds", pd.DataFrame(rows), about)


def _found(share: float, anomalies: int) -> Cell:
    """A share of the anomalies with its interval."""
    if not anomalies:
        return Cell("none")
    low, high = share_interval(round(share * anomalies), anomalies)
    return Cell(f"{PERCENT.text(share)} [{PERCENT.text(low)}, {PERCENT.text(high)}] %", share)
