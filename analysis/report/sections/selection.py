"""The trial that each selection rule selects, its regret, and the number of labels needed."""

from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS
from analysis.questions.regret import (
    LabelCurve,
    RuleChoice,
    choices,
    draw_label_curve,
    label_curve,
)
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.sample_sizes import LEAST_SEEDS
from tune_ad.search.selection import RULES
from tune_ad.wording import count

PLACE = 35
ABOUT = (
    "Test AUROC in per cent of the trial that each rule selects, mean ± standard deviation over "
    "the seeds of the search [95 % interval], and the regret of the rule in points: the test "
    "AUROC of the best trial minus that of the selected one, paired by n seeds. random: the "
    "average trial. All numbers are from the seeds of the search. The best of several trials is "
    "partly the luckiest, so oracle is optimistic, and regrets, which are measured from it, tend "
    "to be too large."
)


def section(findings: Findings) -> Section | None:
    """The rules side by side; None if there is nothing to select."""
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
        f"Regret when selecting one of {count(curve.trials, 'trial')} by validation AUROC with "
        f"only k labelled anomalies per class: mean and 95 % range over {max(curve.draws)} draws "
        "of the anomalies, from one set of trained models, so the range does not include the "
        "variance over seeds. 0: selected by validation loss; all: all validation anomalies.",
    )


def _name(study: StudyRecords, choice: RuleChoice) -> str:
    if choice.number is None:
        return "random (the average trial)"
    used = study.chooses and choice.rule == study.rule
    return f"{choice.rule} (this study's)" if used else choice.rule


def _table(study: StudyRecords, chosen: list[RuleChoice]) -> Table:
    rows = [
        {
            "rule": _name(study, choice),
            "selected trial": "(mean of all)" if choice.number is None else choice.number,
            "of": choice.ranked,
            "test AUROC": Cell(choice.auroc.mean_std_interval(), choice.auroc.mean),
            "regret": choice.regret.interval_cell(PERCENTAGE_POINTS),
            "n": choice.regret.n,
        }
        for choice in chosen
    ]
    return Table("regret", pd.DataFrame(rows), f"{ABOUT} {_left_out(study, chosen)}".strip())


def _left_out(study: StudyRecords, chosen: list[RuleChoice]) -> str:
    """The end of the caption: the source of the main result, and the trials left out."""
    sentences = []
    if (seeds := max(choice.regret.n for choice in chosen)) < LEAST_SEEDS:
        sentences.append(
            f"{count(seeds, 'seed')} {'is' if seeds == 1 else 'are'} too few to rank the rules: "
            "their order may be chance."
        )
    if study.quotes == "winner":
        sentences.append("The main result comes from fresh seeds.")
    elif not study.chooses:
        sentences.append(
            "This study selected no trial; the table shows what each rule would have selected."
        )
    if left_out := len(study.trials) - chosen[-1].ranked:
        trials = count(left_out, "trial")
        sentences.append(f"Left out: {trials} that failed, were pruned or have no test result.")
    return " ".join(sentences)
