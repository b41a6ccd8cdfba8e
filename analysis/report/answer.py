"""The summary of a study: shown at the top of the report and printed at the end of a run."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from analysis.document.format import PERCENTAGE_POINTS, in_words, p_text, short
from analysis.left_out import paragraph
from analysis.questions.ablation import Effect
from analysis.questions.claims.verdict_blocks import conclusions
from analysis.questions.comparison.contenders import Contrast
from analysis.quoted import Result, why_nothing
from analysis.report.findings import Findings
from analysis.report.sections.kept_model import kept_tasks
from analysis.stats.paired import NOT_ON_OTHER_IMAGES, HolmDecision, made
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.selection import RULES, ranked, rule_value
from tune_ad.storage.metric import CHANCE_AUROC
from tune_ad.storage.records import State
from tune_ad.wording import count

RANKED = 10  # maximum number of effects in the summary; the section has all of them
LIKE = 0.001  # rates that differ by less are given as one
ENDINGS: tuple[State, ...] = ("pruned", "failed")


def answer(findings: Findings) -> str:
    """Progress, main result or verdicts, selection rule, and what the study is too small for.

    The result of a study that tests a claim is its verdicts; an ablation also ranks its effects.

    Returns:
        Paragraphs, separated by empty lines; a line that begins with "- " is an item of a list.
    """
    study = findings.study
    if verdicts := conclusions(findings.claim, findings.main_judgements):
        return "\n\n".join([_listed(_progress(study), verdicts), *_limits(findings)])
    paragraphs = [_progress(study), *_quoted(study, findings.results), *_ranking(findings)]
    if study.quotes == "winners":
        paragraphs += _against_best(findings)
    if any(result.auroc.n for result in findings.results):
        paragraphs.append(findings.results[0].selection)
    paragraphs += _chosen_without_anomalies(findings)
    paragraphs += _no_better_than_chance(findings)
    paragraphs += _without_choice(findings)
    paragraphs += _kept(findings)
    return "\n\n".join([*paragraphs, *_limits(findings)])


def scope(study: StudyRecords) -> str:
    """What was run: detectors, data, parameters, seeds and numbers of images, in sentences."""
    detectors = dict.fromkeys(
        str(baseline.get("detector", name))  # studies of earlier versions lack it
        for name, baseline in study.search["baselines"].items()
    )
    titles = [study.task_title(name) for name in study.tasks]
    varied = len({name for space in study.spaces.values() for name in space})
    searched = f", {count(varied, 'parameter')} varied" * bool(varied)
    seeds = count(int(study.budget.get("seeds", 1)), "seed") + " for each configuration"
    fresh = int(study.budget.get("evaluation_seeds") or 0) if study.retrains else 0
    again = f", {count(fresh, 'fresh seed')} for the winner" * bool(fresh)
    kinds = "normal" if study.whole else "normal and as many anomalous"
    most = [
        f"{int(limit):,} {what}"
        for name, what in (
            ("train_images", "training images for a model"),
            ("test_images", f"{kinds} test images"),
        )
        if (limit := study.budget.get(name))
    ]
    limits = f" At most {in_words(most)}." * bool(most)
    return f"{in_words([*detectors])} on {in_words(titles)}{searched}; {seeds}{again}.{limits}"


def _without_choice(findings: Findings) -> Iterator[str]:
    """The ensemble of all trials, if a trial was selected."""
    if findings.study.chooses and findings.ensembles:
        everything = findings.ensembles[0]
        yield (
            f"Without any choice, the mean rank of the scores of all "
            f"{count(everything.trials, 'trial')}: {everything.auroc}, models of the search."
        )


def _chosen_without_anomalies(findings: Findings) -> Iterator[str]:
    """The winner of a study in which no anomaly is known, with the value of its rule."""
    study, rule = findings.study, findings.study.rule
    if not (study.whole and study.chooses):
        return
    for winner in ranked(study.trials, rule)[:1]:
        params = ", ".join(f"{name} = {short(winner.params[name])}" for name in winner.searched)
        shown = "chance"
        if RULES[rule].metrics:
            value = RULES[rule].shown(winner.metrics, rule_value(winner, rule) or 0.0)
            shown = f"{value} on the seeds of the search"
        yield (
            f"Chosen: {winner.baseline}{params and f' with {params}'}, by {shown}. No anomaly "
            "is known, so nothing is said of how well it detects any."
        )


def _no_better_than_chance(findings: Findings) -> Iterator[str]:
    """A warning if even the winner has no AUROC above 50 % on the images that selected it."""
    study, rule = findings.study, RULES[findings.study.rule]
    if not (study.chooses and rule.is_auroc):
        return
    for winner in ranked(study.trials, rule.name)[:1]:
        value = rule_value(winner, rule.name)
        if value is not None and value <= CHANCE_AUROC:
            yield (
                "Warning: no trial is better than chance (50 %) on the images that select: the "
                f"best has {rule.shown(winner.metrics, value)}. Do not trust the choice; train "
                "longer (--epochs), search more trials, or use another rule (--selection)."
            )


def _kept(findings: Findings) -> Iterator[str]:
    """The false alarms of the kept model, if the study has kept one."""
    tasks = [task for task in kept_tasks(findings) if task.threshold]
    if not tasks:
        return
    rates = [task.threshold["rate"] for task in tasks]
    images = [task.threshold["images"] for task in tasks]
    models = count(tasks[0].models, "model") + " per class" * (not findings.study.whole)
    most = f"{max(rates):.2%}" if max(rates) - min(rates) < LIKE else _range(rates, "{:.2%}")
    yield (
        f"Kept in {findings.study.folder.best.name}/: {models} with a threshold above which on "
        f"average at most {most} of new normal images lie (from {_range(images, '{}')} normal "
        f"test images).{_found(findings)}"
    )


def _found(findings: Findings) -> str:
    """How many anomalies the kept threshold finds, after a blank; empty if that is not stored."""
    try:
        shares = [task.alarms for task in findings.examples if not math.isnan(task.threshold[0])]
    except UserError:  # a damaged file, which the section on examples names
        return ""
    if not shares:
        return ""
    return f" It finds {_range(shares, '{:.1%}')} of the anomalous test images."


def _range(numbers: Sequence[float], form: str) -> str:
    """The number, or the smallest and the largest."""
    ends = [form.format(end) for end in (min(numbers), max(numbers))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _progress(study: StudyRecords) -> str:
    """The number of finished trials by their state."""
    states = Counter(record.state for record in study.trials)
    others = "".join(f", {states[state]} {state}" for state in ENDINGS if states[state])
    progress = (
        f"{study.name} (budget {study.search['budget_name']}): {states['complete']} of "
        f"{count(study.budget['trials'], 'trial')} complete{others}."
    )
    if study.begun is not None and study.begun > len(study.trials):
        unfinished = f", {study.begun - len(study.trials)} unfinished (running or interrupted)."
        return progress.removesuffix(".") + unfinished
    return progress


def _limits(findings: Findings) -> Iterator[str]:
    """What the study is too small to answer, and what is damaged.

    Studies of earlier versions do not say the former.
    """
    if sentences := findings.study.stored.get("shortfalls"):
        yield _listed("Limits of this study:", sentences)
    yield from paragraph(findings.left_out)


def _quoted(study: StudyRecords, results: Sequence[Result]) -> Iterator[str]:
    """The results that may be reported, or why there are none."""
    if not results:
        where = " The metrics are in tables/replicas.csv." if study.whole else ""
        yield f"No test AUROC: {why_nothing(study)}.{where}"
    elif len(results) == 1:
        yield _sentence(study, results[0])
    else:
        if study.quotes == "winners":
            results = sorted(results, key=lambda result: -result.auroc.mean)
        title = f"Test AUROC, {_over(results)}. {_tested(study, results[0])}"
        yield _listed(title, [_item(result) for result in results])


def _sentence(study: StudyRecords, result: Result) -> str:
    if result.auroc.n == 0:
        return f"{result.label} has no test AUROC: all {count(result.seeds, 'seed')} failed."
    return (
        f"Test AUROC of {result.label}: {result.auroc}, {_over([result])}"
        f"{_faults(result)}. {_tested(study, result)}"
    )


def _tested(study: StudyRecords, result: Result) -> str:
    """What was tested, in a sentence."""
    if study.quotes != "winner":
        return f"Tested: {result.source}."
    models = count(result.auroc.n, "new model") + (" per class" if not result.against else "")
    if study.budget["trials"] == 1:
        return f"Measured on {models} of the only configuration."
    return f"Measured on {models} with the best settings, not used in the search."


def _item(result: Result) -> str:
    if result.auroc.n == 0:
        return f"{result.label}: none, all {count(result.seeds, 'seed')} failed"
    return f"{result.label}: {result.auroc}{_faults(result)}"


def _over(results: Sequence[Result]) -> str:
    """The data sets that the AUROCs compare, or the classes over which they are averaged."""
    if against := results[0].against:
        return against
    return f"mean over {count(max(len(result.classes) for result in results), 'class')}"


def _faults(result: Result) -> str:
    """Progress, failures and collapsed models of a result."""
    faults = [result.so_far, result.failures]
    if result.collapsed:
        models = count(result.collapsed, "model")
        faults.append(f"{models} collapsed (the same score for every image)")
    return "".join(f"; {fault}" for fault in filter(None, faults))


def _ranking(findings: Findings) -> Iterator[str]:
    """The effects of single changes, largest first; empty if a trial was selected."""
    if findings.study.chooses or not findings.effects:
        return
    several = len(findings.study.baselines) > 1
    measured = [effect for effect in findings.effects if effect.difference.n]
    measured.sort(key=lambda effect: -abs(effect.difference.mean))
    lines = [_effect(effect, several) for effect in measured[:RANKED]]
    if (smaller := len(measured) - RANKED) > 0:
        lines.append(f"{count(smaller, 'smaller effect')}: in the table of effects")
    if lost := len(findings.effects) - len(measured):
        has = "has" if lost == 1 else "have"
        lines.append(f"{count(lost, 'change')} {has} no test AUROC because the trial failed")
    pairs = " or ".join(map(str, sorted({effect.test.n for effect in measured})))
    of_pairs = f"; n = {pairs} pairs of a class and a seed" if pairs else ""
    title = (
        "Effects of single changes on test AUROC in points [95 % interval], largest first; p "
        f"after Holm's correction over all changes of a baseline{of_pairs}:"
    )
    yield _listed(title, lines)


def _against_best(findings: Findings) -> Iterator[str]:
    """The difference between the best baseline and each other one, with its test."""
    contrasts = findings.contrasts
    if not contrasts:
        return
    best = contrasts[0].first  # the pairs are ordered by the larger mean
    family = made(contrast.paired for contrast in contrasts)
    title = (
        f"Test AUROC of {best} minus that of each other baseline, in points [95 % interval]; p "
        f"after Holm's correction over {count(family, 'tested pair')} of baselines:"
    )
    yield _listed(title, [_contrast(c) for c in contrasts if c.first == best])


def _contrast(contrast: Contrast) -> str:
    difference = contrast.paired.difference.mean_interval(PERCENTAGE_POINTS)
    return f"{contrast.second}: {difference or 'not paired'}, {_significance(contrast.decision)}"


def _effect(effect: Effect, several: bool) -> str:
    """One change, its difference, and its significance after Holm's correction."""
    baseline = f"{effect.baseline}, " if several else ""
    change = f"{effect.parameter} = {short(effect.value)} instead of {short(effect.reference)}"
    difference = effect.difference.mean_interval(PERCENTAGE_POINTS)
    return f"{baseline}{change}: {difference}, {_significance(effect.verdict)}"


def _significance(decision: HolmDecision) -> str:
    if math.isnan(decision.p):
        return f"no test: {decision.reason}"
    if decision.tone != "unsure":
        return f"p = {p_text(decision.p)} ({decision.tone})"
    why = NOT_ON_OTHER_IMAGES if decision.on_these_images else "not significant"
    return f"p = {p_text(decision.p)} ({why})"


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)])
