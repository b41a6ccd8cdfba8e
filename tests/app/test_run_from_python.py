"""A search is one call of a Python program, with the options of the command line."""

from dataclasses import fields, replace
from inspect import signature

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import analysis
import tune_ad
from tune_ad import AnomalyDetector, UserError, run
from tune_ad.app.command_line.options import OPTIONS, Options
from tune_ad.app.programs import KEYWORDS
from tune_ad.app.result import SearchResult
from tune_ad.storage.folder import StudyFolder

SERIAL = {"backend": "serial", "device": "cpu", "budget": "quick", "progress": False}
SMALL = {"trials": 2, "epochs": 2, "evaluation_seeds": 2, "classes": ["0"], "train_images": 60}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return run("quickstart", results=results, **SMALL, **SERIAL)


def test_a_search_is_run_by_its_name(made):
    trials = made.trials
    assert list(trials["number"]) == [0, 1]
    assert set(trials["state"]) == {"complete"}
    assert {"params.dropout", "objective", "validation_auroc", "test_auroc", "seconds"} <= set(
        trials.columns
    )
    assert trials["test_auroc"].between(0, 1).all()
    assert made.failed == 0
    assert made.report.is_file() and made.report.parent == made.folder


def test_the_winner_is_the_best_by_the_rule_with_the_auroc_of_new_models(made):
    winner = made.winner
    best = made.trials.sort_values("objective", ascending=False).iloc[0]
    assert winner.number == best["number"]
    assert winner.params["dropout"] == best["params.dropout"]
    assert winner.auroc.n == 2
    assert winner.auroc.low <= winner.auroc.mean <= winner.auroc.high
    assert "validation AUROC" in winner.rule
    assert winner.baseline in str(winner) and "test AUROC" in str(winner)


def test_the_kept_model_of_the_winner_is_loaded(made):
    detector = AnomalyDetector.load(made.best, normal="0")
    images = tune_ad.load("digits").test_images[:5, 0].numpy()
    assert np.isfinite(detector.anomaly_scores(images)).all()


def test_figures_are_drawn_by_name(made):
    assert made.figures
    drawing = made.figure(made.figures[0])
    assert isinstance(drawing, Figure)
    plt.close(drawing)
    with pytest.raises(UserError, match=f"has no figure '☃'; its figures: {made.figures[0]}"):
        made.figure("☃")


def test_a_result_shows_its_summary(made):
    assert repr(made).startswith("quickstart (budget quick): 2 of 2 trials complete.")
    assert str(made.report) in repr(made)
    shown = made._repr_html_()
    assert "<table" in shown and "2 of 2 trials complete" in shown
    assert "<script" not in shown
    assert "params.dropout" in shown and "params.batch_size" not in shown, "what was searched"


def test_the_trials_of_a_result_are_those_of_the_analysis(made):
    assert made.trials.equals(analysis.read(made.folder).trials)


def test_a_complete_study_is_only_reported_again_and_an_option_that_differs_is_refused(made):
    results = made.folder.parent
    again = run("quickstart", results=results, **SERIAL)
    assert again.trials.equals(made.trials)
    with pytest.raises(UserError, match="was begun with --train-images 60"):
        run("quickstart", results=results, train_images=50, **SERIAL)
    more = run("quickstart", results=str(results), extend=1, **SERIAL)
    assert len(more.trials) == 3


@pytest.mark.slow
def test_nothing_is_printed_unless_it_is_wished(made, capsys, tmp_path):
    run("quickstart", results=made.folder.parent, **SERIAL)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")
    lines = []
    run("quickstart", results=made.folder.parent, say=lines.append, **SERIAL)
    assert any("this study is complete" in line for line in lines)
    assert any("next: open" in line for line in lines)


def test_the_progress_line_is_on_the_standard_error_stream(capsys, tmp_path):
    options = {**SERIAL, "progress": True, "evaluate": False, **SMALL, "trials": 1}
    del options["evaluation_seeds"]
    result = run("quickstart", results=tmp_path, **options)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "quickstart" in printed.err
    assert result.winner.auroc is None
    assert "not trained again" in str(result.winner)
    assert result.best is None


@pytest.mark.slow
def test_a_search_is_run_that_no_file_declares(tiny, tmp_path):
    result = run(tiny, results=tmp_path, trials=1, settings={"dropout": 0.25}, **SERIAL)
    assert result.folder == tmp_path / "tiny"
    assert result.winner.params["latent_dim"] in (4, 8, 16)
    assert list(result.trials["params.dropout"]) == [0.25], "also what the search does not vary"
    again = run(tiny, results=tmp_path, **SERIAL)
    assert again.trials.equals(result.trials)


@pytest.mark.slow
def test_a_search_is_run_with_another_detector(tiny, tmp_path):
    result = run(tiny, results=tmp_path, detector="IsolationForest", **SERIAL)
    assert result.folder.name == "tiny_isolationforest"
    assert set(result.trials["baseline"]) == {"IsolationForest"}


def test_a_search_on_several_data_sets_needs_the_name_of_one(tiny, tmp_path):
    several = replace(tiny, name="two_{data}", data=("digits", "mnist"))
    with pytest.raises(UserError, match="declared on digits, mnist, and none is named"):
        run(several, results=tmp_path, **SERIAL)
    with pytest.raises(UserError, match="--data 'nowhere' is neither a data set"):
        run(several, results=tmp_path, data="nowhere", **SERIAL)
    assert not list(tmp_path.iterdir())


def test_a_search_runs_on_other_data(tiny, tmp_path):
    stream = np.random.default_rng(0)
    images = stream.integers(0, 255, (120, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", images)
    search = replace(tiny, name="other_{data}")
    given = {"results": tmp_path / "results", "trials": 1, "data_root": tmp_path}
    result = run(search, data=tmp_path / "mine.npy", **given, **SERIAL)
    assert result.folder.name == "other_mine"
    assert result.best is not None
    assert result.winner is not None and result.winner.rule


@pytest.mark.slow
def test_an_ablation_has_no_winner(tiny, tmp_path):
    result = run(tiny, results=tmp_path, ablate="one", trials=2, seeds=1, **SERIAL)
    assert result.winner is None and result.best is None
    assert len(result.trials) == 2


def test_every_option_of_the_command_line_is_a_keyword():
    names = {field.name for field in fields(Options)} - {"search", "changes", "family"}
    assert names <= set(KEYWORDS)
    assert set(KEYWORDS) == set(OPTIONS)
    assert not set(KEYWORDS) & set(signature(run).parameters)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trails": 3}, "run has no option 'trails'; did you mean trials"),
        ({"changes": {}}, "run has no option 'changes'"),
        ({"trials": "3"}, "trials must be an integer, got '3'"),
        ({"trials": 0}, "--trials must be at least 1"),
        ({"false_alarms": "low"}, "false_alarms must be a number"),
        ({"resume": 1}, "resume must be True or False"),
        ({"progress": "no"}, "progress must be True or False"),
        ({"classes": []}, "classes must be a list that is not empty"),
        ({"classes": "eleven"}, "eleven"),
        ({"settings": ["width"]}, "settings must be a mapping"),
        ({"settings": {"widht": 1.0}}, "widht"),
        ({"results": ""}, "results must be a path"),
        ({"image_size": (8, 8, 8)}, "image_size must be"),
        ({"image_size": 32}, "--image-size is for own images"),
        ({"selection": "best"}, "--selection must be one of"),
        ({"selection": 3}, "selection must be a text"),
        ({"gpus": -1.0}, "must be at least 0"),
    ],
)
def test_an_invalid_option_is_refused_in_one_line(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words) as caught:
        run("quickstart", **{**SERIAL, **options})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("search", [3, None, "quickstrat"])
def test_an_unknown_search_is_refused(search):
    with pytest.raises(UserError, match="search"):
        run(search, **SERIAL)


@pytest.mark.slow
def test_an_interruption_is_raised_after_the_study_is_kept(tiny, tmp_path, monkeypatch):
    from tune_ad.execution import serial

    def interrupted(loop, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(serial, "run", interrupted)
    with pytest.raises(KeyboardInterrupt, match="resume=True"):
        run(tiny, results=tmp_path, **SERIAL)
    monkeypatch.undo()
    assert len(run(tiny, results=tmp_path, resume=True, **SERIAL).trials) == 4


def test_a_folder_without_a_study_has_no_result(tmp_path):
    with pytest.raises(UserError):
        SearchResult.of(tmp_path)


def test_some_baselines_of_a_search_take_part(tmp_path):
    options = {**SERIAL, "data": "digits", "results": tmp_path}
    sizes = {"train_images": 60, "classes": ["0"], "seeds": 1, "trials": 1}
    made = run("shallow_mnist", baselines="kde", **options, **sizes)
    assert made.folder.name == "shallow_digits_only_kde"
    assert {record.baseline for record in StudyFolder(made.folder).read_trials()} == {"KDE"}
    assert StudyFolder(made.folder).read_study()["baselines"] == ["kde"]
    with pytest.raises(UserError, match="--baselines names kd, but the search has .*KDE"):
        run("shallow_mnist", baselines=["kd"], **options)


def test_a_study_of_some_baselines_of_a_search_file_is_continued(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(TWO_BASELINES, encoding="utf-8")
    options = {**SERIAL, "baselines": ["large code"], "results": tmp_path, "evaluate": False}
    made = run(f"{file}:mine_digits", **options, classes=["0"], train_images=40)
    assert made.folder.name == "mine_digits_only_large-code"
    assert len(made.trials) == 2, "half of the three trials of both baselines, rounded up"
    more = run(f"{file}:mine_digits", **options, extend=1)
    assert len(more.trials) == 3 and set(more.trials["baseline"]) == {"large code"}
    assert more.trials["params.latent_dim"].between(9, 16).all()


TWO_BASELINES = '''"""Two baselines."""

from optuna.distributions import IntDistribution

from tune_ad.detectors.pgn import PGN
from tune_ad.search import Baseline, Budget, Search

mine = Search(
    name="mine_{data}",
    data=("digits",),
    baselines=(
        Baseline(
            PGN,
            name="small code",
            space={"latent_dim": IntDistribution(2, 8)},
            settings={"latent_dim": 4},
        ),
        Baseline(
            PGN,
            name="large code",
            space={"latent_dim": IntDistribution(9, 16)},
            settings={"latent_dim": 12},
        ),
    ),
    budgets={"quick": Budget(trials=3, epochs=1, seeds=1)},
)
'''
