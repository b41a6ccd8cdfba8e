"""From the records of a study to estimates, tables and reports; needs neither torch nor Ray.

`read` is the way in for a Python program.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.programs import StudyFrames


def read(path: str | Path) -> "StudyFrames":
    """The study in a folder, as data frames and figures (`analysis.programs.StudyFrames`).

    Args:
        path: the folder, such as "results/pgn_cifar".

    Raises:
        UserError: if the folder contains no study, a damaged one, or one of a newer schema.
    """
    # here, so that importing a module of this package loads no report
    from analysis.programs import StudyFrames
    from analysis.study import StudyRecords

    return StudyFrames(StudyRecords.read(Path(path)))
