"""Checks the pinned dependencies for known faults, by pip-audit and the data of the index.

    python3 .ci/audit.py constraints.txt FOLDER

FOLDER is that of a virtual environment for pip-audit, which is created if it is not there. The
exit code is 1 if a dependency has a known fault. Where nothing can be checked, because the index
gives no such data or cannot be reached, a line says so and the exit code is 0.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, NamedTuple

UNREACHABLE = ("ConnectionError", "Connection error", "Timeout", "ServiceError", "Max retries")
"""What pip-audit, or pip, says if the index does not answer."""


class Verdict(NamedTuple):
    """What is printed, and the exit code."""

    text: str
    code: int


def verdict(result: subprocess.CompletedProcess[str]) -> Verdict:
    """What a run of pip-audit with `--format json` says.

    Args:
        result: the ended process.
    """
    try:
        dependencies: list[dict[str, Any]] = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (result.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        if any(word in result.stderr for word in UNREACHABLE):
            return Verdict(f"audit: nothing was checked, the index does not answer ({last})", 0)
        return Verdict(f"audit: pip-audit failed: {last}", 1)
    checked = [one for one in dependencies if "skip_reason" not in one]
    faults = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in "
        f"{', '.join(fault['fix_versions']) or 'no version yet'}"
        for one in checked
        for fault in one["vulns"]
    ]
    if faults:
        return Verdict("\n".join(["audit: known faults:", *faults]), 1)
    if not checked:
        return Verdict("audit: nothing was checked, the index gives no data on known faults", 0)
    unchecked = len(dependencies) - len(checked)
    return Verdict(
        f"audit: no known fault in {len(checked)} dependencies"
        + (
            f"; {unchecked} were not checked, the index gives no data on them" if unchecked else ""
        ),
        0,
    )


def installed(folder: Path) -> subprocess.CompletedProcess[str] | None:
    """Install pip-audit into a virtual environment; the failed process if that fails."""
    if (folder / "bin" / "pip-audit").exists():
        return None
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "pip-audit"]
    result = subprocess.run(command, capture_output=True, text=True)
    return result if result.returncode else None


def main(constraints: str, folder: str) -> int:
    """Check the dependencies, print the verdict and return the exit code."""
    failed = installed(Path(folder))
    if failed is not None:
        last = (failed.stderr.strip().splitlines() or ["?"])[-1]
        print(f"audit: nothing was checked, pip-audit cannot be installed ({last})")
        return 0
    program = Path(folder) / "bin" / "pip-audit"
    options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    command = [program, "--requirement", constraints, *options]
    text, code = verdict(subprocess.run(command, capture_output=True, text=True))
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
