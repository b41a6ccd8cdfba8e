"""Bad input is refused in one line before anything is written; good input is understood."""

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution

from analysis.report.study_report import write_report
from tests.marks import slow
from tests.naming import short
from tune_ad.app.command_line.console import opening
from tune_ad.app.command_line.options import Options
from tune_ad.app.description import described, write_description
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.app.preparation import request, resources, validation
from tune_ad.app.preparation.resuming import check_folder, continued_budget
from tune_ad.app.preparation.validation import prepare
from tune_ad.data import NoSourceError, resolution
from tune_ad.detectors.gpnd import GPND
from tune_ad.errors import UserError
from tune_ad.execution import gpu_probe
from tune_ad.execution.machine import this_machine
from tune_ad.search.baseline import Baseline
from tune_ad.search.plans import Grid, Listed
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import metrics_from_json, variants_from_json


def silent(line):
    """Says nothing."""


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """A machine without a GPU."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


class Place:
    """A results folder and a data root that are watched."""

    def __init__(self, folder):
        self.results, self.root = folder / "results", folder / "images"
        self.root.mkdir()

    def contents(self):
        paths = [*self.results.rglob("*"), *self.root.rglob("*")]
        return {path: path.stat().st_mtime_ns for path in paths} | {
            "results": self.results.exists()
        }

    def ready(self, name="quickstart", **options):
        defaults = {"results": self.results, "data_root": str(self.root), "backend": "serial"}
        return prepare(Options(name, **{**defaults, **options}), silent)

    def refused(self, name="quickstart", **options):
        """The one line with which the options are refused; nothing may have been written."""
        before = self.contents()
        with pytest.raises(UserError) as refusal:
            self.ready(name, **options)
        assert self.contents() == before
        assert "\n" not in str(refusal.value)
        return str(refusal.value)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def in_budget(**changes):
    return {"changes": changes}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": "huge"}, ["'huge'", "quick", "standard", "paper"]),
        (in_budget(classes=("12",)), ["'12'", "0 (0)", "9 (9)"]),
        (in_budget(classes=("cat",)), ["'cat'", "9 (9)"]),
        (in_budget(classes=("-1",)), ["'-1'"]),
        (in_budget(classes=("1", "1")), ["1, 1", "twice"]),
        (in_budget(classes=()), ["class"]),
        (in_budget(trials=0), ["--trials", "0", "at least 1"]),
        (in_budget(trials=10**20), ["--trials must be at most 1000000, got 1000000000000000000"]),
        (in_budget(seeds=999_999_999), ["--seeds must be at most 1000, got 999999999"]),
        (in_budget(evaluation_seeds=10**12), ["--evaluation-seeds must be at most 1000"]),
        (in_budget(train_images=10**12), ["--train-images must be at most 1000000000"]),
        ({"seed": -1}, ["--seed must be at least 0, got -1"]),
        ({"seed": 10**20}, ["--seed must be at most 4294967295"]),
        (
            {"time_budget": float("inf")},
            ["--time-budget must be at most 1000000 minutes, got inf"],
        ),
        (in_budget(trials=-4), ["--trials", "-4"]),
        (in_budget(epochs=0), ["--epochs", "0", "at least 1"]),
        (in_budget(seeds=0), ["--seeds", "0", "at least 1"]),
        (in_budget(seeds=-1), ["--seeds", "-1"]),
        (in_budget(evaluation_seeds=-1), ["--evaluation-seeds", "-1", "at least 0"]),
        (in_budget(train_images=0), ["--train-images", "0", "at least 1"]),
        ({"extend": -1}, ["extend", "-1", "at least"]),
        ({"concurrent": 0}, ["concurrent", "0", "at least 1"]),
        ({"concurrent": -2}, ["concurrent", "-2"]),
        ({"cpus": 0}, ["cpus-per-trial", "0", "at least 1"]),
        ({"cpus": -1}, ["cpus-per-trial", "-1"]),
        ({"cpus": 100_000}, ["cpus-per-trial", "100000", "smaller number"]),
        ({"gpus": -0.5}, ["gpus-per-trial", "-0.5", "at least 0"]),
        (
            {"gpus": 1.0},
            ["gpus-per-trial 1", "there is no GPU", "leave the option out", "--address"],
        ),
        ({"device": "cuda"}, ["--device", "cuda", "cpu"]),
        ({"time_budget": 0.0}, ["time-budget", "0", "minute"]),
        ({"time_budget": -5.0}, ["time-budget", "-5"]),
        ({"selection": "best"}, ["'best'", "validation", "oracle", "normal_only"]),
        ({"settings": {"drop_out": 0.5}}, ["'drop_out'", "dropout"]),
        ({"settings": {"dropout": 1.5}}, ["dropout", "1.5", "[0, 1)"]),
        ({"settings": {"dropout": "high"}}, ["dropout", "'high'", "number"]),
        ({"settings": {"latent_dim": 8.5}}, ["latent_dim", "8.5", "int"]),
        ({"settings": {"latent_dim": 0}}, ["latent_dim", "0", "[1, 100000]"]),
        ({"settings": {"mc_samples": "many"}}, ["mc_samples", "'many'", "'inf'"]),
        ({"settings": {"milestones": (0.5, 2.0)}}, ["milestones", "2.0"]),
        ({"settings": {"width": 0.01}}, ["width", "0.01", "at least"]),
        ({"settings": {"scaling": "log"}}, ["scaling", "'log'", "unit"]),
        ({"budget": "paper", **in_budget(trials=5)}, ["paper", "5 trials", "--trials 1"]),
    ],
    ids=lambda case: str(case) if isinstance(case, dict) else "",
)
def test_bad_options_are_refused(place, options, words):
    message = place.refused(**options)
    for word in words:
        assert word in message


def test_an_unknown_search_is_refused(place):
    message = place.refused("quickstrat")
    assert "'quickstrat'" in message
    assert "quickstart" in message


def test_a_data_root_that_does_not_exist_is_refused(place):
    message = place.refused(data_root=str(place.root / "nowhere"))
    assert "nowhere" in message
    assert "--data-root" in message


def test_a_data_root_that_is_a_file_is_refused(place):
    (place.root / "file").write_text("")
    assert "file" in place.refused(data_root=str(place.root / "file"))


@pytest.mark.parametrize("results", ["/proc/nowhere", "dangling"])
def test_a_results_folder_that_cannot_be_created_is_refused(place, tmp_path, results):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "else")
    message = place.refused(results=tmp_path / results)
    assert "is not a writable folder; use another --results" in message


def test_a_results_folder_that_is_a_file_is_refused(place):
    place.results.write_text("")
    message = place.refused()
    assert str(place.results) in message
    assert "--results" in message


def arrays(**changes):
    images, labels = np.zeros((20, 32, 32, 3), np.uint8), np.arange(20) % 10
    plain = {
        "train_images": images,
        "train_labels": labels,
        "test_images": images,
        "test_labels": labels,
    }
    return {name: array for name, array in {**plain, **changes}.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_labels": None}, ["test_labels missing"]),
        ({"train_images": None}, ["train_images missing"]),
        ({"train_images": np.zeros((20, 32, 32, 3), int)}, ["train_images", "int64", "uint8"]),
        ({"test_images": np.zeros((20, 3, 32, 32), np.uint8)}, ["test_images", "(20, 3, 32, 32)"]),
        ({"test_images": np.zeros((20, 28, 28), np.uint8)}, ["(32, 32, 3)", "(28, 28)"]),
        ({"train_labels": np.arange(19)}, ["20 images", "19 labels"]),
        ({"train_labels": np.full(20, 0.5)}, ["train_labels", "float64", "integers"]),
        ({"train_labels": np.arange(20)}, ["train_labels", "19"]),
        ({"test_images": np.zeros((0, 32, 32, 3), np.uint8), "test_labels": np.arange(0)}, ["no"]),
        ({"train_images": None, "train_labels": None}, ["no training images"]),
    ],
    ids=lambda case: "+".join(case) if isinstance(case, dict) else "",
)
def test_a_bad_file_of_images_is_refused(place, changes, words):
    np.savez(place.root / "cifar10.npz", **arrays(**changes))
    message = place.refused("pgn_cifar")
    assert "cifar10" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_npz_is_refused(place, content):
    (place.root / "cifar10.npz").write_bytes(content)
    assert "cifar10.npz" in place.refused("pgn_cifar")


def test_a_class_with_too_few_images_is_refused(place):
    np.savez(place.root / "cifar10.npz", **arrays())
    message = place.refused("pgn_cifar", budget="quick")
    assert message.endswith(
        "add images, choose other classes with --classes, or hold out none with --budget paper"
    )


def test_images_too_small_for_the_networks_are_refused(place):
    small = np.zeros((200, 4, 4, 3), np.uint8)
    labels = np.arange(200) % 10
    np.savez(
        place.root / "cifar10.npz",
        **arrays(
            **dict.fromkeys(("train_images", "test_images"), small),
            train_labels=labels,
            test_labels=labels,
        ),
    )
    assert "4x4" in place.refused("pgn_cifar", budget="quick")


PGN_SPACE = ("latent_dim", "dropout", "mc_samples", "width", "learning_rate")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("pgn_mnist", {"settings": {"drop_out": 0.5}}, "drop_out"),
        ("pgn_mnist", {"settings": {"dropout": "high"}}, "dropout must be a number"),
        ("pgn_mnist", {"settings": {"dropout": "1.5"}}, "got 1.5"),
        ("pgn_mnist", {"selection": "best"}, "--selection"),
        ("pgn_mnist", {"concurrent": 0}, "--concurrent"),
        ("pgn_mnist", in_budget(classes=("12",)), "no class '12'"),
        ("pgn_mnist", in_budget(train_images=0), "--train-images"),
        ("pgn_mnist", {"resume": True}, "no study"),
        ("table1_mnist", {"ablate": "one"}, "there is nothing to ablate"),
        (
            "pgn_mnist",
            {"ablate": "grid", "settings": dict.fromkeys(PGN_SPACE, "1")},
            "mc_samples|dropout",
        ),
        ("likelihood_fmnist_mnist", {"selection": "validation"}, "no anomaly for validation"),
        ("capacity_fmnist_mnist", {"selection": "validation"}, "selects none, so --selection"),
        ("rd_mnist", in_budget(classes=("1",)), "in which the whole data set is normal"),
        ("shallow_mnist", in_budget(epochs=3), "have no training epochs; leave --epochs out"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_before_images_are_fetched(place, monkeypatch, name, options, words):
    def fetch(*arguments):
        raise AssertionError("fetched")

    monkeypatch.setattr(resolution, "load", fetch)
    monkeypatch.setattr(validation, "Study", fetch)  # needs the shape of the images
    assert re.search(words, place.refused(name, **options))


def test_a_space_that_does_not_suit_the_detector_is_refused_before_images_are_loaded(
    tiny, open_study, tmp_path, monkeypatch
):
    def load(*arguments):
        raise AssertionError("loaded")

    monkeypatch.setattr(resolution, "load", load)
    space = {"latent_dim": CategoricalDistribution([4, 16])}
    search = replace(tiny, baselines=(replace(tiny.baselines[0], space=space),))
    with pytest.raises(UserError, match="the default latent_dim=8 of PGN lies outside its search"):
        open_study(search, tmp_path)


def test_a_budget_that_affords_one_value_leaves_nothing_to_ablate(tiny, open_study, tmp_path):
    affordable = {"latent_dim": (8,), "dropout": (0.5,), "last_batch": ("filled",)}
    for only, varied in ((affordable, False), ({**affordable, "dropout": (0.5, 0.6)}, True)):
        budget = replace(tiny.budgets["quick"], only=only)
        search = replace(tiny, budgets=dict.fromkeys(tiny.budgets, budget))
        if varied:
            assert open_study(search, tmp_path, ablate="one").study.budget.trials == 2
            continue
        with pytest.raises(UserError, match="searches no parameter of PGN"):
            open_study(search, tmp_path, ablate="one")


def test_there_must_be_a_study_to_go_on_with(place):
    for going_on in ({"resume": True}, {"extend": 3}):
        message = place.refused(**going_on)
        assert f"{place.results / 'quickstart'} contains no study to continue" in message
        assert f"leave out --{next(iter(going_on))}" in message


@pytest.fixture
def refused(open_study, tiny, results, finished):
    """A function: the line that refuses to go on with the finished tiny study."""

    def refuse(search=tiny, **options):
        before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
        with pytest.raises(UserError) as refusal:
            open_study(search, results, **{"budget": "auto", **options})
        assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    return refuse


def test_a_name_too_long_for_a_file_system_is_refused():
    options = Options(search="quickstart", results=Path("a" * 300))
    with pytest.raises(UserError, match="^aaaaaaaaaaaaaaaaaaaa... has more than 255 bytes"):
        check_folder(options, dry_run=True)


@pytest.mark.parametrize("name", ["suggested", "trials", "evaluation"])
def test_records_without_a_study_are_never_taken_over(open_study, tiny, tmp_path, name):
    folder = open_study(tiny, tmp_path).folder
    file = getattr(folder, name).path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}\n")
    with pytest.raises(UserError, match=f"contains {file.name} but no study.json"):
        open_study(tiny, tmp_path)
    assert not folder.study.exists()


def test_an_unfinished_study_is_not_overwritten(open_study, tiny, tmp_path, finished):
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    folder = StudyFolder(tmp_path / "tiny")

    def refusal():
        with pytest.raises(UserError) as refused:
            open_study(tiny, tmp_path, budget="auto")
        assert str(refused.value).startswith(f"{folder.path} already contains an unfinished study")
        return str(refused.value)

    lines = folder.evaluation.path.read_text().splitlines(keepends=True)
    folder.evaluation.path.write_text(lines[0])
    assert "(quick, 4 of 4 trials done); continue it with --resume, or use" in refusal()
    open_study(tiny, tmp_path, budget="auto", evaluate=False)  # complete without the winner
    lines = folder.trials.path.read_text().splitlines(keepends=True)
    folder.trials.path.write_text("".join(lines[:3]))
    assert "(quick, 3 of 4 trials done); continue it with --resume, or use" in refusal()


def test_a_study_of_more_trials_is_an_extension(refused):
    message = refused(changes={"trials": 7})
    assert "begun with --trials 4, not with --trials 7; add trials with --extend 3" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": {"lr": "0.1"}}, "did you mean learning_rate"),
        ({"settings": {"latent_dim": "-3"}}, "--set latent_dim must be an integer"),
        ({"device": "cuda"}, "there is no GPU"),
        ({"cpus": 1000}, "--cpus-per-trial 1000"),
        ({"selection": "likelihood"}, "compares the likelihood of trials, which PGN does not"),
    ],
    ids=str,
)
def test_a_bad_value_is_refused_before_the_study_that_exists(refused, options, words):
    assert words in refused(**options)


def test_a_study_that_another_process_writes_is_not_continued(
    open_study, tiny, tmp_path, finished
):
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    with StudyFolder(tmp_path / "tiny").locked():
        for options in ({}, {"resume": True}, {"extend": 1}):
            with pytest.raises(UserError, match="is being written by another process; wait"):
                open_study(tiny, tmp_path, budget="auto", **options)
    open_study(tiny, tmp_path, budget="auto", resume=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": "standard"}, ["quick", "standard", "--results"]),
        (in_budget(epochs=9), ["with --epochs 3, not with --epochs 9", "--results"]),
        (in_budget(seeds=2), ["with --seeds 1, not with --seeds 2"]),
        (in_budget(classes=("1", "2")), ["with --classes 0,1, not with --classes 1,2"]),
        (in_budget(train_images=30), ["with --train-images 60, not with --train-images 30"]),
        (
            in_budget(evaluation_seeds=9),
            ["with --evaluation-seeds 2, not with --evaluation-seeds 9"],
        ),
        (in_budget(trials=2), ["--trials 4", "--trials 2", "--extend N"]),
        (
            {"settings": {"width": 2.0}},
            ["begun without --set width, not with --set width=2.0; leave the", "--results"],
        ),
        (
            {"settings": {"dropout": "0.3"}},
            ["begun with dropout searched, not with --set dropout=0.3; leave the", "--results"],
        ),
        (
            {"selection": "oracle"},
            ["begun with --selection validation, not with --selection oracle", "--results"],
        ),
        ({"seed": 5}, ["begun with --seed 0, not with --seed 5; leave the option", "--results"]),
    ],
    ids=lambda case: str(case) if isinstance(case, dict) else "",
)
def test_a_study_goes_on_only_as_it_was_begun(refused, options, words):
    for going_on in ({"resume": True}, {"extend": 1}, {}):
        message = refused(**going_on, **options)
        for word in words:
            assert word in message


def test_the_classes_with_which_a_study_was_begun_go_by_their_names(tiny_budget, tmp_path):
    begun = replace(tiny_budget, classes=(0, 2))
    with pytest.raises(UserError, match="with --classes cat,ship, not with --classes dog"):
        continued_budget(begun, {"classes": (1,)}, ("cat", "dog", "ship"), StudyFolder(tmp_path))


def test_a_study_whose_search_has_changed_does_not_go_on(refused, tiny):
    baseline = tiny.baselines[0]
    wider = {**baseline.space, "latent_dim": CategoricalDistribution([4, 8, 16, 32])}
    changed = [
        replace(tiny, baselines=(replace(baseline, space=wider),)),
        replace(
            tiny, baselines=(replace(baseline, settings={**baseline.settings, "width": 2.0}),)
        ),
        replace(tiny, baselines=(replace(baseline, score_space={}),)),
        replace(tiny, pruning=True),
        replace(tiny, plan=Listed([{}])),
    ]
    for search, word in zip(changed, ["baselines"] * 3 + ["pruning", "plan"], strict=True):
        message = refused(search, resume=True)
        assert word in message
        assert "--results" in message


def test_a_plan_that_does_not_fit_is_refused_before_anything_is_written(
    tiny, open_study, tmp_path
):
    for configuration in ({"width": 2.0}, {"latent_dim": 99}):
        with pytest.raises(UserError, match="99|width"):
            open_study(replace(tiny, plan=Listed([configuration])), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_search_may_have_changed_its_budgets(open_study, tiny, tiny_budget, results):
    other = dict.fromkeys(tiny.budgets, replace(tiny_budget, epochs=50))
    session = open_study(replace(tiny, budgets=other), results, budget="auto", resume=True)
    assert session.study.budget == tiny_budget


def test_the_finished_study_goes_on_as_it_was(open_study, tiny, tiny_budget, results, finished):
    session = open_study(tiny, results, budget="auto", resume=True)
    assert session.study == finished.session.study
    same = {"trials": 4, "epochs": 3, "seeds": 1, "classes": ("0", "1")}
    session = open_study(tiny, results, budget="quick", resume=True, changes=same)
    assert session.study == finished.session.study
    session = open_study(tiny, results, budget="auto", extend=3)
    assert session.study.budget == replace(tiny_budget, trials=7)


def test_a_plan_that_is_used_up_counts_its_own_trials_and_is_not_extended(
    open_study, tiny, tmp_path
):
    baseline = replace(tiny.baselines[0], space={"width": CategoricalDistribution([0.5, 1.0])})
    search = replace(tiny, plan=Grid(), baselines=(baseline,))
    session = open_study(search, tmp_path, changes={"trials": 9, "epochs": 1}, evaluate=False)
    assert session.study.budget.trials == Pricing(session).size().trials == 2
    assert session.run().exit_code == 0
    assert "2 of 2 trials complete" in write_report(session.folder.path).summary
    with pytest.raises(
        UserError, match=r"--extend 1: the search space of tiny has only 2 configurations"
    ):
        open_study(search, tmp_path, budget="auto", extend=1)


def test_an_extension_of_a_single_trial_stores_what_is_reported_then(open_study, tiny, tmp_path):
    baseline = replace(tiny.baselines[0], space={"width": CategoricalDistribution([0.5, 1.0])})
    search = replace(tiny, plan=Grid(), baselines=(baseline,))
    changes = {"trials": 1, "epochs": 1, "evaluation_seeds": 0}
    session = open_study(search, tmp_path, changes=changes)
    assert session.run().exit_code == 0
    assert session.folder.read_study()["study"]["quotes"] == "single"
    session = open_study(search, tmp_path, budget="auto", extend=1)
    assert session.run().exit_code == 0
    assert session.folder.read_study()["study"]["quotes"] == session.study.quotes == "defaults"


def test_a_study_of_published_epochs_goes_on_with_them(open_study, tiny, tiny_budget, tmp_path):
    baseline = replace(tiny.baselines[0], settings={**tiny.baselines[0].settings, "epochs": 2})
    free = dict.fromkeys(tiny.budgets, replace(tiny_budget, epochs=None, trials=1))
    search = replace(tiny, baselines=(baseline,), budgets=free)
    session = open_study(search, tmp_path, evaluate=False)
    assert session.study.epochs() == {"PGN": 2}
    assert session.run().exit_code == 0
    (record,) = session.folder.read_trials()
    assert (record.params["epochs"], record.replicas[0].epoch) == (2, 2)
    assert session.folder.read_study()["study"]["budget"]["epochs"] is None
    resumed = open_study(search, tmp_path, budget="auto", resume=True)
    assert resumed.study == session.study
    with pytest.raises(UserError, match="begun without --epochs, not with --epochs 5"):
        open_study(search, tmp_path, budget="auto", resume=True, changes={"epochs": 5})


def test_epochs_of_the_user_are_those_of_every_baseline(open_study, tiny, tiny_budget, tmp_path):
    free = dict.fromkeys(tiny.budgets, replace(tiny_budget, epochs=None))
    search = replace(tiny, budgets=free)
    assert open_study(search, tmp_path).study.epochs() == {"PGN": 100}
    changed = open_study(search, tmp_path, changes={"epochs": 5})
    assert changed.study.epochs() == {"PGN": 5}
    assert changed.study.describe()["budget"]["epochs"] == 5


def by_name(rows):
    """Values by the short name of each metric, as schema 1 had them."""
    return short(metrics_from_json(rows))


def study_of_schema_1(stored):
    """The content of `study.json` as the first studies of schema 1 had it."""
    study = {**stored["study"], "early_stopping": stored["study"]["pruning"]}
    for later in ("pruning", "chooses", "quotes", "whole"):
        del study[later]
    fields = ("name", "source", "normal_class", "outsiders")
    tasks = [{field: task[field] for field in fields} for task in stored["tasks"]]
    later = ("search", "ablation", "changes", "evaluate", "resources")
    kept = {name: value for name, value in stored.items() if name not in later}
    return {**kept, "schema": 1, "study": study, "tasks": tasks}


def trial_of_schema_1(line):
    """A line of `trials.jsonl` as schema 1 had it."""
    variants = variants_from_json(line["variants"])
    kept = {n: v for n, v in line.items() if n not in ("main_score", "scales", "warnings")}
    return kept | {
        "schema": 1,
        "metrics": by_name(line["metrics"]),
        "variants": {str(variant): short(metrics) for variant, metrics in variants.items()},
    }


def details_of_schema_1(details):
    """A file of curves and histograms as schema 1 had it."""
    curves = {**details["curves"], "replicas": by_name(details["curves"]["replicas"])}
    histograms = {
        ", ".join(filter(None, (row["task"], row["component"]))): {
            "edges": row["edges"],
            "normal": row["counts"]["normal"],
            **{name or "rest": counts for name, counts in row["counts"]["outsiders"].items()},
        }
        for row in details["histograms"]
    }
    kept = {name: value for name, value in details.items() if name != "schema"}
    return {**kept, "curves": curves, "histograms": histograms}


def write_as_schema_1(folder):
    """Rewrite every file of a study that schema 1 had otherwise."""
    folder.study.write_text(json.dumps(study_of_schema_1(json.loads(folder.study.read_text()))))
    for file in (folder.trials, folder.evaluation):
        lines = map(json.loads, file.path.read_text().splitlines())
        written = [json.dumps(trial_of_schema_1(line)) + "\n" for line in lines]
        file.path.write_text("".join(written))
    for place in (folder.trials.path.with_suffix(""), folder.evaluation.path.parent):
        for path in place.glob("*.json"):
            path.write_text(json.dumps(details_of_schema_1(json.loads(path.read_text()))))


@pytest.fixture
def of_schema_1(finished, tmp_path):
    """The finished study in a folder of this test, as schema 1 recorded it."""
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    folder = StudyFolder(tmp_path / "tiny")
    write_as_schema_1(folder)
    assert folder.trials.path.read_text().count('"schema": 1') == 4
    return folder


def test_a_study_of_an_earlier_version_goes_on(open_study, tiny, tmp_path, finished, of_schema_1):
    session = open_study(tiny, tmp_path, budget="auto", resume=True)
    assert session.study == finished.session.study
    before = of_schema_1.trials.path.read_bytes()
    assert session.run().exit_code == 0
    assert of_schema_1.trials.path.read_bytes() == before
    assert write_report(session.folder.path).path.exists()


def test_a_study_of_an_earlier_version_means_the_same(finished, of_schema_1):
    now, upgraded = finished.folder, of_schema_1
    for read in (StudyFolder.read_trials, StudyFolder.read_evaluation):
        for record, earlier in zip(read(now), read(upgraded), strict=True):
            assert earlier == replace(record, scales=earlier.scales, schema=1)
    for record in now.read_trials():
        details, earlier = (folder.read_details(record.identity) for folder in (now, upgraded))
        curves = [{**read["curves"], "replicas": []} for read in (details, earlier)]
        assert curves[0] == curves[1]
        replicas = [by_name(read["curves"]["replicas"]) for read in (details, earlier)]
        assert replicas[0] == replicas[1]
        assert earlier["histograms"] == details["histograms"]
    described, earlier = now.read_study(), upgraded.read_study()
    assert earlier["study"] == described["study"]
    assert earlier["schema"] == described["schema"]


@pytest.mark.slow
def test_a_study_of_an_earlier_version_is_extended(open_study, tiny, tmp_path, of_schema_1):
    before = of_schema_1.trials.path.read_text().splitlines()
    session = open_study(tiny, tmp_path, budget="auto", extend=1)
    assert session.run().exit_code == 0
    assert of_schema_1.trials.path.read_text().splitlines()[:4] == before
    assert [record.number for record in session.folder.read_trials()] == list(range(5))
    stored = session.folder.read_study()["study"]
    assert (stored["budget"]["trials"], stored["quotes"]) == (5, "winner")
    assert write_report(session.folder.path).path.exists()


@pytest.fixture
def whole(tiny, tiny_budget):
    """The tiny search on the digits as a whole."""
    budgets = dict.fromkeys(tiny.budgets, replace(tiny_budget, classes=None))
    return replace(tiny, whole=True, budgets=budgets)


@pytest.mark.parametrize("classes", [("0", "1"), ("12",), ()])
def test_classes_of_a_whole_data_set_are_refused(open_study, whole, tmp_path, classes):
    with pytest.raises(
        UserError,
        match="--classes cannot be used with tiny, in which the whole data set is normal",
    ):
        open_study(whole, tmp_path, changes={"classes": classes})
    assert list(tmp_path.iterdir()) == []


def test_a_search_that_chooses_needs_a_rule_that_can(open_study, whole, tmp_path):
    with pytest.raises(UserError, match="nothing is anomalous in the whole of digits"):
        open_study(whole, tmp_path)
    for options in ({"selection": "normal_only"}, {"changes": {"trials": 1, "classes": None}}):
        session = open_study(whole, tmp_path, **options)
        assert [asdict(task) for task in session.tasks] == [
            {
                "name": "digits",
                "source": "digits",
                "normal_class": None,
                "outsiders": (),
                "class_name": "",
            }
        ]
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_tuples_survive_a_resume(open_study, tiny, tmp_path):
    settings = {"milestones": (0.25, 0.5), "dropout": 0.3}
    session = open_study(
        tiny, tmp_path, settings=settings, changes={"trials": 1, "epochs": 1}, evaluate=False
    )
    session.run()
    resumed = open_study(tiny, tmp_path, budget="auto", resume=True, evaluate=False)
    assert resumed.study.baselines == session.study.baselines
    assert resumed.run().exit_code == 0
    again = open_study(tiny, tmp_path, budget="auto", resume=True, settings=settings)
    assert again.study.baselines == session.study.baselines


def test_a_number_that_a_study_stores_keeps_its_type(open_study, tiny, tmp_path):
    small = {"trials": 1, "epochs": 1}
    session = open_study(tiny, tmp_path, settings={"width": 2}, changes=small, evaluate=False)
    session.run()
    resumed = open_study(tiny, tmp_path, budget="auto", resume=True, settings={"width": "2"})
    assert type(resumed.study.settings["width"]) is int
    spec = resumed.folder.read_trial_specs()[0]
    assert resumed.study.identity(spec) == session.study.identity(spec)


def test_a_fresh_checkout_needs_no_folder_of_images(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNE_AD_DATA", raising=False)
    before = sorted(tmp_path.rglob("*"))
    assert place.ready(data_root=None).study.data_set == "digits"
    assert sorted(tmp_path.rglob("*")) == before


def test_preparing_writes_nothing(place):
    before = place.contents()
    session = place.ready(changes={"classes": ("3", "5"), "trials": 2}, settings={"width": 2.0})
    assert place.contents() == before
    assert session.folder.path == place.results / "quickstart"
    assert [task.name for task in session.tasks] == ["digits/3", "digits/5"]
    assert session.study.budget.classes == (3, 5)
    assert session.study.budget.trials == 2
    assert "width" not in session.study.resolved_baselines[0].space


@pytest.fixture
def gpus(monkeypatch):
    """A function: a machine with GPUs of 10 GB, of which a trial is said to be busy for a time."""

    def fake(count, busy=0.3, free=10**10, cpus=64):
        measured = []
        monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cpus)))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(gpu_probe, "free_memory", lambda: free)
        monkeypatch.setattr(
            gpu_probe, "busy_share", lambda study, models: measured.append(models) or busy
        )
        monkeypatch.setattr(request, "bfloat16_is_faster", lambda device: False)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
        return measured

    return fake


@pytest.mark.parametrize(
    ("count", "options", "taken"),
    [
        (0, {}, ("cpu", "quick", 0.0)),
        (1, {}, ("cuda", "standard", 0.25)),
        (2, {"gpus": 1.0}, ("cuda", "standard", 1.0)),
        slow(1, {"device": "cpu"}, ("cpu", "quick", 0.0)),
        slow(1, {"budget": "quick"}, ("cuda", "quick", 0.25)),
        (1, {"backend": "serial"}, ("cuda", "standard", 1.0)),
        slow(1, {"concurrent": 2}, ("cuda", "standard", 0.5)),
        slow(0, {"budget": "standard"}, ("cpu", "standard", 0.0)),
    ],
)
def test_auto_takes_what_the_machine_has(place, gpus, count, options, taken):
    measured = gpus(count)
    session = place.ready(**{"backend": "ray", **options})
    chosen = session.options
    assert (chosen.device, session.study.budget_name, chosen.gpus) == taken
    assert len(measured) == (chosen.gpus < 1 and chosen.device == "cuda")
    is_auto = chosen.device == "cuda" and "gpus" not in options
    assert session.gpu_line.startswith(f"GPUs per trial: {taken[2]:g}, because ") == is_auto


def test_the_first_lines_give_the_share_of_a_gpu_and_its_reason(place, gpus):
    gpus(1, busy=0.38)
    session = place.ready(backend="ray")
    assert (
        "GPUs per trial: 0.3333, because a trial keeps a GPU busy for 38% of the time"
        in opening(session).splitlines()
    )
    assert described(session)["resources"] == {"cpus": 1, "gpus": 0.3333, "concurrent": 3}


def test_a_study_that_goes_on_keeps_its_share_of_a_gpu(place, gpus):
    measured = gpus(1, busy=0.38)
    first = place.ready(backend="ray")
    first.folder.path.mkdir(parents=True)
    write_description(first)
    again = place.ready(backend="ray", resume=True)
    assert (again.options.gpus, len(measured)) == (0.3333, 1)
    assert again.gpu_line == "GPUs per trial: 0.3333, as in the first run"
    assert place.ready(backend="ray", resume=True, gpus=0.5).options.gpus == 0.5
    gpus(0)
    assert place.ready(backend="ray", resume=True).options.device == "cpu"


def test_what_no_gpu_can_hold_is_refused_in_one_line(place, gpus):
    measured = gpus(1, free=10**9)
    message = place.refused(backend="ray", settings={"width": 100.0})
    for word in ("largest configuration of PGN", "of GPU memory", "0.9 GB of 1.0 GB", "--set"):
        assert word in message
    assert not measured


@pytest.mark.parametrize(
    ("cpus", "count", "options", "trials"),
    [
        (8, 0, {}, 8),
        (8, 0, {"cpus": 3}, 2),
        (8, 1, {}, 4),
        (8, 1, {"cpus": 4}, 2),
        (2, 4, {}, 2),
        (8, 2, {"gpus": 0.4}, 4),
        (64, 2, {"gpus": 0.5}, 4),
        (8, 0, {"concurrent": 3}, 3),
        (8, 1, {"device": "cpu"}, 8),
    ],
)
def test_as_many_trials_at_a_time_as_fit(place, gpus, cpus, count, options, trials):
    gpus(count, cpus=cpus)
    assert place.ready(backend="ray", **options).concurrent == trials
    alone = {**options, "concurrent": None}
    assert place.ready(backend="serial", **alone).concurrent == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": 1.5}, ["1.5", "whole number"]),
        ({"gpus": float("nan")}, ["--gpus-per-trial", "nan"]),
        ({"settings": {"width": 1e308}}, ["width", "10000]"]),
        ({"backend": "serial", "concurrent": 2}, ["--backend serial", "--concurrent 2"]),
        ({"backend": "ray", "concurrent": 1000}, ["--concurrent 1000", "1 of", "at most"]),
        ({"evaluate": False, **in_budget(evaluation_seeds=3)}, ["--evaluation-seeds 3"]),
        ({"settings": {"batch_size": 10**8}}, ["batch_size", "10000]"]),
        ({"gpus": 0.5, "device": "cpu"}, ["cpu", "0.5", "contradicts"]),
        ({"gpus": 0.0, "device": "cuda"}, ["cuda", "contradicts"]),
        ({"cpus": 500}, ["--cpus-per-trial", "500"]),
        ({"gpus": 64.0}, ["--gpus-per-trial", "64"]),
        (
            {"settings": {"width": 9000.0}},
            ["width", "85,556,700,194 weights", "latent_dim=64", "GB"],
        ),
        ({"backend": "serial", "address": "auto"}, ["--address", "--backend serial"]),
    ],
)
def test_what_no_node_can_hold_is_refused(place, monkeypatch, options, words):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError) as refusal:
        place.ready(**options)
    assert "\n" not in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


def test_losses_of_different_baselines_are_not_compared(place):
    images, labels = np.zeros((40, 28, 28), np.uint8), np.arange(40) % 10
    arrays = {"train_images": images, "train_labels": labels}
    arrays |= {"test_images": images, "test_labels": labels}
    np.savez(place.root / "mnist.npz", **arrays)
    searched = place.refused("svdd_mnist", selection="normal_only")
    for word in (
        "between values of",
        "nu of soft-boundary",
        "use another rule: oracle, pseudo_outliers",
    ):
        assert word in searched
    assert "--set" not in searched, "the objectives differ whatever is fixed"
    settings = {"nu": 0.1, "scaling": "unit"}
    fixed = place.refused("svdd_mnist", selection="normal_only", settings=settings)
    for word in ("measure differently", "one-class", "soft-boundary", "use another rule"):
        assert word in fixed


def test_a_user_is_told_what_is_fetched(place, monkeypatch):
    class Fetched(Exception):
        """The images would be fetched now."""

    def fetch(*arguments):
        raise Fetched

    monkeypatch.setattr(resolution, "load", fetch)
    messages = []
    options = Options("pgn_mnist", results=place.results, data_root=str(place.root))
    with pytest.raises(Fetched):
        prepare(options, messages.append)
    (line,) = messages
    assert "mnist" in line
    assert str(place.root) in line


@pytest.mark.parametrize(
    ("present", "other"),
    [((), "quickstart"), (("mnist", "fashion_mnist"), "capacity_fmnist_mnist")],
)
def test_a_search_without_its_images_names_one_that_has_them(place, monkeypatch, present, other):
    def fail(*arguments):
        raise NoSourceError("no source has the data set svhn: none")

    monkeypatch.setattr(resolution, "load", fail)
    images, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10
    stored = {"train_images": images, "test_images": images}
    for name in present:
        np.savez(place.root / f"{name}.npz", **stored, train_labels=labels, test_labels=labels)
    message = place.refused("capacity_cifar_svhn")
    assert message == (
        "no source has the data set svhn: none, or run another search, e.g. --search " + other
    )


def test_the_default_results_are_here(place):
    assert Options("quickstart").results == Path("results")


def test_a_last_batch_of_one_image_is_refused_before_training(tiny, open_study, tmp_path):
    """Each class has 60 training images; the networks of GPND end in maps of one pixel."""
    settings = {"latent_dim": 16, "width": 0.25, "last_batch": "short"}
    baseline = Baseline(GPND, settings={**settings, "batch_size": 59})
    search = replace(tiny, baselines=(baseline,))
    with pytest.raises(UserError, match="GPND: of 60 training images, one is left for the last"):
        open_study(search, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert open_study(search, tmp_path, settings={"last_batch": "filled"}).begins
    assert open_study(search, tmp_path, settings={"batch_size": 58}).begins


@pytest.mark.parametrize(
    ("options", "space", "refused"),
    [
        ({"ablate": "one"}, {"width": [0.25, 0.5]}, True),
        ({"ablate": "one", "settings": {"last_batch": "filled"}}, {"width": [0.25, 0.5]}, False),
        ({}, {"batch_size": [30, 59], "last_batch": ["filled", "short"]}, True),
        ({}, {"batch_size": [30, 58], "last_batch": ["filled", "short"]}, False),
        ({"ablate": "one"}, {"batch_size": [30, 59]}, False),
        ({"ablate": "grid"}, {"batch_size": [30, 59], "last_batch": ["filled", "short"]}, True),
        ({}, {"batch_size": [30, 59]}, False),
    ],
)
def test_a_last_batch_of_one_image_is_refused_wherever_it_is_searched(
    tiny, open_study, tmp_path, options, space, refused
):
    """Each class has 60 training images; --ablate one also varies the last batch.

    It varies one parameter at a time, so that 59 images and a short last batch do not meet if the
    default is another number of images.
    """
    default = space.get("batch_size", [59])[0]
    settings = {"latent_dim": 16, "width": 0.25, "batch_size": default}
    choices = {name: CategoricalDistribution(values) for name, values in space.items()}
    search = replace(tiny, baselines=(Baseline(GPND, space=choices, settings=settings),))
    if not refused:
        assert open_study(search, tmp_path, **options).begins
        return
    with pytest.raises(UserError, match="GPND: of 60 training images, one is left for the last"):
        open_study(search, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("rd_mnist", {"selection": "pseudo_outliers"}, "rd_mnist reports every configuration"),
        ("rd_mnist", {"selection": "oracle"}, "leave --selection out"),
        ("table1_mnist", {"selection": "auto"}, "--selection has no effect"),
        ("collapse_mnist", in_budget(epochs=2), "--epochs 2 would leave nothing to compare"),
        ("table1_mnist", in_budget(evaluation_seeds=3), "leave --evaluation-seeds out"),
    ],
    ids=str,
)
def test_an_option_that_has_no_effect_on_a_search_is_refused(place, name, options, words):
    assert words in place.refused(name, **options)


def test_the_automatic_rule_must_be_that_of_the_study_that_goes_on(place):
    golden = Path(__file__).parent.parent / "analysis" / "golden" / "quickstart"
    shutil.copytree(golden, place.results / "quickstart")
    place.ready(selection="auto", resume=True)  # begun with validation
    file = place.results / "quickstart" / "study.json"
    stored = json.loads(file.read_text(encoding="utf-8"))
    stored["study"]["selection"] = "normal_only"
    file.write_text(json.dumps(stored), encoding="utf-8")
    line = place.refused(selection="auto", resume=True)
    assert "begun with --selection normal_only, but --selection auto is validation here" in line


def test_models_that_no_node_has_memory_for_are_refused(open_study, tiny, tmp_path, monkeypatch):
    real = this_machine()
    small = real._replace(node_memory=1000)
    monkeypatch.setattr(resources, "this_machine", lambda: small)
    words = r"in parallel with [0-9,]+ weights each .*images leave 0 GB"
    with pytest.raises(UserError, match=words):
        open_study(tiny, tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(resources, "this_machine", lambda: real)
    assert open_study(tiny, tmp_path).begins
