"""Damaged journals: every one is read, or refused in one line that names the file and the line."""

import copy
import json
import random
import shutil

import pytest

from tests.storage.test_continuing import GOLDEN
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder

WRONG = (
    None,
    True,
    -1,
    2**70,
    1.5,
    "text",
    "",
    [],
    {},
    [[]],
    [None],
    {"float": "inf"},
    "\x1b[31m",
)
READ = {
    "suggested": StudyFolder.read_trial_specs,
    "trials": StudyFolder.read_trials,
    "evaluation": StudyFolder.read_evaluation,
    "retried": StudyFolder.read_retried,
}


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GOLDEN.path, tmp_path / "study", ignore=shutil.ignore_patterns("report"))
    folder = StudyFolder(tmp_path / "study")
    shutil.copy(folder.trials.path, folder.retried.path)
    return folder


def places(value, path=()):
    """The path of every value inside plain data."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def replaced(value, path, wrong):
    """A copy with another value at a path, or without it."""
    value = copy.deepcopy(value)
    where = value
    for key in path[:-1]:
        where = where[key]
    if wrong is ...:
        del where[path[-1]]
    else:
        where[path[-1]] = wrong
    return value


def outcome(folder, name):
    """The message by which a journal is refused; empty if it is read."""
    try:
        READ[name](folder)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "retried")) for name in READ]
)
def test_a_wrong_value_anywhere_is_read_or_refused_in_a_line(folder, name):
    file = getattr(folder, name).path
    lines = file.read_text(encoding="utf-8").splitlines()
    stream, refused = random.Random(5), 0
    for _ in range(300):
        number = stream.randrange(len(lines))
        content = json.loads(lines[number])
        path = stream.choice([path for path in places(content) if path])
        damaged = replaced(content, path, stream.choice((..., *WRONG)))
        text = json.dumps(damaged)
        file.write_text("\n".join([*lines[:number], text, *lines[number + 1 :]]) + "\n")
        message = outcome(folder, name)
        refused += bool(message)
        assert "\n" not in message and len(message) < 1200, (path, message)
        assert not message or file.name in message, (path, message)
    assert refused > 30


@pytest.mark.parametrize("name", READ)
def test_a_wrong_byte_anywhere_is_read_or_refused_in_a_line(folder, name):
    file = getattr(folder, name).path
    content, stream = file.read_bytes(), random.Random(6)
    for _ in range(150):
        place = stream.randrange(len(content))
        file.write_bytes(content[:place] + bytes([stream.randrange(256)]) + content[place + 1 :])
        message = outcome(folder, name)
        assert "\n" not in message and (not message or file.name in message), message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[" * 100_000, "line 1 is not JSON"),
        ('{"number": NaN}', "NaN is no number of JSON"),
        ("3", "is not a JSON object"),
        ("{}", "lacks number, baseline, params, seeds"),
    ],
)
def test_odd_json_is_refused(folder, line, words):
    folder.suggested.path.write_text(f"{line}\n")
    assert words in outcome(folder, "suggested")


def test_a_trial_that_is_lacking_or_proposed_twice_is_refused(folder):
    file = folder.suggested.path
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines, lines[2]]))
    assert "trial 2" in outcome(folder, "suggested")
    file.write_text("".join(lines[:1] + lines[2:]))
    assert "suggested.jsonl lacks trial 1; restore the file" in outcome(folder, "suggested")
