"""Whether a short budget ranks configurations as longer training does.

    python run.py --search pgn_cifar --budget quick
    python benchmarks/ranking.py results/pgn_cifar [--times 5] [--results results/ranking]

Trains every complete configuration of a finished study again for several times as many epochs, on
the same images, classes and seeds, as a study of its own that is continued if it was interrupted.
Prints the rank correlation of the objective of the first study with the test AUROC of the second,
with a bootstrap interval over configurations, and the regret of the first winner. Only searches
with one baseline.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis import frame
from analysis.study import StudyRecords
from tune_ad.app.command_line.parser import options, parse
from tune_ad.app.preparation.validation import prepare
from tune_ad.app.provenance import hardware, versions
from tune_ad.app.session import Session
from tune_ad.search.plans import Listed
from tune_ad.selection import rule_value
from tune_ad.storage.records import TrialRecord

RESAMPLES = 10_000


class Agreement(NamedTuple):
    """How well one ranking predicts another.

    Attributes:
        n: number of configurations.
        correlation: Spearman's rank correlation, in [-1, 1].
        low: lower bound of its 95 % interval, from a bootstrap over configurations.
        high: upper bound.
        regret: points of AUROC between the best configuration after longer training and the one
            that the first ranking selects, 0 or more.
    """

    n: int
    correlation: float
    low: float
    high: float
    regret: float


def agreement(objectives: Sequence[float], aurocs: Sequence[float]) -> Agreement:
    """Compare a ranking by objectives (larger = better) with one by test AUROC in [0, 1].

    >>> agreement([1, 2, 3, 4], [0.5, 0.6, 0.8, 0.7])[:2]
    (4, 0.8)
    """
    pairs = np.array([objectives, aurocs], dtype=float)
    n = pairs.shape[1]
    rng = np.random.default_rng(0)
    resampled = [pairs[:, rng.integers(n, size=n)] for _ in range(RESAMPLES)]
    drawn = [stats.spearmanr(*pair).statistic for pair in resampled if (np.ptp(pair, 1) > 0).all()]
    low, high = np.quantile(drawn, [0.025, 0.975])
    regret = 100 * (pairs[1].max() - pairs[1][pairs[0].argmax()])
    correlation = round(float(stats.spearmanr(*pairs).statistic), 9)
    return Agreement(n, correlation, float(low), float(high), float(regret))


def longer(study: StudyRecords, times: int, results: Path) -> Session:
    """A session that trains the configurations of a study for `times` as many epochs.

    It has the budget of the study, except for the epochs; the command line must not have changed
    other numbers.

    Raises:
        ValueError: if the study has several baselines.
        UserError: if its search cannot be run.
    """
    if len(study.baselines) > 1:
        raise ValueError(f"{study.name} has several baselines; only one is supported")
    words = ["--search", study.name, "--budget", study.search["budget_name"]]
    chosen = options(parse([*words, "--results", str(results), "--backend", "serial"]))
    session = prepare(chosen, dry_run=True)  # the folder may have a study that is continued
    names = study.spaces[study.baselines[0]]
    listed = Listed([{n: record.params[n] for n in names} for record in study.complete])
    search = replace(session.study.search, plan=listed)
    budget = replace(
        session.study.budget,
        trials=len(study.complete),
        epochs=times * study.budget["epochs"],
        evaluation_seeds=0,
    )
    longer_study = replace(session.study, search=search, budget=budget)
    return replace(session, study=longer_study, begins=not session.folder.exists())


def table(study: StudyRecords, trained: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per configuration: its parameters, objective, and test AUROC of both studies."""
    by_identity = {searched(study, record): record for record in trained}
    rows = []
    for record in study.complete:
        again = by_identity.get(searched(study, record))
        if again is not None and again.state == "complete":
            rows.append(
                {
                    "trial": record.number,
                    **{name: record.params[name] for name in study.spaces[study.baselines[0]]},
                    "objective": rule_value(record, study.rule),
                    "test AUROC": frame.by_seed(frame.replicas([record])).mean(),
                    "test AUROC, longer": frame.by_seed(frame.replicas([again])).mean(),
                }
            )
    return pd.DataFrame(rows)


def searched(study: StudyRecords, record: TrialRecord) -> str:
    """The searched parameters of a trial as text."""
    return str({name: record.params[name] for name in study.spaces[study.baselines[0]]})


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path, help="the folder of a finished study")
    parser.add_argument("--times", type=int, default=5, help="factor on the number of epochs")
    parser.add_argument("--results", type=Path, default=Path("results/ranking"))
    chosen = parser.parse_args()
    study = StudyRecords.read(chosen.study)
    session = longer(study, chosen.times, chosen.results)
    session.run()
    rows = table(study, session.folder.read_trials(compact=True))
    print(rows.to_markdown(index=False, floatfmt=".4g"))
    for title, column in (("the same training", "test AUROC"), ("longer", "test AUROC, longer")):
        found = agreement(rows["objective"].tolist(), rows[column].tolist())
        print(
            f"\nSpearman with test AUROC, {title}: {found.correlation:.2f} [{found.low:.2f}, "
            f"{found.high:.2f}], n = {found.n}; regret {found.regret:.1f} points"
        )
    print(f"\n{time.strftime('%Y-%m-%d')}, {hardware('cpu')}, {versions()}")


if __name__ == "__main__":
    main()
