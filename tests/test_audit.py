"""The check of the dependencies for known faults: what each answer of pip-audit means."""

import json
import runpy
from pathlib import Path
from subprocess import CompletedProcess

import pytest

AUDIT = runpy.run_path(str(Path(__file__).parent.parent / ".ci" / "audit.py"))
SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
FAULTY = {
    "name": "pillow",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": "."}],
}
SKIPPED = {"name": "ray", "skip_reason": "not found"}


def verdict(dependencies=None, stderr=""):
    stdout = "" if dependencies is None else json.dumps({"dependencies": dependencies})
    return AUDIT["verdict"](CompletedProcess([], 1, stdout, stderr))


@pytest.mark.parametrize(
    ("dependencies", "code", "words"),
    [
        ([SOUND], 0, "no known fault in 1 dependencies"),
        ([SOUND, SKIPPED], 0, "1 were not checked"),
        ([SOUND, FAULTY], 1, "pillow 1.0: PYSEC-1, mended in 1.1"),
        ([FAULTY, SKIPPED], 1, "PYSEC-1"),
        ([SKIPPED], 0, "nothing was checked"),
        ([], 0, "nothing was checked"),
    ],
)
def test_faults_fail_and_what_is_not_checked_is_said(dependencies, code, words):
    found = verdict(dependencies)
    assert found.code == code
    assert words in found.text


def test_an_index_that_does_not_answer_is_said_and_passes():
    found = verdict(stderr="...\nrequests.exceptions.ConnectionError: refused")
    assert found.code == 0
    assert "nothing was checked" in found.text


def test_another_failure_of_the_check_fails():
    assert verdict(stderr="error: no such option").code == 1
