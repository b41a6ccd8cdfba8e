"""Write the page of results and its reports: `python -m analysis.evidence FOLDER`."""

import argparse
from pathlib import Path

from analysis.evidence.adding import add
from analysis.evidence.page import write
from tune_ad.errors import MachineError, UserError

parser = argparse.ArgumentParser(prog="python -m analysis.evidence", description=__doc__)
parser.add_argument("folder", type=Path, help="the folder of the records and of questions.toml")
parser.add_argument("--readme", type=Path, help="a README that begins with the first findings")
parser.add_argument(
    "--add", type=Path, nargs="+", default=[], metavar="STUDY", help="pack the records of these"
)

if __name__ == "__main__":
    options = parser.parse_args()
    try:
        for study in options.add:
            add(study, options.folder)
        write(options.folder, options.readme)
    except UserError as error:
        parser.exit(UserError.exit_code, f"error: {error}\n")
    except OSError as error:
        parser.exit(MachineError.exit_code, f"error: {error.filename}: {error.strerror}\n")
