"""The scores of normals and outsiders, as histograms."""

from functools import partial

from analysis.document.blocks import Block, Figure, Section, Text
from analysis.document.format import count, file_name
from analysis.questions.histograms import MOST, Found, draw_histograms, histograms
from analysis.report.findings import Findings

PLACE = 55


def section(findings: Findings) -> Section | None:
    """Score histograms of what is quoted; None where nothing is."""
    if not findings.results:
        return None
    return Section(
        "Scores", [_block(histograms(findings.study, result)) for result in findings.results]
    )


def _block(found: Found) -> Block:
    if not found.histograms:
        return Text(f"No histogram of the scores of {found.baseline}: {found.lost}.", "warning")
    images = "; ".join(
        f"{each.task}: {', '.join(f'{number:,} {side}' for side, number in each.counts.items())}"
        for each in found.histograms[:MOST]
    )
    more = len(found.histograms) - MOST
    left = f" {count(more, 'class')} more not drawn." if more > 0 else ""
    caption = (
        f"Scores of {found.baseline} on {found.images}, seed {found.seed} alone (scores of other "
        "models do not share a scale); each side has area 1, on common bins from the least to the "
        f"largest score. Images in {images}.{left} In the manner of "
        'Fig. 2 of the poster by Pham, "Robustifying Generative Models".'
    )
    return Figure(
        file_name("scores", found.baseline), partial(draw_histograms, found.histograms), caption
    )
