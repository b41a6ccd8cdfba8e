"""Histograms of the scores of normal and anomalous images."""

from functools import partial

from analysis.document.blocks import Block, Figure, Section, Text
from analysis.document.format import file_name, not_drawn
from analysis.questions.histograms import (
    MOST_PANELS,
    ResultHistograms,
    draw_histograms,
    histograms,
)
from analysis.report.findings import Findings

PLACE = 55


def section(findings: Findings) -> Section | None:
    """Score histograms of every reported configuration; None without a result."""
    if not findings.results:
        return None
    return Section(
        "Scores", [_block(histograms(findings.study, result)) for result in findings.results]
    )


def _block(result: ResultHistograms) -> Block:
    if not result.histograms:
        text = f"No histogram of the scores of {result.label}: {result.missing}."
        return Text(text, "warning")
    images = "; ".join(
        f"{panel.task}: {', '.join(f'{group} {n:,}' for group, n in panel.counts.items())}"
        for panel in result.histograms[:MOST_PANELS]
    )
    hidden = not_drawn(len(result.histograms), MOST_PANELS)
    caption = (
        f"Scores of {result.label} on {result.images} (one model per task, seed {result.seed}; "
        "scores of different models have different scales). Densities, with common bins from the "
        f"smallest to the largest score. Numbers of images: {images}."
        f'{hidden} After Fig. 2 of the poster by Pham, "Robustifying Generative Models".'
    )
    figure = partial(draw_histograms, result.histograms)
    return Figure(file_name("scores", result.label), figure, caption)
