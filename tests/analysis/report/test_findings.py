"""What several sections of a report share is computed once."""

import sys
from collections import Counter

import pytest

from analysis.report import findings
from analysis.report.findings import Findings
from analysis.report.sections import modules as section_modules
from analysis.report.study_report import document
from tests.analysis.planted import record, study

CLAIM = {"kind": "capacity", "factor": "width"}


@pytest.fixture
def calls(monkeypatch):
    """How often each function behind a property of `Findings` was called, from any module."""
    counts = Counter()

    def counted(name, function):
        def wrapper(*args):
            counts[name] += 1
            return function(*args)

        return wrapper

    section_modules()
    ours = [module for name, module in sys.modules.items() if name.startswith("analysis.")]
    for name in ("results", "evidence", "effects"):
        function = getattr(findings, name)
        for module in ours:
            if getattr(module, name, None) is function:
                monkeypatch.setattr(module, name, counted(name, function))
    return counts


def widths(path, **search):
    """A study of three widths of which each is tested on three seeds."""
    trials = [
        record(k, {"width": width}, (0.7 + 0.05 * k, 0.71 + 0.05 * k, 0.72 + 0.05 * k))
        for k, width in enumerate((1.0, 2.0, 4.0))
    ]
    return study(path, trials, **search)


def test_each_section_has_a_place_of_its_own():
    places = [module.PLACE for module in section_modules()]
    assert len({*places}) == len(places) > 20


def test_a_report_computes_its_results_and_effects_once(calls, tmp_path):
    report = document(widths(tmp_path))
    assert {"Test AUROC", "One change at a time"} <= {section.title for section in report.sections}
    assert calls["results"] == calls["effects"] == 1


def test_a_report_on_a_claim_computes_its_evidence_once(calls, tmp_path):
    report = document(widths(tmp_path, claim=CLAIM, plan={"name": "Grid"}))
    assert [s.title for s in report.sections[:3]] == ["At a glance", "Summary", "Verdict"]
    assert calls["evidence"] == calls["results"] == 1


def test_without_a_claim_there_is_no_evidence(tmp_path):
    shared = Findings(widths(tmp_path))
    assert (shared.claim, shared.evidence) == (None, [])


def test_a_claim_that_cannot_be_read_has_no_evidence(tmp_path):
    shared = Findings(widths(tmp_path, claim={"kind": "unheard of"}))
    assert shared.study.claim_fault
    assert shared.claim is None
    assert shared.evidence == []


def test_properties_keep_what_they_computed(tmp_path):
    shared = Findings(widths(tmp_path))
    assert shared.results is shared.results
    assert shared.effects is shared.effects
