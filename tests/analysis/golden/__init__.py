"""Small real studies, and the tables of their reports.

`quickstart` is a search with its winner on fresh seeds: `python run.py --search quickstart
--backend serial --trials 14 --seeds 2`. `quickstart-ablation` changes one parameter at a time:
`python run.py --search quickstart --backend serial --ablate --epochs 20`.

`python -m tests.analysis.golden` writes the tables anew, after a change that is meant to change
numbers.
"""

from functools import cache
from pathlib import Path

from analysis.report.render.export import write_csv
from analysis.report.study_report import document
from analysis.study import StudyRecords

FOLDER = Path(__file__).parent
STUDIES = ("quickstart", "quickstart-ablation")
COPIES = {"replicas", "variants"}  # tables that only repeat the records


@cache
def report_of(name):
    """The report of a golden study."""
    return document(StudyRecords.read(FOLDER / name))


def tables_of(report):
    """What is compared: the tables that say more than the records themselves."""
    return {
        table.name: table
        for table in report.all_tables()
        if table.name not in COPIES and not table.stored.empty
    }


def write():
    """Write the tables and the answer of every golden study."""
    for name in STUDIES:
        report, folder = report_of(name), FOLDER / name / "report"
        for path in folder.glob("*.csv"):
            path.unlink()
        for table in tables_of(report).values():
            write_csv(table.stored, folder / f"{table.name}.csv")
        (folder / "answer.txt").write_text(report.summary + "\n", encoding="utf-8")
