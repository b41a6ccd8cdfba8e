"""The figure and the table of importances, with their captions."""

import math
from functools import partial

import pandas as pd

from analysis.document.blocks import Cell, Figure, Table
from analysis.document.format import file_name, mean_text
from analysis.questions.sensitivity.baseline_sensitivity import BaselineSensitivity
from analysis.questions.sensitivity.importances import (
    BETWEEN,
    RESAMPLES,
    Importances,
    draw_importances,
)
from tune_ad.wording import count


def importances_figure(sensitivity: BaselineSensitivity) -> Figure:
    """Importances with intervals, the variance due to seeds, and a random parameter."""
    name = sensitivity.observations.response.name
    return Figure(
        file_name("importances", sensitivity.observations.baseline),
        partial(draw_importances, sensitivity.importances),
        f"{sensitivity.prefix}Importance of each parameter for {name}, "
        f"{_sample(sensitivity.importances)}. Lines: 95 % intervals by "
        f"{RESAMPLES} bootstrap resamples. "
        '"Seeds only": the share of the variance between these trials that is due to the choice '
        'of seeds. "Random": the largest importance that fANOVA gives to a random parameter '
        "in the resamples. "
        "A parameter whose interval lies below the dashed line is not distinguishable from noise.",
    )


def importances_table(sensitivity: BaselineSensitivity) -> Table:
    """The importance of each parameter by every evaluator, and the verdict on it."""
    importances = sensitivity.importances
    data = _data(sensitivity)
    verdicts = [Cell(v, tone="unsure" if v == BETWEEN else "") for v in data["verdict"]]
    shown = pd.DataFrame(
        {
            "parameter": data["parameter"],
            **{f"{name}, %": _interval_cells(data, name) for name in importances.tables},
            **_permutation_cells(data),
            "verdict": verdicts,
        }
    )
    name = file_name("importances", sensitivity.observations.baseline)
    return Table(name, shown, _caption(sensitivity), data)


def _data(sensitivity: BaselineSensitivity) -> pd.DataFrame:
    """One row per parameter in full precision, the largest value of fANOVA first."""
    tables = sensitivity.importances.tables
    data = pd.concat(tables, axis=1)
    data.columns = [f"{name} {column}" for name, table in tables.items() for column in table]
    if sensitivity.permutation is not None:
        data = data.join(sensitivity.permutation.add_prefix("permutation "))
    verdicts = pd.Series(sensitivity.importances.verdicts())
    data = data.assign(verdict=verdicts).rename_axis("parameter").reset_index()
    return data.sort_values("fANOVA value", ascending=False, ignore_index=True)


def _caption(sensitivity: BaselineSensitivity) -> str:
    importances = sensitivity.importances
    noise = "is unknown, as no configuration has two seeds"
    if math.isfinite(importances.noise):
        noise = f"is {100 * importances.noise:.1f} %"
    agreement = "is undefined here"
    if math.isfinite(importances.agreement):
        agreement = f"(Spearman) is {importances.agreement:.2f}"
    caption = (
        f"{sensitivity.prefix}fANOVA ({importances.trees} trees): the share of the variance of "
        f"{sensitivity.observations.response.name}, as a forest predicts it over the whole space, "
        "that the parameter explains alone. PED-ANOVA: the parameter's share in what "
        f"distinguishes the best {100 * importances.quantile:.0f} % of the trials. The two answer "
        f"different questions; their rank agreement {agreement}. {_sample(importances)}; "
        f"95 % intervals from the standard deviation over {RESAMPLES} bootstrap resamples. The "
        f"share of the variance between these trials that is due to seeds {noise}; a random "
        f"parameter gets up to {100 * importances.chance:.1f} %. Verdict: the interval of fANOVA "
        "compared with the larger of both. This compares sizes, since fANOVA decomposes another "
        "variance; it is not a test of whether there is any effect."
    )
    if importances.adaptive:
        caption += ' Because some trials were adaptive, no parameter is reported as "above noise".'
    if sensitivity.permutation is not None:
        trials = count(sensitivity.surrogate.observations.n, "trial")
        caption += (
            " Permutation: the increase of the surrogate's squared error on held-out trials when "
            "the parameter is shuffled, in % of the response's variance, mean ± std over 5 folds; "
            f"{trials}."
        )
    return caption


def _interval_cells(data: pd.DataFrame, name: str) -> list[Cell]:
    rows = zip(*(data[f"{name} {end}"] for end in ("value", "low", "high")), strict=True)
    return [Cell(mean_text(mean, low=low, high=high), 100 * mean) for mean, low, high in rows]


def _permutation_cells(data: pd.DataFrame) -> dict[str, list[Cell]]:
    if "permutation mean" not in data:
        return {}
    rows = zip(data["permutation mean"], data["permutation std"], strict=True)
    return {"permutation, %": [Cell(mean_text(mean, std), 100 * mean) for mean, std in rows]}


def _sample(importances: Importances) -> str:
    drawn = f" drawn at random from {importances.drawn:,}" if importances.drawn else ""
    return f"n = {count(importances.n, 'trial')}{drawn}"
