"""Which trial each selection rule would have chosen, its regret, and how many labels it needs."""

from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS, count
from analysis.questions.regret import (
    LabelCurve,
    RuleChoice,
    choices,
    draw_label_curve,
    label_curve,
)
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.search.selection import RULES

PLACE = 35
ABOUT = (
    "Test AUROC in per cent of the trial that each rule chooses, mean ± standard deviation over "
    "the search's own seeds [95 % interval], and the regret of the rule in points: the test "
    "AUROC of the best trial minus that of the chosen one, paired by n seeds. random is the mean "
    "over all trials, that is, a configuration picked by chance. These are the models of the "
    "search, so oracle is optimistic, and regrets are too large rather than too small."
)


def section(findings: Findings) -> Section | None:
    """The rules side by side; None where there is nothing to choose."""
    study = findings.study
    chosen = choices(study)
    if not chosen or not study.spaces or not any(study.spaces.values()):
        return None
    rules = "\n".join(f"- {choice.rule}: by {RULES[choice.rule].title}" for choice in chosen)
    blocks: list[Block] = [Text(rules), _table(study, chosen)]
    if (curve := label_curve(study)) is not None:
        blocks.append(_label_figure(curve))
    return Section("How much test AUROC each selection rule loses", blocks)


def _label_figure(curve: LabelCurve) -> Figure:
    return Figure(
        "label_curve",
        partial(draw_label_curve, curve),
        f"Regret of choosing one of {count(curve.trials, 'trial')} by the AUROC against k "
        f"labelled anomalies per class: mean and 95 % range over {max(curve.draws)} draws of the "
        "anomalies, from one set of trained models, so the range does not include the variance "
        "over seeds. 0: chosen by the loss of held-out normals. all: by every held-out anomaly.",
    )


def _name(study: StudyRecords, choice: RuleChoice) -> str:
    if choice.number is None:
        return "random (mean over all)"
    used = study.chooses and choice.rule == study.rule
    return f"{choice.rule} (this study's)" if used else choice.rule


def _table(study: StudyRecords, chosen: list[RuleChoice]) -> Table:
    rows = [
        {
            "rule": _name(study, choice),
            "chooses trial": "any" if choice.number is None else choice.number,
            "of": choice.ranked,
            "test AUROC": Cell(choice.auroc.mean_std_interval(), choice.auroc.mean),
            "regret": choice.regret.interval_cell(PERCENTAGE_POINTS),
            "n": choice.regret.n,
        }
        for choice in chosen
    ]
    return Table("regret", pd.DataFrame(rows), f"{ABOUT} {_left_out(study, chosen)}".strip())


def _left_out(study: StudyRecords, chosen: list[RuleChoice]) -> str:
    """What the caption adds: what is quoted instead, and which trials are not among these."""
    sentences = []
    if study.quotes == "winner":
        sentences.append("The quoted number comes from fresh seeds.")
    elif not study.chooses:
        sentences.append("Nothing was selected here: this is what each rule would have chosen.")
    if left_out := len(study.trials) - chosen[-1].ranked:
        trials = count(left_out, "trial")
        sentences.append(f"Left out: {trials} that failed, stopped early or lacked a test.")
    return " ".join(sentences)
