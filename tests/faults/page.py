"""The page of the campaign."""

from collections.abc import Sequence
from pathlib import Path

from tests.faults.campaign import Row

PAGE = Path("docs/reliability.md")
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"


def write_page(table: Sequence[Row], seed: int) -> None:
    """Write the table between the markers of the page."""
    page = Path(__file__).parents[2] / PAGE
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(table, seed)}\n{END}{after}", encoding="utf-8")


def markdown(table: Sequence[Row], seed: int) -> str:
    """The table in Markdown."""
    lines = [
        f"{sum(row.number for row in table)} cases, seed {seed}.",
        "",
        "| kind | number | exit codes | trained again | lost | problems |",
        "|---|---|---|---|---|---|",
    ]
    for row in table:
        ended = ", ".join(f"{code}: {number}" for code, number in sorted(row.ended.items()))
        counts = f"{row.again} | {row.lost} | {row.problems}"
        lines.append(f"| {row.kind} | {row.number} | {ended} | {counts} |")
    return "\n".join(lines)
