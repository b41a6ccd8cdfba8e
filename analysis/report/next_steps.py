"""What a reader may do next: the commands that repeat, extend and use a study."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from analysis.report.findings import Findings
from analysis.report.sections.kept_model import kept_tasks
from analysis.study import StudyRecords
from tune_ad.storage.precision import FLOAT32

PROGRAM = "python run.py"
SAME_IMAGES = " (with the images of the first run for IMAGES, and its options on images)"
MORE = 20  # trials that the command adds


class Step(NamedTuple):
    """A command and what it does.

    Attributes:
        purpose: what it does, in a few words.
        command: the command.
    """

    purpose: str
    command: str


def next_steps(findings: Findings) -> list[Step]:
    """The commands to repeat the study, to extend it, and to score new images by its winner.

    They follow from `study.json`, which does not store where other images than those of the
    search lie: `IMAGES` stands for them.
    """
    study = findings.study
    same = SAME_IMAGES * _has_other_images(study)
    steps = [Step(f"Repeat the study elsewhere{same}", repeating(study))]
    if study.begun is not None and study.begun > len(study.trials):
        steps.append(Step(f"Continue it{same}", _command(study, ["--resume", *_place(study)])))
    elif study.plan.adapts and study.chooses:
        more = ["--extend", str(MORE), *_place(study)]
        steps.append(Step(f"Add {MORE} trials{same}", _command(study, more)))
    if kept_tasks(findings):
        words = ["--score", str(study.folder.best), "--input", "IMAGES", "--output", "scores.csv"]
        steps.append(Step("Score new images by the winner", f"{PROGRAM} {shlex.join(words)}"))
    return steps


def repeating(study: StudyRecords) -> str:
    """The command that repeats a study in another folder."""
    return _command(study, [*_budget(study), "--results", "another_folder"])


def settings(study: StudyRecords) -> list[str]:
    """The options that begin the same study anew."""
    return [*_named(study), *_budget(study)]


def _command(study: StudyRecords, words: list[str]) -> str:
    return f"{PROGRAM} {shlex.join([*_named(study), *words])}"


def _named(study: StudyRecords) -> list[str]:
    """The options that name the study: its search and other images."""
    images = ["--data", "IMAGES"] if _has_other_images(study) else []
    return [*_search(study.stored), *images]


def _has_other_images(study: StudyRecords) -> bool:
    """Whether --data has replaced the images of the search: the study has another name then."""
    return not study.name.startswith(str(study.stored.get("search") or study.name))


def _search(stored: Mapping[str, Any]) -> Iterator[str]:
    """The search, with its file, another plan and other baselines."""
    name = str(stored.get("search") or stored["study"]["name"])
    file = stored.get("search_file")
    yield from ("--search", f"{file['path']}:{name}" if file else name)
    if ablation := stored.get("ablation"):
        yield from ("--ablate", str(ablation))
    if detector := stored.get("detector"):
        yield from ("--detector", str(detector))
    if baselines := stored.get("baselines"):
        yield from ("--baselines", ",".join(baselines))


def _budget(study: StudyRecords) -> Iterator[str]:
    """The options that state what was trained, as far as they differ from the search's own."""
    yield from ("--budget", str(study.search["budget_name"]))
    for name, value in study.stored.get("changes", {}).items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        yield from (f"--{name.replace('_', '-')}", text)
    for name, value in study.search["settings"].items():
        yield from ("--set", f"{name}={value}")
    if study.chooses and not study.stored.get("ablation"):
        yield from ("--selection", study.rule)
    precisions = {*study.search.get("precision", {}).values()}
    is_grey = study.search.get("image_shape", [1])[0] == 1  # "auto" means float32
    if len(precisions) == 1 and not (is_grey and precisions == {FLOAT32}):
        yield from ("--precision", precisions.pop())
    if seed := study.search.get("seed"):
        yield from ("--seed", str(seed))
    if study.stored.get("evaluate") is False:
        yield "--no-evaluation"
    if study.stored.get("backend") == "serial":
        yield from ("--backend", "serial")


def _place(study: StudyRecords) -> Iterator[str]:
    """The folder of results, unless it is the usual one."""
    results = study.results or study.folder.path.parent
    if results != Path("results"):
        yield from ("--results", str(results))
