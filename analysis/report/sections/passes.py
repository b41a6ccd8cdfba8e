"""The verdicts on the PGN paper's claims about T, the number of stochastic passes."""

from collections.abc import Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text, Tone
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.claims.passes import (
    DETECTOR,
    RATIO_MARGIN,
    ClaimVerdict,
    verdicts_on_passes,
)
from analysis.report.findings import Findings
from analysis.stats.estimates import MARGIN
from analysis.stats.paired import ABOUT_SIGN_FLIPS

PLACE = 24
TONES: dict[str, Tone] = {"holds": "better", "does not hold": "worse", "inconclusive": "unsure"}


def _covers(verdicts: Sequence[ClaimVerdict]) -> str:
    """What the intervals of differences between values of T cover."""
    return covers(covered_by_all((verdict.label, verdict.coverage) for verdict in verdicts))


def section(findings: Findings) -> Section | None:
    """The verdicts; None if no result of PGN has scores at several T."""
    verdicts = verdicts_on_passes(findings.results)
    if not verdicts:
        return None
    about = (
        "Park, Adosoglou and Pardalos (Fig. 4) claim of PGN that mean and standard deviation of "
        "AUROC are alike from T = 10 passes on, and that dropout gains significantly over T = 0, "
        "no dropout when scoring. Tested on the models of this study, with the rules fixed "
        f"before the run. Means are alike if they are equivalent within ± {100 * MARGIN:.0f} "
        "points (two one-sided tests at 0.05), standard deviations if the 90 % interval of their "
        f"ratio lies within [{1 / RATIO_MARGIN:g}, {RATIO_MARGIN:g}]; every pair of T must be "
        "alike. The gain of T = 20 is tested by sign flips over seeds, with Holm's correction "
        f"over the results of {DETECTOR}. {ABOUT_SIGN_FLIPS} {_covers(verdicts)}"
    )
    sentences: list[Block] = [
        Text(f"{verdict.label}: {verdict.claim}: {verdict.outcome} ({verdict.reason}).", "verdict")
        for verdict in verdicts
    ]
    rows = [
        {
            "result": verdict.label,
            "claim": verdict.claim,
            "verdict": Cell(verdict.outcome, tone=TONES[verdict.outcome], note=verdict.reason),
            "n": verdict.n,
        }
        for verdict in verdicts
    ]
    caption = "Claims on T. n: number of seeds, each the mean over the classes of the study."
    data = pd.DataFrame([verdict._asdict() for verdict in verdicts])
    table = Table("passes", pd.DataFrame(rows), caption, data)
    return Section("Claims on the number of passes T", [Text(about, "note"), *sentences, table])
