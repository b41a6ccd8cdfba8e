"""The page of record formats says of every field and array what it is and what it means."""

import re

import numpy as np
import pytest

from docs.site import records
from docs.site.tables import PARTS
from tune_ad.storage import examples, kept_models, score_ranks, stored_fields
from tune_ad.storage.json_files import Field, faults

TABLES = (
    "study.json",
    "study.json since schema 2",
    "suggested.jsonl",
    "trials.jsonl",
    "histograms",
    "model.json",
    "ranks of scores",
    "examples.npz",
)
NUMBERED = re.compile(r"^\d+\.")
NAMED = {"rows": "ROW", "counts": "GROUP", "positions": "METHOD"}


@pytest.mark.parametrize("name", TABLES)
def test_every_field_has_a_type_and_a_meaning(name):
    rows = [line for line in PARTS[name]().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    assert len(cells) > 3
    assert [row for row in cells if not all(row) or len(row[-1]) < 4] == []


@pytest.mark.parametrize(
    "kind",
    [stored_fields.FIELDS, stored_fields.HISTOGRAM, kept_models.FIELDS, kept_models.THRESHOLD],
)
def test_a_meaning_stands_beside_every_field_where_it_is_declared(kind):
    assert [path for path, _, meaning in records.paths(kind) if not meaning] == []


def test_a_meaning_changes_nothing_about_what_is_checked():
    kind = {"a": Field([int], "numbers"), "b?": Field({"*": str}, "texts")}
    plain = {"a": [int], "b?": {"*": str}}
    for value in ({}, {"a": 1}, {"a": [1, "2"]}, {"a": [], "b": {"c": 1}}, {"a": [1]}, 3):
        assert list(faults(value, kind)) == list(faults(value, plain))


def declared(name):
    """The name of an array as the tables have it."""
    parts = NUMBERED.sub("K.", name).split(".")
    for place, part in enumerate(parts[:-1]):
        if part in NAMED:
            parts[place + 1] = NAMED[part]
    return ".".join("J" if part.isdecimal() else part for part in parts)


def check_arrays(path, arrays):
    with np.load(path) as stored:
        for name in stored:
            array, form = stored[name], arrays[declared(name)]
            kind = "text" if array.dtype.kind == "U" else array.dtype.name
            assert kind in form.types.split(" or "), name
            assert array.ndim == len([size for size in form.shape.split(",") if size]), name
        return set(map(declared, stored))


def test_ranks_are_stored_as_the_page_says(finished):
    path = finished.folder.path
    files = [*(path / "trials").glob("*.npz"), *(path / "evaluation").glob("*.npz")]
    assert files
    found = set().union(*(check_arrays(file, score_ranks.ARRAYS) for file in files))
    assert found == set(score_ranks.ARRAYS)


def test_examples_are_stored_as_the_page_says(finished):
    found = check_arrays(finished.folder.examples, examples.ARRAYS)
    assert set(examples.ARRAYS) - found == {"K.rows.ROW.reconstructions"}  # PGN makes none
