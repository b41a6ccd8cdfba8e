"""Whole studies with the serial backend."""

import json
import math
import shutil
import signal
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, json_to_distribution
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.report.study_report import write_report
from tests.marks import slow
from tests.naming import short
from tune_ad import data
from tune_ad.app.command_line.console import opening, plan
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.data import load
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config, require
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.likelihood_vae.detector import LikelihoodVAE
from tune_ad.detectors.pgn import PGN, PGNConfig
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.execution.callbacks import ProgressBar, RecordWriter, TensorBoardCallback
from tune_ad.execution.loop import TrialLoop
from tune_ad.search.baseline import Baseline
from tune_ad.search.claim import Claim
from tune_ad.search.plans import Grid, Listed, OneAtATime
from tune_ad.selection import RULES, ranked
from tune_ad.storage.metric import (
    OTHER_CLASSES,
    PSEUDO,
    TEST_AUROC,
    VALIDATION_AUROC,
    Metric,
    metrics_from_json,
    metrics_to_json,
)
from tune_ad.storage.records import SCHEMA, TrialSpec, identity
from tune_ad.training.ranking import auroc
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Trial


@pytest.fixture
def begin(tiny, open_study, tmp_path):
    """A function: the tiny search in a folder of this test."""
    return partial(open_study, tiny, tmp_path)


def lines(file):
    return file.path.read_text().splitlines()


def tiny_baseline(tiny):
    return tiny.baselines[0]


def seeds(records):
    return [record.replicas[0].seed for record in records]


def by_name(rows):
    """Values by the short name of each metric, from the rows of a file."""
    return short(metrics_from_json(rows))


def test_a_study_ends_well(finished):
    outcome = finished.outcome
    assert (outcome.interrupted, outcome.out_of_time, outcome.failed) == (False, False, 0)
    assert outcome.exit_code == 0


def test_what_was_asked_is_stored(finished, tiny, tiny_budget):
    stored = finished.folder.read_study()
    assert stored["schema"] == SCHEMA
    study = stored["study"]
    assert (study["name"], study["data_set"], study["seed"]) == ("tiny", "digits", 0)
    assert study["image_shape"] == [1, 8, 8]
    assert (study["budget_name"], study["selection"]) == ("quick", "validation")
    assert study["budget"] == {**asdict(tiny_budget), "classes": [0, 1]}
    described = study["baselines"]["PGN"]
    space = {name: json_to_distribution(text) for name, text in described["space"].items()}
    assert space == tiny_baseline(tiny).space
    assert described["score_space"] == {"mc_samples": [0, 5, "inf"]}
    assert set(described["params"]) == {field.name for field in fields(PGNConfig)}
    assert (study["chooses"], study["quotes"]) == (True, "winner")
    assert stored["tasks"] == [
        {
            "name": f"digits/{k}",
            "source": "digits",
            "normal_class": k,
            "outsiders": [],
            "class_name": str(k),
            "title": f"digits/{k}",
        }
        for k in (0, 1)
    ]
    assert stored["seeds"] == [0]
    assert len(stored["fresh_seeds"]) == 2
    assert stored["backend"] == "serial"
    assert (stored["search"], stored["ablation"]) == ("tiny", None)
    assert (stored["changes"], stored["evaluate"]) == ({}, True)
    assert stored["resources"] == {"cpus": 1, "gpus": 0.0, "concurrent": 1}
    assert {"tune_ad", "commit", "python", "torch", "ray", "optuna"} <= set(stored["versions"])
    assert "kl" in stored["score_meanings"]["PGN"]
    assert stored["hardware"]["device"] == "cpu"
    assert stored["hardware"]["cpus"] >= 1
    assert "scikit-learn" in stored["data"]["digits"]["about"]
    assert stored["data"]["digits"]["train_images"] == 1258


def test_each_configuration_is_noted_when_handed_out_and_when_it_ends(finished):
    specs, records = finished.folder.read_trial_specs(), finished.folder.read_trials()
    assert [spec.number for spec in specs] == [0, 1, 2, 3]
    assert [record.number for record in records] == [0, 1, 2, 3]
    assert specs[0].params == {"latent_dim": 8, "dropout": 0.5}
    for spec, record in zip(specs, records, strict=True):
        assert spec.params.items() <= record.params.items()
        assert record.searched == sorted(spec.params) == ["dropout", "latent_dim"]
        assert record.identity == identity("PGN", record.params)
        assert set(record.params) == {field.name for field in fields(PGNConfig)}
    assert len({record.identity for record in records}) == 4


def test_a_record_holds_the_numbers_of_each_replica(finished):
    for record in finished.folder.read_trials():
        assert (record.state, record.reason, record.device) == ("complete", "", "cpu")
        assert [(replica.task, replica.seed) for replica in record.replicas] == [
            ("digits/0", 0),
            ("digits/1", 0),
        ]
        assert [replica.epoch for replica in record.replicas] == [3, 3]
        for values in record.metrics.values():
            assert len(values) == 2
            assert all(math.isfinite(value) for value in values)
        assert [epoch for epoch, _ in record.reports] == [1, 2, 3]
        assert record.reports[-1][1] == record.objective
        assert record.objective == sum(record.metrics[VALIDATION_AUROC]) / 2
        assert {"mc_samples=0", "mc_samples=5", "mc_samples=inf"} <= set(short(record.variants))
        assert record.models["parameters"] > 0
        assert record.seconds > 0


def test_every_record_has_curves_and_histograms(finished):
    for record in finished.folder.read_trials():
        details = finished.folder.read_details(record.identity)
        curves = details["curves"]
        assert curves["epoch"] == [1, 2, 3]
        assert curves["objective"] == [value for _, value in record.reports]
        last = by_name(curves["replicas"])["validation_auroc"][-1]
        assert last == record.metrics[VALIDATION_AUROC]
        assert [row["task"] for row in details["histograms"]] == ["digits/0", "digits/1"]
        for histogram in details["histograms"]:
            assert (histogram["component"], histogram["outsider"]) == ("", "")
            counts = histogram["counts"]
            assert len(histogram["edges"]) == len(counts["normal"]) + 1
            assert sum(counts["normal"]) > 0
            assert sum(counts["outsiders"][""]) > 0
    names = [path.suffix for path in finished.folder.details("x").parent.iterdir()]
    assert sorted(names) == [".json"] * 4 + [".npz"] * 4


def test_the_winner_is_trained_again_on_seeds_that_the_search_never_used(finished):
    trials, again = finished.folder.read_trials(), finished.folder.read_evaluation()
    winner = ranked(trials, "validation")[0]
    assert winner.objective == max(record.objective for record in trials)
    fresh = finished.folder.read_study()["fresh_seeds"]
    assert sorted(seeds(again)) == sorted(fresh)
    used = {replica.seed for record in trials for replica in record.replicas}
    assert not used & set(fresh)
    for record in again:
        assert record.identity == winner.identity
        assert record.params == winner.params
        assert [replica.task for replica in record.replicas] == ["digits/0", "digits/1"]
        assert len({replica.seed for replica in record.replicas}) == 1
        assert len(record.metrics[TEST_AUROC]) == 2
        assert finished.folder.read_details(record.identity, seeds([record])[0])["histograms"]
    assert again[0].metrics[TEST_AUROC] != again[1].metrics[TEST_AUROC]


def test_every_trial_is_tested_at_its_last_epoch_and_by_nothing_selected(finished):
    records = finished.folder.read_trials()
    for record in records:
        assert None not in record.metrics[TEST_AUROC]
        assert record.objective == ranked([record], "validation")[0].objective
        assert record.objective == sum(record.metrics[VALIDATION_AUROC]) / 2
        curves = by_name(finished.folder.read_details(record.identity)["curves"]["replicas"])
        assert curves["test_auroc"] == [[], [], record.metrics[TEST_AUROC]]


def without_tests(plain):
    """A record as plain data without the metrics of test images."""

    def others(rows):
        return [row for row in rows if row["part"] != "test"]

    variants = [
        {**variant, "metrics": others(variant["metrics"])} for variant in plain["variants"]
    ]
    return {**plain, "metrics": others(plain["metrics"]), "variants": variants}


def test_what_the_test_set_holds_changes_nothing_of_the_search(
    tiny, open_study, tmp_path, timeless, finished
):
    session = open_study(tiny, tmp_path)
    digits = load("digits")
    stream = torch.Generator().manual_seed(0)
    other = torch.randint(0, 255, digits.test_images.shape, generator=stream).byte()
    changed = (replace(digits, test_images=other),)
    suite = Suite.prepare(changed, session.tasks, session.study.budget, session.study.seed)
    assert replace(session, suite=suite).run().exit_code == 0
    ours, theirs = (folder.read_trials() for folder in (finished.folder, session.folder))
    assert [r.metrics[TEST_AUROC] for r in ours] != [r.metrics[TEST_AUROC] for r in theirs]
    assert lines(finished.folder.suggested) == lines(session.folder.suggested)

    assert [without_tests(plain) for plain in timeless(ours)] == [
        without_tests(plain) for plain in timeless(theirs)
    ]
    folders = finished.folder, session.folder
    winners = (folder.read_evaluation()[0].identity for folder in folders)
    assert len(set(winners)) == 1


def test_tensorboard_shows_every_trial_by_what_was_searched(finished):
    root = finished.folder.tensorboard
    records = finished.folder.read_trials()
    runs = {path.name: path for path in root.iterdir() if path.is_dir()}
    winner = ranked(records, "validation")[0]

    def values(record):
        dropout = f"{record.params['dropout']:.3g}"
        return f"latent={record.params['latent_dim']} dropout={dropout}"

    names = {f"{record.number:03d} {values(record)}": record for record in records}
    assert set(runs) == {
        *names,
        *(f"winner {k:03d} seed={1000 + k} {values(winner)}" for k in range(2)),
        "winner examples",
    }
    for name, record in names.items():
        events = EventAccumulator(str(runs[name])).Reload()
        shown = [(event.step, event.value) for event in events.Scalars("objective")]
        assert shown == [(epoch, pytest.approx(value)) for epoch, value in record.reports]
        assert [event.step for event in events.Scalars("test/auroc")] == [3]
        assert "result" in events.Tags()["tensors"]


def test_a_study_of_an_earlier_version_goes_on_in_the_runs_that_it_has(
    tiny, open_study, tmp_path, monkeypatch
):
    session = open_study(tiny, tmp_path, changes={"trials": 2, "epochs": 1}, evaluate=False)
    assert session.run().exit_code == 0
    folder = session.folder
    *_, last = folder.read_trials()
    (run,) = folder.tensorboard.glob(f"{last.number:03d} *")
    earlier = folder.tensorboard / f"{last.number:03d}-PGN-{last.identity}"
    run.rename(earlier)
    lines = folder.trials.path.read_text().splitlines(keepends=True)
    folder.trials.path.write_text("".join(lines[:-1]))
    again = open_study(tiny, tmp_path, budget="auto", resume=True, evaluate=False)
    assert again.run().exit_code == 0
    assert not run.exists()
    assert len(list(earlier.glob("events.*.end"))) == 1


@pytest.fixture
def suites(monkeypatch):
    """The suites that are prepared, in order."""
    prepared, prepare = [], Suite.prepare

    def watched(*arguments):
        prepared.append(prepare(*arguments))
        return prepared[-1]

    monkeypatch.setattr(Suite, "prepare", watched)
    return prepared


def pictures(tensor):
    return {bytes(image.numpy().tobytes()) for image in tensor}


def test_what_selects_is_neither_trained_on_nor_reported(begin, suites):
    session = begin(changes={"trials": 1, "evaluation_seeds": 1})
    session.run()
    (suite,) = suites  # prepared once, for the search and for the winner
    assert session.suite is suite
    digits = data.load("digits")
    for k in range(2):
        split = suite.splits[f"digits/{k}"].map(lambda positions: set(positions.tolist()))
        assert all(split.values())
        assert list(split.validation.outsiders) == list(split.test.outsiders) == [OTHER_CLASSES]
        held_out, known = split.validation.values()
        assert not (split.train | held_out | known) & set.union(*split.test.values())
        assert not split.train & (held_out | known)
        assert not held_out & known
        normal = suite.images[sorted(split.train | held_out)]
        assert pictures(torch.tensor(normal)) <= pictures(
            digits.train_images[digits.train_labels == k]
        )
    for split in suite.splits.values():
        seen = [split.train, *split.validation.values()]
        for files, groups in (
            (digits.train_images, seen),
            (digits.test_images, split.test.values()),
        ):
            for positions in groups:
                assert pictures(torch.tensor(suite.images[positions])) <= pictures(files)


def test_validation_images_of_one_task_are_trained_on_by_no_other(begin):
    suite = begin(changes={"classes": range(10)}).suite
    assert len(suite.splits) == len(suite.tasks) == 10
    held_out = {i for split in suite.splits.values() for i in split.validation.normal.tolist()}
    trained = {i for split in suite.splits.values() for i in split.train.tolist()}
    assert not held_out & trained


def test_the_oracle_alone_selects_by_the_test_set(begin, suites):
    session = begin(selection="oracle", changes={"trials": 2, "evaluation_seeds": 1})
    assert session.run().exit_code == 0
    assert list(suites[0].splits["digits/0"].test.outsiders) == [OTHER_CLASSES]
    for record in session.folder.read_trials():
        assert record.objective == sum(record.metrics[TEST_AUROC]) / 2
        assert [value for _, value in record.reports[:-1]] == [None, None]
    assert session.folder.read_study()["study"]["selection"] == "oracle"


def test_what_the_user_changed_is_stored(begin):
    changes = {"trials": 1, "classes": ("1", "2"), "epochs": None}
    session = begin(changes=changes, evaluate=False, cpus=1)
    assert session.run().exit_code == 0
    stored = session.folder.read_study()
    assert stored["changes"] == {"trials": 1, "classes": ["1", "2"]}
    assert stored["evaluate"] is False


def test_classes_of_images_of_ones_own_are_named_by_their_labels(tiny, open_study, tmp_path):
    digits = load("digits")
    arrays = {
        name: getattr(digits, name).numpy()
        for name in ("train_images", "train_labels", "test_images", "test_labels")
    }
    for part in ("train", "test"):
        arrays[f"{part}_images"] = arrays[f"{part}_images"][:, 0]
    np.savez(tmp_path / "mine.npz", **arrays)
    search = replace(tiny, name="own", data=("mine",))

    def begun(*classes):
        changes = {"classes": classes}
        return open_study(search, tmp_path, changes=changes, data_root=str(tmp_path))

    assert [task.name for task in begun("3", "7").tasks] == ["mine/3", "mine/7"]
    with pytest.raises(UserError, match=r"mine has no class '12'; its classes are 0 \(0\), 1"):
        begun("12")


@pytest.mark.slow
def test_a_winner_picked_at_random_is_the_same_in_every_run(begin, tiny, open_study, tmp_path):
    session = begin(selection="random", changes={"epochs": 1, "trials": 3})
    assert "Trials are ranked by chance (no result is used)." in opening(session)
    assert session.run().exit_code == 0
    records = session.folder.read_trials()
    for record in records:
        assert record.objective == RULES["random"].value({}, record.identity)
        assert {value for _, value in record.reports} == {record.objective}
    winner = max(records, key=lambda record: record.objective)
    again = session.folder.read_evaluation()
    assert {record.identity for record in again} == {winner.identity}
    assert len(again) == 2
    other = open_study(
        tiny,
        tmp_path / "other",
        selection="random",
        changes={"epochs": 1, "trials": 3, "train_images": 30, "validation_fraction": 0.0},
    )
    assert other.run().exit_code == 0
    assert [record.objective for record in other.folder.read_trials()] == [
        record.objective for record in records
    ]


def test_a_test_curve_is_recorded_where_the_search_asks_for_it(tiny, open_study, tmp_path):
    changes = {"trials": 1, "evaluation_seeds": 0, "test_curve": True}
    session = open_study(tiny, tmp_path, changes=changes)
    session.run()
    (record,) = session.folder.read_trials()
    curves = by_name(session.folder.read_details(record.identity)["curves"]["replicas"])
    assert [len(values) for values in curves["oracle_auroc"]] == [2, 2, 2]
    assert record.objective == sum(record.metrics[VALIDATION_AUROC]) / 2


@pytest.fixture
def same(timeless):
    """A function: two study folders hold the same, but for times."""

    def compare(one, other):
        assert lines(one.suggested) == lines(other.suggested)
        assert timeless(one.read_trials()) == timeless(other.read_trials())
        assert timeless(one.read_evaluation()) == timeless(other.read_evaluation())
        for record in one.read_trials():
            name = record.identity
            assert one.read_details(name) == other.read_details(name)
        for record in one.read_evaluation():
            name, seed = record.identity, record.replicas[0].seed
            assert one.read_details(name, seed) == other.read_details(name, seed)

    return compare


class CtrlC(NamedTuple):
    """An interruption of the nth call of a method, before or after its work."""

    owner: Any
    method: str
    nth: int
    before: bool

    def press(self, patch):
        method, calls = getattr(self.owner, self.method), []

        def interrupted(*arguments, **options):
            calls.append(1)
            if len(calls) == self.nth and self.before:
                signal.raise_signal(signal.SIGINT)
            result = method(*arguments, **options)
            if len(calls) == self.nth:
                signal.raise_signal(signal.SIGINT)
            return result

        patch.setattr(self.owner, self.method, interrupted)


@pytest.mark.parametrize(
    ("ctrl_c", "left"),
    [
        slow(CtrlC(ReplicaSet, "train_by_epochs", 1, True), (0, 0)),
        (CtrlC(ReplicaSet, "train_by_epochs", 5, True), (1, 0)),
        slow(CtrlC(Trial, "details", 6, False), (1, 0)),
        (CtrlC(TrialLoop, "next", 3, True), (2, 0)),
        slow(CtrlC(TrialLoop, "next", 3, False), (2, 0)),
        slow(CtrlC(TrialLoop, "next", 5, True), (4, 0)),
        slow(CtrlC(RecordWriter, "started", 3, True), (2, 0)),
        slow(CtrlC(TensorBoardCallback, "reported", 8, True), (2, 0)),
        slow(CtrlC(RecordWriter, "ended", 2, True), (1, 0)),
        slow(CtrlC(TensorBoardCallback, "ended", 2, True), (2, 0)),
        slow(CtrlC(TensorBoardCallback, "ended", 4, False), (4, 0)),
        slow(CtrlC(ReplicaSet, "train_by_epochs", 13, True), (4, 0)),
        (CtrlC(ReplicaSet, "train_by_epochs", 17, True), (4, 1)),
        slow(CtrlC(RecordWriter, "ended", 6, True), (4, 1)),
    ],
)
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(
    begin, monkeypatch, finished, same, ctrl_c, left
):
    with monkeypatch.context() as patch:
        ctrl_c.press(patch)
        session = begin()
        outcome = session.run()
    assert outcome.interrupted
    assert outcome.exit_code == 130
    folder = session.folder
    assert (len(folder.read_trials()), len(folder.read_evaluation())) == left
    written = lines(folder.trials) if left[0] else []
    assert begin(budget="auto", resume=True).run().exit_code == 0
    assert lines(folder.trials)[: left[0]] == written
    same(folder, finished.folder)


def test_resuming_a_study_that_is_whole_changes_nothing(begin, tiny, tmp_path, finished):
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    before = {path: path.stat() for path in tmp_path.rglob("*") if path.is_file()}
    session = begin(budget="auto", resume=True)
    assert session.run().exit_code == 0
    copies = {session.folder.optuna}  # which every run makes anew
    for path, stat in before.items():
        if path in copies:
            continue
        assert path.stat().st_size == stat.st_size
    assert sorted(before) == sorted(path for path in tmp_path.rglob("*") if path.is_file())


def with_validation_aurocs(line, aurocs):
    """A line of `trials.jsonl` with other AUROCs of held-out images."""
    metrics = metrics_from_json(line["metrics"]) | {VALIDATION_AUROC: aurocs}
    return {**line, "metrics": metrics_to_json(metrics)}


def copied(finished, folder, change=lambda line: line):
    """A copy of the finished study, its trials changed."""
    shutil.copytree(finished.folder.path, folder / "tiny")
    path = folder / "tiny" / finished.folder.trials.path.name
    plain = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in plain))


def test_an_extended_study_keeps_its_trials_and_evaluates_the_new_winner(
    begin, tmp_path, finished
):
    def worst(line):
        return {**with_validation_aurocs(line, [0.0, 0.0]), "objective": 0.0}

    copied(finished, tmp_path, worst)
    session = begin(budget="auto", extend=2)
    folder = session.folder
    before = lines(folder.trials), lines(folder.suggested), lines(folder.evaluation)
    assert session.run().exit_code == 0
    assert [record.number for record in folder.read_trials()] == [0, 1, 2, 3, 4, 5]
    assert (lines(folder.trials)[:4], lines(folder.suggested)[:4]) == before[:2]
    assert lines(folder.evaluation)[:2] == before[2]
    winner = ranked(folder.read_trials(), "validation")[0]
    assert winner.number in (4, 5)
    again = [record for record in folder.read_evaluation() if record.identity == winner.identity]
    assert sorted(seeds(again)) == sorted(session.study.fresh_seeds)
    stored = folder.read_study()
    assert stored["changes"] == {"trials": 6}
    assert stored["study"]["budget"]["trials"] == 6


def test_a_study_whose_winner_stays_is_not_evaluated_again(begin, tmp_path, finished):
    def champion(line):
        if line["number"] == ranked(finished.folder.read_trials(), "validation")[0].number:
            return with_validation_aurocs(line, [1.0, 1.0])
        return line

    copied(finished, tmp_path, champion)
    session = begin(budget="auto", extend=1)
    before = lines(session.folder.evaluation)
    session.run()
    assert len(session.folder.read_trials()) == 5
    assert lines(session.folder.evaluation) == before


def test_a_study_can_be_extended_again_and_again(begin, tmp_path, finished):
    copied(finished, tmp_path)
    for trials in (5, 6):
        session = begin(budget="auto", extend=1, evaluate=False)
        session.run()
        assert [record.number for record in session.folder.read_trials()] == list(range(trials))
    begin(budget="auto", resume=True).run()
    assert len(session.folder.read_trials()) == 6


@pytest.mark.slow
def test_an_extension_that_was_interrupted_is_finished_by_resuming(
    begin, tmp_path, finished, monkeypatch
):
    copied(finished, tmp_path)
    session = begin(budget="auto", extend=3)
    with monkeypatch.context() as patch:
        CtrlC(ReplicaSet, "train_by_epochs", 2, True).press(patch)
        assert session.run().interrupted
    assert begin(budget="auto", resume=True).run().exit_code == 0
    assert [record.number for record in session.folder.read_trials()] == list(range(7))


def test_resuming_with_more_trials_extends_the_study_to_that_number(begin, tmp_path, finished):
    copied(finished, tmp_path)
    session = begin(budget="auto", resume=True, changes={"trials": 6})
    session.run()
    assert [record.number for record in session.folder.read_trials()] == list(range(6))


def listed(tiny, configurations, **fields):
    return replace(tiny, plan=Listed(configurations), **fields)


SIZES = [{"latent_dim": 8}, {"latent_dim": 4}, {"latent_dim": 16}]


def fragile(fault):
    """PGN, but for a fault with codes of four numbers."""

    class Fragile(PGN):
        def terms(self, phase, images, noise):
            if self.config.latent_dim == 4:
                raise fault
            return super().terms(phase, images, noise)

    return Fragile


@dataclass(frozen=True)
class PickyConfig(PGNConfig):
    """Refuses codes of four numbers."""

    def __post_init__(self):
        super().__post_init__()
        require(self.latent_dim != 4, "latent_dim", self.latent_dim, "other than 4")


class Picky(PGN):
    """A combination of legal values that its configuration refuses."""

    Config = PickyConfig


class Narrow(PGN):
    """A configuration whose networks cannot be built."""

    def __init__(self, config, shape):
        require(config.latent_dim != 4, "latent_dim", config.latent_dim, "other than 4")
        super().__init__(config, shape)


class Blind(PGN):
    """Scores of one configuration are not finite."""

    def score_variants(self, images, noise, score_space):
        scores = super().score_variants(images, noise, score_space)
        if self.config.latent_dim == 4:
            scores["score"] = scores["score"] * math.nan
        return scores


@pytest.mark.parametrize(
    ("detector", "reason"),
    [
        slow(fragile(RuntimeError("burst\nsecond line")), "RuntimeError: burst"),
        (fragile(ValueError("no such value")), "ValueError: no such value"),
        slow(fragile(ZeroDivisionError("by zero")), "ZeroDivisionError: by zero"),
        slow(fragile(TypeError("not a tensor")), "TypeError: not a tensor"),
        slow(fragile(KeyError("loss")), "KeyError: 'loss'"),
        slow(fragile(IndexError("out of range")), "IndexError: out of range"),
        slow(Picky, "UserError: latent_dim must be other than 4, got 4"),
        (Narrow, "UserError: latent_dim must be other than 4, got 4"),
        (Blind, "2 of 2 replicas failed, first digits/0 with seed 0: 13 of 13 normal scores"),
    ],
    ids=lambda case: case.__name__ if isinstance(case, type) else "",
)
def test_a_configuration_that_fails_counts_and_the_others_complete(
    tiny, open_study, tmp_path, detector, reason
):
    baseline = replace(tiny_baseline(tiny), detector=detector)
    search = listed(tiny, SIZES, baselines=(baseline,))
    session = open_study(search, tmp_path)
    outcome = session.run()
    assert (outcome.failed, outcome.exit_code, outcome.interrupted) == (1, 1, False)
    records = session.folder.read_trials()
    assert [record.state for record in records] == ["complete", "failed", "complete"]
    failed = records[1]
    assert failed.reason.startswith(reason.partition(":")[0])
    assert reason.split(":")[-1][:20] in failed.reason
    assert "\n" not in failed.reason
    assert failed.objective is None
    assert failed.params["latent_dim"] == 4
    assert set(failed.params) == {field.name for field in fields(detector.Config)}
    assert [replica.state for replica in failed.replicas] == ["failed", "failed"]
    assert len(session.folder.read_evaluation()) == 2
    again = open_study(search, tmp_path, budget="auto", resume=True).run()
    assert (again.failed, again.exit_code) == (1, 1)
    assert len(session.folder.read_trials()) == 3


class HalfBlind(PGN):
    """Only what was trained on zeros cannot score."""

    def score_variants(self, images, noise, score_space):
        scores = super().score_variants(images, noise, score_space)
        weak = self.config.latent_dim == 4 and bool(self.mean.weight.sum() > 0)
        return {**scores, "score": scores["score"] * math.nan} if weak else scores


def test_a_trial_in_which_one_replica_fails_is_a_failed_trial(tiny, open_study, tmp_path):
    baseline = replace(tiny_baseline(tiny), detector=HalfBlind)
    search = listed(tiny, [{"latent_dim": 4}], baselines=(baseline,))
    session = open_study(search, tmp_path, changes={"classes": range(10), "evaluation_seeds": 1})
    outcome = session.run()
    (record,) = session.folder.read_trials()
    states = [replica.state for replica in record.replicas]
    assert set(states) == {"complete", "failed"}
    assert (record.state, record.objective) == ("failed", None)
    assert record.metrics[VALIDATION_AUROC].count(None) == states.count("failed")
    assert record.reason.startswith(f"{states.count('failed')} of 10 replicas failed")
    assert outcome.exit_code == 1
    assert session.folder.read_evaluation() == []


@pytest.mark.slow
def test_a_search_over_detectors_of_different_parameters(tiny, open_study, tmp_path):
    other = Baseline(
        AE,
        space={
            "latent_dim": CategoricalDistribution([16, 32]),
            "weight_decay": FloatDistribution(1e-7, 1e-2, log=True),
        },
        settings={"batch_size": 30},
        name="plain",
    )
    search = replace(tiny, baselines=(tiny_baseline(tiny), other))
    session = open_study(search, tmp_path, changes={"trials": 8})
    assert session.run().exit_code == 0
    records = session.folder.read_trials()
    assert [record.baseline for record in records[:2]] == ["PGN", "plain"]
    assert {record.detector for record in records} == {"PGN", "AE"}
    for record in records:
        assert ("dropout" in record.params) == (record.detector == "PGN")
        searched = ["dropout", "latent_dim"] if record.detector == "PGN" else None
        assert record.searched == (searched or ["latent_dim", "weight_decay"])
        assert bool(record.variants) == (record.detector == "PGN")
    described = session.folder.read_study()["study"]["baselines"]
    assert {name: declared["detector"] for name, declared in described.items()} == {
        "PGN": "PGN",
        "plain": "AE",
    }


@pytest.mark.parametrize(
    ("plan", "configurations"),
    [
        (Listed(SIZES), [(8, 0.5), (4, 0.5), (16, 0.5)]),
        (Listed([{"dropout": 0.2, "latent_dim": 16}]), [(16, 0.2)]),
        slow(Grid(points=2), [(size, rate) for size in (4, 8, 16) for rate in (0.1, 0.7)]),
        (OneAtATime(points=2), [(8, 0.5), (4, 0.5), (16, 0.5), (8, 0.1), (8, 0.7)]),
    ],
)
def test_plans_that_know_their_configurations(tiny, open_study, tmp_path, plan, configurations):
    session = open_study(replace(tiny, plan=plan), tmp_path, changes={"trials": 100, "epochs": 1})
    assert session.run().exit_code == 0
    records = session.folder.read_trials()
    tried = [(record.params["latent_dim"], record.params["dropout"]) for record in records]
    assert sorted(tried) == sorted(configurations)
    if not isinstance(plan, Grid):
        assert tried == configurations
    assert len(session.folder.read_evaluation()) == 2


@pytest.mark.slow
def test_a_space_that_is_used_up_ends_the_search(tiny, open_study, tmp_path):
    baseline = replace(
        tiny_baseline(tiny), space={"latent_dim": CategoricalDistribution([4, 8, 16])}
    )
    session = open_study(
        replace(tiny, baselines=(baseline,)), tmp_path, changes={"trials": 50, "epochs": 1}
    )
    messages = []
    assert (session.study.trials, session.asked_trials) == (3, 50)
    outcome = replace(session, say=messages.append).run()
    assert outcome.exit_code == 0
    assert sorted(record.params["latent_dim"] for record in session.folder.read_trials()) == [
        4,
        8,
        16,
    ]
    assert messages == ["tiny: computing the thresholds of 4 models ..."]
    assert session.folder.read_study()["study"]["budget"]["trials"] == 3
    assert "3 of 3 trials complete" in write_report(session.folder.path).summary
    assert len(session.folder.read_evaluation()) == 2


def test_the_papers_protocol(begin, suites):
    session = begin(budget="paper", changes={"seeds": 2})
    outcome = session.run()
    assert outcome.exit_code == 0
    (record,) = session.folder.read_trials()
    assert (record.state, record.objective) == ("complete", None)
    assert [replica.seed for replica in record.replicas] == [0, 0, 1, 1]
    assert len(record.metrics[TEST_AUROC]) == 4
    assert not [metric for metric in record.metrics if metric.part == "validation"]
    assert record.reports == [(1, None), (2, None), (3, None)]
    curves = by_name(session.folder.read_details(record.identity)["curves"]["replicas"])
    assert curves["test_auroc"][:2] == [[], []], "the test set is met at the last epoch only"
    assert session.folder.read_evaluation() == []
    assert len(suites) == 1


def test_the_papers_protocol_trains_on_the_whole_class(begin):
    session = begin(budget="paper", changes={"train_images": 10_000})
    suite, digits = session.suite, data.load("digits")
    for k in range(2):
        split = suite.splits[f"digits/{k}"]
        assert len(split.train) == int((digits.train_labels == k).sum())
        assert len(split.validation.normal) == len(split.validation.outsiders) == 0


def test_no_trial_starts_when_the_time_is_over(begin, finished, same):
    session = begin(time_budget=1e-9)
    outcome = session.run()
    assert (outcome.out_of_time, outcome.interrupted, outcome.exit_code) == (True, False, 0)
    assert session.folder.read_trials() == []
    assert begin(budget="auto", resume=True).run().out_of_time is False
    same(session.folder, finished.folder)


@pytest.mark.slow
def test_a_trial_that_has_started_is_finished_after_the_time_is_over(begin, monkeypatch):
    session = begin(time_budget=1000)
    now = iter([0.0, 0.0, 1.0, 60_001.0])
    monkeypatch.setattr("tune_ad.app.session.time.monotonic", lambda: next(now, 70_000.0))
    outcome = session.run()
    assert outcome.out_of_time
    assert 1 <= len(session.folder.read_trials()) < 4
    assert all(record.state == "complete" for record in session.folder.read_trials())
    assert len(session.folder.read_evaluation()) == 2


@pytest.mark.slow
def test_the_evaluation_can_be_left_out_and_made_up_for(begin, finished, same):
    session = begin(evaluate=False)
    assert session.run().exit_code == 0
    assert session.folder.read_evaluation() == []
    begin(budget="auto", resume=True).run()
    same(session.folder, finished.folder)


def test_a_study_that_another_process_writes_is_left_alone(begin):
    session = begin()
    with session.folder.locked(), pytest.raises(UserError, match="another process"):
        session.run()
    assert not session.folder.exists()


@pytest.mark.slow
def test_the_seed_of_a_study_decides_its_numbers(tiny, open_study, tmp_path, finished, timeless):
    def run(seed, name):
        session = open_study(
            tiny, tmp_path / name, seed=seed, changes={"trials": 2, "evaluation_seeds": 0}
        )
        session.run()
        return session.folder.read_trials()

    same, other = run(0, "same"), run(1, "other")
    expected = [record.params for record in finished.folder.read_trials()[:2]]
    assert [record.params for record in same] == expected
    assert same[1].params != other[1].params
    assert same[0].params == other[0].params
    assert same[0].metrics != other[0].metrics


def test_the_progress_line_shows_the_best_and_counts_how_trials_ended(record):
    line = ProgressBar("study", 6, lambda spec: 10, [record(0, -0.5)], RULES["likelihood"])
    for number, objective in enumerate((-0.25, 0.0, -0.125), 1):
        line.ended(TrialSpec(number, "PGN", {}), record(number, objective), {})
    line.ended(TrialSpec(4, "PGN", {}), record(4, 0.9, state="pruned"), {})
    line.ended(TrialSpec(5, "PGN", {}), record(5, None, state="failed"), {})
    line.close()
    assert line.best.objective == 0.0
    assert line.counts == {"complete": 4, "pruned": 1, "failed": 1}


class Template(Detector[Config]):
    """Not trained: the distance from the mean training image."""

    Config = Config

    def finish(self, batches, seed):
        self.template = torch.cat(list(batches)).mean(0)
        return {}

    def score_variants(self, images, noise, score_space):
        return {"score": (images - self.template).square().sum((1, 2, 3))}


def template_aurocs(suite):
    """What `Template` must reach on held-out images, task by task, under scaling "unit"."""
    aurocs = []
    for split in suite.splits.values():
        images = torch.tensor(suite.images).double() / 255
        template = images[split.train].mean(0)
        far = (images - template).square().sum((1, 2, 3))
        aurocs.append(auroc(*(far[positions] for positions in split.validation.values())))
    return pytest.approx(aurocs)


def test_a_detector_that_is_fitted_is_searched_as_any_other(tiny, open_study, tmp_path, capsys):
    baseline = Baseline(
        Template, space={"scaling": CategoricalDistribution(["unit", "minmax", "gcn"])}
    )
    search = replace(tiny, baselines=(baseline,))
    session = open_study(search, tmp_path, changes={"trials": 3}, progress=True)
    shown = plan(session)
    assert "budget quick: 0 epochs" in shown
    models = "3 trials x 2 classes = 6 models, then 2 fresh seeds x 2 classes = 4 models"
    assert f"* quick: {models}; about" in shown
    assert opening(session).splitlines() == [
        f"tiny: {models}",
        f"too small: {session.shortfalls[0]}",
        "budget quick, one trial at a time",
        "Trials are ranked by validation AUROC (held-out training images). Test scores are "
        "recorded, but never used to select.",
        "each model: 0 epochs, 60 training images per model",
        f"watch: tensorboard --logdir {session.folder.tensorboard}",
    ]
    assert session.run().exit_code == 0
    assert "100%" in capsys.readouterr().err
    records, again = session.folder.read_trials(), session.folder.read_evaluation()
    assert [record.params for record in records[:1]] == [{"scaling": "unit"}]
    for record in (*records, *again):
        assert record.state == "complete"
        assert record.reports == [(0, record.objective)]
        assert {replica.epoch for replica in record.replicas} == {0}
        assert record.models == {"parameters": 0}
        assert not [metric for metric in record.metrics if metric.term == "loss"]
    assert records[0].metrics[VALIDATION_AUROC] == template_aurocs(session.suite)
    assert all(record.objective > 0.8 for record in records)
    assert {record.identity for record in again} == {ranked(records, "validation")[0].identity}
    run = session.folder.tensorboard / "000 scaling=unit"
    events = EventAccumulator(str(run)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("objective")] == [
        (0, pytest.approx(records[0].objective))
    ]
    assert "Test AUROC of Template" in write_report(session.folder.path).summary


def test_a_detector_that_is_fitted_has_no_loss_to_select_by(tiny, open_study, tmp_path):
    search = replace(tiny, baselines=(Baseline(Template),))
    with pytest.raises(
        UserError,
        match="normal_only .* which Template does not have; use another rule: oracle, pseudo",
    ):
        open_study(search, tmp_path, selection="normal_only")


def test_a_fit_without_contrast_fails_its_trial_alone(tiny, open_study, tmp_path):
    class Picky(Template):
        def finish(self, batches, seed):
            if self.config.scaling == "minmax":
                raise DegenerateInputError("nothing to fit")
            return super().finish(batches, seed)

    baseline = Baseline(
        Picky, space={"scaling": CategoricalDistribution(["unit", "minmax", "gcn"])}
    )
    session = open_study(replace(tiny, baselines=(baseline,), plan=Grid()), tmp_path)
    outcome = session.run()
    assert (outcome.failed, outcome.exit_code) == (1, 1)
    states = {record.params["scaling"]: record for record in session.folder.read_trials()}
    assert [states[name].state for name in ("unit", "minmax", "gcn")] == [
        "complete",
        "failed",
        "complete",
    ]
    failed = states["minmax"]
    assert failed.reason == ("2 of 2 replicas failed, first digits/0 with seed 0: nothing to fit")
    assert {(replica.state, replica.epoch) for replica in failed.replicas} == {("failed", 0)}


@pytest.mark.slow
def test_a_search_over_two_stages_counts_the_epochs_of_both(tiny, open_study, tmp_path):
    baseline = Baseline(
        DeepSVDD,
        space={"pretraining": CategoricalDistribution([0.0, 1.0])},
        settings={"pretraining": 1.0, "latent_dim": 16, "batch_size": 30},
    )
    search = replace(tiny, baselines=(baseline,), plan=Grid())
    session = open_study(search, tmp_path, changes={"evaluation_seeds": 1}, progress=True)
    callbacks = session.trial_loop(session.scheduler(), 2).callbacks
    (line,) = [callback for callback in callbacks if isinstance(callback, ProgressBar)]
    assert line.bar.total == 2
    stages = [TrialSpec(0, "DeepSVDD", {"pretraining": times}) for times in (0.0, 1.0)]
    assert [line.epochs(spec) for spec in stages] == [3, 6]
    assert session.run().exit_code == 0
    plain, pretrained = session.folder.read_trials()
    assert [epoch for epoch, _ in plain.reports] == [1, 2, 3]
    assert [epoch for epoch, _ in pretrained.reports] == [2, 4, 6]
    assert [value is None for _, value in pretrained.reports] == [True, False, False]
    assert plain.models == pretrained.models
    (again,) = session.folder.read_evaluation()
    assert None not in again.metrics[TEST_AUROC]


@pytest.fixture
def whole(tiny, tiny_budget):
    """A grid of code sizes on the digits as a whole."""
    baseline = replace(tiny_baseline(tiny), space={"latent_dim": CategoricalDistribution([4, 8])})
    budgets = dict.fromkeys(tiny.budgets, replace(tiny_budget, classes=None))
    return replace(tiny, whole=True, plan=Grid(), baselines=(baseline,), budgets=budgets)


def test_a_whole_data_set_is_scored_and_has_no_auroc(whole, open_study, tmp_path):
    session = replace(open_study(whole, tmp_path), say=(messages := []).append)
    assert "tasks: digits; 1 seed per task and trial" in plan(session).splitlines()
    assert (
        "No trial is selected, because the task has no anomalies. Each trial is tested"
    ) in opening(session)
    assert Pricing(session).costs()["quick"].size.models == 2
    messages.clear()
    assert session.run().exit_code == 0
    (message,) = messages
    assert message.startswith("the winner is not trained again, because no trial can be selected")
    records = session.folder.read_trials()
    assert sorted(record.params["latent_dim"] for record in records) == [4, 8]
    for record in records:
        assert (record.state, record.objective) == ("complete", None)
        assert [(replica.task, replica.seed) for replica in record.replicas] == [("digits", 0)]
        names = set(short(record.metrics))
        assert {"train_loss", "validation_loss", "validation_score"} <= names
        assert {"test_score", "test_kl"} <= names
        anomalous = [m for m in record.metrics if m.term in ("auroc", "ap") and m.part != PSEUDO]
        assert anomalous == []
        assert all(math.isfinite(value) for (value,) in record.metrics.values())
        histograms = session.folder.read_details(record.identity)["histograms"]
        assert histograms[0]["task"] == "digits"
        assert all(histogram["counts"]["outsiders"] == {} for histogram in histograms)
    assert session.folder.read_evaluation() == []
    assert open_study(whole, tmp_path, budget="auto", resume=True).run().exit_code == 0


@pytest.mark.parametrize("selection", ["validation", "normal_only"])
def test_the_report_of_a_whole_data_set_says_that_there_is_no_auroc(
    whole, open_study, tmp_path, selection
):
    session = open_study(whole, tmp_path, selection=selection)
    assert session.run().exit_code == 0
    assert len(session.folder.read_evaluation()) == (2 if selection == "normal_only" else 0)
    written = write_report(session.folder.path)
    assert "all images of digits are normal in this study" in written.summary.splitlines()[1]
    assert "replicas.csv" in written.summary
    text = written.path.read_text()
    assert "Test AUROC" not in text
    assert ("There are no anomalies, so trials are not ranked." in text) == (
        selection == "validation"
    )
    header = (
        (session.folder.path / "tables" / "replicas.csv").read_text().splitlines()[0].split(",")
    )
    assert {"task", "seed", "validation_score", "validation_kl"} <= set(header)
    assert "test_score" in header


def test_the_budgets_are_priced(begin):
    costs = Pricing(begin()).costs()
    assert set(costs) == {"quick", "standard", "paper"}
    assert (costs["quick"].size.trials, costs["quick"].size.models) == (4, 4 * 2 + 2 * 2)
    assert all(cost.seconds > 0 for cost in costs.values())


@pytest.fixture
def against(tiny, tiny_budget):
    """A likelihood VAE on the digits, against two controls; it is trained until a plateau."""
    baseline = Baseline(
        LikelihoodVAE,
        settings={
            "latent_dim": 4,
            "batch_size": 30,
            "likelihood": "discretised_logistic",
            "importance_samples": 2,
        },
        space={"width": CategoricalDistribution([0.25, 0.5, 1.0, 8.0])},
    )
    budget = replace(tiny_budget, classes=None, trials=2, only={"width": (0.25, 0.5)})
    return replace(
        tiny,
        baselines=(baseline,),
        plan=Grid(),
        selection="likelihood",
        outsiders={"digits": ("noise", "constant")},
        patience=2,
        claim=Claim("capacity", factor="width", strata=("likelihood",)),
        budgets=dict.fromkeys(tiny.budgets, budget),
    )


@pytest.mark.slow
def test_a_data_set_against_others(against, open_study, tmp_path):
    session = open_study(against, tmp_path)
    shown = plan(session)
    assert "noise: 1000 noise images, generated with seed 0" in shown.splitlines()
    assert "tasks: digits-vs-noise+constant; 1 seed per task and trial" in shown.splitlines()
    assert "early stopping: a model stops when" in shown
    assert "has not decreased for 2 evaluations" in shown
    assert session.run().exit_code == 0
    stored = session.folder.read_study()
    assert set(stored["data"]) == {"digits", "noise", "constant"}
    assert "generated with seed 0" in stored["data"]["constant"]["about"]
    assert stored["study"]["claim"]["factor"] == "width"
    assert stored["study"]["outsiders"] == ["noise", "constant"]
    records = session.folder.read_trials()
    assert sorted(record.params["width"] for record in records) == [0.25, 0.5]
    for record in records:
        metrics = short(record.metrics)
        assert metrics["test_auroc"] == metrics["test_auroc/noise"]
        assert "test_auroc/constant" in metrics
        assert "validation_auroc" not in metrics
        assert {
            Metric("early_stopping", "best_epoch"),
            Metric("early_stopping", "stopped"),
        } <= set(record.metrics)
        assert "gap_negative_elbo_bits_per_dim" in metrics
        bits = metrics["validation_negative_iwae_bits_per_dim"]
        assert record.objective == pytest.approx(-bits[0])
        assert {"png_bits", "pixel_mean", "negative_iwae"} <= set(short(record.variants))
        assert record.scales["likelihood"]
        assert record.models["flops"] > 0
        histograms = session.folder.read_details(record.identity)["histograms"]
        assert [(row["task"], row["component"], row["outsider"]) for row in histograms] == [
            ("digits-vs-noise+constant", "", "noise"),
            ("digits-vs-noise+constant", "", "constant"),
        ]
        tags = tags_of(session.folder.tensorboard, record.number)
        assert "test/digits-vs-noise+constant (anomalies: constant)" in tags
    best = max(records, key=lambda record: record.objective)
    assert {record.identity for record in session.folder.read_evaluation()} == {best.identity}
    assert open_study(against, tmp_path, budget="auto", resume=True).run().exit_code == 0


def tags_of(folder, number):
    """The texts and curves of precision and recall of the run of a trial."""
    (run,) = [path for path in folder.glob(f"{number:03d} *") if path.is_dir()]
    events = EventAccumulator(str(run))
    events.Reload()
    return events.Tags()["tensors"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"selection": "validation"}, ["validation", "no anomaly", "likelihood"]),
        ({"changes": {"classes": ("1",)}}, ["--classes", "whole data set"]),
    ],
)
def test_what_makes_no_sense_against_other_sets_is_refused(
    against, open_study, tmp_path, options, words
):
    with pytest.raises(UserError) as refusal:
        open_study(against, tmp_path, **options)
    assert all(word in str(refusal.value) for word in words)


def test_an_unknown_outsider_is_refused(against, open_study, tmp_path):
    strange = replace(against, outsiders={"digits": ("noise", "svnh")})
    with pytest.raises(UserError, match="'svnh'"):
        open_study(strange, tmp_path)


def test_likelihoods_of_different_kinds_are_not_compared(against, open_study, tmp_path):
    baseline = against.baselines[0]
    space = {"likelihood": CategoricalDistribution(["discretised_logistic", "gaussian"])}
    two = (
        baseline,
        replace(baseline, name="other", settings={**baseline.settings, "likelihood": "gaussian"}),
    )
    searched = (
        "compares the likelihood of trials, .* between values of likelihood of LikelihoodVAE"
    )
    differing = "compares the likelihood of trials, .* measure differently .*other: .*gaussian"
    for baselines, words in (((replace(baseline, space=space),), searched), (two, differing)):
        mixed = replace(against, baselines=baselines)
        with pytest.raises(UserError, match=words):
            open_study(mixed, tmp_path)
        budget = replace(against.budgets["quick"], evaluation_seeds=0)
        quoted = replace(mixed, budgets=dict.fromkeys(against.budgets, budget))
        open_study(quoted, tmp_path)  # nothing is chosen between them


def test_a_detector_without_a_likelihood_cannot_be_selected_by_it(begin):
    with pytest.raises(UserError, match="compares the likelihood of trials, which PGN does"):
        begin(selection="likelihood")


def test_an_ablation_against_other_sets_keeps_its_rule(against, open_study, tmp_path):
    session = open_study(against, tmp_path, ablate="one")
    assert (session.study.selection, session.study.chooses) == ("likelihood", False)


def test_what_a_study_is_too_small_for_is_stored(finished):
    stored = finished.session.folder.read_study()["shortfalls"]
    assert stored == finished.session.shortfalls
    assert [sentence.partition(":")[0] for sentence in stored] == [
        "20 labelled anomalies to select by",
        "only 6 optimiser steps per model",
        "one seed per trial",
        "2 fresh seeds for the winner",
    ]
