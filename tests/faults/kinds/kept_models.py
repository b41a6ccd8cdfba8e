"""Damaged kept models: scored with, exported, or found by a study that goes on."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import numpy as np

from tests.faults.case import INPUT, Case, Kind, Result
from tests.faults.inputs import checked, damage
from tests.faults.processes import run
from tests.faults.studies import Variety, arguments, folder_in

TITLE = "damaged kept models"
SCORE = ["--score", "best", "--input", "images.npy", "--output", "scores.csv"]
EXPORT = ["--export", "best", "--output", "model.pt2"]


def _case(command: str, seed: str) -> Case:
    def run_case(place: Path, varieties: Mapping[str, Variety]) -> Result:
        variety, stream = varieties["winner kept"], Random(seed)
        best = place / "best"
        if command == "--resume":
            shutil.copytree(variety.folder, folder_in(place).path)
            best = folder_in(place).best
        else:
            shutil.copytree(variety.folder / "best", best)
            np.save(place / "images.npy", np.zeros((3, 8, 8), np.uint8))
        file = stream.choice(sorted(path for path in best.rglob("*") if path.is_file()))
        what = damage(file, seed)
        usual = {"--score": SCORE, "--export": EXPORT, "--resume": [*arguments(()), "--resume"]}
        result = checked(run(usual[command], place))
        if result.ended == "2" and (place / "scores.csv").exists():
            result = result._replace(problems=[*result.problems, "refused, but wrote scores"])
        problems = [f"{file.relative_to(best)}, {what}: {text}" for text in result.problems]
        return result._replace(problems=problems)

    return Case(TITLE, f"{command}, {seed}", run_case)


def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    stream = Random(f"{seed} {TITLE}")
    commands = stream.choices(("--score", "--export", "--resume"), (10, 1, 3), k=number)
    return [_case(command, f"{seed} {k}") for k, command in enumerate(commands)]


KINDS = (Kind(TITLE, INPUT, cases),)
