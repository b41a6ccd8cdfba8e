"""docs/tutorials/reading_a_report.md explains every section of reports, in their order."""

import ast
import inspect
import re

from analysis.report import sections
from analysis.report.study_report import document
from analysis.study import StudyRecords
from tests.docs.blocks import PROJECT

PAGE = PROJECT / "docs" / "tutorials" / "reading_a_report.md"
PARTS = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
EXPLAINED = dict(zip(PARTS[::2], PARTS[1::2], strict=True))
OTHERS = {"Summary", "Questions and where the answer is"}
"""Headings that are not the title of a module of sections."""


def titles(module):
    """The titles of the sections of a module: texts that its `Section`s are given."""
    tree = ast.parse(inspect.getsource(module))
    given = [node.args[0] for node in ast.walk(tree) if is_section(node)]
    names = {node.id for node in given if isinstance(node, ast.Name)}
    given += [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names
    ]
    given.sort(key=lambda node: node.lineno)
    texts = [part for node in given for part in alternatives(node)]
    assert texts, f"{module.__name__}: the title of its section is not found"
    return list(dict.fromkeys(texts))


def is_section(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Section"


def alternatives(node):
    if isinstance(node, ast.IfExp):
        return [*alternatives(node.body), *alternatives(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) else []


def test_every_section_that_a_report_can_have_is_explained_in_the_order_of_reports():
    declared = [title for module in sections.modules() for title in titles(module)]
    assert len(declared) > 25
    assert [title for title in EXPLAINED if title not in OTHERS] == declared
    assert [title for title, text in EXPLAINED.items() if len(text.split()) < 12] == []


def test_every_section_of_a_report_is_explained(finished):
    report = document(StudyRecords.read(finished.folder.path))
    shown = [section.title for section in report.sections]
    assert {"At a glance", "Scores", "Rate", "Trials"} <= set(shown)
    assert [title for title in shown if title not in EXPLAINED] == []
    order = [title for title in EXPLAINED if title in shown]
    assert order == shown
