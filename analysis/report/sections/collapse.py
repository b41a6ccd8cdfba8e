"""Whether the score of PGN collapses when it is trained longer, with and without biases."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text, Tone
from analysis.document.format import PERCENT
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.collapse.levels import (
    MEASURED,
    TEST_RATE,
    TIED,
    Level,
    geometric,
    training_lengths,
)
from analysis.questions.collapse.rules import (
    COLLAPSED,
    NO_SPREAD,
    TIMES,
    CollapseVerdict,
    verdicts,
)
from analysis.report.findings import Findings
from analysis.stats.estimates import MARGIN, Estimate, estimate
from tune_ad.sample_sizes import LEAST_PAIRS, LEAST_SEEDS
from tune_ad.storage.metric import Metric

PLACE = 62
TONES: dict[str, Tone] = {
    "collapses": "worse",
    "has not collapsed": "better",
    "suffers": "worse",
    "gains": "better",
    "does not suffer": "alike",
    "lower": "worse",
    "higher": "better",
}
"""The tone of an outcome, by its first words."""
ABOUT = (
    "With the prior N(0, I) PGN's loss is 0, its minimum, if all weights and biases of both heads "
    "are 0 (as released, with a head for the log-variance); then all images have the same score. "
    "That holds with and without biases, which are only said to make it easier. The rate (the KL "
    f"divergence of a code from the prior) collapses if its interval lies below {COLLAPSED} nats "
    "after the longest training. It has not collapsed within these epochs if it lies above, and "
    "doubling the epochs is shown not to halve it any more; it may still fall as a power law of "
    "the epochs, which approaches 0. The score collapses if its standard deviation over training "
    f"images is shown to be below {NO_SPREAD} of its mean, or the scores of all models differ "
    "only by rounding: an AUROC needs differences alone. AUROC suffers if it is lower after the "
    "longest than after the shortest training, paired by seed, and does not if both are "
    f"equivalent within ± {100 * MARGIN:.0f} points (which needs {LEAST_PAIRS} seeds). These "
    "rules were fixed before the first study, except that on the score. A verdict needs "
    f"{LEAST_SEEDS} seeds; each is given by itself, without a correction for their number."
)
CAPTION = (
    "Each setting after each number of epochs: mean [95 % interval over n seeds, each the mean "
    "over the classes]. Rates in nats, geometric means, without dropout: of training images, and "
    "of normal test images. Factor per doubling: by what a doubling of the epochs since the row "
    "above multiplies the rate. Spread: standard deviation of the rate over training images, "
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


def _verdicts(decided: Sequence[CollapseVerdict]) -> Table:
    rows = [
        {
            "setting": v.setting,
            "question": v.question,
            "verdict": Cell(v.outcome, tone=_tone(v.outcome), note=v.reason),
            "n": v.n,
        }
        for v in decided
    ]
    data = pd.DataFrame([verdict._asdict() for verdict in decided])
    return Table("collapse_verdicts", pd.DataFrame(rows), "n: number of seeds.", data)


def _tone(outcome: str) -> Tone:
    return next((tone for start, tone in TONES.items() if outcome.startswith(start)), "unsure")


def _levels(groups: Sequence[Sequence[Level]], about_aurocs: str) -> Table:
    changes = [(level, change) for levels in groups for level, change in _changes(levels)]
    rows = [_row(level, change) for level, change in changes]
    data = [_data(level, change) for level, change in changes]
    caption = f"{CAPTION} {about_aurocs}"
    return Table("collapse", pd.DataFrame(rows), caption, pd.DataFrame(data))


def _changes(levels: Sequence[Level]) -> Iterator[tuple[Level, Estimate]]:
    """Every level with its change of the rate since the one before; the first has none."""
    yield levels[0], estimate([])
    for shorter, level in pairwise(levels):
        yield level, level.change_since(shorter)


def _row(level: Level, change: Estimate) -> dict[str, object]:
    auroc = level.auroc
    return {
        "setting": level.title,
        "epochs": level.epochs,
        "rate, training": _geometric(level.rate),
        "factor per doubling": _geometric(change),
        "rate, test": _geometric(level.numbers[TEST_RATE]),
        **{name: _plain(level.numbers[metric], metric) for name, metric in MEASURED.items()},
        "collapsed": level.collapsed,
        "AUROC": auroc.interval_cell(),
        "n": level.rate.n,
    }


def _geometric(logarithm: Estimate) -> Cell:
    return Cell(geometric(logarithm), logarithm.mean)


def _plain(value: Estimate, metric: Metric) -> Cell:
    return value.interval_cell(PERCENT if metric == TIED else TIMES)


def _data(level: Level, change: Estimate) -> dict[str, object]:
    row = {
        **level.setting,
        "epochs": level.epochs,
        **level.rate.columns("log10 rate, training"),
        **change.columns("log10 factor per doubling"),
        **level.numbers[TEST_RATE].columns("log10 rate, test"),
    }
    for name, metric in MEASURED.items():
        row |= level.numbers[metric].columns(name)
    return {
        **row,
        "collapsed": level.collapsed,
        **level.auroc.columns("AUROC"),
        "seeds": len(level.rates),
    }
