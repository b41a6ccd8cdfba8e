"""The page of the evidence: it is made from the records, and says what is asked and answered."""

import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.document.blocks import Section, Table
from analysis.evidence.archives import pack, unpacked
from analysis.evidence.costs import Known, _rest
from analysis.evidence.entries import entries, studies_of
from analysis.evidence.page import (
    BEGIN,
    END,
    NOT_SELECTED,
    _changes_of_code,
    _hardware,
    leading,
    page,
    write,
)
from analysis.evidence.papers import contradictions
from analysis.questions.claims.published import MEAN, tables
from analysis.questions.claims.published.cells import NOT_COMPARABLE
from analysis.report.next_steps import settings
from analysis.study import StudyRecords
from tests.analysis.planted import record
from tests.analysis.planted import write as write_study
from tune_ad.errors import UserError
from tune_ad.storage.jsonl import JsonLines
from tune_ad.storage.metric import VALIDATION_AUROC
from tune_ad.storage.records import TrialSpec

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
        "trials": {"PGN": "about 10.0 h"},
    }
}
OF_FIVE = {"trials": 5, "evaluation_seeds": 0, "seeds": 1}
FINDING = """finding = "Width 2 is better by {gain} points (p = {p})."
[asked.numbers]
gain = { table = "effects", row = { change = "width = 2 (from 1)" }, column = "difference" }
p = { table = "effects", row = { change = "width = 2 (from 1)" }, column = "p (Holm)" }
"""


@pytest.fixture
def folder(tmp_path):
    """A folder of the questions and of the records, not yet packed, that answer them."""
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


def answered(folder):
    return entries(folder, studies_of(folder, folder / "records"))


def pack_all(folder):
    """Pack the records of every study, as `make results ADD=` does."""
    for path in sorted((folder / "records").iterdir()):
        pack(path, folder / "records")
        shutil.rmtree(path)


def write_page(folder):
    pack_all(folder)
    write(folder)


def test_the_page_answers_the_questions_in_their_order_and_links_the_reports(folder):
    write_page(folder)
    text = (folder / "README.md").read_text(encoding="utf-8")
    second, first = text.index("### second\n\nFinding 1."), text.index("### first\n\nFinding 2.")
    assert 0 < second < first < text.index("## What was not run")
    assert "1. **Does width help?** Of 1 single change of PGN" in text
    assert NOT_SELECTED in text
    assert (
        "## What was not run\n\nEstimated one trial at a time on a processor, 2026-01-01.\n\n"
        "- Does depth help? There was no time. 4 trials = 4 models, about 40.0 h: "
        "`python run.py --search depth_mnist`"
    ) in text
    for name in ("first", "second"):
        assert f"(reports/{name}/report.md)" in text
        assert (folder / "reports" / name / "report.md").is_file()


def test_commands_of_reports_go_on_where_records_are_unpacked(folder):
    change_study(folder, "second", budget=OF_FIVE)
    specs = [TrialSpec(k, "PGN", {"width": float(k + 1)}) for k in range(3)]
    lines = JsonLines(folder / "records" / "second" / "suggested.jsonl")
    lines.rewrite(specs)
    write_page(folder)
    text = (folder / "reports" / "second" / "report.md").read_text(encoding="utf-8")
    assert "    python run.py --search second --resume\n" in text


def test_reports_of_studies_that_are_no_longer_shown_are_removed(folder):
    (folder / "reports" / "old").mkdir(parents=True)
    write_page(folder)
    assert sorted(path.name for path in (folder / "reports").iterdir()) == ["first", "second"]


def test_a_study_without_a_question_is_refused(folder):
    (folder / "questions.toml").write_text(QUESTIONS.replace('"second"', '"third"'))
    with pytest.raises(UserError, match=r"asks for third, .*add .*records/third\.tar\.xz, or"):
        answered(folder)
    asked(folder, '[[asked]]\nstudy = "second"\nquestion = "Does width help?"\n', "")
    with pytest.raises(UserError, match="asks nothing of second, .*give every study a question"):
        answered(folder)


@pytest.mark.slow
def test_a_refusal_is_one_line_with_exit_code_2(folder):
    (folder / "questions.toml").write_text(QUESTIONS.replace('"second"', '"third"'))
    pack_all(folder)
    command = [sys.executable, "-m", "analysis.evidence", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ") and "the question" in line


def test_records_and_reports_are_less_than_60_megabytes():
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 60e6


@pytest.mark.slow
def test_the_page_and_the_readme_of_this_project_are_what_its_records_say():
    with unpacked(RESULTS / "records") as records:
        shown = entries(RESULTS, studies_of(RESULTS, records))
        written = (RESULTS / "README.md").read_text(encoding="utf-8")
        assert written == page(RESULTS, shown), "make results"
        readme = PROJECT / "README.md"
        assert readme.read_text(encoding="utf-8") == leading(readme, RESULTS, shown)


def asked(folder, old, new):
    """The questions with a change."""
    (folder / "questions.toml").write_text(QUESTIONS.replace(old, new), encoding="utf-8")


def test_a_finding_has_its_numbers_from_the_report_and_links_their_table(folder):
    asked(folder, 'question = "Does width help?"\n', f'question = "Does width help?"\n{FINDING}')
    (second, _) = answered(folder)
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
        (
            '"difference" }',
            '"difference", under = 1 }',
            "unknown under; a table of Number has",
        ),
        ('"difference" }', '"difference", above = "x" }', "numbers.gain.above cannot be 'x'"),
        ('"difference" }', '"difference", tone = "good" }', "numbers.gain.tone cannot be 'good'"),
        ("{ change =", "{ pairs = 12, change =", "numbers.gain.row.pairs cannot be 12"),
        ("is better", "is } better", "cannot be read: Single '}' encountered"),
    ],
)
def test_a_finding_that_its_report_does_not_show_is_refused(folder, old, new, message):
    finding = FINDING.replace(old, new, 1)
    asked(folder, 'question = "Does width help?"\n', f'question = "Does width help?"\n{finding}')
    with pytest.raises(UserError, match=re.escape(message)):
        answered(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('study = "second"\n', "", "needs either `study` or `studies`"),
        ('why = "There was no time."\n', "", "lacks left.0.why"),
        ("[[left]]", "[[left", "cannot be read"),
        ("[[left]]", "[[lefts]]", "unknown lefts; it has `preface`, [[asked]] and [[left]]"),
        ("[[left]]", "[left]", "left cannot be {"),
        ('question = "Does width help?"', "question = 3", "asked.0.question cannot be 3"),
        ('question = "Does width help?"\n', "", "lacks asked.0.question"),
        ('study = "second"', 'studies = ["first", "second"]', "needs a `name`, but only with"),
        ('study = "second"', 'study = "second"\nname = "x"', "needs a `name`, but only with"),
        ('study = "second"', 'study = "second"\npairs = [["a", "b"]]', "has `pairs`, but no"),
        (
            'study = "second"',
            'studies = ["first", "second"]\nname = "x"\npairs = [["a"]]',
            "['a'] in `pairs` is no pair",
        ),
    ],
)
def test_a_damaged_file_of_questions_is_refused(folder, old, new, message):
    asked(folder, old, new)
    with pytest.raises(UserError, match=re.escape(message)):
        answered(folder)


def test_a_study_that_was_not_run_needs_an_estimate(folder):
    (folder / "costs.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="no estimate of '--search depth_mnist': run make costs"):
        page(folder, answered(folder))


def change_study(folder, study, planned=None, **search):
    """Change what `study.json` says about the search and the planned trials."""
    path = folder / "records" / study / "study.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["study"].update(search)
    if planned is not None:
        stored["planned"] = planned
    path.write_text(json.dumps(stored), encoding="utf-8")


def test_what_is_left_of_a_study_costs_what_its_trials_have_cost(folder):
    change_study(folder, "second", budget=OF_FIVE)
    text = page(folder, answered(folder))
    assert (
        "second: 3 trials of 5 are left: 3, about 3.0 s (those that ended: 1.0 s, from 1.0 s to "
        "1.0 s)."
    ) in text
    assert text.count("1. **Does width help?** So far, after 2 of 5 trials: Of 1 single") == 1


def test_a_baseline_of_which_no_trial_has_ended_has_the_estimated_time(folder):
    change_study(folder, "second", {"PGN": 3, "AE": 2}, budget=OF_FIVE)
    with pytest.raises(UserError, match="no estimate of '--search second .*: run make costs"):
        page(folder, answered(folder))
    study = StudyRecords.read(folder / "records" / "second")
    price = {**COSTS["--search depth_mnist"], "trials": {"PGN": "about 9 s", "AE": "about 7 min"}}
    stored = json.dumps({**COSTS, shlex.join(settings(study)): price})
    (folder / "costs.json").write_text(stored, encoding="utf-8")
    text = page(folder, answered(folder))
    assert "1 of PGN, about 1.0 s (" in text, "what was measured is better than an estimate"
    assert "and 2 of AE, estimated about 7 min each." in text


def test_a_plan_with_fewer_configurations_than_the_budget_can_end(folder):
    change_study(folder, "second", {"PGN": 2}, budget=OF_FIVE)
    text = page(folder, answered(folder))
    assert "So far" not in text and "are left" not in text


def test_a_winner_that_is_still_to_be_trained_again_is_said(folder):
    budget = {"trials": 2, "evaluation_seeds": 3, "seeds": 1}
    plan = {"name": "Optuna"}
    change_study(folder, "second", budget=budget, plan=plan, chooses=True, quotes="winner")
    study = StudyRecords.read(folder / "records" / "second")
    trials = [
        replace(r, metrics={**r.metrics, VALIDATION_AUROC: [0.9] * len(r.replicas)})
        for r in study.trials
    ]
    study = replace(study, trials=trials)
    assert study.fresh_left == 3
    assert study.so_far == "So far, before 3 fresh seeds of the winner: "
    assert list(_rest(study, Known({}, folder))) == [
        "second: 3 fresh seeds of the winner are left."
    ]
    evaluated = [replace(trials[0], number=0) for _ in range(3)]
    assert replace(study, evaluation=evaluated).fresh_left == 0


def test_what_has_records_was_run(folder):
    change_study(folder, "second", name="depth_mnist", budget_name="quick")
    left = QUESTIONS.replace("--search depth_mnist", "--search depth_mnist --budget quick")
    (folder / "questions.toml").write_text(left, encoding="utf-8")
    with pytest.raises(UserError, match="was not run, but it has records: remove that entry"):
        page(folder, answered(folder))
    other = left.replace("--budget quick", "--budget quick --seeds 9")
    (folder / "questions.toml").write_text(other, encoding="utf-8")
    with pytest.raises(UserError, match="no estimate of '--search depth_mnist --budget quick --s"):
        page(folder, answered(folder))


@pytest.mark.parametrize("content", ["[1]", "{", '{"--search depth_mnist": {"size": "4"}}'])
def test_a_damaged_file_of_costs_is_refused_in_a_line(folder, content):
    (folder / "costs.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"costs.json.*; write it again by make costs"):
        page(folder, answered(folder))


def test_questions_on_one_study_share_its_report_and_show_their_own_figures(folder):
    more = 'study = "second"\nfigure = "effects_PGN"\n[[asked]]\nstudy = "second"\n'
    asked(
        folder, 'study = "second"\n', more.replace("[[asked]]", 'question = "Which?"\n[[asked]]')
    )
    shown = answered(folder)
    assert [entry.place for entry in shown[:2]] == ["reports/second"] * 2
    text = page(folder, shown)
    assert text.count("[Records of second](records/second.tar.xz)") == 1
    assert "![effects\\_PGN](reports/second/figures/effects_PGN.svg)" in text
    asked(folder, 'study = "second"\n', 'study = "second"\nfigure = "loss"\n')
    with pytest.raises(UserError, match="shows the figure 'loss', which its report lacks; it has"):
        answered(folder)


def test_rules_are_compared_over_studies_and_named(folder):
    change_study(folder, "first", data_set="mnist")
    both = 'studies = ["first", "second"]\nname = "rules"\nquestion = "Which rule?"\n'
    asked(folder, "[[left]]", f"[[asked]]\n{both}[[left]]")
    (*_, third) = answered(folder)
    assert third.place == "reports/rules"
    assert third.finding == "No detector has three complete configurations on every data set yet."
    write_page(folder)
    assert (folder / "reports" / "rules" / "report.md").is_file()
    asked(folder, "[[left]]", f"[[asked]]\n{both}[[left]]".replace("rules", "second"))
    with pytest.raises(UserError, match="two reports are called 'second'"):
        answered(folder)


SETTINGS = """finding = "All have a width of 1."
settings = [{ study = "first", baseline = "PGN", params = { width = 1.0 } }]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", ""),
        (
            "width = 1.0",
            "width = 2.0",
            "trial 0 of first (PGN) has width = 1.0, not 2.0; write it",
        ),
        ("width = 1.0", 'depth = "x"', "trial 0 of first (PGN) has depth = None, not 'x'"),
        ('"first"', '"second"', "trial 1 of second (PGN) has width = 2.0, not 1.0"),
        ('"first"', '"third"', "settings of PGN in third, of which there are no records"),
        ('"PGN"', '"AE"', "settings of AE in first, of which there are no records"),
        ("{ width = 1.0 }", "{ width = [1] }", "settings.0.params.width cannot be [1]"),
        ("params", "param", "lacks asked.0.settings.0.params"),
    ],
)
def test_what_a_finding_says_of_settings_is_checked(folder, old, new, message):
    finding = SETTINGS.replace(old, new)
    asked(folder, 'question = "Does width help?"\n', f'question = "Does width help?"\n{finding}')
    if not message:
        assert answered(folder)[0].finding == "All have a width of 1."
        return
    with pytest.raises(UserError, match=re.escape(message)):
        answered(folder)


def test_results_of_two_studies_are_compared_in_the_pairs_that_are_named(folder):
    both = 'studies = ["second", "first"]\nname = "both"\nquestion = "Which?"\n'
    pairs = 'pairs = [["PGN", "PGN"]]\n'
    asked(folder, "[[left]]", f"[[asked]]\n{both}{pairs}[[left]]")
    (*_, third) = answered(folder)
    assert third.place == "reports/both"
    text = page(folder, answered(folder))
    section = text[text.index("### both") :]
    assert "| PGN, second | PGN, first |" in section and "P(first" in section
    assert third.report.summary.startswith("- PGN, second")
    (folder / "questions.toml").write_text(
        QUESTIONS + f"[[asked]]\n{both}{pairs}".replace("PGN", "AE")
    )
    with pytest.raises(UserError, match="no results of AE and AE that share a class"):
        answered(folder)


def test_a_question_of_a_study_without_a_figure_has_no_picture(folder):
    shown = [entry._replace(figure=None) for entry in answered(folder)]
    readme = folder.parent / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    assert "![" not in leading(readme, folder, shown)
    assert "![" not in page(folder, shown)


def test_printed_numbers_are_compared_by_baseline_and_paper(folder):
    rows = [
        ("mnist", name, "PGN", difference, 0.9, p, verdict, 10)
        for name, difference, p, verdict in (
            ("0", -0.05, 0.001, "worse"),
            ("1", 0.01, 0.5, "unsure"),
            (MEAN, -0.2, 0.5, "unsure"),
        )
    ]
    rows.append(("mnist", "0", "AE", 0.001, 0.8, math.nan, "alike", 3))
    rows.append(("mnist", "0", "VAE", 0.5, 0.8, 0.001, NOT_COMPARABLE, 3))
    names = ("data set", "class", "baseline", "difference", "published", "p (Holm)", "verdict")
    cells = pd.DataFrame(rows, columns=[*names, "ours n"]).assign(outsider="")
    table = Table("published_pgn_table1", cells, data=cells)
    entry = answered(folder)[0]
    report = replace(entry.report, sections=[Section("Published", [table])])
    shown = [entry._replace(report=report)] * 2
    paper = next(table.title for table in tables() if table.name == "pgn_table1")
    text = "\n".join(contradictions(shown))
    title, *_ = text.splitlines()
    assert title == "## What contradicts the papers"
    assert (
        f"- PGN on mnist, {paper}, 2 cells: 1 lower and 1 without a verdict. Largest difference: "
        "class 0, \\-5.0 points from the printed 90.0 (p = 0.001 after Holm, n = 10 seeds). "
    ).replace("\\-", "-") in text
    assert text.count("PGN on mnist") == 1 and "VAE" not in text
    others = text[text.index("## Printed numbers that are not contradicted") :]
    assert f"AE on mnist, {paper}, 1 cell: 1 alike." in others
    again = cells.iloc[[0, 3]].assign(verdict="unsure", difference=-0.001)
    again["ours n"] = [20, 2]  # of PGN more seeds than above, of AE fewer
    table = Table("published_pgn_table1", again, data=again)
    more = answered(folder)[1]
    report = replace(more.report, sections=[Section("Published", [table])])
    text = "\n".join(contradictions([*shown, more._replace(report=report)]))
    assert "What contradicts the papers" not in text
    assert (
        f"PGN on mnist, {paper}, 1 cell: 1 without a verdict. Largest difference: class 1" in text
    )
    assert (
        "class 0, -0.1 points from the printed 90.0 (p = 0.001 after Holm, n = 20 seeds)" in text
    )
    assert text.count("AE on mnist") == 1 and "1 cell: 1 alike." in text


def test_what_a_paper_says_stands_beside_the_finding(folder):
    asked(folder, 'study = "second"\n', 'study = "second"\nagainst = "A paper says no."\n')
    text = page(folder, answered(folder))
    assert "## What contradicts the papers\n\n- A paper says no. (Finding 1.)\n\n" in text


def test_a_finding_about_baselines_that_have_ended_is_not_one_so_far(folder):
    change_study(folder, "second", {"PGN": 2, "AE": 3}, budget=OF_FIVE)
    question = 'question = "Does width help?"\n'
    for about, so_far in (("", True), ('about = ["PGN"]\n', False), ("about = []\n", False)):
        asked(folder, question, f"{question}{about}{FINDING}")
        assert answered(folder)[0].finding.startswith("So far, after 2 of 5 trials: ") == so_far
    change_study(folder, "second", {"PGN": 3, "AE": 2}, budget=OF_FIVE)
    asked(folder, question, f'{question}about = ["PGN"]\n{FINDING}')
    assert answered(folder)[0].finding.startswith("So far, ")
    asked(folder, question, f'{question}about = ["PGN"]\n')
    with pytest.raises(UserError, match="says what a finding is `about`, but has none"):
        answered(folder)
    asked(folder, question, f'{question}details = "More."\n')
    with pytest.raises(UserError, match="has `details` of a `finding`, but has none"):
        answered(folder)
    asked(folder, question, f'{question}about = ["pgn"]\n{FINDING}')
    with pytest.raises(UserError, match="is about 'pgn', but its baselines are PGN"):
        answered(folder)


def test_every_machine_of_a_study_is_named(folder):
    path = folder / "records" / "second" / "study.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert _hardware(stored | {"hardware": {"processor": "one"}}) == "one"
    run = {"hardware": {"processor": "two", "gpu": ""}, "trials_before": 3}
    begun = stored | {"hardware": {"processor": "one"}, "runs": [run, run]}
    assert _hardware(begun) == "one and two", "the first trials noted no run"
    assert _hardware(begun | {"runs": [run | {"trials_before": 0}, run]}) == "two"


def test_a_study_during_which_the_code_changed_says_so(folder):
    assert _changes_of_code({}) == ""
    runs = [{"trials_before": number, "accepted": why} for number, why in ((0, []), (1, ["x"]))]
    said = " What computes its numbers changed after 1 trial (Provenance in the report)."
    assert _changes_of_code({"runs": runs}) == said
    runs.append({"trials_before": 3, "accepted": ["y"]})
    assert "changed after 1 and 3 trials" in _changes_of_code({"runs": runs})


def test_a_finding_can_quote_the_report_of_another_question(folder):
    question = 'question = "Does width help?"\n'
    number = (
        'other = { report = "first", table = "classes", column = "test AUROC", '
        'row = { class = "mean over 2 classes" } }\n'
    )
    quoting = FINDING.replace("points (", "points from {other} (")
    asked(folder, question, f"{question}{quoting}{number}")
    (second, _) = answered(folder)
    assert "points from 62.5 " in second.finding
    text = page(folder, answered(folder))
    assert "[first](reports/first/report.md), [classes](reports/first/tables/classes.csv))" in text
    change_study(folder, "first", budget=OF_FIVE)
    assert answered(folder)[0].finding.startswith("So far, "), "the other study is not complete"
    asked(folder, question, f"{question}{quoting}{number.replace('first', 'fist')}")
    with pytest.raises(UserError, match="quotes 'fist', which is no report; did you mean"):
        answered(folder)


def test_the_details_of_a_finding_are_on_the_page_alone(folder):
    question = 'question = "Does width help?"\n'
    details = 'details = "Once more: p = {p}."\n'
    short = FINDING.replace(" (p = {p})", "")
    asked(folder, question, f"{question}{details}{short}")
    shown = answered(folder)
    answer = "Width 2 is better by +10.0 \\[+10.0, +10.0\\] points."
    text = page(folder, shown)
    assert f"{answer} ([details](#second), [report]" in text
    assert "### second\n\nFinding 1. Once more: p = 0.00049.\n" in text
    readme = folder.parent / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    text = leading(readme, folder, shown)
    assert f"{answer} ([report](" in text and "Once more" not in text


def test_the_preface_stands_before_the_findings_of_the_page_alone(folder):
    path = folder / "questions.toml"
    path.write_text(f'preface = """\n*Words.* A [glossary](g.md).\n"""\n{QUESTIONS}')
    shown = answered(folder)
    text = page(folder, shown)
    assert "\n\n*Words.* A [glossary](g.md).\n\n1. **Does" in text
    readme = folder.parent / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    assert "glossary" not in leading(readme, folder, shown)


def test_a_study_of_several_results_shows_them_in_a_table(folder):
    trials = [
        record(k, {"width": 1.0}, [mean + 0.01 * seed for seed in range(6)], baseline=name)
        for k, (name, mean) in enumerate({"low": 0.6, "high": 0.8}.items())
    ]
    defaults = {name: {"width": 1.0} for name in ("low", "high")}
    budget = {"trials": 2, "evaluation_seeds": 0}
    made = write_study(folder / "pair", trials, defaults, name="pair", budget=budget)
    made.path.rename(folder / "records" / "pair")
    asked(
        folder,
        'study = "second"',
        'study = "pair"\nquestion = "Which?"\n\n[[asked]]\nstudy = "second"',
    )
    text = page(folder, answered(folder))
    rows = [line for line in text.splitlines() if re.match(r"\| (result|low|high)\b", line)]
    assert [row.split("|")[1].strip() for row in rows] == ["result", "high", "low"]
    assert "weights" in rows[0]


def test_the_readme_begins_with_the_findings_between_its_marks(folder):
    readme = folder.parent / "README.md"
    readme.write_text(f"# Project\n\n{BEGIN}\nold\n{END}\n\nRest\n", encoding="utf-8")
    pack_all(folder)
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
    for elsewhere in (folder.parent / "none.md", folder / "reports" / "README.md"):
        with pytest.raises(UserError, match="cannot begin with the findings of"):
            write(folder, elsewhere)


def test_a_folder_without_records_is_refused_in_a_line(tmp_path):
    (tmp_path / "questions.toml").write_text(QUESTIONS, encoding="utf-8")
    with pytest.raises(UserError, match="asks for first, second, of which there are no records"):
        answered(tmp_path)
