"""What each selection rule would have chosen, its regret, and how many labels a choice needs."""

from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS, count
from analysis.questions.regret import Choice, choices, draw_label_curve, label_curve
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.search.selection import describe

PLACE = 35
ABOUT = (
    "Test AUROC in per cent of the trial that each rule chooses, mean ± standard deviation over "
    "the search's own seeds [95 % interval], and its regret in points: the best trial's minus "
    "its own, paired by n seeds. random is the mean over all trials: a configuration picked by "
    "chance. These are the models of the search, so oracle is optimistic, and regrets are too "
    "large rather than too small."
)


def section(findings: Findings) -> Section | None:
    """The rules side by side; None where there is nothing to choose."""
    study = findings.study
    made = choices(study)
    if not made or not study.spaces or not any(study.spaces.values()):
        return None
    rules = "\n".join(f"- {describe(each.rule)}" for each in made)
    blocks: list[Block] = [Text(rules), _table(study, made)]
    if (curve := label_curve(study)) is not None:
        draws = max(curve.draws)
        blocks.append(
            Figure(
                "label_curve",
                partial(draw_label_curve, curve),
                f"Regret of choosing one of {count(curve.trials, 'trial')} by the AUROC against k "
                f"labelled anomalies of each class: mean and 95 % range over {draws} draws of "
                "the anomalies alone, of one set of trained models; seeds are not in the range. 0 "
                "chooses by the loss of held-out normals, all by every held-out anomaly.",
            )
        )
    return Section("What each selection rule is worth", blocks)


def _named(study: StudyRecords, each: Choice) -> str:
    if each.number is None:
        return "random (mean over all)"
    own = study.chooses and each.rule == study.rule
    return f"{each.rule} (this study's)" if own else each.rule


def _table(study: StudyRecords, made: list[Choice]) -> Table:
    rows = [
        {
            "rule": _named(study, each),
            "chooses trial": "any" if each.number is None else each.number,
            "of": each.judged,
            "test AUROC": Cell(each.auroc.mean_std_interval(), each.auroc.mean),
            "regret": Cell(each.regret.mean_interval(PERCENTAGE_POINTS), each.regret.mean),
            "n": each.regret.n,
        }
        for each in made
    ]
    return Table("regret", pd.DataFrame(rows), f"{ABOUT} {_left_out(study, made)}".strip())


def _left_out(study: StudyRecords, made: list[Choice]) -> str:
    """What the caption adds: what is quoted instead, and which trials are not among these."""
    said = []
    if study.budget["evaluation_seeds"]:
        said.append("What is quoted comes from fresh seeds.")
    elif not study.chooses:
        said.append("No rule chose here: this is what each would have chosen.")
    if left := len(study.trials) - made[-1].judged:
        said.append(f"{count(left, 'trial')} failed, stopped early or untested: left out.")
    return " ".join(said)
