"""How much test AUROC each way to choose a configuration loses, and what no choice would give."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text, plain
from analysis.document.format import CORRELATION, PERCENTAGE_POINTS, in_words
from analysis.image_sampling import covers
from analysis.questions.selection.across import is_without_labels
from analysis.questions.selection.ensemble import EnsembleResult
from analysis.questions.selection.generators import Agreement, agreements
from analysis.questions.selection.labels import LabelCurve, draw_label_curve, label_curve
from analysis.questions.selection.pool import TrialPool
from analysis.questions.selection.regret import RuleChoice, choices, left_out
from analysis.report.findings import Findings
from analysis.stats.estimates import Estimate
from analysis.study import StudyRecords
from tune_ad.sample_sizes import LEAST_SEEDS
from tune_ad.selection import RULES
from tune_ad.wording import count

PLACE = 35
ABOUT = (
    "What each rule would have chosen. Test AUROC in per cent of its trial for all classes "
    "together, mean ± standard deviation over the seeds of the search [95 % interval]. Regret in "
    "points: how much more test AUROC the best trial has; 0 is best. Rank correlation "
    "(Spearman): 1 = the rule orders the trials as the test does, 0 = not at all. random: the "
    "average trial. oracle selects by the test set itself."
)
COMPUTED = (
    "Regret by class: a trial is selected for each class alone. Regrets and rank correlations, of "
    "the value of the rule with test AUROC over the trials, are means over the classes [95 % "
    "interval of Student's t over n classes]; of a single class, regrets are means over n seeds "
    "and the correlation has no interval. A rule that has seen the models that are tested profits "
    "from their luck, so that its regret can lie below 0."
)
ENSEMBLES = (
    "Test AUROC of the mean rank of the scores of several trials (a hyperparameter ensemble), "
    "mean ± standard deviation over the seeds of the search [95 % interval], beside that of the "
    "single trial that the rule selects (for all trials: their average). No test image is used "
    "to choose the trials. Of large test sets a sample of the images is ranked."
)
AGREEMENTS = (
    "Spearman's rank correlation, over the trials, of the AUROC of two kinds of pseudo-outliers: "
    "mean over classes [95 % interval over n classes]. Kinds that disagree cannot all be right "
    "about which trial is best."
)


def section(findings: Findings) -> Section | None:
    """The rules side by side; None if there is nothing to select."""
    study = findings.study
    pool = findings.pool
    if pool is None:
        return None
    chosen = choices(pool)
    rules = "\n".join(_about_rule(choice) for choice in chosen)
    blocks: list[Block] = [Text(rules), _table(study, pool, chosen)]
    if (curve := label_curve(pool)) is not None:
        known = _chosen_by_labels(study, pool)
        blocks += [_label_figure(curve, known), Text(_about_unseen(curve, known))]
    if findings.ensembles:
        blocks.append(_ensembles(findings.ensembles, _covers(pool, "Intervals")))
    if kinds := agreements(pool):
        blocks.append(_agreements(kinds))
    return Section("How to choose: what each selection rule loses", blocks)


def _chosen_by_labels(study: StudyRecords, pool: TrialPool) -> str:
    """What of the trained models the labelled anomalies had chosen before, in words."""
    if is_without_labels(study.rule):
        return ""
    return in_words(_changed_at_scoring(pool))


def _label_figure(curve: LabelCurve, chosen: str) -> Figure:
    draws = max(regrets.n for regrets in curve.of_one_class.values())
    return Figure(
        "label_curve",
        partial(draw_label_curve, curve),
        f"Regret when selecting one of {count(curve.trials, 'trial')} for one class alone, by "
        "validation AUROC with only k labelled anomalies, drawn from all classes of anomalies or "
        f"from a single one: mean and 95 % range over {count(curve.tasks, 'class')}, classes of "
        f"anomalies and draws (at most {draws} selections), from one set of trained models, so "
        "the range does not include the variance over seeds. all: every validation anomaly."
        + f" In every trial all of them had chosen {chosen} before."
        * bool(chosen),
    )


def _about_unseen(curve: LabelCurve, chosen: str) -> str:
    """What selection loses on anomalies of a class that the labels lack."""
    title = "Anomalies that nobody has seen"
    if chosen:
        title = f"Anomalies that have no part in the selection (but had in the choice of {chosen})"
    if curve.unseen is None or curve.seen is None:
        return (
            "No class of anomalies can be left out of the labels: there is only one, or a class "
            "has fewer than two test images."
        )
    unseen, seen = (f"{100 * regrets.mean:.1f}" for regrets in (curve.unseen, curve.seen))
    return (
        f"{title}: if all validation anomalies but those of one class "
        f"select, the regret on the test anomalies of that class is {unseen} points on average "
        f"({count(curve.unseen.n, 'pair')} of a class and a class of anomalies); if that class is "
        f"among the labels, {seen}."
    )


def _about_rule(choice: RuleChoice) -> str:
    """An item of the list of rules: the number by which it selects, and what it needs for it."""
    rule = RULES[choice.rule]
    return f"- {choice.rule}: by {rule.title}; uses {rule.needs}"


def _name(study: StudyRecords, choice: RuleChoice) -> str:
    if choice.number is None:
        return "random (the average trial)"
    used = study.chooses and choice.rule == study.rule
    return f"{choice.rule} (this study's)" if used else choice.rule


def _table(study: StudyRecords, pool: TrialPool, chosen: Sequence[RuleChoice]) -> Table:
    rows = [
        {
            "rule": _name(study, choice),
            "uses": RULES[choice.rule].needs,
            "selected trial": "(mean of all)" if choice.number is None else choice.number,
            "of": choice.ranked,
            "test AUROC": _cell(choice.auroc),
            "regret": choice.regret.interval_cell(PERCENTAGE_POINTS),
            "regret by class": choice.regret_by_task.interval_cell(PERCENTAGE_POINTS),
            "rank correlation": choice.correlation.interval_cell(CORRELATION),
            "n": choice.regret.n,
        }
        for choice in chosen
    ]
    about_intervals = _covers(pool, "Intervals of test AUROC")
    table = pd.DataFrame(rows)
    shown, ranked = table.drop(columns="uses"), {choice.ranked for choice in chosen}
    of_all = ""
    if len(ranked) == 1:
        shown = shown.drop(columns="of")
        of_all = f"Every rule ranks the same {count(ranked.pop(), 'trial')}."
    details = " ".join(filter(None, (COMPUTED, about_intervals, _cross_fitted(pool))))
    caption = " ".join(filter(None, (ABOUT, of_all, *_limits(study, pool))))
    return Table("regret", shown, caption, data=table.map(plain), details=details)


def _covers(pool: TrialPool, what: str) -> str:
    """What the intervals over the seeds of the pool cover."""
    return covers({"": pool.coverage} if len(pool.seeds) > 1 else {}, what)


def _cell(auroc: Estimate) -> Cell:
    return Cell(auroc.mean_std_interval(), auroc.mean)


def _cross_fitted(pool: TrialPool) -> str:
    """How luck is kept out of the regrets; empty if it is not."""
    if not pool.cross_fitted:
        return ""
    return (
        f"Regrets are cross-fitted over {pool.cross_fitted}: the best trial is found on one part "
        "and compared on another, so that luck on one part is not counted as regret."
    )


def _limits(study: StudyRecords, pool: TrialPool) -> list[str]:
    """The end of the caption: what may be chance, and what the table leaves out."""
    sentences = []
    if not pool.cross_fitted:
        sentences.append(
            "The best of several trials is partly the luckiest, so regrets are too large."
        )
    if (seeds := len(pool.seeds)) < LEAST_SEEDS:
        sentences.append(
            f"{count(seeds, 'seed')} {'is' if seeds == 1 else 'are'} too few to rank the rules: "
            "their order may be chance."
        )
    if study.retrains:
        sentences.append("The main result comes from fresh seeds.")
    elif not study.chooses:
        sentences.append(
            "This study selected no trial; the table shows what each rule would have selected."
        )
    sentences += _chosen_at_scoring(study, pool)
    sentences += [f"{rule} is not shown: {why}." for rule, why in left_out(pool).items()]
    if lost := len(study.trials) - len(pool.records):
        trials = count(lost, "trial")
        sentences.append(f"Left out: {trials} that failed, were pruned or have no test result.")
    return sentences


def _chosen_at_scoring(study: StudyRecords, pool: TrialPool) -> list[str]:
    """A sentence if the rule of the study also chose how trained models score."""
    names = _changed_at_scoring(pool)
    if not names:
        return []
    return [
        f"In every row, {in_words(names)} of a trained model is the one that {study.rule} "
        "chose; another rule might have chosen another."
    ]


def _changed_at_scoring(pool: TrialPool) -> list[str]:
    """The parameters of the score that were chosen for the trained models of a trial."""
    return [*dict.fromkeys(name for record in pool.records for name in record.changed_at_scoring)]


def _ensembles(together: Sequence[EnsembleResult], about_intervals: str) -> Table:
    rows = [
        {
            "trials": f"best {e.trials} by {e.rule}" if e.rule else f"all {e.trials}",
            "ensemble": _cell(e.auroc),
            "single trial": _cell(e.single),
            "n": e.auroc.n,
        }
        for e in together
    ]
    return Table("ensembles", pd.DataFrame(rows), f"{ENSEMBLES} {about_intervals}")


def _agreements(kinds: Sequence[Agreement]) -> Table:
    rows = [
        {
            "pseudo-outliers": kind.first,
            "and": kind.second,
            "rank correlation": kind.correlation.interval_cell(CORRELATION),
            "n": kind.correlation.n,
        }
        for kind in kinds
    ]
    return Table("pseudo_outliers", pd.DataFrame(rows), AGREEMENTS)
