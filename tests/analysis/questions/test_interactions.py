import numpy as np
import pytest

from analysis.document.blocks import Table
from analysis.questions.comparison.contenders import contender, contrasts, every_pair
from analysis.questions.comparison.interactions import interactions, interactions_table
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import comparison
from tests.analysis import planted

TASKS = ("digits/0", "digits/1", "digits/2")
DEFAULT = {"layer": True, "dropout": 0.5, "width": 1.0}
SQUARE = {
    "released": {},
    "no_layer": {"layer": False},
    "no_dropout": {"dropout": 0.0},
    "neither": {"layer": False, "dropout": 0.0},
}


def study(path, means, changes=SQUARE, seeds=6, noise=0.002, **fields):
    """A configuration with each of these changes, of this mean AUROC."""
    rng = np.random.default_rng(1)
    trials = []
    for k, (name, changed) in enumerate(changes.items()):
        values = means[name] + noise * rng.standard_normal((seeds, len(TASKS)))
        rows = values.tolist()
        params = {**DEFAULT, **changed}
        trials.append(
            planted.record(k, params, rows, tasks=TASKS, baseline=name, **fields.get(name, {}))
        )
    defaults = {name: {**DEFAULT, **changed} for name, changed in changes.items()}
    return planted.study(path, trials, defaults=defaults, plan={"name": "Listed"})


def found(records):
    return interactions([contender(result.baseline, result) for result in results(records)])


def test_a_planted_interaction_is_found_with_its_two_effects(tmp_path):
    means = {"released": 0.9, "no_layer": 0.8, "no_dropout": 0.88, "neither": 0.87}
    (one,) = found(study(tmp_path, means))
    assert one.change == "layer = False (from True)"
    assert (one.where, one.elsewhere) == ("dropout = 0.5", "dropout = 0")
    assert one.effect == pytest.approx(-0.1, abs=0.003)
    assert one.other == pytest.approx(-0.01, abs=0.003)
    difference = one.paired.difference
    assert difference.mean == pytest.approx(one.effect - one.other)
    assert difference.low < -0.09 < difference.high
    assert (one.classes, difference.n, one.paired.n) == (3, 6, 18)
    assert one.decision.p < 0.001


def test_effects_that_add_up_have_no_interaction(tmp_path):
    means = {"released": 0.9, "no_layer": 0.8, "no_dropout": 0.85, "neither": 0.75}
    (one,) = found(study(tmp_path, means))
    assert one.effect == pytest.approx(one.other, abs=0.005)
    assert (one.decision.p > 0.05, one.significant) == (True, "no")


def test_one_significant_effect_beside_one_that_is_not_is_no_interaction(tmp_path):
    """The effects are 0.020 and 0.015 with noise, of which only the first is significant."""
    signs = np.array([1, -1, 1, -1, 1, -1])[:, None] * np.array([1, -1, 1])
    noise = {"released": 0.0, "no_layer": 0.004, "no_dropout": 0.0, "neither": 0.04}
    means = {"released": 0.9, "no_layer": 0.88, "no_dropout": 0.9, "neither": 0.885}
    rows = {name: means[name] + noise[name] * signs for name in means}
    trials = [
        planted.record(k, {**DEFAULT, **SQUARE[name]}, rows[name].tolist(), TASKS, baseline=name)
        for k, name in enumerate(means)
    ]
    defaults = {name: {**DEFAULT, **changed} for name, changed in SQUARE.items()}
    records = planted.study(tmp_path, trials, defaults=defaults, plan={"name": "Listed"})
    contenders = [contender(result.baseline, result) for result in results(records)]
    by_pair = {(c.first, c.second): c.paired.p for c in contrasts(every_pair(contenders))}
    assert by_pair["released", "no_layer"] < 0.01
    assert by_pair["no_dropout", "neither"] > 0.05
    (one,) = interactions(contenders)
    assert one.decision.p > 0.05


def test_one_seed_is_too_few_for_a_test_and_no_determinism(tmp_path):
    means = {"released": 0.9, "no_layer": 0.8, "no_dropout": 0.88, "neither": 0.87}
    (one,) = found(study(tmp_path, means, seeds=1))
    assert one.paired.refusal == "the test needs 3 paired seeds, got 1"
    assert one.significant == "no test"


def test_a_list_of_many_configurations_is_searched_at_once(tmp_path):
    changes = {f"{k}": {"width": float(k)} for k in range(120)}
    records = study(tmp_path, dict.fromkeys(changes, 0.8), changes, seeds=2)
    assert found(records) == []


def test_the_order_of_the_results_says_which_is_the_reference(tmp_path):
    means = {"released": 0.9, "no_layer": 0.8, "no_dropout": 0.88, "neither": 0.87}
    turned = dict(reversed(SQUARE.items()))
    (one,) = found(study(tmp_path, means, turned))
    assert one.change == "layer = True (from False)"
    assert (one.where, one.elsewhere) == ("dropout = 0", "dropout = 0.5")
    assert one.paired.difference.mean == pytest.approx(-0.09, abs=0.005)


@pytest.mark.parametrize(
    "changes",
    [
        {"a": {}, "b": {"layer": False}, "c": {"dropout": 0.0}},
        {"a": {}, "b": {"layer": False}, "c": {"dropout": 0.0}, "d": {"width": 2.0}},
        {"a": {"layer": 1}, "b": {"layer": 2}, "c": {"layer": 3}, "d": {"layer": 4}},
        {"a": {}, "b": {"layer": False}, "c": {"dropout": 0.0}, "d": {"layer": 0, "width": 2.0}},
    ],
)
def test_without_all_four_combinations_there_is_no_interaction(tmp_path, changes):
    records = study(tmp_path, dict.fromkeys(changes, 0.8), changes)
    assert found(records) == []
    names = {block.name for block in comparison.section(Findings(records)).blocks}
    assert "interactions" not in names


def test_results_of_another_detector_are_no_part_of_it(tmp_path):
    means = dict.fromkeys(SQUARE, 0.8)
    assert found(study(tmp_path, means, neither={"detector": "AE"})) == []


def test_a_cube_has_an_interaction_of_every_face(tmp_path):
    changes = {
        f"{layer}{dropout}{width}": {"layer": layer, "dropout": dropout, "width": width}
        for layer in (True, False)
        for dropout in (0.5, 0.0)
        for width in (1.0, 2.0)
    }
    faces = found(study(tmp_path, dict.fromkeys(changes, 0.8), changes))
    assert len(faces) == 6
    assert len({(face.change, face.where, face.elsewhere) for face in faces}) == 3


def test_four_deterministic_results_are_not_tested(tmp_path):
    means = {"released": 0.9, "no_layer": 0.8, "no_dropout": 0.88, "neither": 0.87}
    (one,) = found(study(tmp_path, means, noise=0.0))
    assert one.decision.reason == "not tested (all four deterministic)"
    assert one.paired.difference.mean == pytest.approx(-0.09)
    assert one.paired.difference.n == 1


def test_the_section_shows_what_was_found(tmp_path):
    means = {"released": 0.9, "no_layer": 0.8, "no_dropout": 0.88, "neither": 0.87}
    records = study(tmp_path, means)
    blocks = comparison.section(Findings(records)).blocks
    (table,) = [b for b in blocks if isinstance(b, Table) and b.name == "interactions"]
    (row,) = table.shown.to_dict("records")
    assert row["interaction"].value == pytest.approx(-0.09, abs=0.005)
    assert (row["interaction"].tone, row["significant"].text) == ("", "yes")
    assert "sign-flip test" in table.caption
    stored = interactions_table(found(records)).stored.iloc[0]
    assert stored["mean"] == pytest.approx(-0.09, abs=0.005)
    assert stored["cells"] == 18
