"""The page of the evidence: it is made from the records, and says what is asked and answered."""

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.evidence import entries, page, write
from tests.analysis.planted import record
from tests.analysis.planted import write as write_study
from tune_ad.errors import UserError

RESULTS = Path(__file__).parents[2] / "docs" / "results"
QUESTIONS = """
[[asked]]
study = "second"
question = "Does width help?"

[[asked]]
study = "first"
question = "What is the default worth?"

[[left]]
question = "Does depth help?"
why = "It would take 40 hours."
options = "--search depth_mnist"
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
    return tmp_path


def test_the_page_answers_the_questions_in_their_order_and_links_the_reports(folder):
    write(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    second, first = text.index("## Does width help?"), text.index("## What is the default worth?")
    assert 0 < second < first < text.index("## What was not run")
    assert "1. **Does width help?** Of 1 single change of PGN" in text
    assert "`python run.py --search depth_mnist`" in text
    for name in ("first", "second"):
        assert f"(reports/{name}/report.md)" in text
        assert (folder / "reports" / name / "report.md").is_file()


def test_reports_of_studies_that_are_no_longer_shown_are_removed(folder):
    (folder / "reports" / "old").mkdir(parents=True)
    write(folder)
    assert sorted(path.name for path in (folder / "reports").iterdir()) == ["first", "second"]


def test_a_study_without_a_question_is_refused(folder):
    (folder / "questions.toml").write_text(QUESTIONS.replace('"second"', '"third"'))
    with pytest.raises(UserError, match="give every study of second, third one question"):
        entries(folder)


@pytest.mark.slow
def test_a_refusal_is_one_line_with_exit_code_2(folder):
    (folder / "questions.toml").write_text(QUESTIONS.replace('"second"', '"third"'))
    command = [sys.executable, "-m", "analysis.evidence", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=RESULTS.parents[1])
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ") and "one question" in line


@pytest.mark.slow
def test_the_page_of_this_project_is_what_its_records_say():
    written = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert written == page(RESULTS, entries(RESULTS)), "make results"
