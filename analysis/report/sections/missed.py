"""Which classes of anomalies the reported results miss."""

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import file_name
from analysis.questions.alarms.missed import Missed, Pair, colours_from, draw_missed, missed
from analysis.report.findings import Findings
from tune_ad.wording import count

PLACE = 57
NAMED, LISTED = 3, 10  # pairs in the sentence and in the table


def section(findings: Findings) -> Section | None:
    """The heat map of every result; None without stored ranks, or with a single pair."""
    found = [missed(findings.study, result) for result in findings.results if result.auroc.n]
    blocks = [block for of_result in found if of_result for block in _blocks(of_result)]
    return Section("What is missed", blocks) if blocks else None


def _blocks(found: Missed) -> list[Block]:
    hardest = "; ".join(
        f"{pair}: {pair.auroc.mean_std_interval()}" for pair in found.hardest(NAMED)
    )
    lowest = colours_from(100 * found.means.to_numpy(dtype=float))
    least = min(pair.images for pair in found.pairs)
    seeds = count(found.pairs[0].auroc.n, "seed")
    name = file_name("missed", found.label)
    about = (
        f"Test AUROC of {found.label} in per cent, mean over {seeds}: a row for each normal "
        f"class, a column for each class of the anomalies ({found.against}), at least {least} "
        f"images each. Colours from {lowest:.0f} (dark) to 100 (light); at 50, which is chance, "
        "anomalies look like normal images to the models. This is test data: to choose a "
        "configuration by this figure would be to select on it."
    )
    listed = (
        f"The {LISTED} smallest numbers of the figure: mean ± standard deviation over {seeds} "
        "[95 % interval, which covers the seeds alone]. The CSV file has all of them."
    )
    return [
        Text(f"{found.label} misses most (test AUROC in per cent, mean over {seeds}): {hardest}."),
        Figure(name, partial(draw_missed, found), about),
        Table(name, _shown(found.hardest(LISTED)), listed, _data(found.pairs)),
    ]


def _shown(pairs: Sequence[Pair]) -> pd.DataFrame:
    return pd.DataFrame(
        _row(pair, {"test AUROC": Cell(pair.auroc.mean_std_interval(), pair.auroc.mean)})
        for pair in pairs
    )


def _data(pairs: Sequence[Pair]) -> pd.DataFrame:
    return pd.DataFrame(_row(pair, pair.auroc.columns("test AUROC")) for pair in pairs)


def _row(pair: Pair, auroc: Mapping[str, object]) -> dict[str, object]:
    """The row of a pair, with its AUROC as it is shown or stored."""
    return {
        "normal class": pair.normal,
        "class of the anomalies": pair.anomalous,
        "images": pair.images,
        **auroc,
        "n": pair.auroc.n,
    }
