"""Reports of damaged studies: what is left out is said, and nothing is raised."""

import json
import random
import shutil

import pytest

from analysis.left_out import left_out
from analysis.questions.comparison.studies import compare
from analysis.report.answer import answer
from analysis.report.findings import Findings
from analysis.report.sections import provenance
from analysis.report.study_report import write_report
from analysis.study import StudyRecords
from tests.storage.test_damage import places, replaced
from tune_ad.app.preparation.resuming import stored_budget, stored_settings
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def folder(path):
    path.unlink()
    path.mkdir()


def absent(path):
    path.unlink()


def another_kind(path):
    path.write_text("[]\n")


def another_object(path):
    path.write_text('{"schema": 2, "histograms": [{"task": 3}], "tasks": 1}\n')


def nested(path):
    path.write_text("[" * 100_000)


def not_a_number(path):
    path.write_text('{"schema": NaN}\n')


def binary(path):
    path.write_bytes(bytes(range(256)) * 9)


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


DAMAGES = (
    empty,
    cut,
    folder,
    absent,
    another_kind,
    another_object,
    nested,
    not_a_number,
    binary,
    loop,
)


@pytest.fixture
def damaged(finished, tmp_path):
    """A copy of the finished study, to be damaged."""
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    return StudyFolder(tmp_path / "tiny")


def lines(study):
    return left_out(StudyRecords.read(study.path))


def files_of(study):
    """The first file of each kind that a report does without."""
    record, fresh = study.read_trials()[0], study.read_evaluation()[0]
    seed = fresh.replicas[0].seed
    return [
        study.details(record.identity),
        study.ranks(record.identity),
        study.details(fresh.identity, seed),
        study.ranks(fresh.identity, seed),
        study.best / "model.json",
        study.best / "calibration.npz",
        next(study.best.rglob("*.safetensors")),
    ]


def test_of_a_whole_study_nothing_is_left_out(damaged):
    assert lines(damaged) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(damaged, damage):
    for file in files_of(damaged):
        whole = file.read_bytes()
        damage(file)
        (line,) = lines(damaged)
        assert file.relative_to(damaged.path).with_suffix("").as_posix() in line or (
            damage is absent and "model.json" in line
        )
        assert "\n" not in line and str(damaged.path) not in line
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
        file.write_bytes(whole)
    assert lines(damaged) == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["study", "suggested", "trials", "evaluation"])
def test_a_damaged_journal_is_refused_or_named(damaged, name, damage):
    file = damaged.study if name == "study" else getattr(damaged, name).path
    damage(file)
    try:
        found = lines(damaged)
    except UserError as error:
        assert "\n" not in str(error)
        assert file.name in str(error) or "contains no study" in str(error)
    else:
        assert any(file.name in line for line in found)


@pytest.mark.parametrize("place", ["trials", "evaluation", "best", "tensorboard"])
def test_a_folder_that_is_gone_or_a_file_is_named(damaged, place):
    shutil.rmtree(damaged.path / place)
    if place != "tensorboard":
        assert any(place in line for line in lines(damaged))
    (damaged.path / place).write_text("a file")
    try:
        assert any(place in line for line in lines(damaged))
    except UserError as error:
        assert place in str(error)


def test_records_that_were_copied_without_event_files_lack_nothing(damaged):
    shutil.rmtree(damaged.path / "tensorboard")
    assert lines(damaged) == []


def test_many_damaged_files_are_a_few_lines(damaged):
    shutil.rmtree(damaged.path / "trials")
    *named, last = lines(damaged)
    assert len(named) == 5
    assert last.startswith("and 3 more files of trials. What needs these files")


@pytest.mark.slow
def test_page_summary_and_comparison_say_it(damaged, finished):
    record = damaged.read_trials()[0]
    damaged.ranks(record.identity).write_bytes(b"no ranks")
    damaged.details(record.identity).unlink()
    shutil.rmtree(damaged.best)
    written = write_report(damaged.path)
    page = written.path.read_text(encoding="utf-8")
    for text in (page, written.summary):
        for words in (
            f"trials/{record.identity}.npz",
            f"{record.identity}.json",
            "best/ does not",
        ):
            assert words in text
    both = [StudyRecords.read(path) for path in (damaged.path, finished.folder.path)]
    assert f"trials/{record.identity}.npz" in compare(both).summary


def test_ranks_of_another_size_are_damaged(damaged):
    one, other = (damaged.ranks(record.identity) for record in damaged.read_trials()[:2])
    content = json.loads(damaged.study.read_text(encoding="utf-8"))
    content["runs"] = []
    damaged.study.write_text(json.dumps(content))
    one.unlink()
    assert lines(damaged) == [], "earlier versions did not store ranks"
    other.write_bytes(b"")
    assert len(lines(damaged)) == 1, "but what is there must be whole"


WRONG = (
    ...,
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
    "\x1b[31m",
    {"float": "x"},
    [3],
    {"a": 3},
)


def test_a_wrong_value_anywhere_in_the_study_is_read_or_refused_in_a_line(damaged):
    whole, stream, refused = json.loads(damaged.study.read_text()), random.Random(7), 0
    for journal in (damaged.suggested, damaged.trials, damaged.evaluation):
        journal.path.unlink()  # which do not matter here
    every = [path for path in places(whole) if path]
    for _ in range(400):
        path, wrong = stream.choice(every), stream.choice(WRONG)
        damaged.study.write_text(json.dumps(replaced(whole, path, wrong)))
        try:
            study = StudyRecords.read(damaged.path)
            findings = Findings(study)
            provenance.section(findings)
            assert "\x1b" not in answer(findings)
            stored_budget(study.search)
            stored_settings(study.search)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 1200, (path, wrong)
            assert "study.json" in str(error), (path, wrong)
    assert 100 < refused < 390
