"""What a study knows of its images and of the code that trained it."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from analysis.report.study_report import write_report
from tests.marks import slow
from tune_ad.app.command_line.options import Options
from tune_ad.app.preparation import request, runs
from tune_ad.app.preparation.runs import code_digest, with_run
from tune_ad.app.preparation.validation import prepare
from tune_ad.app.session import Session
from tune_ad.data import write_npz
from tune_ad.data.images import Arrays, from_arrays
from tune_ad.errors import MachineError, UserError
from tune_ad.execution.callbacks import RecordWriter
from tune_ad.execution.machine import Machine
from tune_ad.storage.folder import StudyFolder

CODE = b'''"""About."""
def f(x):
    """More."""
    return x + 1  # one
'''


@pytest.mark.parametrize(
    ("changed", "is_same"),
    [
        (CODE.replace(b"About", b"Of"), True),
        (CODE.replace(b'    """More."""\n', b""), True),
        (CODE.replace(b"  # one", b""), True),
        (CODE.replace(b"x + 1", b"x + 2"), False),
        (CODE.replace(b"def f", b"def g"), False),
    ],
)
def test_only_what_code_does_counts(changed, is_same):
    assert (code_digest({"a.py": CODE}) == code_digest({"a.py": changed})) == is_same
    assert code_digest({"a.py": CODE}) != code_digest({"b.py": CODE})


def images(seed):
    stream = np.random.default_rng(seed)

    def part(n):
        return stream.integers(0, 255, (n, 8, 8), dtype=np.uint8), np.arange(n) % 2

    return from_arrays("mine", ("a", "b"), Arrays(*part(40), *part(20)), "")


@pytest.fixture
def options(tmp_path):
    """A search of KDE on the images of a file that can be written anew."""
    write_npz(tmp_path / "mine.npz", images(1))
    return Options(
        "shallow_mnist",
        data=str(tmp_path / "mine.npz"),
        results=tmp_path / "results",
        budget="quick",
        backend="serial",
        device="cpu",
        progress=False,
        changes={"trials": 3, "evaluation_seeds": 0},
    )


def begun(options):
    session = prepare(options, say=lambda line: None)
    session.run()
    return session.folder


def more(options, **changes):
    changes = {"extend": 1, "changes": {}, **changes}
    return prepare(replace(options, **changes), say=lambda line: None)


def test_other_images_of_the_same_shape_are_refused(options, tmp_path):
    folder = begun(options)
    before = folder.study.read_bytes()
    write_npz(tmp_path / "mine.npz", images(2))
    with pytest.raises(UserError, match="was begun with other images of mine.*their SHA-256 was"):
        more(options)
    assert folder.study.read_bytes() == before
    write_npz(tmp_path / "mine.npz", images(1))
    assert more(options).run().failed == 0


@pytest.mark.slow
def test_images_of_another_class_name_are_other_images(options, tmp_path):
    """A class that is called good is normal, so that a name can change the tasks."""
    stream = np.random.default_rng(3)
    for k in range(40):
        file = tmp_path / "photos" / "ab"[k % 2] / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stream.integers(0, 255, (8, 8), dtype=np.uint8)).save(file)
    photos = replace(options, data=str(tmp_path / "photos"), data_root=str(tmp_path))
    begun(photos)
    (tmp_path / "photos" / "a").rename(tmp_path / "photos" / "_good")
    with pytest.raises(UserError, match="was begun with other images of photos"):
        more(photos)


def test_other_versions_are_refused_unless_accepted_and_the_report_shows_the_runs(
    options, monkeypatch
):
    folder = begun(options)
    real = runs.versions()
    monkeypatch.setattr(runs, "versions", lambda: {**real, "torch": "9.9.9", "ray": "9"})
    fault = f"since its last run, torch has changed from {real['torch']} to 9.9.9; trials of both"
    with pytest.raises(UserError, match=fault):
        more(options)
    assert more(options, accept_changes=True).run().failed == 0
    first, second = folder.read_study()["runs"]
    assert (first["trials_before"], second["trials_before"]) == (0, 3)
    assert first["accepted"] == [] and "9.9.9" in second["accepted"][0]
    more(options).run()  # it is what the last run had
    assert len(folder.read_study()["runs"]) == 3
    write_report(folder.path)
    page = (folder.path / "report.html").read_text(encoding="utf-8")
    assert "run 2" in page and "Accepted although trials are not comparable" in page


def test_other_code_is_refused(options, monkeypatch):
    begun(options)
    monkeypatch.setattr(runs, "_digest_of_numbers", lambda: "0" * 64)
    with pytest.raises(UserError, match="the code of tune_ad that computes numbers .commit"):
        more(options)


@pytest.mark.slow
def test_a_complete_study_is_reported_whatever_has_changed(options, monkeypatch):
    folder = begun(options)
    before = folder.study.read_bytes()
    monkeypatch.setattr(runs, "_digest_of_numbers", lambda: "0" * 64)
    prepare(options, say=lambda line: None).run()
    assert folder.study.read_bytes() == before


@pytest.mark.slow
def test_studies_of_earlier_versions_recorded_neither_code_nor_images(options):
    folder = begun(options)
    stored = json.loads(folder.study.read_text(encoding="utf-8"))
    del stored["runs"], stored["data"]["mine"]["digest"]
    folder.study.write_text(json.dumps(stored), encoding="utf-8")
    assert more(options).run().failed == 0
    assert len(folder.read_study()["runs"]) == 1


def test_the_versions_of_a_study_without_runs_are_compared(tmp_path):
    run = {"versions": {"torch": "2"}, "code": {}}
    stored = {"versions": {"torch": "1"}, "hardware": {}}
    with pytest.raises(UserError, match="torch has changed from 1 to 2"):
        with_run(stored, run, False, StudyFolder(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "trials",
        *(slow(n) for n in ("suggested", "evaluation", "retried")),
    ],
)
def test_nothing_is_written_before_every_record_could_be_read(options, name):
    folder = begun(options)
    before = folder.study.read_bytes()
    file = getattr(folder, name).path
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"number": }\n' + (file.read_text() if file.exists() else ""))
    with pytest.raises(UserError, match=f"{name}.jsonl"):
        more(options).run()
    assert folder.study.read_bytes() == before


NO_NUMBERS = (  # what training imports besides, which computes no number of a trial
    *("errors", "extensions", "host", "signals", "silent", "wording", "array_files", "atomic"),
    *("local_paths", "storage", "search.checks", "search.claim"),
    *("search.declaration", "search.distributions"),
)


def test_the_digest_covers_what_computes_the_numbers_of_a_trial():
    code = "import sys, tune_ad.training.trial; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    imported = {name.removeprefix("tune_ad.") for name in printed.split() if "tune_ad." in name}
    covered = [place.removesuffix(".py").replace("/", ".") for place in runs.NUMBERS]
    known = tuple(f"{place}." for place in (*covered, *NO_NUMBERS))
    assert {"training.trial", "selection.rule", "data.splits"} <= imported
    assert "search.budgets" in covered, "its interval decides when early stopping looks"
    packages = {"search"}  # without code
    assert [name for name in imported - packages if not f"{name}.".startswith(known)] == []


@pytest.mark.slow
def test_a_run_that_trains_nothing_is_not_listed(options, monkeypatch):
    """It was refused, or died before its first trial."""

    def dies(self, loop):
        raise MachineError("the machine is gone; get another one")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_train_serially", dies)
        folder = begun(options)
    assert folder.read_study()["runs"] == []
    real = runs.versions()
    with monkeypatch.context() as patch:
        patch.setattr(runs, "versions", lambda: {**real, "torch": "9.9.9"})
        assert more(options, extend=0, resume=True).run().failed == 0  # nothing had been trained
    (run,) = folder.read_study()["runs"]
    assert (run["trials_before"], run["accepted"], run["versions"]["torch"]) == (0, [], "9.9.9")
    before = folder.study.read_bytes()
    with pytest.raises(UserError, match=r"torch has changed from 9\.9\.9"):
        more(options)
    assert folder.study.read_bytes() == before


@pytest.mark.slow
def test_the_run_is_listed_before_its_first_trial_is(options, monkeypatch):
    seen = []

    def started(self, spec):
        stored = self.folder.read_study()
        seen.append((len(stored["runs"]), self.folder.suggested.path.exists()))

    monkeypatch.setattr(RecordWriter, "started", started)
    begun(options)
    assert seen[0] == (1, False)


@pytest.mark.slow
def test_another_device_is_refused_unless_accepted(options, monkeypatch):
    folder = begun(options)
    stored = folder.read_study()
    assert stored["runs"][0]["hardware"]["device"] == "cpu"
    stored["runs"][0]["hardware"]["device"] = "cuda"
    folder.study.write_text(json.dumps(stored), encoding="utf-8")
    fault = "the device has changed from cuda to cpu .--device.; trials of both are not compar"
    for device in ("cpu", "auto"):
        with pytest.raises(UserError, match=fault):
            more(options, device=device)
    assert more(options, accept_changes=True).run().failed == 0
    assert "the device has changed" in folder.read_study()["runs"][1]["accepted"][0]
    write_report(folder.path)
    page = (folder.path / "report.html").read_text(encoding="utf-8")
    assert "device cuda" in page and "the device has changed from cuda to cpu" in page


@pytest.mark.slow
def test_the_device_of_the_last_run_is_kept_unless_one_is_given(options, monkeypatch):
    """Continuing commands do not repeat `--device`."""
    begun(options)
    monkeypatch.setattr(request, "machine_for", lambda *_: Machine(4, 1, 4, 1, 10**10))
    assert more(options, device="auto").options.device == "cpu"
    with pytest.raises(UserError, match="the device has changed from cpu to cuda"):
        more(options, device="cuda", gpus=1.0)
