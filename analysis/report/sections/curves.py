"""ROC and precision-recall curves of the reported results."""

from functools import partial

from analysis.document.blocks import Block, Figure, Section
from analysis.document.format import file_name, not_drawn
from analysis.questions.alarms.curves import (
    MOST_PANELS,
    Curves,
    curves,
    draw_precision_recall,
    draw_roc,
)
from analysis.quoted import Result
from analysis.report.findings import Findings

PLACE = 56


def section(findings: Findings) -> Section | None:
    """The curves of every result; None without stored ranks."""
    of_results = [(result, curves(result)) for result in findings.results if result.auroc.n]
    blocks = [
        figure for result, drawn in of_results if drawn for figure in _figures(result, drawn)
    ]
    return Section("Alarms found and false alarms", blocks) if blocks else None


def _figures(result: Result, drawn: list[Curves]) -> list[Block]:
    seeds = len(drawn[0].roc)
    band = (
        f"Line: mean over the {seeds} models (seeds) of a class at the same rate; band: from the "
        "lowest to the highest of them."
        if seeds > 1
        else "One model per class, so there is no band."
    )
    hidden = not_drawn(len(drawn), MOST_PANELS)
    about_roc = (
        f"ROC curves of {result.label} on test images: each point is a threshold; it shows which "
        "share of the anomalies raises an alarm (up) and which share of the normal images does so "
        "too (right). The area under a curve is the AUROC; dotted: chance. "
    )
    about_pr = (
        f"Precision-recall curves of {result.label}: of the images that raise an alarm, the share "
        "that is anomalous (precision), against the share of the anomalies that is found "
        "(recall). Dotted: chance, which is the share of anomalies among the test images; with "
        "fewer anomalies every curve is lower. "
    )
    draws = {"roc": (draw_roc, about_roc), "precision-recall": (draw_precision_recall, about_pr)}
    return [
        Figure(file_name(name, result.label), partial(draw, drawn), about + band + hidden)
        for name, (draw, about) in draws.items()
    ]
