"""Whether the score of PGN collapses when it is trained longer, with and without biases."""

from collections.abc import Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text, Tone
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.collapse import (
    COLLAPSED,
    HEADS,
    NO_SPREAD,
    SPREAD,
    TEST_RATE,
    TIED,
    TIMES,
    UNBOUNDED,
    Level,
    Verdict,
    geometric,
    training_lengths,
    verdicts,
)
from analysis.report.findings import Findings
from analysis.stats.estimates import MARGIN, Estimate, estimate
from tune_ad.sample_sizes import LEAST_PAIRS, LEAST_SEEDS

PLACE = 62
TONES: dict[str, Tone] = {
    "collapses": "worse",
    "does not collapse": "better",
    "suffers": "worse",
    "gains": "better",
    "does not suffer": "alike",
    "faster with biases": "worse",
    "slower with biases": "better",
}
ABOUT = (
    "With the prior N(0, I) PGN's loss is 0, its minimum, if all weights and biases of both heads "
    "are 0 (as released, with a head for the log-variance); then all images have the same score. "
    "That holds with and without biases, which are only said to make it easier. By rules fixed "
    "before the run, the rate (the KL divergence of a code from the prior) collapses if its "
    f"interval lies below {COLLAPSED} nats after the longest training, and does not if it lies "
    "above and longer training is shown not to halve it any more. The score collapses if its "
    f"standard deviation over training images is shown to be below {NO_SPREAD} of its mean, or "
    "all scores differ only by rounding: an AUROC needs differences alone. AUROC suffers if it is "
    "lower after the longest than after the shortest training, paired by seed, and does not if "
    f"both are equivalent within ± {100 * MARGIN:.0f} points (which needs {LEAST_PAIRS} seeds). A "
    f"verdict needs {LEAST_SEEDS} seeds; each is given by itself, without a correction for their "
    "number."
)
CAPTION = (
    "Each setting after each number of epochs: mean [95 % interval over n seeds, each the mean "
    "over the classes]. Rates in nats, geometric means, without dropout: of training images, and "
    "of normal test images. Spread: standard deviation of the rate over training images, "
    "divided by its mean. Tied: share of test images whose score another image has, in per cent. "
    "Heads: Euclidean norm of the weights and biases of the heads for the mean and for the "
    "variance. Collapsed: models whose scores differ only by rounding. AUROC in per cent."
)


def section(findings: Findings) -> Section | None:
    """The verdicts and the numbers; None if no configurations differ in their epochs alone."""
    groups = training_lengths(findings.study)
    if not groups:
        return None
    decided = verdicts(groups)
    measured = [level for levels in groups for level in levels if level.auroc.n > 1]
    covered = covered_by_all((level.title, level.coverage) for level in measured)
    about_aurocs = covers(covered, "Intervals of AUROC")
    sentences: list[Block] = [
        Text(f"{v.setting}: {v.question} {v.outcome} ({v.reason}).", "verdict") for v in decided
    ]
    blocks = [Text(ABOUT, "note"), *sentences, _verdicts(decided), _levels(groups, about_aurocs)]
    return Section("Does the score collapse?", blocks)


def _verdicts(decided: Sequence[Verdict]) -> Table:
    rows = [
        {
            "setting": v.setting,
            "question": v.question,
            "verdict": Cell(v.outcome, tone=TONES.get(v.outcome, "unsure"), note=v.reason),
            "n": v.n,
        }
        for v in decided
    ]
    data = pd.DataFrame([verdict._asdict() for verdict in decided])
    return Table("collapse_verdicts", pd.DataFrame(rows), "n: number of seeds.", data)


def _levels(groups: Sequence[Sequence[Level]], about_aurocs: str) -> Table:
    levels = [level for group in groups for level in group]
    rows = [_row(level) for level in levels]
    data = [_data(level) for level in levels]
    caption = f"{CAPTION} {about_aurocs}"
    return Table("collapse", pd.DataFrame(rows), caption, pd.DataFrame(data))


def _row(level: Level) -> dict[str, object]:
    rate, tied, auroc = estimate(list(level.rates), UNBOUNDED), level.numbers[TIED], level.auroc
    names = ("head of the mean", "head of the variance")
    heads = {name: _plain(level.numbers[m]) for name, m in zip(names, HEADS, strict=True)}
    return {
        "setting": level.title,
        "epochs": level.epochs,
        "rate, training": Cell(geometric(rate), rate.mean),
        "rate, test": Cell(geometric(level.numbers[TEST_RATE]), level.numbers[TEST_RATE].mean),
        "spread": _plain(level.numbers[SPREAD]),
        "tied": Cell(tied.mean_interval(), tied.mean),
        **heads,
        "collapsed": level.collapsed,
        "AUROC": Cell(auroc.mean_interval(), auroc.mean),
        "n": rate.n,
    }


def _plain(value: Estimate) -> Cell:
    return Cell(value.mean_interval(TIMES), value.mean)


def _data(level: Level) -> dict[str, object]:
    return {
        **level.setting,
        "epochs": level.epochs,
        **estimate(list(level.rates), UNBOUNDED).columns("log10 rate, training"),
        **level.numbers[TEST_RATE].columns("log10 rate, test"),
        **level.numbers[SPREAD].columns("spread"),
        **level.numbers[TIED].columns("tied"),
        **level.numbers[HEADS[0]].columns("head of the mean"),
        **level.numbers[HEADS[1]].columns("head of the variance"),
        "collapsed": level.collapsed,
        **level.auroc.columns("AUROC"),
        "seeds": len(level.rates),
    }
