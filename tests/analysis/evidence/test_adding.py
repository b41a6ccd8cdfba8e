"""Records of a study are packed among those of the page: all that its report uses."""

import json
import tarfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from analysis.evidence.adding import add
from analysis.evidence.archives import archive, pack, unpacked
from analysis.quoted import results
from analysis.study import StudyRecords
from tests.analysis.planted import record
from tests.analysis.planted import write as write_study
from tune_ad.errors import UserError
from tune_ad.storage import score_ranks
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.score_ranks import PartRanks

DEFAULT, WIDE = {"width": 1.0}, {"width": 2.0}
KL, PASSES = "kl", "mc_samples=5"


def part(variants=None):
    """Ranks of two normal images and two anomalies by one model."""
    classes = np.array([1, 1])
    ranks = (np.array([[0, 2]]), {"": np.array([[4, 6]])})
    return PartRanks(*ranks, classes, {"": classes + 1}, (0,), (2, 2), variants or {})


@pytest.fixture
def made(tmp_path):
    """A function: the folder of a study of two trials, of so many that are planned."""

    def make(planned, plan="Sobol", **search):
        trials = [record(k, params, [0.9]) for k, params in enumerate((DEFAULT, WIDE))]
        budget = {"trials": planned, "evaluation_seeds": 0, "seeds": 1}
        folder = write_study(tmp_path, trials, budget=budget, plan={"name": plan}, **search)
        for trial in trials:
            folder.details(trial.identity).parent.mkdir(exist_ok=True)
            folder.details(trial.identity).write_text("{}", encoding="utf-8")
            ranks = {("test", "digits/0"): part({KL: part()})}
            folder.ranks(trial.identity).write_bytes(score_ranks.to_bytes(ranks))
        (folder.path / "report.html").write_text("a report", encoding="utf-8")
        folder.details("unfinished").write_text("{}", encoding="utf-8")
        return folder

    return make


def archive_of(tmp_path, study="planted"):
    return archive(tmp_path / "results" / "records", study)


def files(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def added(tmp_path):
    """A function: adds a study to the results, and gives its records, unpacked."""
    with ExitStack() as stack:

        def add_and_unpack(study):
            add(study.path, tmp_path / "results")
            records = stack.enter_context(unpacked(tmp_path / "results" / "records"))
            return StudyFolder(records / study.path.name)

        yield add_and_unpack


def test_records_are_packed_without_reports_and_unfinished_trials(made, added, tmp_path):
    study = made(2, plan="OneAtATime")
    before, copied = files(study.path), files(added(study).path)
    names = {f"trials/id{k}.{kind}" for k in (0, 1) for kind in ("json", "npz")}
    assert set(copied) == {"study.json", "trials.jsonl", *names}
    assert all(before[name] == content for name, content in copied.items())
    assert add(study.path, tmp_path / "results") == archive_of(tmp_path)
    assert list((tmp_path / "results" / "records").iterdir()) == [archive_of(tmp_path)]


def test_records_take_the_place_of_earlier_ones(made, added):
    study = made(2)
    added(study)
    study.trials.append(record(2, {"width": 3.0}, [0.8]))
    study.details("id2").write_text("{}", encoding="utf-8")
    (study.path / "trials" / "id0.json").unlink()
    again = added(study)
    assert len(again.read_trials()) == 3 and again.details("id2").exists()
    assert not again.details("id0").exists()


def test_the_same_records_are_the_same_bytes_whoever_packs_them_and_when(made, tmp_path):
    study = made(2)
    path = add(study.path, tmp_path / "results")
    before = path.read_bytes()
    with tarfile.open(path) as file:
        members = file.getmembers()
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in members} == {
        (0, 0, "", "", 0, 0o644)
    }
    study.study.touch()
    study.study.chmod(0o600)
    assert add(study.path, tmp_path / "results").read_bytes() == before


@pytest.mark.parametrize("size", [0, 20, 200])
def test_a_damaged_archive_is_refused_in_a_line(made, tmp_path, size):
    path = pack(made(2).path, tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"planted\.tar\.xz is damaged .*; restore it") as refused:
        with unpacked(tmp_path):
            pass
    assert "\n" not in str(refused.value)


def test_where_trials_sample_only_quoted_ones_keep_the_ranks_of_score_variants(made, added):
    study = made(2)
    (result,) = results(StudyRecords.read(study.path))
    assert [trial.identity for trial in result.tested] == ["id0"]
    copy = added(study)
    for identity in ("id0", "id1"):
        before = study.read_ranks(identity)["test", "digits/0"]
        after = copy.read_ranks(identity)["test", "digits/0"]
        assert list(before.variants) == [KL]
        assert bool(after.variants) == (identity == "id0")
        np.testing.assert_array_equal(after.normal, before.normal)


def test_an_ablation_keeps_those_by_parts_since_its_effects_by_part_use_them(made, added):
    study = made(2, plan="OneAtATime")
    for identity in ("id0", "id1"):
        ranks = {("test", "digits/0"): part({KL: part(), PASSES: part()})}
        study.ranks(identity).write_bytes(score_ranks.to_bytes(ranks))
    copy = added(study)
    variants = {
        identity: list(copy.read_ranks(identity)["test", "digits/0"].variants)
        for identity in ("id0", "id1")
    }
    assert variants == {"id0": [KL, PASSES], "id1": [KL]}, "id0 alone is quoted"


def test_the_study_of_a_claim_keeps_all_since_verdicts_are_by_several_scores(made, added):
    study = made(2, claim={"kind": "capacity", "factor": "width"})
    assert StudyRecords.read(study.path).claim is not None
    copy = added(study)
    for identity in ("id0", "id1"):
        assert list(copy.read_ranks(identity)["test", "digits/0"].variants) == [KL]


def test_a_study_is_named_by_its_folder_from_wherever_it_is_given(made, tmp_path, monkeypatch):
    study, other = made(2), archive_of(tmp_path, "other")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    monkeypatch.chdir(study.path)
    assert add(Path(), tmp_path / "results") == archive_of(tmp_path)
    (tmp_path / "link").symlink_to(study.path)
    assert add(tmp_path / "link", tmp_path / "results") == archive_of(tmp_path)
    assert sorted(other.parent.iterdir()) == [other, archive_of(tmp_path)], "and others stay"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"created": "later"}, "has the records of another study, begun now, not of that begun"),
        ({}, "has 1 trials, but .*planted.tar.xz has 2 of them"),
    ],
)
def test_other_records_and_more_of_the_same_are_not_replaced(made, tmp_path, change, message):
    study = made(2)
    place = add(study.path, tmp_path / "results")
    before = place.read_bytes()
    stored = json.loads(study.study.read_text(encoding="utf-8"))
    study.study.write_text(json.dumps({**stored, **change}), encoding="utf-8")
    if not change:
        lines = study.trials.path.read_text(encoding="utf-8").splitlines(keepends=True)
        study.trials.path.write_text(lines[0], encoding="utf-8")
    with pytest.raises(UserError, match=message):
        add(study.path, tmp_path / "results")
    assert place.read_bytes() == before


def test_nothing_is_copied_of_what_is_damaged_or_no_study(made, tmp_path):
    study = made(2)
    place = add(study.path, tmp_path / "results")
    before = place.read_bytes()
    study.trials.path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"trials\.jsonl"):
        add(study.path, tmp_path / "results")
    with pytest.raises(UserError, match="contains no study"):
        add(tmp_path / "nowhere", tmp_path / "results")
    assert place.read_bytes() == before
