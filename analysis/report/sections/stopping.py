"""How much of a result is due to where training stops."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Cell, Figure, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS, short
from analysis.questions.progress.stopping import (
    MOST_BANDS,
    Stopping,
    draw_stopping,
    leads,
    stopping,
)
from analysis.report.findings import Findings
from tune_ad.wording import count

PLACE = 33
MOST_DRAWN = 8
MOST_TOLD = 4
CAPTION = (
    "Test AUROC in per cent at the last epoch, mean over classes [95 % interval over n seeds]; "
    "differences in points, paired by seed. Since half: the last report minus that at half of the "
    "epochs. Best epoch: that with the largest mean on the test set, whose AUROC is no result. "
    "Best minus last: what it adds, found with the other seeds, so that luck is no gain. Spread: "
    "the largest minus the smallest mean of the reports of the second half; of a class: that of "
    "the class in which it is largest."
)


def section(findings: Findings) -> Section | None:
    """The test AUROC over the epochs; None if it was not recorded."""
    found = stopping(findings.study, findings.results)
    if not found:
        return None
    drawn = sorted(found, key=lambda one: -one.auroc[-1].mean)[:MOST_DRAWN]
    return Section(
        "Where training stops",
        [Text(_sentences(found)), _figure(drawn, len(found)), _table(found)],
    )


def _sentences(found: Sequence[Stopping]) -> str:
    """The result that depends most on the last epoch, and who leads when."""
    most = max(found, key=lambda one: one.gain.mean)
    optimistic = " (found with that seed, and so optimistic)" * (most.gain.n == 1)
    among = f" of {count(len(found), 'result')}" * (len(found) > 1)
    return (
        f"The largest gain{among} by stopping at the epoch that is best on the test set: "
        f"{most.gain.mean_interval(PERCENTAGE_POINTS)} points{optimistic}, {most.label}, epoch "
        f"{short(float(most.epochs[most.best]))} of {short(float(most.epochs[-1]))}, n = "
        f"{count(most.gain.n, 'seed')}. Published tables do not always say which epoch they "
        f"show.{_leads(found)}"
    )


def _leads(found: Sequence[Stopping]) -> str:
    """Which of the results has the largest mean at which share of the epochs."""
    if len(found) < 2 or not (changes := leads(found)):
        return ""
    if len(changes) == 1:
        return f" {changes[0][1]} has the largest mean of these at every report they share."
    told = [f"{label} from {share:.0%} of the epochs" for share, label in changes[:MOST_TOLD]]
    more = len(changes) - MOST_TOLD
    rest = f", and {count(more, 'change')} more" if more > 0 else ""
    return f" Which has the largest mean depends on it, untested: {', '.join(told)}{rest}."


def _figure(drawn: Sequence[Stopping], results: int) -> Figure:
    some = f"{len(drawn)} of " * (len(drawn) < results) + count(results, "result")
    caption = (
        f"Test AUROC over the epochs of {some}, mean over classes. Bands, of at most "
        f"{MOST_BANDS} results with several seeds: 95 % interval over seeds. It selects nothing."
    )
    return Figure("stopping", partial(draw_stopping, drawn), caption)


def _table(found: Sequence[Stopping]) -> Table:
    rows = [
        {
            "result": one.label,
            "epochs": short(float(one.epochs[-1])),
            "last": one.auroc[-1].interval_cell(),
            "since half": one.half.interval_cell(PERCENTAGE_POINTS),
            "best epoch": short(float(one.epochs[one.best])),
            "best minus last": one.gain.interval_cell(PERCENTAGE_POINTS),
            "spread": Cell(f"{100 * one.spread:.1f}", one.spread),
            "spread of a class": Cell(f"{100 * one.largest:.1f} ({one.task})", one.largest),
            "n": one.auroc[-1].n,
        }
        for one in found
    ]
    lost = sum(one.left_out for one in found)
    left_out = f" Left out: {count(lost, 'model')}, of seeds that lack a class." * bool(lost)
    return Table("stopping", pd.DataFrame(rows), CAPTION + left_out)
