"""What each selection rule loses, on studies that have finished: one table in Markdown.

    python -m benchmarks.selection results/pgn_mnist-sobol results/pgn_fmnist-sobol

For every study and rule: the regret if one trial is selected for all classes, the regret if one is
selected for each class alone, and the rank correlation of the rule's value with test AUROC, as in
the section of the report on how to choose.
"""

import sys
from pathlib import Path

from analysis.questions.selection.ensemble import ensembles
from analysis.questions.selection.pool import TrialPool
from analysis.questions.selection.regret import RuleChoice, choices
from analysis.study import StudyRecords
from tune_ad.errors import UserError


def main(paths: list[str]) -> int:
    """Print the table of every study.

    Args:
        paths: the folders of the studies.
    """
    if not paths:
        print("name at least one folder of a study", file=sys.stderr)
        return 2
    for path in paths:
        try:
            pool = TrialPool.of(StudyRecords.read(Path(path)))
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        if pool is None:
            print(f"{path} has fewer than two tested trials", file=sys.stderr)
            return 2
        print(table(pool))
    return 0


def table(pool: TrialPool) -> str:
    """The table of one study."""
    size = f"{len(pool.records)} trials, {len(pool.tasks)} classes, {len(pool.seeds)} seeds"
    lines = [
        f"{pool.study.name}: {size}",
        "",
        "| rule | regret | regret by class | rank correlation |",
        "|---|---|---|---|",
        *map(_row, choices(pool)),
    ]
    if together := ensembles(pool):
        everything = together[0]
        lines += [
            "",
            f"mean rank of all trials {100 * everything.auroc.mean:.1f} %, the average trial "
            f"{100 * everything.single.mean:.1f} %, the best trial on the test set "
            f"{100 * pool.tested.mean(axis=(1, 2)).max():.1f} %",
        ]
    return "\n".join([*lines, ""])


def _row(choice: RuleChoice) -> str:
    regret, by_class, correlation = choice.regret, choice.regret_by_task, choice.correlation
    points = [
        f"{100 * e.mean:.1f} [{100 * e.low:.1f}, {100 * e.high:.1f}]" for e in (regret, by_class)
    ]
    ordered = f"{correlation.mean:.2f} [{correlation.low:.2f}, {correlation.high:.2f}]"
    return f"| {choice.rule} | {' | '.join(points)} | {ordered if correlation.n else ''} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
