"""The formats of the files of a study, from the types that readers check."""

import inspect
from collections.abc import Iterator, Mapping
from types import MappingProxyType, NoneType
from typing import Any

from docs.site.markdown import attributes, code, table
from tune_ad.array_files import StoredArray
from tune_ad.storage import examples, folder, kept_models, score_ranks, stored_fields
from tune_ad.storage.json_files import Field
from tune_ad.storage.metric import Metric, ScoreVariant
from tune_ad.storage.plan_traits import PlanTraits
from tune_ad.storage.records import (
    REPLICA,
    SPEC,
    TRIAL,
    DetectorWarning,
    ReplicaRecord,
    TrialRecord,
    TrialSpec,
)

NAMES: Mapping[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    list: "list",
    dict: "object",
    NoneType: "null",
    Any: "any value",
}


def files() -> str:
    """The list of the files of a study."""
    text = inspect.getdoc(folder) or ""
    block = text.partition("\n\n")[2].partition("\n\n")[0]
    return f"```text\n{inspect.cleandoc(block)}\n```"


def study() -> str:
    """The fields of `study.json`."""
    return _fields(stored_fields.FIELDS)


def since_schema_2() -> str:
    """The fields of `study.json` that schema 1 does not have."""
    return _fields(stored_fields.SINCE_SCHEMA_2, attributes(PlanTraits))


def trials() -> str:
    """The fields of a line of `trials.jsonl` and of the objects in it."""
    parts = [
        ("A trial", TrialRecord, TRIAL),
        ("A model in `replicas`", ReplicaRecord, REPLICA),
        ("An entry of `metrics`, with its `values`, one per model", Metric, {}),
        ("An entry of `variants`, with its `metrics`", ScoreVariant, {}),
        ("An entry of `warnings`", DetectorWarning, {}),
    ]
    return "\n\n".join(f"{title}:\n\n{_of_class(cls, kinds)}" for title, cls, kinds in parts)


def suggested() -> str:
    """The fields of a line of `suggested.jsonl`."""
    return _of_class(TrialSpec, SPEC)


def details() -> str:
    """The fields of a histogram in `trials/<identity>.json`."""
    return _fields(stored_fields.HISTOGRAM)


def kept() -> str:
    """The fields of `best/model.json`, and of a threshold in it."""
    threshold = {"threshold": kept_models.THRESHOLD, "check": kept_models.CHECK}
    return f"{_fields(kept_models.FIELDS)}\n\nA threshold and a check:\n\n{_fields(threshold)}"


def _of_class(cls: type, kinds: Mapping[str, Any]) -> str:
    annotated = inspect.get_annotations(cls)
    kinds = {name.rstrip("?"): kind for name, kind in kinds.items()}
    rows = [
        [
            code(name),
            type_name(kinds[name]) if name in kinds else _annotation(annotated, name),
            text,
        ]
        for name, text in attributes(cls).items()
    ]
    return table(["field", "type", "meaning"], rows)


def _annotation(annotated: Mapping[str, Any], name: str) -> str:
    return type_name(getattr(annotated[name], "__origin__", annotated[name]))


def ranks() -> str:
    """The arrays in a file of ranks."""
    return _arrays(score_ranks.ARRAYS)


def of_examples() -> str:
    """The arrays in `examples.npz`."""
    return _arrays(examples.ARRAYS)


def _arrays(declared: Mapping[str, StoredArray]) -> str:
    rows = [
        [code(name), array.types, f"({array.shape})", array.meaning]
        for name, array in declared.items()
    ]
    return table(["array", "type", "shape", "meaning"], rows)


def _fields(declared: Any, meanings: Mapping[str, str] = MappingProxyType({})) -> str:  # noqa: ANN401
    """The table of the fields of an object.

    Args:
        declared: their kinds.
        meanings: what those mean that are no `Field`, by name.
    """
    rows = [
        [code(path), kind, meaning or meanings.get(path.rpartition(".")[2], "")]
        for path, kind, meaning in paths(declared)
    ]
    return table(["field", "type", "meaning"], rows)


def paths(kind: Any, path: str = "", meaning: str = "") -> Iterator[tuple[str, str, str]]:  # noqa: ANN401
    """The path of each value in an object, with its type and meaning.

    "[]" is every item, "*" every name.

    >>> list(paths({"a": Field([int], "numbers"), "b?": str}))
    [('a[]', 'integer', 'numbers'), ('b', 'text (may be left out)', '')]
    """
    if isinstance(kind, Field):
        yield from paths(kind.kind, path, kind.meaning)
    elif isinstance(kind, Mapping):
        for name, inner in kind.items():
            yield from paths(inner, f"{path}.{name}" if path else name, meaning)
    elif isinstance(kind, list):
        yield from paths(kind[0], f"{path}[]", meaning)
    else:
        left_out = " (may be left out)" if "?" in path.rpartition(".")[2] else ""
        yield path.replace("?", ""), type_name(kind) + left_out, meaning


def type_name(kind: Any) -> str:  # noqa: ANN401
    """A type, or several, in words.

    >>> type_name((int, float, NoneType)), type_name(str)
    ('number or null', 'text')
    """
    if isinstance(kind, frozenset):
        return "one of " + ", ".join(sorted(kind))
    if isinstance(kind, list | Mapping):
        kind = list if isinstance(kind, list) else dict
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = [NAMES.get(k, "list" if k is tuple else str(k)) for k in kinds]
    if "number" in names:
        names = [name for name in names if name != "integer"]
    return " or ".join(dict.fromkeys(names))
