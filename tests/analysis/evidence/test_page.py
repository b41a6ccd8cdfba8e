"""The page of the evidence: it is made from the records, and says what is asked and answered."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.evidence.entries import entries
from analysis.evidence.page import BEGIN, END, leading, page, write
from tests.analysis.planted import record
from tests.analysis.planted import write as write_study
from tune_ad.errors import UserError

PROJECT = Path(__file__).parents[3]
RESULTS = PROJECT / "docs" / "results"
QUESTIONS = """
[[asked]]
study = "second"
question = "Does width help?"

[[asked]]
study = "first"
question = "What is the default worth?"

[[left]]
question = "Does depth help?"
why = "There was no time."
options = "--search depth_mnist"
"""
COSTS = {
    "--search depth_mnist": {
        "size": "4 trials = 4 models",
        "time": "about 40.0 h",
        "machine": "a processor",
        "date": "2026-01-01",
    }
}
FINDING = """finding = "Width 2 is better by {gain} points (p = {p})."
[asked.numbers]
gain = { table = "effects", row = { change = "width = 2 (from 1)" }, column = "difference" }
p = { table = "effects", row = { change = "width = 2 (from 1)" }, column = "p (Holm)" }
"""


@pytest.fixture
def folder(tmp_path):
    """A folder of two studies and the questions that they answer."""
    (tmp_path / "records").mkdir()
    for name, params in (("first", [1.0]), ("second", [1.0, 2.0])):
        trials = [
            record(k, {"width": width}, [0.5 + 0.1 * width + 0.01 * seed for seed in range(6)])
            for k, width in enumerate(params)
        ]
        budget = {"trials": len(trials), "evaluation_seeds": 0}
        made = write_study(tmp_path / name, trials, name=name, budget=budget)
        made.path.rename(tmp_path / "records" / name)
    (tmp_path / "questions.toml").write_text(QUESTIONS, encoding="utf-8")
    (tmp_path / "costs.json").write_text(json.dumps(COSTS), encoding="utf-8")
    return tmp_path


def test_the_page_answers_the_questions_in_their_order_and_links_the_reports(folder):
    write(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    second, first = text.index("## Does width help?"), text.index("## What is the default worth?")
    assert 0 < second < first < text.index("## What was not run")
    assert "1. **Does width help?** Of 1 single change of PGN" in text
    assert (
        "Does depth help? There was no time. 4 trials = 4 models, about 40.0 h (a processor, "
        "2026-01-01): `python run.py --search depth_mnist`"
    ) in text
    for name in ("first", "second"):
        assert f"(reports/{name}/report.md)" in text
        assert (folder / "reports" / name / "report.md").is_file()


def test_reports_of_studies_that_are_no_longer_shown_are_removed(folder):
    (folder / "reports" / "old").mkdir(parents=True)
    write(folder)
    assert sorted(path.name for path in (folder / "reports").iterdir()) == ["first", "second"]


def test_a_study_without_a_question_is_refused(folder):
    (folder / "questions.toml").write_text(QUESTIONS.replace('"second"', '"third"'))
    with pytest.raises(UserError, match="give every study of second, third a question"):
        entries(folder)


@pytest.mark.slow
def test_a_refusal_is_one_line_with_exit_code_2(folder):
    (folder / "questions.toml").write_text(QUESTIONS.replace('"second"', '"third"'))
    command = [sys.executable, "-m", "analysis.evidence", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ") and "a question" in line


@pytest.mark.slow
def test_the_page_and_the_readme_of_this_project_are_what_its_records_say():
    shown = entries(RESULTS)
    written = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert written == page(RESULTS, shown), "make results"
    readme = PROJECT / "README.md"
    assert readme.read_text(encoding="utf-8") == leading(readme, RESULTS, shown), "make results"


def asked(folder, old, new):
    """The questions with a change."""
    (folder / "questions.toml").write_text(QUESTIONS.replace(old, new), encoding="utf-8")


def test_a_finding_has_its_numbers_from_the_report_and_links_their_table(folder):
    asked(folder, 'question = "Does width help?"\n', f'question = "Does width help?"\n{FINDING}')
    (second, _) = entries(folder)
    assert second.finding == "Width 2 is better by +10.0 [+10.0, +10.0] points (p = 0.00049)."
    text = page(folder, [second])
    assert "Width 2 is better by +10.0 \\[+10.0, +10.0\\] points" in text
    assert "[effects](reports/second/tables/effects.csv)" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"width = 2 (from 1)" }, column = "d', '"width = 3" }, column = "d', "there 0 times"),
        ('column = "difference"', 'column = "gain"', "the table 'effects' lacks; it has baseline"),
        ('table = "effects"', 'table = "effect"', "did you mean effects"),
        ("(p = {p})", "", "do not name the same: p"),
        ('"difference" }', '"difference", tone = "worse" }', "no longer holds: {gain} = "),
        ('"difference" }', '"difference", above = 0.5 }', "it is not above 0.5; write it again"),
        ('"difference" }', '"difference", below = 0.05 }', "it is not below 0.05"),
        ('"difference" }', '"difference", under = 1 }', "unknown keys or lacks some: under"),
    ],
)
def test_a_finding_that_its_report_does_not_show_is_refused(folder, old, new, message):
    finding = FINDING.replace(old, new, 1)
    asked(folder, 'question = "Does width help?"\n', f'question = "Does width help?"\n{finding}')
    with pytest.raises(UserError, match=re.escape(message)):
        entries(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('study = "second"\n', "", "needs either `study` or `studies`"),
        ('why = "There was no time."\n', "", "lacks some: why; a table of Left has question"),
        ("[[left]]", "[[left", "cannot be read"),
    ],
)
def test_a_damaged_file_of_questions_is_refused(folder, old, new, message):
    asked(folder, old, new)
    with pytest.raises(UserError, match=re.escape(message)):
        entries(folder)


def test_a_study_that_was_not_run_needs_an_estimate(folder):
    (folder / "costs.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="no estimate of '--search depth_mnist': run make costs"):
        page(folder, entries(folder))


def test_what_is_left_of_a_study_costs_what_the_rest_has_cost(folder):
    study = folder / "records" / "second" / "study.json"
    stored = json.loads(study.read_text(encoding="utf-8"))
    stored["study"]["budget"]["trials"] = 5
    study.write_text(json.dumps(stored), encoding="utf-8")
    text = page(folder, entries(folder))
    assert (
        "second: 3 trials of 5 are left; at the mean time of the others, 1.0 s, about 3.0 s"
        in text
    )
    assert "1. **Does width help?** So far, after 2 of 5 trials: " in text


def test_what_a_paper_says_stands_beside_the_finding(folder):
    asked(folder, 'study = "second"\n', 'study = "second"\nagainst = "A paper says no."\n')
    text = page(folder, entries(folder))
    assert "## What contradicts the papers\n\n- A paper says no. Of 1 single change" in text


def test_the_readme_begins_with_the_findings_between_its_marks(folder):
    readme = folder.parent / "README.md"
    readme.write_text(f"# Project\n\n{BEGIN}\nold\n{END}\n\nRest\n", encoding="utf-8")
    write(folder, readme)
    text = readme.read_text(encoding="utf-8")
    place = f"{folder.name}/reports/second"
    assert f"({place}/report.md" in text and f"]({place}/figures/" in text
    assert "old" not in text and text.endswith(f"{END}\n\nRest\n")
    write(folder, readme)
    assert readme.read_text(encoding="utf-8") == text
    readme.write_text("# Project\n", encoding="utf-8")
    with pytest.raises(UserError, match="needs the lines"):
        write(folder, readme)
