"""Whether the rate of a VAE, or of PGN without dropout, ranks anomalies by itself."""

import math

import pandas as pd

from analysis.document.blocks import Cell, Section, Table
from analysis.document.format import short
from analysis.image_sampling import covers
from analysis.questions.rate_ranking import RateRanking, rate_rankings
from analysis.report.findings import Findings
from tune_ad.sample_sizes import LEAST_SEEDS

PLACE = 61
ABOUT = (
    "Test AUROC in per cent of the rate alone, the KL divergence of a code from the prior, and of "
    "the reported score: mean ± standard deviation over n seeds [95 % interval]. Verdict: the "
    "rate ranks anomalies if its whole interval lies above 50 %, and ranks them backwards if it "
    f"lies below; fewer than {LEAST_SEEDS} seeds are inconclusive."
)
OF_INFINITE_BETA = " An infinite beta trains the rate alone, as PGN does (PGN paper, section 3)."


def section(findings: Findings) -> Section | None:
    """The rate against the reported score; None if no reported result has a rate."""
    rankings = rate_rankings(findings.results)
    if not rankings:
        return None
    covered = {r.label: r.variants_coverage for r in findings.results if r.auroc.n > 1}
    return Section("Does the rate rank anomalies?", [_table(rankings, covers(covered))])


def _table(rankings: list[RateRanking], about_intervals: str) -> Table:
    rows = [
        {
            "baseline": ranking.label,
            "with": ", ".join(f"{name} = {short(v)}" for name, v in ranking.params.items()),
            "AUROC of the rate": Cell(ranking.rate.mean_std_interval(), ranking.rate.mean),
            "of the score": Cell(ranking.score.mean_std_interval(), ranking.score.mean),
            "n": ranking.rate.n,
            "verdict": ranking.verdict,
        }
        for ranking in rankings
    ]
    infinite = any(ranking.params.get("beta") == math.inf for ranking in rankings)
    about = f"{ABOUT}{OF_INFINITE_BETA * infinite} {about_intervals}"
    return Table("rate_ranking", pd.DataFrame(rows), about)
