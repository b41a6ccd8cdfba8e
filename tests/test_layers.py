"""Imports run one way between folders; the arrows are those of docs/design.md."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import tune_ad

PROJECT = Path(tune_ad.__file__).parent.parent
LAYERS = (  # each folder imports what stands above it; what shares a line does not know each other
    "errors host randomness sample_sizes sampling signals silent wording",
    "array_files atomic extensions local_paths own_imports",
    "storage tensorboard pseudo_outliers",
    "data selection",
    "detectors",
    "search",
    "training",
    "models",
    "execution",
    "app",
)
ANALYSIS = (
    "document",
    "stats",
    "trials frame",
    "study",
    "image_sampling left_out",
    "quoted",
    "questions",
    "report",
    "programs",
    "evidence",
)
MOST = 14  # modules in a folder: what a reader takes in at a glance
CATALOGUES = (  # grow by a file
    "search_spaces",
    "analysis/report/sections",
    "tune_ad/data/sets",
    "tune_ad/pseudo_outliers",
    "tune_ad/selection/rules",
)
RANK = {name: rank for rank, line in enumerate(LAYERS) for name in line.split()}
ANALYSIS_RANK = {name: rank for rank, line in enumerate(ANALYSIS) for name in line.split()}


class Import(NamedTuple):
    """One import of a module of this project or of another package."""

    module: str
    imports: str
    lazy: bool


def name_of(path):
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FOLDERS = ("tune_ad", "analysis", "search_spaces")
PATHS = [path for name in FOLDERS for path in (PROJECT / name).rglob("*.py")]
PATHS.append(PROJECT / "run.py")
MODULES = {name_of(path): path for path in PATHS if path.exists()}


def for_types_only(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def imports_below(node, lazy=False):
    """The imports below a node as (module, names, whether inside a function)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, (), lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, "imports name the whole module"
            yield child.module, tuple(alias.name for alias in child.names), lazy
        elif not for_types_only(child):
            yield from imports_below(child, lazy or isinstance(child, ast.FunctionDef))


def imports_of(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for name, members, lazy in imports_below(tree):
        full_names = [f"{name}.{member}" for member in members]
        for imported in [full if full in MODULES else name for full in full_names] or [name]:
            yield Import(module, imported, lazy)


IMPORTS = [imported for module in MODULES for imported in imports_of(module)]
INTERNAL = [imported for imported in IMPORTS if imported.imports in MODULES]


def part(module):
    """The module or package right below the root package."""
    return (module.split(".") + [""])[1]


def against_the_arrows(package, rank):
    """The imports between parts of a package that do not run from a later to an earlier line."""
    return [
        f"{module} imports {imported}"
        for module, imported, _ in INTERNAL
        if module.startswith(f"{package}.")
        and imported.startswith(f"{package}.")
        and part(module) != part(imported)
        and rank[part(imported)] >= rank[part(module)]
    ]


def test_the_project_is_read():
    assert len(MODULES) > 40
    assert Import("tune_ad.selection.rule", "tune_ad.storage.records", False) in IMPORTS


def test_every_folder_has_its_place():
    known = {part(module) for module in MODULES if module.startswith("tune_ad.")}
    assert known == {*RANK, "__main__"}, "give a new folder its place in LAYERS"
    known = {part(module) for module in MODULES if module.startswith("analysis.")}
    assert known == set(ANALYSIS_RANK), "give a new folder its place in ANALYSIS"


def test_imports_run_one_way_between_folders():
    assert against_the_arrows("tune_ad", {**RANK, "__main__": len(LAYERS)}) == []


def test_imports_of_analysis_run_one_way_between_folders():
    assert against_the_arrows("analysis", ANALYSIS_RANK) == []


def test_a_folder_can_be_taken_in_at_a_glance():
    crowded = {
        str(folder.relative_to(PROJECT)): count
        for folder in {path.parent for path in PATHS} - {PROJECT / name for name in CATALOGUES}
        if (count := len([*folder.glob("[!_]*.py")])) > MOST
    }
    assert crowded == {}


def test_nothing_imports_itself_in_a_circle():
    graph = {module: {i for m, i, _ in INTERNAL if m == module} for module in MODULES}
    done = set()
    while ready := {module for module in graph if graph[module] <= done} - done:
        done |= ready
    assert set(graph) - done == set()


def importers(package):
    return {item.module for item in IMPORTS if item.imports.split(".")[0] == package}


def test_ray_is_imported_in_one_folder():
    assert all(name.startswith("tune_ad.execution.ray.") for name in importers("ray"))


def test_that_folder_is_imported_only_when_ray_is_wanted():
    users = [
        item
        for item in INTERNAL
        if item.imports.startswith("tune_ad.execution.ray") and "execution.ray" not in item.module
    ]
    assert users
    assert all(item.lazy and part(item.module) == "app" for item in users)


def test_analysis_knows_records_and_selection_alone():
    known = {item.imports for item in INTERNAL if item.module.startswith("analysis")}
    allowed = (
        "storage.",
        "atomic",
        "errors",
        "sample_sizes",
        "sampling",
        "wording",
        "selection",
        "pseudo_outliers",
        "randomness",
        *(f"search.{n}" for n in ("distributions", "claim", "checks.records")),
    )
    allowed = tuple(f"tune_ad.{name}" for name in allowed)
    assert [n for n in known if not n.startswith(("analysis", *allowed))] == []


def test_nothing_imports_analysis_but_the_command_line_and_the_result_for_programs():
    users = {item.module for item in INTERNAL if item.imports.startswith("analysis")}
    assert {item for item in users if not item.startswith("analysis")} <= {
        "tune_ad.app.command_line.cli",
        "tune_ad.app.result",
    }


def test_search_files_import_declarations_alone():
    spaces = [item for item in IMPORTS if item.module.startswith("search_spaces")]
    roots = {item.imports.split(".")[0] for item in spaces}
    assert roots <= {"dataclasses", "optuna", "search_spaces", "tune_ad"}
    folders = {part(item.imports) for item in spaces if item.imports.startswith("tune_ad")}
    assert folders <= {"detectors", "search"}


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


def test_records_their_rules_and_the_command_line_need_nothing_heavy():
    light = (
        "storage.records",
        "storage.folder",
        "selection",
        "search.catalogue",
        "app.command_line.cli",
    )
    assert loaded("tune_ad", *(f"tune_ad.{name}" for name in light)) == set()


def test_plans_and_schedulers_need_neither_torch_nor_ray():
    assert loaded("tune_ad.search.plans", "tune_ad.search.scheduler") == {"optuna"}


def test_analysis_needs_neither_torch_nor_ray():
    modules = [module for module in MODULES if module.startswith("analysis")]
    assert not loaded(*modules) & {"torch", "ray"}


def test_without_the_ray_backend_ray_stays_out():
    app = ("app.preparation.validation", "app.session", "app.command_line.console")
    names = (*app, "execution.serial")
    assert "ray" not in loaded(*(f"tune_ad.{name}" for name in names))


def test_the_package_itself_is_lazy():
    assert loaded("tune_ad") == set()
    for name in tune_ad.__all__:
        assert getattr(tune_ad, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        tune_ad.no_such_name  # noqa: B018
