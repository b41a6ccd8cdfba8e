"""The progress line, and what TensorBoard shows of a trial."""

import io
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from tests.training.cases import (
    AGAINST,
    PARTS,
    SECOND,
    Blinded,
    Brightness,
    planted,
    stepped,
    study_of,
    trial_of,
    with_titles,
)
from tune_ad.data import Task
from tune_ad.errors import UserError
from tune_ad.execution import progress_line
from tune_ad.execution.callbacks import Ahead, ProgressBar, TensorBoardCallback
from tune_ad.selection import RULES
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import TEST_AUROC, Metric
from tune_ad.storage.records import TrialSpec
from tune_ad.training.report import Progress, Report

# ---------------------------------------------------------------------- the progress line


def spec(number):
    return TrialSpec(number, "PGN", {})


def epochs(spec):
    """Every trial has four epochs."""
    return 4


@pytest.fixture
def report_at(record):
    """A function: a report after so many epochs, of which a bar reads nothing else."""

    def make(epoch):
        return Report(epoch, 9, 0.5, 0.1, {}, {}, {}, {}, False, record(), {})

    return make


@pytest.fixture
def bar(capsys):
    """A bar of two trials of four epochs."""
    line = ProgressBar("study", 2, epochs)
    yield line
    line.close()


def test_the_bar_advances_by_fractions_of_epochs(bar, report_at):
    for finished in (0.25, 0.5, 1.0):
        bar.progressed(spec(0), Progress(finished))
        assert bar.bar.n == finished / 4
    bar.reported(spec(0), report_at(2))
    assert bar.bar.n == 2 / 4
    bar.progressed(spec(1), Progress(0.5))
    assert bar.bar.n == 2.5 / 4, "two trials at a time are counted together"


def test_the_bar_never_goes_back(bar, report_at):
    bar.reported(spec(0), report_at(3))
    bar.progressed(spec(0), Progress(1.5))
    bar.reported(spec(0), report_at(2))
    assert bar.bar.n == 3 / 4, "a trial that was restored repeats what is known"
    bar.progressed(spec(0), Progress(99.0))
    assert bar.bar.n == 1, "no trial has more epochs than its share of the line"


def test_trials_of_different_epochs_count_equally(capsys, report_at, record):
    epochs = {0: 8, 1: 2, 2: 0}
    line = ProgressBar("study", 3, lambda spec: epochs[spec.number])
    line.progressed(spec(0), Progress(2.0))
    assert line.bar.n == 0.25
    line.reported(spec(1), report_at(1))
    assert line.bar.n == 0.75
    line.reported(spec(2), report_at(0))
    assert line.bar.n == 0.75, "what is only fitted has no epochs"
    for number in epochs:
        line.ended(spec(number), record(number), {})
    assert line.bar.n == line.bar.total == 3
    line.close()


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_the_epochs_that_an_ended_trial_will_not_run_are_done(bar, record, state):
    bar.progressed(spec(0), Progress(0.5))
    bar.ended(spec(0), record(state=state), {})
    assert bar.bar.n == 1
    bar.ended(spec(1), record(1, state=state), {})
    assert bar.bar.n == bar.bar.total == 2


def test_the_line_counts_trials_and_names_the_best(record, capsys):
    line = ProgressBar("study", 4, epochs, [record(0, 0.25)], RULES["validation"])
    assert line.bar.text == "study: 1 of 4 trials, best validation AUROC 25.0 %"
    assert line.bar.n == 1, "what an earlier run did is done"
    line.ended(spec(1), record(1, 0.875), {})
    line.ended(spec(2), record(2, 0.99, state="failed"), {})
    line.ended(spec(3), record(3, 0.5, state="pruned"), {})
    assert line.bar.text == (
        "study: 4 of 4 trials, 1 failed, 1 pruned, best validation AUROC 87.5 %"
    )
    line.close()
    unranked = ProgressBar("winner", 3, epochs, noun="fresh seed")
    unranked.ended(spec(0), record(0, 0.25), {})
    assert unranked.bar.text == "winner: 1 of 3 fresh seeds"
    unranked.close()
    single = ProgressBar("winner", 1, epochs, noun="fresh seed")
    assert single.bar.text == "winner: 0 of 1 fresh seed"
    single.close()
    shown = capsys.readouterr().err
    assert "study: 4 of 4 trials, 1 failed" in shown
    assert "100%" in shown


LOSS = Metric("validation", "loss")
BOUND = Metric("validation", "negative_iwae")
BITS = BOUND._replace(unit="bits_per_dim")


@pytest.mark.parametrize(
    ("rule", "metric", "objective", "text"),
    [
        ("oracle", TEST_AUROC, 0.5, "best test AUROC 50.0 %"),
        ("normal_only", LOSS, -12.34567, "best loss of held-out normal images 12.35"),
        ("likelihood", BITS, -2.5, "best bits per dimension of held-out normal images 2.5"),
        ("likelihood", BOUND, -99.0, "best nats per held-out normal image 99"),
    ],
)
def test_the_best_has_the_name_and_the_unit_of_what_selects(
    record, rule, metric, objective, text, capsys
):
    line = ProgressBar("study", 2, epochs, rule=RULES[rule])
    line.ended(spec(0), record(0, objective, metrics={metric: [1.0]}), {})
    assert line.bar.text == f"study: 1 of 2 trials, {text}"
    line.close()


def test_the_line_of_a_study_that_is_complete_is_full(record, clock, capsys):
    line = ProgressBar("study", 2, epochs, [record(0), record(1)])
    line.close()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "study: 2 of 2 trials 100%, 00:00 so far"


def test_the_line_is_full_only_when_every_trial_has_ended(record, capsys):
    line = ProgressBar("study", 2, epochs, [record(0)])
    line.progressed(spec(1), Progress(4.0))
    assert line.bar.n == line.bar.total
    assert line.bar.percent == 99, "the last trial is still to be tested"
    line.ended(spec(1), record(1), {})
    assert line.bar.percent == 100
    line.close()


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of the progress line."""
    clock = Clock()
    monkeypatch.setattr(progress_line.time, "monotonic", clock)
    return clock


def test_the_time_left_of_a_plain_bar_is_of_training_and_not_of_workers_that_start(clock, capsys):
    line = progress_line.ProgressLine("scores.csv", 1)
    clock.now += 60.0
    assert line.left == "?"
    line.advance(0.1)
    assert line.left == "?", "one point is no speed"
    clock.now += 10.0
    line.advance(0.1)
    assert line.left == "01:20"
    line.close()


def test_the_time_left_of_a_study_has_the_winner_on_fresh_seeds(clock, capsys):
    line = ProgressBar("study", 2, lambda spec: 100, ahead=Ahead(after=3, after_size=0.5))
    assert line.bar.left == "?"
    line.started(spec(0))
    clock.now += 10.0
    line.progressed(spec(0), Progress(10.0))
    assert line.bar.left == "05:40", "90 s, then 100 s, then three times 50 s"
    clock.now += 20.0
    assert line.bar.left == "05:20", "it runs out while nothing is reported"
    line.close()
    known = ProgressBar("winner", 3, lambda spec: 100, ahead=Ahead(workers=2, prior=30.0))
    assert known.bar.left == "01:00", "what the search has taken is known before"
    known.close()


def test_a_log_file_has_plain_lines_with_the_trials_that_run(
    clock, capsys, monkeypatch, record, report_at
):
    monkeypatch.setattr(progress_line, "LOG_SECONDS", 3600.0)
    line = ProgressBar("study", 9, epochs, [record(8, state="failed")], RULES["validation"])
    for number in range(5):
        line.started(TrialSpec(number, "PGN", {"learning_rate": 3e-4 * (number + 1)}))
    line.reported(spec(0), report_at(2))
    clock.now += 61.0
    line.bar._write_plain()
    line.repeats(spec(1), "its process has died")
    line.close()
    first, shown, last = capsys.readouterr().err.splitlines()
    assert first == "study: 1 of 9 trials, 1 failed  11%, 00:00 so far"
    assert shown == (
        "study: 1 of 9 trials, 1 failed  16%, 01:01 so far; running: "
        "000 lr=3e-4 epoch 2 of 4 validation AUROC 50.0 %, 001 lr=6e-4, 002 lr=9e-4, and 2 more"
    )
    assert last.startswith("study: 1 of 9 trials, 1 failed  16%") and "running" not in last


def test_a_log_file_gets_a_line_while_nothing_is_reported(monkeypatch):
    monkeypatch.setattr(progress_line, "LOG_SECONDS", 0.01)
    written, lines = threading.Event(), []

    class Log(io.StringIO):
        def write(self, text):
            lines.append(text)
            if threading.current_thread() is not threading.main_thread():
                written.set()
            return len(text)

    monkeypatch.setattr("sys.stderr", Log())
    line = progress_line.ProgressLine("study", 10)
    assert written.wait(30)
    line.close()
    assert not line.clock.is_alive()
    assert "\r" not in "".join(lines) and all(text.endswith("\n") for text in lines)


class Terminal(io.StringIO):
    """A terminal of 24 lines that keeps what it shows."""

    def isatty(self):
        return True

    def screen(self):
        """What stands on it: carriage returns, line breaks and cursor movements are followed."""
        lines, y, x = {}, 0, 0
        for piece in re.split(r"(\x1b\[A|\r|\n)", self.getvalue()):
            if piece == "\x1b[A":
                y -= 1
            elif piece == "\r":
                x = 0
            elif piece == "\n":
                y, x = y + 1, 0
            else:
                line = lines.get(y, "").ljust(x)
                lines[y] = line[:x] + piece + line[x + len(piece) :]
                x += len(piece)
        return [lines.get(k, "").rstrip() for k in range(max(lines) + 1)]


@pytest.fixture
def terminal(monkeypatch):
    """A terminal in place of the standard error."""
    terminal = Terminal()
    monkeypatch.setattr(progress_line, "Silent", lambda stream: terminal)
    monkeypatch.setattr(progress_line, "TICK_SECONDS", 3600.0)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "9")
    return terminal


def test_a_terminal_has_a_table_of_the_trials_that_run(terminal, record, report_at):
    line = ProgressBar("study", 9, epochs, rule=RULES["validation"])
    for number in range(7):
        line.started(TrialSpec(number, "PGN", {"width": number}))
    line.reported(spec(1), report_at(1))
    line.ended(spec(0), record(0, 0.75), {})
    head, *rows = terminal.screen()
    assert head.startswith("study: 1 of 9 trials, best validation AUROC 75.0 %  13%|")
    assert rows[:2] == ["  001 width=1  epoch 1 of 4  validation AUROC 50.0 %", "  002 width=2"]
    assert rows[4] == "and 2 more", "so many as there is room for"
    for number in range(1, 6):
        line.ended(spec(number), record(number, 0.5), {})
    assert terminal.screen()[1:6] == ["  006 width=6", "", "", "", ""]
    line.repeats(spec(6), "its process has died")
    terminal.write("trial 6 is trained again\n")
    line.ended(spec(6), record(6, 0.5), {})
    line.close()
    shown = [row for row in terminal.screen() if row]
    assert shown[1] == "trial 6 is trained again"
    assert len(shown) == 3, "no row of the table is left"
    assert shown[2].startswith("study: 7 of 9 trials")


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_keeps_share_and_time_and_the_value_of_each_trial(
    terminal, monkeypatch, record, report_at, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    line = ProgressBar("a_long_name_of_a_search", 9, epochs, rule=RULES["validation"])
    for number in range(3):
        line.started(TrialSpec(number, "PGN", {"width": number, "learning_rate": 0.00012345}))
    line.reported(spec(1), report_at(1))
    line.ended(spec(0), record(0, 0.75), {})
    line.bar.set_left(754.0, runs_out=False)
    line.bar.refresh()
    head, row, *_ = terminal.screen()
    assert re.search(r" 13%\|.{3,20}\| 00:0\d<12:34$", head)
    assert max(len(head), len(row)) <= columns
    assert row.startswith("  001 width=1")
    if columns > 40:
        assert row.endswith("epoch 1 of 4  validation AUROC 50.0 %")
    line.close()


def test_the_clock_of_a_terminal_runs_while_nothing_is_reported(terminal, monkeypatch):
    monkeypatch.setattr(progress_line, "TICK_SECONDS", 0.01)
    ticked = threading.Event()

    class Watched(progress_line.ProgressLine):
        def refresh(self):
            if threading.current_thread() is not threading.main_thread():
                ticked.set()
            return super().refresh()

    line = Watched("study", 10)
    assert ticked.wait(30), "no update, and yet a new state of the line"
    line.close()
    assert not line.clock.is_alive()


def test_a_configuration_that_cannot_be_built_does_not_end_the_study(capsys, record):
    def epochs(spec):
        raise UserError("cannot be built")

    line = ProgressBar("study", 2, epochs, [record(1, state="failed", replicas=[])])
    line.started(spec(0))
    line.ended(spec(0), record(0, None, state="failed", replicas=[]), {})
    assert line.bar.text == "study: 2 of 2 trials, 2 failed"
    line.close()


# ---------------------------------------------------------------------------- TensorBoard


class Cautious(Blinded):
    """Warns of every model but the first."""

    def warnings(self, numbers):
        marked = float(self.get_buffer("mark")) != type(self).first
        return ["the sky falls"] * marked

    first = 0.0


def written(trial, suite, folder):
    """The TensorBoard events of a trial that was run."""
    callback = TensorBoardCallback(trial.study, folder, suite.tasks)
    callback.started(trial.spec)
    report = stepped(trial)
    callback.reported(trial.spec, report)
    while not report.done:
        report = stepped(trial)
        callback.reported(trial.spec, report)
    callback.ended(trial.spec, report.record, report.details)
    callback.close()
    (run,) = [path for path in folder.tensorboard.iterdir() if path.is_dir()]
    return EventAccumulator(str(run), {"tensors": 0, "scalars": 0, "images": 0}).Reload(), report


@pytest.mark.parametrize(
    ("held_out", "title"), [(0.5, "oracle AUROC (test images)"), (0.0, "test AUROC")]
)
def test_nobody_chooses_a_trial_by_test_auroc_unaware(tmp_path, held_out, title):
    study = study_of(Blinded, epochs=1, evaluation_seeds=0, validation_fraction=held_out)
    assert study.chooses == bool(held_out)
    TensorBoardCallback(study, StudyFolder(tmp_path), planted(PARTS, PARTS).tasks).close()
    columns = EventAccumulator(str(StudyFolder(tmp_path).tensorboard)).Reload()
    content = columns.summary_metadata["_hparams_/experiment"].plugin_data.content
    declared = HParamsPluginData.FromString(content).experiment.metric_infos
    titles = {info.name.tag: info.display_name for info in declared}
    assert titles[TEST_AUROC.tag] == title


def values(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


def table(events):
    """The table of all numbers of a run: rows of cells by the titles of the columns."""
    (event,) = events.Tensors("result")
    lines = make_ndarray(event.tensor_proto).item().decode().splitlines()
    head, _, *rows = [line.strip("| ").split(" | ") for line in lines]
    cells = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    return {head[0]: dict.fromkeys(head[1:]), **cells}


def test_a_metric_is_shown_under_its_part_and_a_class_under_its_title(tmp_path):
    parts = {
        "train": [1, 2, 3, 4],
        "validation_normal": [3, 10],
        "validation_anomalous": [10, 30],
        "test_normal": [1, 70],
        "test_anomalous": [2, 80],
    }
    suite = with_titles(planted(parts, parts), "cat", "dog")
    trial = trial_of(study_of(Blinded, epochs=2, evaluations=2), suite)
    events, report = written(trial, suite, StudyFolder(tmp_path))
    tags = set(events.Tags()["scalars"])
    expected = {"train/loss", "train/learning_rate", "objective", "validation/auroc", "test/auroc"}
    assert expected <= tags
    assert {f"validation/auroc ({which} class)" for which in ("lowest", "highest")} <= tags
    assert [step for step, _ in values(events, "validation/auroc")] == [1, 2]
    assert [step for step, _ in values(events, "test/auroc")] == [2]
    assert values(events, "objective")[-1][1] == pytest.approx(report.objective)
    assert events.Tags()["images"] == ["scores"], "the scores of every class in one card"
    assert [event.step for event in events.Images("scores")] == [1, 2]
    assert [step for step, _ in values(events, "train/learning_rate")] == [1, 2], "to the end"
    columns = {"toy/cat", "toy/dog"}
    assert columns <= set(table(events)["number"])


def test_what_only_the_last_report_has_is_no_curve_but_in_the_table(tmp_path):
    suite = planted(PARTS, SECOND)
    events, report = written(
        trial_of(study_of(Blinded, epochs=2, evaluations=2), suite), suite, StudyFolder(tmp_path)
    )
    curves = {tag for tag in events.Tags()["scalars"] if len(events.Scalars(tag)) > 1}
    columns = {"objective", "validation/auroc", "test/auroc", "train/loss", "validation/distinct"}
    assert set(events.Tags()["scalars"]) <= curves | columns
    only_last = {f"`{metric.tag}`" for metric in report.metrics if metric.part == "test"}
    assert len(only_last) > 1
    assert only_last <= table(events).keys()


def test_a_trial_of_a_single_report_has_its_columns_and_the_whole_band(tmp_path):
    suite = with_titles(planted(PARTS, SECOND), "cat", "dog")
    trial = trial_of(study_of(Blinded, epochs=1), suite)
    events, report = written(trial, suite, StudyFolder(tmp_path))
    assert values(events, "objective") == [(1, pytest.approx(report.objective))]
    for which in ("", " (lowest class)", " (highest class)"):
        assert [step for step, _ in values(events, f"validation/auroc{which}")] == [1]
    assert "train/learning_rate" not in events.Tags()["scalars"]


def test_the_mean_over_seeds_is_of_the_task_of_each_replica(tmp_path):
    suite = with_titles(planted(PARTS, SECOND), "cat", "dog")
    trial = trial_of(study_of(Brightness, seeds=3), suite)
    events, report = written(trial, suite, StudyFolder(tmp_path))
    for task, title in (("toy/0", "toy/cat"), ("toy/1", "toy/dog")):
        of_task = [
            value
            for replica, value in zip(
                report.record.replicas, report.metrics[TEST_AUROC], strict=True
            )
            if replica.task == task
        ]
        shown = table(events)["`test/auroc`"]
        assert float(shown[title]) == pytest.approx(np.mean(of_task), rel=1e-3)
        assert shown[title] != shown["mean"]


def test_a_task_that_is_no_class_is_called_a_task(tmp_path):
    whole = planted(AGAINST)
    task = Task("toy-vs-bright+dark", "toy", None, ("bright", "dark"))
    suite = replace(whole, tasks=(task,), splits={task.name: whole.splits["toy/0"]})
    trial = trial_of(study_of(Brightness, selection="oracle"), suite)
    events, _ = written(trial, suite, StudyFolder(tmp_path))
    shown = table(events)
    assert shown["`test/auroc/dark`"].keys() == {"mean", "toy-vs-bright+dark"}


def test_each_set_of_outsiders_has_a_tag(tmp_path):
    suite = planted(AGAINST)
    events, report = written(
        trial_of(study_of(Brightness, selection="oracle"), suite), suite, StudyFolder(tmp_path)
    )
    assert "test/auroc" in events.Tags()["scalars"]
    shown = table(events)
    assert {"`test/auroc`", "`test/auroc/bright`", "`test/auroc/dark`"} <= shown.keys()
    assert report.done


@pytest.mark.parametrize(
    ("seeds", "text"), [(2, "1 replica: the sky falls"), (3, "2 replicas: the sky falls")]
)
def test_a_warning_is_shown_with_the_number_of_replicas(seeds, text, tmp_path, monkeypatch):
    parts = {**AGAINST, "train": [5, 6, 7, 8]}
    suite = planted(parts)
    trial = trial_of(study_of(Cautious, seeds=seeds, selection="random"), suite)
    first = trial.replica_set.replicas[0].module.get_buffer("mark")
    monkeypatch.setattr(Cautious, "first", float(first))
    events, report = written(trial, suite, StudyFolder(tmp_path))
    (event,) = events.Tensors("health/warning")
    assert event.step == report.epoch
    assert make_ndarray(event.tensor_proto).item().decode() == text
