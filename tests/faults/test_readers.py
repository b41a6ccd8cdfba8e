"""Hypothesis over every reader: whatever a file holds, it is read or refused in one line."""

import io
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.faults.kinds.data_files import NAMES
from tests.storage.test_continuing import GOLDEN
from tune_ad.data.npz_files import load_images, read_npz
from tune_ad.data.own.decoding import Target, Unreadable, decode
from tune_ad.errors import UserError
from tune_ad.models.folder import ModelFolder
from tune_ad.search.catalogue import find_entry
from tune_ad.storage import score_ranks
from tune_ad.storage.folder import StudyFolder

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
often = partial(settings, deadline=None, derandomize=True, max_examples=60)
LONGEST = 1500


def read_or_refused(read, *path):
    """Whether a reader reads a file, or refuses it in one line."""
    try:
        read(*path)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < LONGEST, str(error)[:300]
        return False
    return True


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def mutated(data, value):
    """Plain data with one value inside replaced by another, or removed."""
    if isinstance(value, dict | list) and value and data.draw(st.booleans() | st.just(True)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        copy = value.copy()
        if data.draw(st.integers(0, 5)) == 0:
            del copy[key]
        else:
            copy[key] = mutated(data, value[key])
        return copy
    return data.draw(PLAIN)


@pytest.fixture(scope="module")
def study(place):
    shutil.copytree(GOLDEN.path, place / "study", ignore=shutil.ignore_patterns("report"))
    folder = StudyFolder(place / "study")
    shutil.copy(folder.trials.path, folder.retried.path)
    return folder


@pytest.mark.parametrize("name", ["suggested", "trials", "evaluation", "retried"])
@often()
@given(data=st.data())
def test_journals(study, name, data):
    file = getattr(study, name).path
    original = file.read_bytes()
    lines = original.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = json.dumps(mutated(data, json.loads(lines[number]))).encode()
    read = {
        "suggested": study.read_trial_specs,
        "trials": study.read_trials,
        "evaluation": study.read_evaluation,
        "retried": study.read_retried,
    }
    try:
        file.write_bytes(b"\n".join(lines) + b"\n")
        read_or_refused(read[name])
    finally:
        file.write_bytes(original)


@often()
@given(data=st.data())
def test_descriptions_of_studies(study, data):
    original = study.study.read_bytes()
    try:
        study.study.write_text(json.dumps(mutated(data, json.loads(original))))
        read_or_refused(study.read_study)
    finally:
        study.study.write_bytes(original)


@pytest.mark.parametrize("name", ["study.json", "trials.jsonl", "suggested.jsonl"])
@often()
@given(content=st.binary(max_size=200))
def test_any_bytes_as_records(place, name, content):
    folder = StudyFolder(place / "bytes")
    folder.path.mkdir(exist_ok=True)
    (folder.path / name).write_bytes(content)
    for read in (folder.read_study, folder.read_trials, folder.read_trial_specs):
        read_or_refused(read)
    (folder.path / name).unlink()


DTYPES = (
    arrays.boolean_dtypes()
    | arrays.integer_dtypes()
    | arrays.unsigned_integer_dtypes()
    | arrays.floating_dtypes()
    | arrays.complex_number_dtypes()
    | arrays.unicode_string_dtypes(max_len=4)
    | arrays.byte_string_dtypes(max_len=4)
    | arrays.datetime64_dtypes()
)
ANY_ARRAY = DTYPES.flatmap(
    lambda dtype: arrays.arrays(
        dtype, arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    )
)
KEYS = st.sampled_from(NAMES)


@often()
@given(content=st.dictionaries(KEYS, ANY_ARRAY, max_size=6))
def test_any_arrays_in_an_npz(place, content):
    np.savez(place / "any.npz", **content)
    read_or_refused(read_npz, place / "any.npz")
    read_or_refused(load_images, place / "any.npz")
    read_or_refused(score_ranks.read, place / "any.npz")


@often()
@given(array=ANY_ARRAY)
def test_any_array_in_an_npy(place, array):
    np.save(place / "any.npy", array)
    read_or_refused(load_images, place / "any.npy")


@often()
@given(data=st.data())
def test_bytes_of_archives(place, data):
    file = io.BytesIO()
    images = np.arange(20 * 64, dtype=np.uint8).reshape(20, 8, 8)
    np.savez(file, images=images, labels=np.arange(20) % 2)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = place / "damaged.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    read_or_refused(read_npz, path)
    read_or_refused(score_ranks.read, path)


@often()
@given(
    content=st.binary(max_size=300),
    suffix=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a"]),
)
def test_any_bytes_as_a_picture(content, suffix):
    try:
        decode(suffix + content, Target((8, 8), "stretch", "auto"))
    except Unreadable as error:
        assert "\n" not in str(error)


@pytest.mark.slow
@often()
@given(data=st.data())
def test_descriptions_of_kept_models(place, kept, data):
    folder = place / "best"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps(mutated(data, kept)))
    read_or_refused(lambda: ModelFolder(folder).description)


@pytest.fixture(scope="module")
def kept(finished):
    """What the description of a kept model says."""
    return json.loads((finished.folder.best / "model.json").read_text(encoding="utf-8"))


SEARCH = (Path(__file__).parent / "searches.py").read_text(encoding="utf-8")


@often()
@given(data=st.data())
def test_search_files(place, data):
    start = data.draw(st.integers(0, len(SEARCH)))
    end = data.draw(st.integers(start, min(len(SEARCH), start + 60)))
    text = SEARCH[:start] + data.draw(st.text(max_size=20)) + SEARCH[end:]
    path = place / "mine.py"
    path.write_bytes(text.encode("utf-8", "replace"))
    read_or_refused(find_entry, str(path))
