"""All configurations of a search at a glance, as lines over parallel axes."""

from functools import partial

from analysis.document.blocks import Figure, Section
from analysis.document.format import file_name
from analysis.questions.sensitivity.observations import observations
from analysis.questions.sensitivity.parallel import Coordinates, coordinates, draw_parallel
from analysis.report.findings import Findings
from tune_ad.wording import count

PLACE = 38


def section(findings: Findings) -> Section | None:
    """A figure per baseline; None if none has several trials and parameters that vary together."""
    study = findings.study
    if study.plan.changes_single_parameters:
        return None
    searched = [name for name in study.baselines if study.spaces[name]]
    figures = [
        _figure(found, several=len(searched) > 1)
        for name in searched
        if (found := coordinates(observations(study, name))) is not None
    ]
    return Section("Parallel coordinates", figures) if figures else None


def _figure(found: Coordinates, several: bool) -> Figure:
    trials = found.observations
    baseline = f"{trials.baseline}: " if several else ""
    lost = f" {count(found.left_out, 'trial')} drawn by lot are left out." * bool(found.left_out)
    if found.best > 1:
        best = (
            f"Orange and thick: the best {found.best}; blue: the worst. Where thick lines run "
            "close together, good trials agree on a value; where they spread over an axis, the "
            "parameter matters little."
        )
    else:
        best = (
            "Orange: the best, the best one thick; blue: the worst. Where orange lines run close "
            "together, good trials agree on a value; where they spread over an axis, the "
            "parameter matters little."
        )
    caption = (
        f"{baseline}Each line is one of {count(trials.n, 'complete trial')}: it crosses the axis "
        f"of each parameter at the trial's value, and ends at its {trials.response.name} "
        f"on the right. {best} In the page, click on a line or a point to pick a trial, which is "
        f"then marked in every figure that shows trials. Choices are spread a little.{lost}"
    )
    return Figure(file_name("parallel", trials.baseline), partial(draw_parallel, found), caption)
