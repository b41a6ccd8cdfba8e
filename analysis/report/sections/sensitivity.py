"""Which parameters matter, at which values, and which explain the gain over the default."""

import math
from functools import partial

from optuna.distributions import CategoricalDistribution

from analysis.document.blocks import Block, Figure, Section, Table, Text
from analysis.document.format import file_name, in_words
from analysis.questions.sensitivity.ablation_path import (
    AblationPath,
    draw_path,
    explained,
    path_table,
    switches,
)
from analysis.questions.sensitivity.baseline_sensitivity import (
    BaselineSensitivity,
    baseline_sensitivity,
)
from analysis.questions.sensitivity.dependence import (
    choice_means,
    marginal_curves,
    strongest_interaction,
)
from analysis.questions.sensitivity.dependence_figures import (
    Marginals,
    draw_interaction,
    draw_marginals,
)
from analysis.questions.sensitivity.importance_blocks import importances_figure, importances_table
from analysis.questions.sensitivity.importances import ABOVE, refusal, trials_used
from analysis.questions.sensitivity.observations import (
    Observations,
    chosen_trial,
    contains,
    default_trial,
    observations,
)
from analysis.questions.sensitivity.response import reason
from analysis.questions.sensitivity.surrogate import (
    FOLDS,
    REPETITIONS,
    RESAMPLED_FORESTS,
    TRUSTED,
)
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.sample_sizes import LEAST_PAIRS
from tune_ad.wording import count

PLACE = 40


def section(findings: Findings) -> Section | None:
    """The sensitivity of each baseline; None if no space was searched.

    An ablation has a separate section.
    """
    study = findings.study
    searched = [name for name in study.baselines if study.spaces[name]]
    if study.plan.is_designed:
        return None
    per_baseline = [observations(study, name) for name in searched]
    if not per_baseline or (study.whole and not any(trials.n for trials in per_baseline)):
        return None
    several = len(per_baseline) > 1
    blocks = [block for trials in per_baseline for block in _blocks(study, trials, several)]
    return Section("Sensitivity", blocks)


def _blocks(study: StudyRecords, trials: Observations, several: bool) -> list[Block]:
    """All blocks on one baseline."""
    blocks: list[Block] = [Text(f"{trials.described()} {reason(study)}")]
    if why := refusal(trials):
        return [*blocks, Text(f"No sensitivities of {trials.baseline}: {why}.", "note")]
    sensitivity = baseline_sensitivity(trials, several)
    blocks.insert(0, Text(_established(sensitivity)))
    blocks += [
        trials_used(trials),
        importances_figure(sensitivity),
        importances_table(sensitivity),
        _trust(sensitivity),
        _marginals(sensitivity),
    ]
    if sensitivity.surrogate.trusted:
        blocks += [*_interaction(sensitivity), *_path(study, sensitivity)]
    return blocks


def _established(sensitivity: BaselineSensitivity) -> str:
    """Which parameters are shown to matter, in a sentence."""
    verdicts = sensitivity.importances.verdicts()
    above = [name for name, verdict in verdicts.items() if verdict == ABOVE]
    if above:
        return f"{sensitivity.prefix}Shown to matter more than noise: {in_words(above)}."
    return (
        f"{sensitivity.prefix}No parameter is shown to matter more than noise by these "
        f"{count(sensitivity.importances.n, 'trial')}."
    )


def _trust(sensitivity: BaselineSensitivity) -> Text:
    """Whether the surrogate is trusted, and what follows if it is not."""
    surrogate = sensitivity.surrogate
    r2, low, high = surrogate.skill
    text = (
        f"{sensitivity.prefix}The surrogate, a random forest that predicts the response, has a "
        f"cross-validated R2 of {r2:.2f} [{low:.2f}, {high:.2f}] (n = {surrogate.observations.n}; "
        f"{FOLDS} folds, {REPETITIONS} repetitions, 95 % interval by a bootstrap over trials)"
    )
    if surrogate.trusted:
        return Text(f"{text}: at least {TRUSTED}, and above 0 with certainty, so it is trusted.")
    why = f"below {TRUSTED}" if r2 < TRUSTED else "its interval contains 0"
    return Text(
        f"{text}: {why}, so it is not trusted. Therefore only the trials are shown, "
        "without curves, interaction, permutation importances and ablation path. fANOVA, which "
        "fits a forest as well, is equally unreliable here.",
        "warning",
    )


def _marginals(sensitivity: BaselineSensitivity) -> Figure:
    """The response along each parameter, the most important one first."""
    trials, surrogate = sensitivity.surrogate.observations, sensitivity.surrogate
    shares = sensitivity.importances.tables["fANOVA"]["value"].reindex(trials.names)
    order = shares.sort_values(ascending=False, na_position="last").index
    curves = marginal_curves(surrogate) if surrogate.trusted else []
    marginals = Marginals(
        observations=trials,
        names=[str(name) for name in order],
        curves={curve.parameter: curve for curve in curves},
        choices={
            name: choice_means(trials, name)
            for name, distribution in trials.space.items()
            if isinstance(distribution, CategoricalDistribution) and not surrogate.trusted
        },
    )
    lines = (
        "Line and band: the response that the surrogate predicts at each value, averaged over the "
        f"trials' other parameters; mean and 95 % interval of {RESAMPLED_FORESTS} "
        "forests of resampled trials."
        if surrogate.trusted
        else "Bars: the mean of the trials with that choice, and its 95 % bootstrap interval for "
        f"at least {LEAST_PAIRS} trials."
    )
    return Figure(
        file_name("marginals", trials.baseline),
        partial(draw_marginals, marginals),
        f"{sensitivity.prefix}Response ({trials.response.name}) along each parameter, the most "
        f"important by fANOVA first. Points: trials, n = {trials.n}. {lines}",
    )


def _interaction(sensitivity: BaselineSensitivity) -> list[Block]:
    """The strongest interaction; empty if a single parameter was searched."""
    trials, pair = sensitivity.surrogate.observations, strongest_interaction(sensitivity.surrogate)
    if pair is None:
        return []
    size = trials.response.text(pair.size) + (" points" if trials.response.percent else "")
    caption = (
        f"{sensitivity.prefix}The pair of parameters with the strongest interaction, "
        f"{pair.names[0]} and {pair.names[1]}: the mean {trials.response.name} that the surrogate "
        "predicts. Interaction (not explained by the sum of both effects): standard deviation "
        f"{size}, {100 * pair.h2:.0f} % of the variance over the grid (Friedman's H2). Points: "
        f"trials, n = {trials.n}."
    )
    figure = partial(draw_interaction, pair, trials)
    return [Figure(file_name("pair", trials.baseline), figure, caption)]


def _path(study: StudyRecords, sensitivity: BaselineSensitivity) -> list[Block]:
    """The ablation path, or why there is none."""
    trials, prefix = sensitivity.observations, sensitivity.prefix
    baseline, rule = trials.baseline, study.rule
    chosen, start = chosen_trial(study, baseline), study.defaults[baseline]
    if chosen is None:
        return [Text(f"{prefix}No ablation path: the selection rule {rule} ranks no trial.")]
    if not contains(trials.space, start) or not contains(trials.space, chosen.params):
        why = "the default or the chosen trial lies outside the searched space"
        return [Text(f"{prefix}No ablation path: {why}.")]
    steps = switches(sensitivity.surrogate, start, chosen.params)
    if not steps:
        return [Text(f"{prefix}The trial that the selection rule {rule} chose is the default.")]
    default = default_trial(study, baseline)
    path = AblationPath(
        response=trials.response,
        start=sensitivity.surrogate.predict(start),
        switches=steps,
        measured=(
            math.nan if default is None else trials.value_of(default.number),
            trials.value_of(chosen.number),
        ),
        error=sensitivity.surrogate.error,
    )
    return [
        Text(prefix + explained(path)),
        _path_table(study, sensitivity, path),
        Figure(
            file_name("path", baseline),
            partial(draw_path, path),
            f"{prefix}From the default to trial {chosen.number}, which the selection rule {rule} "
            f"chose, one parameter at a time: {trials.response.name} as the surrogate predicts "
            "it, and as measured for the first and the last.",
        ),
    ]


def _path_table(
    study: StudyRecords, sensitivity: BaselineSensitivity, path: AblationPath
) -> Table:
    shown, data = path_table(path)
    return Table(
        file_name("path", sensitivity.observations.baseline),
        shown,
        f"{sensitivity.prefix}Ablation path on the surrogate, from the default to the trial that "
        f"the selection rule {study.rule} chose: each row switches the parameter with the largest "
        f"predicted {path.response.name}. Measured: mean over the seeds of the search. "
        "Predictions of a random forest are biased towards the mean.",
        data,
    )
