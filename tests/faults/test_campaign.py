"""A seeded part of the campaign, and what its checks and its file layer find."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.campaign import all_kinds, rows
from tests.faults.case import Case, Kind, Result, differences, said
from tests.faults.inputs import checked
from tests.faults.layer import FAILURES, Failing, Failure, Layer
from tests.faults.page import markdown
from tests.faults.processes import Ended
from tests.faults.studies import resume_line

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_seeded_part_of_the_campaign():
    command = ["-m", "tests.faults", "--seed", "7", "--faults", "32", "--inputs", "40"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{os.environ['PYTHONPATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost=0, problems=0" in done.stdout


def test_every_kind_has_cases_of_its_own():
    titles = [kind.title for kind in all_kinds()]
    assert len(titles) == len(set(titles)) and all(isinstance(k, Kind) for k in all_kinds())


@pytest.fixture
def layer(tmp_path):
    """A function: a file system below `tmp_path` that fails at its kth change."""
    patch = pytest.MonkeyPatch()
    for name in ("unlink", "remove", "rmdir", "mkdir", "rename", "replace", "link", "symlink"):
        patch.setattr(os, name, getattr(os, name))
    for place, name in ((os, "open"), (os, "fsync"), (io, "open")):
        patch.setattr(place, name, getattr(place, name))
    patch.setattr("builtins.open", open)
    root = tmp_path / "root"
    root.mkdir()

    def made(failure, k):
        layer = Layer(root, Failing(failure, k))
        layer.install()
        return layer

    yield made
    patch.undo()


def write_and_rename(root):
    (root / "a").write_text("0123456789")
    (root / "a").rename(root / "b")


def test_the_layer_counts_the_changes_of_its_folder_alone(layer, tmp_path):
    counted = layer(FAILURES[0], 100)
    (tmp_path / "elsewhere").write_text("text")
    write_and_rename(tmp_path / "root")
    assert counted.changes == [("create", "a"), ("write", "a"), ("rename", "b")]
    assert (tmp_path / "root/b").read_text() == "0123456789"


def test_a_full_disk_takes_half_of_a_write(layer, tmp_path):
    (full,) = (failure for failure in FAILURES if failure.short)
    layer(full, 1)
    with pytest.raises(OSError) as caught:
        write_and_rename(tmp_path / "root")
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "root/a").read_bytes() == b"01234"


@pytest.mark.parametrize("lasts", [True, False])
def test_an_error_happens_once_or_from_then_on(layer, tmp_path, lasts):
    layer(Failure("", errno.EIO, lasts), 2)
    with pytest.raises(OSError, match="Input/output"):
        write_and_rename(tmp_path / "root")
    if lasts:
        with pytest.raises(OSError, match="Input/output"):
            (tmp_path / "root/c").mkdir()
    else:
        (tmp_path / "root/c").mkdir()


def ended(code, out="", errors="", left=()):
    return Ended(code, out, errors, list(left), 0.0)


def test_what_a_program_must_not_do_is_found():
    assert said(ended(0, "done"), (0,)) == []
    assert said(ended(3, errors="error: disk\n"), (3,)) == []
    assert "exit code 1, not 0" in said(ended(1), (0,))[0]
    assert "Traceback" in said(ended(0, errors="Traceback (most recent call last):"), (0,))[0]
    assert said(ended(2), (2,)) == ["exit code 2 without an error line"]
    assert said(ended(0, left=[5]), (0,)) == ["left 1 processes"]
    assert "control" in checked(ended(0, out="\x1b[31m")).problems[0]


def test_files_that_differ_are_found():
    assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == [
        "b differs",
        "c only in one",
    ]


def test_the_printed_command_is_found():
    line = "error: full; then continue with: tune-ad --search x --results 'a b'"
    assert resume_line(ended(3, out=line)) == ["--search", "x", "--results", "a b"]
    assert resume_line(ended(3)) is None


def test_the_table_has_a_row_for_each_kind():
    case = Case("kind", "", lambda *_: Result("0"))
    table = rows([(case, Result("0")), (case, Result("3", ["bad"], 1, 2))])
    assert "| kind | 2 | 0: 1, 3: 1 | 2 | 1 | 1 |" in markdown(table, 1)
