"""Learning curves: what is read, where the learning rate drops, and whether training had ended."""

import numpy as np
import pytest

from analysis.left_out import left_out
from analysis.questions.progress import learning_curve_figure as figure_module
from analysis.questions.progress.end_of_training import endings, verdict
from analysis.questions.progress.learning_curves import Curve, learning_curves
from analysis.report.findings import Findings
from analysis.report.render import marks
from analysis.report.sections import learning_curves as section_module
from tests.analysis.planted import TASKS, record, study
from tune_ad.atomic import write_atomically
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import STOPPED, VALIDATION_AUROC, ScoreVariant
from tune_ad.storage.records import SCHEMA

EPOCHS = [2, 4, 6, 8, 10]
PARAMS = {"width": 1.0, "epochs": 10, "milestones": (0.55,), "learning_rate": 1e-3}


def curves(aurocs, losses, rates=None, models=4):
    """Curves as a study stores them, the same for every model."""
    rows = [
        {"part": part, "term": term, "values": [[value] * models for value in values]}
        for part, term, values in (
            ("validation", "auroc", aurocs),
            ("train", "loss", losses),
        )
    ]
    rows.append({"part": "test", "term": "auroc", "values": [[], [], [], [], [0.8] * models]})
    drop = rates or [1e-3, 1e-3, 1e-3, 1e-4, 1e-4]
    return {"epoch": EPOCHS, "learning_rate": drop, "objective": aurocs, "replicas": rows}


RISING = curves([0.5, 0.6, 0.7, 0.8, 0.9], [5.0, 4.0, 3.0, 2.0, 1.0])
SETTLED = curves([0.5, 0.8, 0.9, 0.9, 0.902], [5.0, 2.0, 1.0, 1.0, 0.99])


@pytest.fixture
def planted(tmp_path):
    """A function that writes a study of one trial, on two classes and two seeds, with curves."""

    def write(stored, params=PARAMS, more=None):
        metrics = {"test_auroc": [0.8] * 4, "validation_auroc": [0.8] * 4}
        reports = [*zip(EPOCHS, [0.5, 0.6, 0.7, 0.8, 0.9], strict=True)]
        trial = record(
            0, params, [[0.8, 0.8]] * 2, metrics=metrics, reports=reports, objective=0.8
        )
        trial.metrics.update(more or {})
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        written = study(folder, [trial], {"PGN": params})
        content = {"schema": SCHEMA, "histograms": [], "curves": stored}
        write_atomically(written.folder.details("id0"), to_text(content))
        return written

    return write


def read(written):
    return learning_curves(written, Findings(written).results[0])


def test_a_curve_for_each_class_and_seed_and_the_objective_of_every_trial(planted):
    found = read(planted(RISING))
    labels = [f"{task}, seed {seed}" for seed in (0, 1) for task in TASKS]
    assert [curve.label for curve in found.metric] == labels
    assert found.response.name == "validation AUROC"
    assert found.metric[0].values.tolist() == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert found.loss[3].values.tolist() == [5.0, 4.0, 3.0, 2.0, 1.0]
    assert [curve.trial for curve in found.other_metric] == [0]


@pytest.mark.parametrize(
    ("milestones", "epoch", "is_exact"), [((0.55,), 6, True), ((0.7,), 7, True), ((), 8, False)]
)
def test_the_rate_drops_where_the_schedule_says_or_before_the_next_report(
    planted, milestones, epoch, is_exact
):
    (drop,) = read(planted(RISING, {**PARAMS, "milestones": milestones})).drops
    assert (drop.epoch, drop.is_exact) == (epoch, is_exact)
    assert (drop.before, drop.after) == pytest.approx((1e-3, 1e-4))


def test_a_milestone_in_another_interval_is_not_the_drop(planted):
    (drop,) = read(planted(RISING, {**PARAMS, "milestones": (0.1,)})).drops
    assert (drop.epoch, drop.is_exact) == (8, False)


def test_training_had_not_ended_while_metric_and_loss_change(planted):
    text = verdict(read(planted(RISING)))
    assert text.startswith("Training had not ended: from epoch 8 to 10, the last fifth,")
    assert "validation AUROC changed by +10.0 points for digits/0 (rule: at most 0.5)" in text
    assert "changed by 25.0 % of its whole change for digits/0 (rule: at most 2 %)" in text
    assert "More epochs (--epochs) may change validation AUROC and the training loss." in text


def test_training_had_ended_where_neither_changes_with_a_word_on_the_rate(planted):
    text = verdict(read(planted(SETTLED)))
    assert text.startswith("Training had ended at the lowered learning rate: from epoch 8 to 10")
    assert "at a low rate do not show" in text and "More epochs" not in text
    steady = verdict(read(planted({**SETTLED, "learning_rate": [1e-3] * 5})))
    assert "learning rate" not in steady


def test_a_metric_that_falls_is_not_advised_more_epochs(planted):
    falling = curves([0.5, 0.8, 0.9, 0.9, 0.8], [5.0, 2.0, 1.0, 1.0, 0.99])
    text = verdict(read(planted(falling)))
    assert "It was getting worse" in text and "More epochs" not in text


def test_models_that_early_stopping_ended_are_counted(planted):
    stopped = planted(SETTLED, more={STOPPED: [1.0, 0.0, 1.0, 0.0]})
    assert verdict(read(stopped)).endswith("Early stopping ended 2 models.")


def test_a_score_that_was_chosen_after_training_does_not_look_like_learning(planted):
    jump = curves([0.5, 0.7, 0.7, 0.7, 0.9], [5.0, 2.0, 1.0, 1.0, 0.99])
    params = {**PARAMS, "mc_samples": 20}
    stored = planted(jump, params)
    trial = stored.trials[0]
    trial.chosen["mc_samples"] = 0
    assert [*read(stored).metric[0].values] == [0.5, 0.7, 0.7, 0.7], "without the declared one"
    declared = {VALIDATION_AUROC: [0.701] * 4}
    trial.variants[ScoreVariant("mc_samples", 20)] = declared
    trial.variants[ScoreVariant("mc_samples", 0)] = {VALIDATION_AUROC: [0.9] * 4}
    found = read(stored)
    assert [*found.metric[3].values] == [0.5, 0.7, 0.7, 0.7, 0.701]
    assert found.other_metric[0].values[-1] == pytest.approx(0.701)
    assert verdict(found).startswith("Training had ended")
    _, chosen, figure = section_module.section(Findings(stored)).blocks
    assert "by the declared score" in figure.caption
    assert chosen.text.startswith(
        "Choosing mc_samples after training raised the validation AUROC of 1 of 1 trial by more "
        "than 2 points, most that of trial 0: from 70.1 to 80.0 %."
    )


def test_changes_are_means_over_the_models_of_a_class():
    epochs = np.array([1.0, 8.0, 10.0])
    up = Curve("a", "t", epochs, np.array([0.0, 0.6, 0.8]))
    down = Curve("b", "t", epochs, np.array([0.0, 0.6, 0.6]))
    (one,) = endings([up, down])
    assert (one.task, one.change) == ("t", pytest.approx(0.1))
    assert one.share == pytest.approx(0.1 / 0.7)
    late = Curve("c", "t", np.array([9.0, 10.0]), np.array([0.0, 1.0]))
    assert endings([up, late]) == [], "nothing was recorded before the last fifth"


def test_classes_that_change_by_the_same_up_and_down_had_not_ended(planted):
    stored = curves([0.5, 0.8, 0.9, 0.9, 0.9], [5.0, 2.0, 1.0, 1.0, 0.99])
    stored["replicas"][0]["values"][-1] = [0.92, 0.89, 0.92, 0.89]  # by seed, then by class
    text = verdict(read(planted(stored)))
    assert text.startswith("Training had not ended:")
    assert f"validation AUROC changed by +2.0 points for {TASKS[0]}" in text


@pytest.mark.parametrize(
    "damage",
    [
        {"epoch": "all"},
        {"epoch": [1]},
        {"epoch": [1, 2]},
        {"learning_rate": []},
        {"replicas": {}},
        {"replicas": [{"part": "train", "term": "loss", "unknown": 1, "values": [[1.0] * 4] * 5}]},
    ],
)
def test_damaged_curves_are_left_out_and_named(planted, damage):
    written = planted({**RISING, **damage})
    assert read(written) is None
    assert any(
        "trials/id0.json (trial 0): is damaged, curves" in line for line in left_out(written)
    )


def test_curves_of_another_number_of_models_are_left_out_and_named(planted):
    loss = {"part": "train", "term": "loss", "values": [[1.0]] * 5}
    written = planted({**RISING, "replicas": [loss]})
    assert read(written) is None
    assert any("of another number of models than its record, 4" in s for s in left_out(written))


@pytest.mark.parametrize("nothing", [None, {}, [], "curves"])
def test_no_curves_are_no_section(planted, nothing):
    written = planted(nothing)
    assert read(written) is None
    assert section_module.section(Findings(written)) is None


def test_a_missing_file_is_no_error(planted):
    written = planted(RISING)
    written.folder.details("id0").unlink()
    assert read(written) is None


def test_losses_of_other_trials_are_shown_only_if_they_measure_the_same(planted):
    written = planted(RISING)
    result = Findings(written).results[0]
    assert not learning_curves(written, result).other_loss, "the record does not say what it is"
    written.trials[0].scales["loss"] = "nats"
    assert [curve.trial for curve in learning_curves(written, result).other_loss] == [0]


def test_the_section_names_the_drop_and_draws_every_model(planted):
    text, figure = section_module.section(Findings(planted(RISING))).blocks
    assert "Training had not ended" in text.text
    assert "drops from 0.001 to 0.0001 after epoch 6" in figure.caption
    assert "one of 4 models" in figure.caption
    sheet = figure.draw()
    texts = [text for described in sheet.described.values() for text in described.texts]
    assert "digits/0, seed 0, epoch 10: 90" in texts
    assert any(text.startswith("learning rate 0.001 until epoch 6") for text in texts)
    marks.complete(sheet)
    after = [text for described in sheet.described.values() for text in described.texts]
    assert after == texts, "no mark without its class and seed lies over these"


def test_classes_that_share_a_colour_have_other_dashes():
    styles = [(k % len(figure_module.theme.PALETTE), figure_module._dashes(k)) for k in range(24)]
    assert len(set(styles)) == 24
