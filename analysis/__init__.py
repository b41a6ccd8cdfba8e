"""From the records of a study to estimates, tables and reports; needs neither torch nor Ray.

`read` is the way in for a Python program.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.programs import Study


def read(path: str | Path) -> "Study":
    """The study in a folder, as data frames and figures (`analysis.programs.Study`).

    Args:
        path: the folder, such as "results/pgn_cifar".

    Raises:
        UserError: if the folder contains no study, a damaged one, or one of a newer schema.
    """
    from analysis.programs import Study  # here, so that importing a module of it loads no report
    from analysis.study import StudyRecords

    return Study(StudyRecords.read(Path(path)))
