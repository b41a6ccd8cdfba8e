"""Pages explain every section of reports, in their order, and the words in them."""

import ast
import inspect
import re

import pytest

from analysis.document.blocks import Table
from analysis.report import sections
from analysis.report.study_report import document
from analysis.study import StudyRecords
from tests.docs.blocks import PROJECT
from tune_ad.detectors import every_detector

PAGE = PROJECT / "docs" / "tutorials" / "reading_a_report.md"
PARTS = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
EXPLAINED = dict(zip(PARTS[::2], PARTS[1::2], strict=True))
OTHERS = {"Summary", "Questions and where the answer is"}
"""Headings that are not the title of a module of sections."""
GLOSSARY = (PROJECT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")


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


def test_the_glossary_is_sorted_and_says_every_word_once():
    terms = re.findall(r"^(.+)\n: .+$", GLOSSARY, re.M)
    assert len(terms) == GLOSSARY.count("\n: ") > 70
    words = [re.sub(r"[^a-z0-9]", "", term.lower()) for term in terms]
    assert words == sorted(set(words))


@pytest.mark.parametrize(
    "word",
    "AUPR FPR95 oracle Holm's sign-flip DeLong cross-fitted fANOVA ensemble `mc_samples`".split(),
)
def test_the_glossary_has_the_words_of_the_first_tables(word):
    assert re.search(rf"^[^:\n]*{re.escape(word)}", GLOSSARY, re.M)


def test_the_glossary_has_every_abbreviation_of_a_report(finished):
    report = document(StudyRecords.read(finished.folder.path))
    blocks = [block for section in report.sections for block in section.blocks]
    written = ("text", "caption", "details")
    texts = [getattr(block, name, "") for block in blocks for name in written]
    tables = [block.shown for block in blocks if isinstance(block, Table)]
    texts += [str(column) for table in tables for column in table.columns]
    used = {word for text in texts for word in ABBREVIATION.findall(text)}
    assert {"AUROC", "AUPR", "FPR95"} <= used
    known = {*ABBREVIATION.findall(GLOSSARY), *EVERYDAY, *every_detector()}
    assert {word.rstrip("s") for word in used} - known == set()


ABBREVIATION = re.compile(r"\b[A-Za-z]*[A-Z][a-z]*[A-Z][A-Za-z0-9]*\b")
EVERYDAY = {"CSV", "GPU", "IMAGES", "NeurIPS"}
