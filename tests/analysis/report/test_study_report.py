import json
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)

from analysis import frame
from analysis.quoted import results
from analysis.report.study_report import write_report
from analysis.study import StudyRecords
from tests.analysis import planted
from tests.analysis.planted import TASKS
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import TEST_AUROC, VALIDATION_AUROC, Metric, ScoreVariant
from tune_ad.storage.records import SCHEMA, ReplicaRecord, TrialRecord

DROPOUT = distribution_to_json(FloatDistribution(0.0, 1.0))
COLLAPSED = Metric("validation", "collapsed")
DEFAULT = {"dropout": 0.0, "width": 1.0}


def text_of(folder):
    """The report in Markdown."""
    return write_report(folder.path).path.with_suffix(".md").read_text(encoding="utf-8")


def quoted(folder):
    return results(StudyRecords.read(folder.path))


def replicas(seeds, failed=()):
    return [
        ReplicaRecord(task, seed, "failed" if (task, seed) in failed else "complete", "", 10)
        for seed in seeds
        for task in TASKS
    ]


def record(number, validation, seeds=(0,), test=None, **changes):
    count = len(seeds) * len(TASKS)
    metrics = {VALIDATION_AUROC: [validation] * count, COLLAPSED: [0.0] * count}
    if test is not None:
        metrics[TEST_AUROC] = test
    return replace(
        TrialRecord(
            number=number,
            identity=f"id{number}",
            baseline="PGN",
            detector="PGN",
            params={"dropout": 0.1 * number, "width": 1.0},
            searched=["dropout"],
            state="complete",
            reason="",
            objective=validation,
            reports=[(10, validation)],
            replicas=replicas(seeds),
            metrics=metrics,
        ),
        **changes,
    )


@pytest.fixture
def study(tmp_path):
    """A function that writes a study with these trials and evaluation records."""

    def write(trials=(), fresh=(), evaluation_seeds=3, schema=1, baselines=("PGN",)):
        return planted.write(
            tmp_path,
            trials,
            fresh=fresh,
            schema=schema,
            budget={"trials": 4, "evaluation_seeds": evaluation_seeds},
            baselines=dict.fromkeys(baselines, {"space": {"dropout": DROPOUT}, "params": DEFAULT}),
            plan={"name": "Optuna", "random_trials": None},
        )

    return write


def test_quotes_the_winner_on_fresh_seeds_and_nothing_else(study):
    trials = [record(0, 0.9, test=[0.99, 0.99]), record(1, 0.8, test=[1.0, 1.0])]
    fresh = [
        record(0, 0.5, seeds=(1000,), test=[0.6, 0.8], identity="id0"),
        record(1, 0.5, seeds=(1001,), test=[0.7, 0.9], identity="id0"),
    ]
    folder = study(trials, fresh)
    (result,) = quoted(folder)
    assert result.identity == "id0"
    assert result.auroc.mean == pytest.approx(0.75)
    assert result.auroc.n == 2
    assert {task: auroc.mean for task, auroc in result.classes.items()} == pytest.approx(
        {"digits/0": 0.65, "digits/1": 0.85}
    )
    written = write_report(folder.path)
    assert "75.0 ± 7.1" in written.summary
    answer = text_of(folder).partition("## All configurations")[0]
    assert "75.0 ± 7.1" in answer
    assert "99.0" not in answer, "what the search's own models reach is never the answer"


def test_an_evaluation_of_an_earlier_winner_is_not_quoted(study):
    trials = [record(0, 0.7), record(1, 0.8)]
    folder = study(trials, [record(0, 0.5, seeds=(1000,), test=[0.6, 0.8], identity="id0")])
    assert quoted(folder) == []
    assert "has not been trained again" in write_report(folder.path).summary


def test_a_failed_seed_is_left_out_whole_and_counted(study):
    lost = record(
        1,
        0.5,
        seeds=(1001,),
        test=[0.9, None],
        identity="id0",
        state="failed",
        reason="loss became nan in epoch 3",
        replicas=replicas((1001,), failed={("digits/1", 1001)}),
    )
    fresh = [record(0, 0.5, seeds=(1000,), test=[0.6, 0.8], identity="id0"), lost]
    folder = study([record(0, 0.9)], fresh)
    (result,) = quoted(folder)
    assert (result.auroc.n, result.failed, result.seeds) == (1, 1, 2)
    assert result.auroc.mean == pytest.approx(0.7)
    text = text_of(folder)
    assert "1 of 2 seeds failed" in text
    assert "1 failed: loss became nan in epoch 3" in text


def test_the_only_configuration_is_quoted_where_nothing_was_selected(study):
    only = record(0, None, seeds=(0, 1), test=[0.6, 0.7, 0.8, 0.9])
    folder = study([only], evaluation_seeds=0)
    (result,) = quoted(folder)
    assert result.rule == "nothing"
    assert (result.auroc.mean, result.auroc.n) == (pytest.approx(0.75), 2)
    two = study([record(1, None, seeds=(0, 1), test=[0.6] * 4)], evaluation_seeds=0)
    assert quoted(two) == []


def test_two_baselines_of_which_none_is_chosen_are_both_quoted(study):
    pair = [
        record(k, None, seeds=(0, 1), test=[0.6 + 0.1 * k] * 4, baseline=name)
        for k, name in enumerate(("one-class", "soft-boundary"))
    ]
    names = [trial.baseline for trial in pair]
    folder = study(pair, evaluation_seeds=0, baselines=names)
    both = quoted(folder)
    assert {result.baseline: result.auroc.mean for result in both} == pytest.approx(
        {"one-class": 0.6, "soft-boundary": 0.7}
    )
    text = text_of(folder)
    assert "- one-class: 60.0 % (identical for all n = 2 seeds)" in text
    assert "- soft-boundary: 70.0 % (identical for all n = 2 seeds)" in text
    assert "Nothing was selected: every configuration was fixed before the run." in text
    side_by_side = text.partition("## Baselines side by side")[2].partition("##")[0]
    rows = [
        [cell.strip().replace("\\", "") for cell in line.strip("|").split("|")]
        for line in side_by_side.splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == ["baseline", *TASKS, "mean", "IQM", "n"]
    assert rows[2:4] == [
        ["one-class", *["60.0 ± 0.0"] * (len(TASKS) + 1), "60.0", "2"],
        ["soft-boundary", *["70.0 ± 0.0"] * (len(TASKS) + 1), "70.0", "2"],
    ]


@pytest.mark.slow
def test_an_ablation_lists_each_change_with_its_paired_difference(study):
    wide = {"seeds": (0, 1), "searched": ["width"]}
    trials = [
        record(0, None, test=[0.6, 0.6, 0.7, 0.7], params={"width": 1.0}, **wide),
        record(1, None, test=[0.7, 0.7, 0.8, 0.8], params={"width": 2.0}, **wide),
    ]
    folder = study(trials, evaluation_seeds=0)
    stored = json.loads(folder.study.read_text(encoding="utf-8"))
    stored["study"]["plan"] = {"name": "OneAtATime"}
    space = {"width": distribution_to_json(CategoricalDistribution([1.0, 2.0]))}
    stored["study"]["baselines"] = {"PGN": {"space": space, "params": {"width": 1.0}}}
    write_atomically(folder.study, to_text(stored))
    text = text_of(folder)
    row = next(line for line in text.splitlines() if "width = 2 (from 1)" in line)
    assert "75.0 ± 7.1" in row
    reference = next(line for line in text.splitlines() if "| none (default parameters) " in line)
    assert "65.0 ± 7.1" in reference
    assert "Test AUROC of PGN: 65.0 ± 7.1" in text, "the headline is of what was changed"
    assert "the baseline with its default parameters" in text
    assert "+10.0" in row
    stored["study"]["plan"] = {"name": "Optuna"}
    write_atomically(folder.study, to_text(stored))
    assert "One change at a time" not in text_of(folder)


def test_an_evaluation_that_crashed_on_every_seed_is_reported(study):
    crashed = [
        record(
            k,
            None,
            seeds=(1000 + k,),
            identity="id0",
            state="failed",
            reason="RuntimeError: out of memory",
            metrics={},
            replicas=replicas((1000 + k,), {(task, 1000 + k) for task in TASKS}),
        )
        for k in range(2)
    ]
    text = text_of(study([record(0, 0.9)], crashed))
    assert "all 2 seeds failed" in text
    assert "2 failed: RuntimeError: out of memory" in text


def test_a_parameter_may_have_the_name_of_a_column(study):
    named = record(0, 0.9, params={"objective": "soft", "seconds": "many"}, searched=["objective"])
    folder = study([named])
    write_report(folder.path)
    table = pd.read_csv(folder.path / "tables" / "trials.csv")
    assert table["objective"].tolist() == [0.9]
    assert table["params.objective"].tolist() == ["soft"]


def test_a_study_without_a_result_says_why(study):
    assert "no trial has finished" in write_report(study().path).summary
    failed = record(0, None, state="failed", reason="out of memory", metrics={})
    text = text_of(study([failed]))
    assert "no trial is complete" in text
    assert "1 failed: out of memory" in text


def test_a_cut_last_line_does_not_hide_the_rest(study):
    folder = study([record(0, 0.9), record(1, 0.8)])
    with folder.trials.path.open("a") as file:
        file.write('{"number": 2, "iden')
    assert "2 of 4 trials complete" in write_report(folder.path).summary


def test_a_newer_study_is_refused_in_one_line(study):
    with pytest.raises(UserError, match=f"schema {SCHEMA + 1}.*newer"):
        write_report(study(schema=SCHEMA + 1).path)


def test_collapsed_models_are_named(study):
    flat = record(0, 0.5)
    flat.metrics[COLLAPSED][1] = 1.0
    text = text_of(study([flat]))
    assert "1 model collapsed (same score for every image) in \\[0\\]" in text


def test_a_result_of_collapsed_models_says_so(study):
    alone = record(0, None, test=[0.5, 0.9])
    alone.metrics[Metric("test", "collapsed")] = [1.0, 0.0]
    folder = study([alone], evaluation_seeds=0)
    (result,) = quoted(folder)
    assert result.collapsed == 1
    summary = write_report(folder.path).summary
    assert "; 1 model collapsed (the same score for every image)" in summary


def test_tables_hold_every_record(study):
    trials = [record(0, 0.9), record(1, 0.8), record(2, None, state="failed", reason="x")]
    folder = study(trials)
    write_report(folder.path)
    table = pd.read_csv(folder.path / "tables" / "trials.csv")
    assert list(table["number"]) == [0, 1, 2]
    assert table["validation_auroc"].tolist()[:2] == [0.9, 0.8]
    assert table["validation_auroc"].isna().tolist() == [False, False, True]
    assert len(pd.read_csv(folder.path / "tables" / "replicas.csv")) == 6


def test_variants_are_means_over_replicas_and_empty_beside_a_failure():
    whole = record(0, 0.9)
    whole.variants[ScoreVariant("mc_samples", 0)] = {VALIDATION_AUROC: [0.6, 0.8]}
    broken = record(1, 0.9)
    broken.variants[ScoreVariant("mc_samples", 0)] = {VALIDATION_AUROC: [0.6, None]}
    table = frame.variants([whole, broken])
    assert table["mean"].iloc[0] == pytest.approx(0.7)
    assert pd.isna(table["mean"].iloc[1])


@pytest.mark.slow
def test_reads_records_without_torch_and_ray(study):
    folder = study([record(0, 0.9)])
    code = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from analysis.report.study_report import write_report\n"
        f"write_report(Path({str(folder.path)!r}))\n"
        "print(json.dumps([m for m in ('torch', 'ray') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
