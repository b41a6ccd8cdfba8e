import ast
import json
import math
import subprocess
import sys
from array import array
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import tune_ad
from tests.naming import named, short, variants
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder, comparison_folder, study_folder
from tune_ad.storage.jsonl import JsonLines, jsonable, to_text
from tune_ad.storage.records import (
    SCHEMA,
    DetectorWarning,
    ReplicaRecord,
    TrialRecord,
    TrialSpec,
    identity,
)

PROJECT = Path(tune_ad.__file__).parent.parent
FULL = TrialRecord(
    number=7,
    identity="0123abcd",
    baseline="PGN small",
    detector="PGN",
    params={
        "milestones": (0.5, 0.75),
        "bound": math.inf,
        "mc_samples": "inf",
        "width": 0.5,
        "bias": True,
    },
    searched=["width"],
    state="failed",
    reason="1 of 2 replicas failed, first digits/1 with seed 0: loss became nan in epoch 2",
    objective=None,
    reports=[(1, 0.25), (2, None)],
    replicas=[
        ReplicaRecord("digits/0", 0, "complete", "", 3),
        ReplicaRecord("digits/1", 0, "failed", "x", 2),
    ],
    metrics=named({"validation_auroc": [0.1 + 0.2, None], "train_loss": [1e-300, 2.0]}),
    variants=variants({"mc_samples=0": {"validation_auroc": [0.5, None]}, "rate": {}}),
    models={"parameters": 2372},
    main_score="rate",
    scales={"loss": "PGN"},
    warnings=[DetectorWarning("the sky falls", (1,))],
    seconds=1.25,
    device="cuda",
)


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def message(refusal):
    text = str(refusal.value)
    assert "\n" not in text
    return text


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(tmp_path / "study")


def test_a_trial_record_comes_back_as_it_was(folder):
    folder.trials.append(FULL)
    assert folder.read_trials() == [FULL]
    folder.evaluation.append(FULL)
    assert folder.read_evaluation() == [FULL]


def test_a_record_of_defaults_comes_back_as_it_was(folder, record):
    folder.trials.append(record())
    assert folder.read_trials() == [record()]


@pytest.mark.parametrize(
    "spec",
    [
        TrialSpec(0, "PGN", {}),
        TrialSpec(0, "PGN", {"rate": 1 / 3, "T": "inf", "bias": False}, (1000, 1001)),
    ],
)
def test_a_trial_spec_comes_back_as_it_was(folder, spec):
    folder.suggested.append(spec)
    assert folder.read_trial_specs() == [spec]


def test_every_field_of_a_record_is_stored(folder):
    folder.trials.append(FULL)
    assert set(folder.trials.read()[0]) == {field.name for field in fields(TrialRecord)}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_is_not_finite_becomes_null(bad):
    nested = {"a": [bad, (1.0, bad)], "b": {"c": bad}, "d": 2.5, "e": "inf", 3: True}
    assert strict(to_text(nested)) == {
        "a": [None, [1.0, None]],
        "b": {"c": None},
        "d": 2.5,
        "e": "inf",
        "3": True,
    }


def test_a_record_with_bad_numbers_is_strict_json(folder, record):
    folder.trials.append(record(objective=math.nan, metrics={"validation_auroc": [math.inf, 0.5]}))
    line = strict(folder.trials.path.read_text())
    assert line["objective"] is None
    assert short(folder.read_trials()[0].metrics) == {"validation_auroc": [None, 0.5]}


def test_plain_data_is_left_alone():
    assert jsonable({"a": [1, "x", None, True, 0.5]}) == {"a": [1, "x", None, True, 0.5]}


PARAMS = {"latent_dim": 8, "rate": 1e-3, "samples": "inf", "bias": True, "milestones": (0.5,)}


def test_identity_does_not_depend_on_the_order_of_keys():
    name = identity("PGN", PARAMS)
    assert len(name) == 12
    assert set(name) <= set("0123456789abcdef")
    assert identity("PGN", dict(reversed(PARAMS.items()))) == name
    assert identity("PGN", json.loads(json.dumps(PARAMS))) == name


@pytest.mark.parametrize(
    ("baseline", "change"),
    [
        ("VAE", {}),
        ("PGN", {"latent_dim": 9}),
        ("PGN", {"rate": math.nextafter(1e-3, 1)}),
        ("PGN", {"samples": "0"}),
        ("PGN", {"samples": 0}),
        ("PGN", {"bias": False}),
        ("PGN", {"milestones": (0.5, 0.75)}),
        ("PGN", {"extra": None}),
    ],
)
def test_identity_differs_for_any_change(baseline, change):
    assert identity(baseline, {**PARAMS, **change}) != identity("PGN", PARAMS)


def test_identity_differs_for_a_missing_parameter():
    names = {identity("PGN", {k: v for k, v in PARAMS.items() if k != name}) for name in PARAMS}
    assert len(names) == len(PARAMS)


def test_lines_without_a_file_are_none(tmp_path):
    assert JsonLines(tmp_path / "none.jsonl").read() == []


@pytest.mark.parametrize("cut", [b'{"n": 3, "x": "abc', b"{", b"\x00\x00\x00", b'{"n": 3}'])
def test_a_line_cut_off_by_a_crash_is_not_read_and_then_removed(tmp_path, cut):
    path = tmp_path / "folder" / "lines.jsonl"
    lines = JsonLines(path)
    for number in (1, 2):
        lines.append({"n": number})
    whole = path.read_bytes()
    path.write_bytes(whole + cut)
    fresh = JsonLines(path)
    assert fresh.read() == [{"n": 1}, {"n": 2}]
    assert path.read_bytes() == whole + cut, "reading changes nothing"
    fresh.append({"n": 4})
    assert path.read_bytes() == whole + b'{"n": 4}\n'
    fresh.append({"n": 5})
    assert [line["n"] for line in JsonLines(path).read()] == [1, 2, 4, 5]


def test_a_file_that_was_cut_in_its_first_line_starts_again(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"n"')
    assert JsonLines(path).read() == []
    JsonLines(path).append({"n": 1})
    assert path.read_bytes() == b'{"n": 1}\n'


@pytest.mark.parametrize("bad", ['{"n": 2', "", "[1, 2]", "nonsense", '"text"', "\x00\x00"])
def test_a_broken_line_in_the_middle_is_an_error_with_file_and_line(tmp_path, bad):
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"n": 1}}\n{bad}\n{{"n": 3}}\n')
    with pytest.raises(UserError) as refusal:
        JsonLines(path).read()
    assert str(path) in message(refusal)
    assert "line 2" in message(refusal)


def test_text_with_line_separators_stays_on_one_line(tmp_path):
    lines = JsonLines(tmp_path / "lines.jsonl")
    odd = {"reason": "a\nb\u2028c\x85d\r\ne"}
    lines.append(odd)
    lines.append(odd)
    assert lines.read() == [{"reason": "a\\nb\\u2028c\\x85d\\r\\ne"}] * 2


def test_a_trial_of_a_newer_schema_is_refused(folder, record):
    folder.trials.append({**record(3).to_json(), "schema": SCHEMA + 1})
    with pytest.raises(UserError) as refusal:
        folder.read_trials()
    assert f"schema {SCHEMA + 1}" in message(refusal)
    assert "trial 3" in message(refusal)


def test_fields_of_a_later_minor_version_are_ignored(folder, record):
    folder.trials.append({**record(3).to_json(), "colour": "blue"})
    assert folder.read_trials() == [record(3)]


def test_a_record_without_later_additions_is_read_with_their_defaults(folder, record):
    later = ("variants", "models", "main_score", "scales", "warnings")
    folder.trials.append({n: v for n, v in FULL.to_json().items() if n not in later})
    (read,) = folder.read_trials()
    assert (read.variants, read.models) == ({}, {})
    assert (read.main_score, read.scales, read.warnings) == ("", {}, [])
    assert read.metrics == FULL.metrics


def test_a_replica_that_lacks_a_field_is_refused_and_more_fields_are_ignored(folder):
    whole = FULL.to_json()
    whole["replicas"][0]["colour"] = "blue"
    folder.trials.append(whole)
    assert folder.read_trials() == [FULL]
    del whole["replicas"][0]["epoch"]
    folder.trials.append(whole)
    with pytest.raises(UserError, match="replica in a trial's record lacks epoch") as refusal:
        folder.read_trials()
    message(refusal)


def test_compact_numbers_are_the_same_with_nan_for_none(folder):
    folder.trials.append(FULL)
    (read,) = folder.read_trials(compact=True)
    for plain, compact in (
        (FULL.metrics, read.metrics),
        *((FULL.variants[variant], read.variants[variant]) for variant in FULL.variants),
    ):
        assert plain.keys() == compact.keys()
        for metric, values in compact.items():
            assert isinstance(values, array)
            assert values.itemsize == 8
            assert [None if math.isnan(v) else v for v in values] == plain[metric]
    assert FULL.variants.keys() == read.variants.keys()
    same = ("number", "params", "reports", "replicas", "objective", "seconds")
    assert all(getattr(read, name) == getattr(FULL, name) for name in same)
    assert strict(to_text(read)) == strict(to_text(FULL)), "written again, it is what it was"


def test_equal_replicas_and_names_are_one_object(folder, record):
    for number in range(2):
        folder.trials.append(record(number))
    for compact in (False, True):
        first, second = folder.read_trials(compact)
        assert first.replicas[0] is second.replicas[0]
        assert next(iter(first.metrics)) is next(iter(second.metrics))


def test_a_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2}\nbroken\n{"n": 4}\n')
    lines = JsonLines(path).lines()
    assert [next(lines), next(lines)] == [{"n": 1}, {"n": 2}]
    with pytest.raises(UserError, match="line 3"):
        next(lines)


@pytest.mark.parametrize("size", [1, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16])
def test_a_cut_line_of_any_length_is_removed(tmp_path, size):
    path = tmp_path / "lines.jsonl"
    JsonLines(path).append({"n": 1})
    whole = path.read_bytes()
    for before in (whole, b""):
        path.write_bytes(before + b"x" * size)
        JsonLines(path).append({"n": 2})
        assert path.read_bytes() == before + b'{"n": 2}\n'


def test_a_study_is_named_or_given_by_its_path(tmp_path):
    results, other = tmp_path / "results", tmp_path / "elsewhere" / "mine"
    for folder in (results / "named", other):
        write_atomically(StudyFolder(folder).study, "{}")
    assert study_folder(results, "named") == results / "named"
    assert study_folder(results, str(other)) == other
    assert study_folder(results, str(results / "named")) == results / "named"
    with pytest.raises(UserError, match="results contains no study 'namd'; did you mean named"):
        study_folder(results, "namd")


def test_only_a_name_with_a_slash_is_a_path(tmp_path, monkeypatch):
    write_atomically(StudyFolder(tmp_path / "here").study, "{}")
    monkeypatch.chdir(tmp_path)
    results = Path("results")
    with pytest.raises(UserError, match=f"the folder {tmp_path / 'results'} does not exist"):
        study_folder(results, "here")
    results.mkdir()
    with pytest.raises(UserError, match=f"{tmp_path / 'results'} contains no study 'here'"):
        study_folder(results, "here")
    assert study_folder(results, "./here") == Path("here")
    for name in ("./elsewhere", str(tmp_path)):
        with pytest.raises(UserError, match=f"^{name} contains no study.json; the studies in"):
            study_folder(results, name)
    with pytest.raises(UserError, match=f"got ''; the studies in {tmp_path}/results are: none"):
        study_folder(results, "")


def test_a_study_that_is_being_written_is_locked(tmp_path):
    folder = StudyFolder(tmp_path / "study")
    assert not folder.is_locked()
    with folder.locked():
        assert folder.is_locked()
    before = (tmp_path / "study").stat().st_mtime_ns
    assert not folder.is_locked()
    assert (tmp_path / "study").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["a", "b"], "a+b"),
        (["a", "b", "a"], "a+b+a"),
    ],
)
def test_a_comparison_has_the_names_of_its_studies(tmp_path, names, title):
    assert comparison_folder(tmp_path, names) == tmp_path / "comparisons" / title


@pytest.mark.parametrize(
    ("names", "others", "start"),
    [
        (["pgn", "/some/where/pgn"], ["pgn", "/else/where/pgn"], "pgn+pgn-"),
        (["/a/pgn", "/b/pgn"], ["/b/pgn", "/a/pgn"], "pgn+pgn-"),
        (["a b", "<e>"], ["a-b", "e"], "a-b+e-"),
        (["...", "-"], ["-", "..."], "study+study-"),
    ],
)
def test_studies_given_by_path_do_not_overwrite_each_other(tmp_path, names, others, start):
    first, second = comparison_folder(tmp_path, names), comparison_folder(tmp_path, others)
    assert first.name.startswith(start)
    assert first != second
    assert first.parent == second.parent == tmp_path / "comparisons"


def test_the_folder_of_many_studies_has_a_name_that_a_disk_can_hold(tmp_path):
    names = [f"study_number_{k}" for k in range(60)]
    titles = {comparison_folder(tmp_path, studies).name for studies in (names, names[:-1])}
    assert len(titles) == 2
    assert all(len(name) < 200 for name in titles)


def test_a_study_of_a_newer_schema_is_refused(folder):
    write_atomically(folder.study, to_text({"schema": SCHEMA + 1}))
    with pytest.raises(UserError) as refusal:
        folder.read_study()
    assert str(folder.study) in message(refusal)


def test_a_folder_without_a_study_is_refused(folder):
    assert not folder.exists()
    with pytest.raises(UserError) as refusal:
        folder.read_study()
    assert str(folder.path) in message(refusal)


def test_a_study_that_is_no_json_is_refused(folder):
    write_atomically(folder.study, '{"schema": 1,')
    with pytest.raises(UserError) as refusal:
        folder.read_study()
    assert str(folder.study) in message(refusal)


def test_details_are_kept_by_identity_and_seed(folder):
    trial, seed = ({"schema": 2, "steps": steps} for steps in ([1, math.nan], [2]))
    write_atomically(folder.details("0123abcd"), to_text(trial))
    write_atomically(folder.details("0123abcd", 1000), to_text(seed))
    assert folder.read_details("0123abcd") == {**trial, "steps": [1, None]}
    assert folder.read_details("0123abcd", 1000) == seed


LOCKING = (
    "import sys; from pathlib import Path\n"
    "from tune_ad.errors import UserError; from tune_ad.storage.folder import StudyFolder\n"
    "try:\n"
    "    with StudyFolder(Path(sys.argv[1])).locked(): print('locked')\n"
    "except UserError as error: print(error); sys.exit(2)\n"
)


def locking(folder):
    return subprocess.run(
        [sys.executable, "-c", LOCKING, str(folder.path)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_process_is_refused_until_the_first_is_done(folder):
    with folder.locked():
        refused = locking(folder)
    assert refused.returncode == 2
    (line,) = refused.stdout.splitlines()
    assert str(folder.path) in line
    assert "another process" in line
    assert refused.stderr == ""
    assert locking(folder).stdout == "locked\n"


def test_the_lock_is_given_back_after_an_error(folder):
    with pytest.raises(ZeroDivisionError), folder.locked():
        1 / 0  # noqa: B018
    with folder.locked():
        pass


FILE_NAMES = ("study.json", ".jsonl", ".lock")


def literals(path):
    """The text constants of a module that are not docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in expressions:
            yield node.lineno, node.value


def test_one_module_owns_the_file_names_of_a_study():
    modules = [*(PROJECT / "tune_ad").rglob("*.py"), *(PROJECT / "analysis").rglob("*.py")]
    owner = PROJECT / "tune_ad" / "storage" / "folder.py"
    images = PROJECT / "tune_ad" / "data"  # locks the folder of the images, not a study
    others = [path for path in modules if path != owner and images not in path.parents]
    assert owner in modules
    assert [
        f"{path.relative_to(PROJECT)}:{line} {text!r}"
        for path in others
        for line, text in literals(path)
        if any(text.endswith(name) for name in FILE_NAMES)
    ] == []


def test_a_record_or_study_without_what_it_must_have_is_refused_in_one_line(tmp_path):
    folder = StudyFolder(tmp_path)
    folder.trials.append({})
    with pytest.raises(UserError, match="lacks number, identity"):
        folder.read_trials()
    write_atomically(folder.study, "{}")
    with pytest.raises(UserError, match="is not a complete study"):
        folder.read_study()
