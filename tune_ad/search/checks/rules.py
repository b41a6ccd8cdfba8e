"""Which selection rules can rank the trials of a study, and what to do if its own rule cannot."""

from collections.abc import Iterator
from dataclasses import fields, replace

from tune_ad.errors import UserError
from tune_ad.search.budgets import BUDGETS
from tune_ad.search.study import Study
from tune_ad.selection import RULES


def check_selection(study: Study) -> None:
    """Refuse a selection rule that lacks its data, or whose values are not comparable.

    Raises:
        UserError: naming the fault and the ways out of it, each of which works.
    """
    if fault := _fault(study):
        raise UserError(f"{fault}; {', or '.join(_ways_out(study))}")


def usable_rules(study: Study) -> list[str]:
    """The names of the rules that can rank the trials of a study.

    The study has the data that they need, and every baseline records the quantity that they
    compare, on the same scale in all trials.
    """
    return [name for name in RULES if not _fault(replace(study, selection=name))]


def _ways_out(study: Study) -> Iterator[str]:
    """What the user can change, as far as it leaves no fault."""
    few = len(study.baselines)  # the defaults come first, and nothing is selected among them
    if not _fault(replace(study, budget=replace(study.budget, trials=few))):
        yield f"use --trials {few}"
    seeds = RULES[study.selection].seeds
    if not _fault(replace(study, budget=replace(study.budget, seeds=seeds))):
        yield f"use --seeds {seeds}"
    if names := [name for name in BUDGETS if not _fault(_under(study, name))]:
        yield f"use --budget {' or '.join(names)}"
    values = _shared_values(study)
    if values and not _fault(replace(study, settings={**study.settings, **values})):
        yield f"fix it with {' '.join(f'--set {name}=VALUE' for name in values)}"
    yield f"use another rule: {', '.join(usable_rules(study))}"


def _under(study: Study, name: str) -> Study:
    """The study under another budget of its search, with the values that the user changed."""
    budgets = study.search.budgets_for(study.data_set)
    own = budgets[study.budget_name] if study.budget_name in budgets else study.budget
    changed = {
        field.name: value
        for field in fields(own)
        if (value := getattr(study.budget, field.name)) != getattr(own, field.name)
    }
    budget = replace(budgets[name], **{"trials": study.budget.trials, **changed})
    return replace(study, budget=budget, budget_name=name)


def _fault(study: Study) -> str:
    """Why the rule of a study cannot rank its trials; empty if it can, or need not."""
    return _unseen(study) or _incomparable(study)


def _unseen(study: Study) -> str:
    """Which data the rule lacks; empty if it lacks none, or nothing is to be selected."""
    rule, looks_at = study.selection, RULES[study.selection].looks_at
    if study.selects:
        return ""
    if (few := study.budget.seeds) < (seeds := RULES[rule].seeds):
        return (
            f"--selection {rule} compares at least {seeds} seeds of each configuration, but the "
            f"study trains {few}"
        )
    if study.outsiders and looks_at == "held-out anomalies":
        return (
            f"--selection {rule}: {study.name} has no anomaly for validation, because its "
            "anomalies come from other data sets"
        )
    if not study.search.plan.traits.adapts or study.trials <= len(study.baselines):
        return ""
    if not study.search.labelled and looks_at == "held-out anomalies":
        return (
            f"--selection {rule} needs labelled anomalies, but the training images of "
            f"{study.data_set} contain none"
        )
    why = f"budget {study.budget_name} has no validation images (the protocol of the papers)"
    if study.search.whole and looks_at != "held-out normals":
        why = f"nothing is anomalous in the whole of {study.data_set}"
    return f"{why}, so --selection {rule} cannot choose among {study.trials} trials"


def _incomparable(study: Study) -> str:
    """Why the quantity that the rule compares is missing or not comparable; empty if it is not."""
    quantity = RULES[study.selection].quantity
    if not quantity:
        return ""
    compares = f"--selection {study.selection} compares the {quantity} of trials"
    scales = {
        name: baseline.scales(study.shape).get(quantity)
        for name, baseline in study.baselines.items()
    }
    if lacking := [name for name, scale in scales.items() if scale is None]:
        return f"{compares}, which {', '.join(lacking)} {'do' if lacking[1:] else 'does'} not have"
    if not study.chooses:
        return ""
    searched = [
        f"{parameter} of {name}"
        for name, baseline in study.baselines.items()
        for parameter in baseline.changing(quantity)
    ]
    if searched:
        names = " and ".join(searched)
        return f"{compares}, which is not comparable between values of {names}"
    if len(set(scales.values())) > 1:
        differing = "; ".join(f"{name}: {scale}" for name, scale in scales.items())
        return f"{compares}, which these baselines measure differently ({differing})"
    return ""


def _shared_values(study: Study) -> dict[str, object]:
    """The default of each searched parameter that changes the scale of the rule's quantity."""
    values: dict[str, object] = {}
    for baseline in study.baselines.values():
        config = baseline.config(study.shape, {})
        for name in baseline.changing(RULES[study.selection].quantity):
            values.setdefault(name, getattr(config, name))
    return values
