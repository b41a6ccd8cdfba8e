"""Imports run one way; the arrows are those of docs/design.md."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import tune_ad

PROJECT = Path(tune_ad.__file__).parent.parent
LAYERS = (  # each imports what stands above it; what shares a line does not know each other
    "errors randomness",
    "journal",
    "data nets metrics records tensorboard provenance plans machine budgets",
    "detectors selection sweep",
    "learner plateau",
    "cohort search",
    "panel estimate catalogue ablation gathering",
    "evaluation",
    "bounds shown",
    "trial",
    "observers",
    "conductor",
    "serial trainable",
    "runner",
    "session",
    "prepare announce",
)
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line.split()}
TRAINING = {"data", "nets", "metrics", "detectors", "learner", "plateau", "cohort"}
RECORDS = {"journal", "records", "selection", "plans", "sweep"}
BOTTOM = {"errors", "randomness"}


class Import(NamedTuple):
    """One import of a module of this project or of another package."""

    module: str
    imports: str
    lazy: bool


def name_of(path):
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = [
    *(PROJECT / "tune_ad").rglob("*.py"),
    *(PROJECT / "analysis").rglob("*.py"),
    *(PROJECT / "search_spaces").rglob("*.py"),
    PROJECT / "run.py",
]
MODULES = {name_of(path): path for path in PATHS if path.exists()}


def for_types_only(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def found(node, lazy=False):
    """The imports below a node as (module, names, whether inside a function)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, (), lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, "imports name the whole module"
            yield child.module, tuple(alias.name for alias in child.names), lazy
        elif not for_types_only(child):
            yield from found(child, lazy or isinstance(child, ast.FunctionDef))


def imports_of(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for name, members, lazy in found(tree):
        whole = [f"{name}.{member}" for member in members]
        for each in [full if full in MODULES else name for full in whole] or [name]:
            yield Import(module, each, lazy)


IMPORTS = [each for module in MODULES for each in imports_of(module)]
OWN = [each for each in IMPORTS if each.imports in MODULES]


def part(module):
    """The module or package right below `tune_ad`."""
    return (module.split(".") + [""])[1]


def test_the_project_is_read():
    assert len(MODULES) > 40
    assert Import("tune_ad.session", "tune_ad.runner", True) in IMPORTS
    assert Import("tune_ad.selection", "tune_ad.records", False) in IMPORTS


def test_every_module_has_its_place():
    known = {part(module) for module in MODULES if module.startswith("tune_ad.")}
    assert known == set(RANK), "give a new module its place in LAYERS"


def test_imports_run_one_way():
    assert [
        f"{module} imports {imported}"
        for module, imported, _ in OWN
        if module.startswith("tune_ad.")
        and imported.startswith("tune_ad.")
        and part(module) != part(imported)
        and RANK[part(imported)] >= RANK[part(module)]
    ] == []


@pytest.mark.parametrize("column", [TRAINING, RECORDS, {"tensorboard"}], ids=sorted)
def test_a_column_knows_nothing_beside_it(column):
    assert {
        part(imported)
        for module, imported, _ in OWN
        if part(module) in column and module.startswith("tune_ad.")
    } <= column | BOTTOM


def test_nothing_imports_itself_in_a_circle():
    graph = {module: {i for m, i, _ in OWN if m == module} for module in MODULES}
    done = set()
    while ready := {module for module in graph if graph[module] <= done} - done:
        done |= ready
    assert set(graph) - done == set()


def importers(package):
    return {each.module for each in IMPORTS if each.imports.split(".")[0] == package}


def test_ray_is_imported_in_two_modules():
    assert importers("ray") == {"tune_ad.trainable", "tune_ad.runner"}


def test_the_runner_is_imported_only_when_ray_is_wanted():
    runner = [each for each in OWN if each.imports == "tune_ad.runner"]
    assert sorted(runner) == [
        Import("tune_ad.prepare", "tune_ad.runner", True),
        Import("tune_ad.session", "tune_ad.runner", True),
    ]
    trainable = [each.module for each in OWN if each.imports == "tune_ad.trainable"]
    assert trainable == ["tune_ad.runner"]


def test_analysis_knows_records_and_selection_alone():
    known = {each.imports for each in OWN if each.module.startswith("analysis")}
    allowed = {f"tune_ad.{name}" for name in ("records", "journal", "selection", "errors")}
    assert {each for each in known if not each.startswith("analysis")} <= allowed


def test_nothing_imports_analysis_but_the_command_line():
    users = {each.module for each in OWN if each.imports.startswith("analysis")}
    assert {each for each in users if not each.startswith("analysis")} <= {"run"}


def test_search_files_import_declarations_alone():
    spaces = [each for each in IMPORTS if each.module.startswith("search_spaces")]
    roots = {each.imports.split(".")[0] for each in spaces}
    assert roots <= {"optuna", "tune_ad"}
    own = {part(each.imports) for each in spaces if each.imports.startswith("tune_ad")}
    assert own <= {"budgets", "detectors", "plans", "search"}


def test_the_command_line_imports_when_it_knows_what_for():
    assert not [each for each in OWN if each.module == "run" and not each.lazy]


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "common", "misc", "helpers", "tools"}
    names = {path.stem for path in PATHS} | {path.parent.name for path in PATHS}
    assert not names & drawers


def loaded(*modules):
    """The heavy packages in memory after importing modules in a fresh process."""
    heavy = ("torch", "ray", "optuna", "pandas", "sklearn", "matplotlib", "tensorboard")
    script = (
        f"import sys, {', '.join(modules)}\n"
        f"print(*(name for name in {heavy} if name in sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    return set(result.stdout.split())


def test_records_and_their_rules_need_nothing_heavy():
    assert loaded("tune_ad", "tune_ad.records", "tune_ad.selection", "tune_ad.catalogue") == set()


def test_plans_and_sweeps_need_neither_torch_nor_ray():
    assert loaded("tune_ad.plans", "tune_ad.sweep") == {"optuna"}


def test_analysis_needs_neither_torch_nor_ray():
    modules = [module for module in MODULES if module.startswith("analysis")]
    assert not loaded(*modules) & {"torch", "ray"}


def test_without_the_ray_backend_ray_stays_out():
    assert "ray" not in loaded("tune_ad.prepare", "tune_ad.serial", "tune_ad.announce")


def test_the_package_itself_is_lazy():
    assert loaded("tune_ad") == set()
    for name in tune_ad.__all__:
        assert getattr(tune_ad, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        tune_ad.no_such_name  # noqa: B018
