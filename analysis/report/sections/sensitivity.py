"""Which parameters matter, where they should stand, and which of them made the gain."""

import math
from functools import partial
from typing import NamedTuple

import pandas as pd
from optuna.distributions import CategoricalDistribution

from analysis.document.blocks import Block, Cell, Figure, Section, Table, Text
from analysis.document.format import count, file_name
from analysis.questions.sensitivity.importances import (
    BETWEEN,
    RESAMPLES,
    TREES,
    Importances,
    draw_importances,
    importances,
    refusal,
    suited,
    trials_used,
)
from analysis.questions.sensitivity.kinds import reason
from analysis.questions.sensitivity.responses import (
    Responses,
    chosen_trial,
    default_trial,
    responses,
    same,
)
from analysis.questions.sensitivity.surrogate import (
    TRUSTED,
    Surrogate,
    curves,
    fit,
    levels,
    path,
    permutation,
    strongest_pair,
)
from analysis.questions.sensitivity.surrogate_figures import (
    Marginals,
    Path,
    draw_marginals,
    draw_pair,
    draw_path,
    explained,
    path_table,
)
from analysis.report.findings import Findings
from analysis.stats.estimates import LEAST_PAIRS
from analysis.study import StudyRecords

PLACE = 40
DESIGNED = ("OneAtATime", "Listed")
"""Plans that do not spread over the space: an ablation has its own section."""


class Sensitivity(NamedTuple):
    """All that is said of the parameters of a baseline.

    Attributes:
        responses: the trials.
        importances: of its parameters, by the trials that are suited.
        surrogate: of its response, by all trials.
        permutation: of the surrogate, parameter x (mean, std); None where it is not trusted.
        prefix: of captions, where there are several baselines.
    """

    responses: Responses
    importances: Importances
    surrogate: Surrogate
    permutation: pd.DataFrame | None
    prefix: str


def section(findings: Findings) -> Section | None:
    """Per baseline; None where nothing was searched, or by a plan that samples no space."""
    study = findings.study
    searched = [name for name in study.baselines if study.spaces[name]]
    if study.plan in DESIGNED:
        return None
    found = [responses(study, name) for name in searched]
    if not found or (study.whole and not any(each.n for each in found)):
        return None
    blocks = [block for each in found for block in _of_one(study, each, len(found) > 1)]
    return Section("Sensitivity", blocks)


def sensitivity(own: Responses, several: bool = False) -> Sensitivity:
    """The computation behind the section.

    Raises:
        DegenerateInputError: with the reason in `importances.refusal`.
    """
    surrogate = fit(own)
    shuffled = permutation(surrogate) if surrogate.trusted else None
    prefix = f"{own.baseline}: " if several else ""
    return Sensitivity(own, importances(suited(own)), surrogate, shuffled, prefix)


def _of_one(study: StudyRecords, own: Responses, several: bool) -> list[Block]:
    blocks: list[Block] = [Text(f"{own.described()} {reason(study)}")]
    if why := refusal(own):
        return [*blocks, Text(f"No sensitivities of {own.baseline}: {why}.", "note")]
    blocks.append(trials_used(own))
    found = sensitivity(own, several)
    blocks += [_importances_figure(found), _importances_table(found), _trust(found)]
    blocks.append(_marginals(found))
    if found.surrogate.trusted:
        blocks += [*_pair(found), *_path(study, found)]
    return blocks


def _importances_figure(found: Sensitivity) -> Figure:
    return Figure(
        file_name("importances", found.responses.baseline),
        partial(draw_importances, found.importances),
        f"{found.prefix}Importance of each parameter for {found.responses.kind.name}, "
        f"{_sample(found.importances)}. Lines: 95 % of {RESAMPLES} bootstrap resamples. Seeds "
        "only: the share of the variance between these trials that comes from the choice of "
        "seeds; chance: the 97.5th percentile of what fANOVA gives a random number. A parameter "
        "wholly below the dashed line is not distinguishable from noise.",
    )


def _importances_table(found: Sensitivity) -> Table:
    each, verdicts = found.importances, found.importances.verdicts()
    data = pd.concat(each.tables, axis=1)
    data.columns = [f"{name} {column}" for name, table in each.tables.items() for column in table]
    if found.permutation is not None:
        data = data.join(found.permutation.add_prefix("permutation "))
    data = data.assign(verdict=pd.Series(verdicts)).rename_axis("parameter").reset_index()
    data = data.sort_values("fANOVA value", ascending=False, ignore_index=True)
    shown = pd.DataFrame(
        {
            "parameter": data["parameter"],
            **{f"{name}, %": _interval_cells(data, name) for name in each.tables},
            **_permutation_cells(data),
            "verdict": [Cell(v, tone="unsure" if v == BETWEEN else "") for v in data["verdict"]],
        }
    )
    return Table(
        file_name("importances", found.responses.baseline),
        shown,
        _importances_caption(found),
        data,
    )


def _importances_caption(found: Sensitivity) -> str:
    each = found.importances
    noise = "is unknown, as no configuration has two seeds"
    if math.isfinite(each.noise):
        noise = f"is {100 * each.noise:.1f} %"
    agreement = "is undefined here"
    if math.isfinite(each.agreement):
        agreement = f"(Spearman) is {each.agreement:.2f}"
    text = (
        f"{found.prefix}fANOVA ({TREES} trees): share of the variance of a forest's "
        f"{found.responses.kind.name}, taken evenly over the space, that the parameter explains "
        "alone. "
        "PED-ANOVA: its share in what sets the best "
        f"{100 * each.quantile:.0f} % of trials apart. They answer different questions; their "
        f"rank agreement {agreement}. {_sample(each)}; intervals: 95 % of {RESAMPLES} bootstrap "
        f"resamples, moved by their bias. The seeds' share of the variance between these trials "
        f"{noise}; chance gives a random number up to {100 * each.chance:.1f} %. Verdict: the "
        "interval of fANOVA against the larger of both, a yardstick, since fANOVA's variance is "
        "another one. It is about size, not a test of there being any effect."
    )
    if each.adaptive:
        text += " With adaptive trials among them, none is called above noise."
    if found.permutation is not None:
        text += (
            " Permutation: rise of the surrogate's squared error on held-out trials with the "
            "parameter shuffled, in % of the response's variance, mean ± std over 5 folds; "
            f"{count(found.surrogate.responses.n, 'trial')}."
        )
    return text


def _interval_cells(data: pd.DataFrame, name: str) -> list[Cell]:
    rows = zip(*(100 * data[f"{name} {end}"] for end in ("value", "low", "high")), strict=True)
    return [Cell(f"{value:.1f} [{low:.1f}, {high:.1f}]", value) for value, low, high in rows]


def _permutation_cells(data: pd.DataFrame) -> dict[str, list[Cell]]:
    if "permutation mean" not in data:
        return {}
    rows = zip(100 * data["permutation mean"], 100 * data["permutation std"], strict=True)
    return {"permutation, %": [Cell(f"{mean:.1f} ± {std:.1f}", mean) for mean, std in rows]}


def _sample(each: Importances) -> str:
    drawn = f" drawn at random from {each.drawn:,}" if each.drawn else ""
    return f"n = {count(each.n, 'trial')}{drawn}"


def _trust(found: Sensitivity) -> Text:
    r2 = f"{found.prefix}The surrogate, a random forest, has an out-of-bag R2 of "
    r2 += f"{found.surrogate.r2:.2f} (n = {found.surrogate.responses.n})"
    if found.surrogate.trusted:
        return Text(f"{r2}, at least {TRUSTED}: it is believed.")
    return Text(
        f"{r2}, below {TRUSTED}: it is not believed, so curves, pairs, permutation importances "
        "and the ablation path are not shown, only the trials. fANOVA, which fits a forest too, "
        "deserves the same doubt.",
        "warning",
    )


def _marginals(found: Sensitivity) -> Figure:
    used = found.surrogate.responses
    shares = found.importances.tables["fANOVA"]["value"].reindex(used.names)
    order = shares.sort_values(ascending=False, na_position="last").index
    trusted = found.surrogate.trusted
    drawn = Marginals(
        responses=used,
        names=[str(name) for name in order],
        curves={c.parameter: c for c in curves(found.surrogate)} if trusted else {},
        levels={
            name: levels(used, name)
            for name, each in used.space.items()
            if isinstance(each, CategoricalDistribution) and not trusted
        },
    )
    what = (
        "Line and band: the surrogate's mean response at each value, the others as in the trials; "
        f"mean and 95 % of {RESAMPLES} forests of resampled trials."
        if trusted
        else "Bars: mean of the trials with that choice, and its 95 % bootstrap interval where "
        f"they are at least {LEAST_PAIRS}."
    )
    return Figure(
        file_name("marginals", used.baseline),
        partial(draw_marginals, drawn),
        f"{found.prefix}Response ({used.kind.name}) along each parameter, the most important by "
        f"fANOVA first. Points: trials, n = {used.n}. {what}",
    )


def _pair(found: Sensitivity) -> list[Block]:
    pair, used = strongest_pair(found.surrogate), found.surrogate.responses
    if pair is None:
        return []
    size = used.kind.text(pair.interaction) + (" points" if used.kind.percent else "")
    caption = (
        f"{found.prefix}The pair that interacts most, {pair.names[0]} and {pair.names[1]}: the "
        f"surrogate's mean {used.kind.name}. What the sum of the two single effects leaves has a "
        f"standard deviation of {size}, {100 * pair.h2:.0f} % of the variance over the grid "
        f"(Friedman's H2). Points: trials, n = {used.n}."
    )
    return [Figure(file_name("pair", used.baseline), partial(draw_pair, pair, used), caption)]


def _path(study: StudyRecords, found: Sensitivity) -> list[Block]:
    name, kind = found.responses.baseline, found.responses.kind
    default, best = default_trial(study, name), chosen_trial(study, name)
    if best is None:
        return [Text(f"{found.prefix}No ablation path: the rule {study.rule} judges no trial.")]
    start = study.defaults[name]
    space = found.responses.space
    if not same(space, start, start) or not same(space, best.params, best.params):
        return [Text(f"{found.prefix}No ablation path: an end of it lies outside the space.")]
    steps = path(found.surrogate, start, best.params)
    if not steps:
        return [Text(f"{found.prefix}The choice of the rule {study.rule} is the default itself.")]
    ends = tuple(
        math.nan if record is None else found.responses.value_of(record.number)
        for record in (default, best)
    )
    drawn = Path(kind, found.surrogate.predict(start), steps, (ends[0], ends[1]))
    return [
        Text(found.prefix + explained(drawn)),
        _path_table(study, found, drawn),
        Figure(
            file_name("path", name),
            partial(draw_path, drawn),
            f"{found.prefix}From the default to trial {best.number}, the choice of the rule "
            f"{study.rule}, one switch at a time: {kind.name}, predicted by the surrogate, and "
            "measured at both ends.",
        ),
    ]


def _path_table(study: StudyRecords, found: Sensitivity, drawn: Path) -> Table:
    shown, data = path_table(drawn)
    return Table(
        file_name("path", found.responses.baseline),
        shown,
        f"{found.prefix}Ablation path on the surrogate from the default to the trial that the "
        f"rule {study.rule} chose: each time the switch with the largest predicted "
        f"{drawn.kind.name}. Measured: mean over the search's own seeds. A forest draws "
        "predictions towards the mean.",
        data,
    )
