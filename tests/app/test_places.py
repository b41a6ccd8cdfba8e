"""Paths that cannot be used, a standard error that is lost, a home folder that is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tune_ad.app.command_line.cli import main
from tune_ad.app.command_line.option import fault_of_path

REPOSITORY = Path(__file__).parents[2]
SEARCH = ["--search", "quickstart"]
KEPT = ["--score", "best", "--input", "images", "--output", "scores.csv"]
LONG = "a" * 300
DEEP = "/".join(["a" * 200] * 25)


@pytest.fixture
def loop(tmp_path):
    path = tmp_path / "loop"
    path.symlink_to(path)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\x00b", r"must have no control characters, got 'a\x00b'"),
        ("a\nb", r"must have no control characters, got 'a\nb'"),
        ("\x1b[31m", "must have no control characters"),
        (LONG, "(File name too long)"),
        (DEEP, "(File name too long)"),
    ],
)
def test_paths_that_cannot_exist(text, words):
    assert words in fault_of_path(text)


def test_paths_that_can_exist(tmp_path):
    for text in (str(tmp_path), "no/such", "it's a name", "ü", "\udcff", "-"):
        assert fault_of_path(text) == ""


def test_a_loop_of_links_is_no_path(loop):
    assert fault_of_path(str(loop)).endswith("loop (Too many levels of symbolic links)")


OPTIONS = [
    *([*SEARCH, flag] for flag in ("--results", "--data", "--data-root")),
    *([*KEPT, flag] for flag in ("--heatmaps", "--output", "--input")),
    ["--report"],
    ["--score"],
    ["--export"],
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options[-1])
@pytest.mark.parametrize("value", ["a\nb", LONG, "a\x00b"], ids=["newline", "long", "NUL"])
def test_every_option_that_is_a_path_refuses_them(capsys, options, value):
    with pytest.raises(SystemExit) as end:
        main([*options, value])
    errors = capsys.readouterr().err
    assert end.value.code == 2
    whole = "error: an argument "  # refused before it is known which option it belongs to
    assert errors.startswith((f"error: {options[-1]} must ", whole)) and errors.count("\n") == 1


def test_a_program_gets_the_same_answer(open_study, tiny):
    from tune_ad.errors import UserError

    with pytest.raises(UserError, match="the folder of the study must have no control characters"):
        open_study(tiny, Path("a\x00b"))


def shell(command, **environment):
    return subprocess.run(
        ["bash", "-c", command.replace("tune-ad", f"'{sys.executable}' run.py")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-"])
def test_a_refusal_that_nobody_can_read_has_its_exit_code(redirected):
    for words in ("--search nosuch", "--serach x", "--report nosuch", ""):
        done = shell(f"tune-ad {words} {redirected}")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", ""), words


STUDY = "tune-ad --search quickstart --backend serial --trials 1 --epochs 1 --classes 0"


@pytest.mark.slow
@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-"])
def test_progress_that_nobody_can_see_stops_no_study(tmp_path, redirected):
    done = shell(f"{STUDY} --no-evaluation --results '{tmp_path}/a b' {redirected}")
    assert done.returncode == 0 and "1 of 1 trial complete" in done.stdout
    assert f"--results '{tmp_path}/a b'" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("home", ["/proc/nonexistent", "/dev/null", None])
def test_a_home_folder_that_cannot_be_written_is_not_needed(tmp_path, home):
    unset = "env -u HOME " if home is None else ""
    command = f"{unset}{STUDY} --no-evaluation --results '{tmp_path}'"
    done = shell(command, **({} if home is None else {"HOME": home}), MPLCONFIGDIR="")
    assert done.returncode == 0, done.stderr
    assert all("of 1 trial" in line for line in done.stderr.splitlines() if line), done.stderr
