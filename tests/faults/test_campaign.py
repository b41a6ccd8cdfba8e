"""A seeded part of the campaign, and what its checks and its file layer find."""

import errno
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import programs
from tests.faults.campaign import all_kinds, rows
from tests.faults.case import Case, Kind, Result, differences, said
from tests.faults.inputs import checked
from tests.faults.layer import FAILURES, Failing, Failure, Layer, installed
from tests.faults.page import markdown
from tests.faults.processes import Ended
from tests.faults.studies import folder_in, resume_line

PROJECT = Path(__file__).parents[2]


def campaign(*words):
    """What a campaign without problems prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{os.environ['PYTHONPATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_seeded_part_of_the_campaign():
    numbers = ("--faults", "32", "--inputs", "40", "--programs", "0")
    assert "lost=0, problems=0" in campaign("--seed", "7", *numbers)


@pytest.mark.slow
def test_a_seeded_few_deaths_of_processes():
    numbers = ("--faults", "0", "--inputs", "0", "--programs", "6")
    printed = campaign("--seed", "33", *numbers)  # 2 kinds of Ray
    assert printed.count("kind='Ray: ") == 2
    assert printed.count("kind='serial: ") == 4
    assert printed.count("lost=0, problems=0") == 6


def test_every_kind_has_cases_of_its_own():
    titles = [kind.title for kind in all_kinds()]
    assert len(titles) == len(set(titles)) and all(isinstance(k, Kind) for k in all_kinds())


@pytest.fixture
def layer(tmp_path):
    """A function: a file system below `tmp_path` that fails at its kth change."""
    root = tmp_path / "root"
    root.mkdir()
    with ExitStack() as stack:
        yield lambda failure, k: stack.enter_context(installed(Layer(root, Failing(failure, k))))


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
    folders = ended(0)._replace(folders=["tune_ad-1"])
    assert said(folders, (0,)) == ["left the temporary folder tune_ad-1"]
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
    line = "interrupted; continue with: python run.py --search x --resume"
    assert resume_line(ended(130, out=line)) == ["--search", "x", "--resume"]


def test_the_table_has_a_row_for_each_kind():
    case = Case("kind", "", lambda *_: Result("0"))
    table = rows([(case, Result("0")), (case, Result("3", ["bad"], 1, 2))])
    assert "| kind | 2 | 0: 1, 3: 1 | 2 | 1 | 1 |" in markdown(table, 1)


@pytest.mark.parametrize(
    ("role", "name", "line"),
    [
        (programs.watcher, "python", "python run.py"),
        (programs.driver, "python", "python run.py"),
        (programs.raylet, "raylet", "raylet/raylet --port=0"),
        (programs.gcs_server, "gcs_server", "gcs/gcs_server --port=0"),
        (programs.worker, "ray::IDLE", "ray::IDLE"),
        (programs.worker, "python", "python ray/_private/workers/default_worker.py"),
        (None, "ray::Dash", "ray::DashboardAgent"),
        (None, "python", "python ray/_private/log_monitor.py"),
    ],
)
def test_a_process_has_one_role(role, name, line):
    program = 7
    parent = {programs.watcher: 1, programs.driver: program}.get(role, 8)
    number = program if role is programs.watcher else 9
    process = programs.Process(number, parent, name, line)
    roles = ("watcher", "driver", "raylet", "gcs_server", "worker")
    found = [getattr(programs, each) for each in roles if getattr(programs, each)(process, 7)]
    assert found == [role] * (role is not None)


def test_milestones_are_counted_as_a_study_goes_on(tmp_path):
    (tmp_path / "out").touch()
    assert programs.milestone(tmp_path) == 0
    (tmp_path / "out").write_text("loading")
    assert programs.milestone(tmp_path) == 1
    folder = folder_in(tmp_path)
    folder.path.mkdir(parents=True)
    folder.study.touch()
    folder.suggested.path.write_text("{}\n{}\n")
    folder.trials.path.write_text("{}\n")
    assert programs.milestone(tmp_path) == 5
