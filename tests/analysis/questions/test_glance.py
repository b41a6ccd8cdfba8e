"""The first picture: the result beside the default, a random choice and a published number."""

import math
from dataclasses import replace

import pytest

from analysis.questions.claims.published.best import best_published
from analysis.questions.glance import Row, _labels, draw_glance, gain_text
from analysis.report.findings import Findings
from analysis.report.headline import headline
from analysis.report.sections import at_a_glance
from analysis.stats.estimates import estimate, unpaired_difference
from tests.analysis.planted import record, study

DEFAULT = {"PGN": {"width": 1.0}}


def trials(default=(0.6, 0.62), best=(0.7, 0.72)):
    return [
        record(0, {"width": 1.0}, default, metrics=metrics(default, 0.6)),
        record(1, {"width": "other"}, best, metrics=metrics(best, 0.7)),
    ]


def metrics(aurocs, validated):
    flat = [auroc for auroc in aurocs for _ in range(2)]
    return {"test_auroc": flat, "validation_auroc": [validated] * len(flat)}


def fresh(values, identity="id1"):
    return [
        record(1, {"width": "other"}, [v], identity=identity, metrics=metrics([v], 0.7))
        for v in values
    ]


def seeded(records, first=1000):
    return [
        replace(r, replicas=[replace(m, seed=first + k) for m in r.replicas])
        for k, r in enumerate(records)
    ]


def chosen(path, values=(0.8, 0.82, 0.84), planted=None, identity="id1", **search):
    """A search whose second trial was selected and trained again on fresh seeds."""
    return study(
        path,
        trials() if planted is None else planted,
        DEFAULT,
        seeded(fresh(values, identity)),
        plan={"name": "Optuna"},
        budget={"trials": 2, "evaluation_seeds": 3, "seeds": 2},
        **search,
    )


def test_a_winner_stands_beside_its_default_and_a_random_choice(tmp_path):
    glance = Findings(chosen(tmp_path)).glance
    assert [row.kind for row in glance.rows] == ["result", "default", "random"]
    means = [row.auroc.mean for row in glance.rows]
    assert means == pytest.approx([0.82, 0.61, 0.66])
    assert glance.over_default.mean == pytest.approx(0.21)
    assert glance.over_random.mean == pytest.approx(0.16)
    assert [row.auroc.n for row in glance.rows] == [3, 2, 2]


def test_a_random_choice_is_the_mean_of_trials_that_no_result_has_proposed(tmp_path):
    planted = trials() + [
        record(2, {"width": 2.0}, (0.5, 0.5), metrics=metrics((0.5, 0.5), 0.5)),
        record(3, {"width": 3.0}, (0.9, 0.9), metrics=metrics((0.9, 0.9), 0.6)),
    ]
    budget = {"trials": 4, "evaluation_seeds": 3, "seeds": 2}
    fresh_ones = seeded(fresh((0.8, 0.82, 0.84)))
    read = study(tmp_path, planted, DEFAULT, fresh_ones, plan={"name": "Optuna"}, budget=budget)
    findings = Findings(read)
    assert findings.glance.drawn == "the mean of all 4 trials, adaptive ones included"
    assert findings.glance.rows[-1].label == "average trial"
    drawn = replace(read, stored={**read.stored, "startup": 3})
    glance = Findings(drawn).glance
    assert glance.drawn == "the mean of the 2 random draws"
    assert glance.rows[-1].label == "random choice"
    assert glance.rows[-1].auroc.mean == pytest.approx((0.71 + 0.5) / 2)


def test_the_sentence_says_what_was_gained_and_whether_it_may_be_chance(tmp_path):
    text = headline(Findings(chosen(tmp_path / "clear")))
    assert text.startswith(
        "PGN, the best of 2 trials by the selection rule validation, trained again on fresh "
        "seeds: a test AUROC of 82.0 ["
    )
    assert "] % (n = 3 seeds). That is +21.0 points [" in text
    assert "+21.0 points [" in text and "against its default parameters" in text
    assert "chance" not in text
    unclear = headline(Findings(chosen(tmp_path / "unclear", (0.5, 0.7, 0.9))))
    assert unclear.endswith("; both intervals contain 0, so it may be chance.")
    single = headline(Findings(chosen(tmp_path / "single", (0.8,))))
    assert single.endswith("; too few seeds to say whether that is more than chance.")


@pytest.mark.parametrize(("seeds", "verdict"), [(2, "not shown"), (6, "shown")])
def test_the_best_of_several_fixed_configurations_is_told_from_the_second(
    tmp_path, seeds, verdict
):
    records = [
        record(k, {"width": 1.0}, [base + 0.01 * s for s in range(seeds)], baseline=name)
        for k, (name, base) in enumerate((("A", 0.8), ("B", 0.5)))
    ]
    text = headline(Findings(study(tmp_path, records, {name: {"width": 1.0} for name in "AB"})))
    assert text.startswith(
        "Of 2 configurations that were fixed before the run, A has the largest "
    )
    assert f"; it is {verdict} to be better than B, the second (+30.0 points [" in text


def test_a_winner_that_is_the_default_says_so(tmp_path):
    swapped = [
        record(0, {"width": "other"}, (0.6, 0.6), metrics=metrics((0.6, 0.6), 0.6)),
        record(1, {"width": 1.0}, (0.7, 0.7), metrics=metrics((0.7, 0.7), 0.7)),
    ]
    findings = Findings(chosen(tmp_path, planted=swapped))
    assert findings.glance.is_default and findings.glance.over_default is None
    assert "; it is the default configuration. That is +" in headline(findings)


@pytest.mark.parametrize(
    ("labels", "name", "shown"),
    [
        (["p = gaussian_learned", "p = logistic"], "p", ["gaussian_learned", "logistic"]),
        (["A, b = 1", "A, b = 10"], "A, b", ["1", "10"]),
        (["a = 1"], "", ["a = 1"]),
        (["AE", "AAE"], "", ["AE", "AAE"]),
        (["x" * 30, "y"], "", ["x" * 22 + "…", "y"]),
    ],
)
def test_what_all_results_share_stands_once_beside_their_labels(labels, name, shown):
    rows = [Row("result", label, estimate([0.9]), "") for label in labels]
    published = Row("published", "published: p = x", estimate([0.9]), "")
    assert _labels([*rows, published]) == (name, [*shown, "published: p = x"])


def test_without_a_result_the_sentence_says_why(tmp_path):
    findings = Findings(study(tmp_path, [], DEFAULT, plan={"name": "Optuna"}))
    assert findings.glance is None
    assert headline(findings) == "planted has no result yet: no trial has finished."
    section = at_a_glance.section(findings)
    assert "$ python run.py --search planted" in section.blocks[-1].text


def test_an_unfinished_study_says_how_far_it_is(tmp_path):
    listed = study(tmp_path, trials()[:1], DEFAULT, budget={"trials": 3, "evaluation_seeds": 0})
    text = headline(Findings(listed))
    assert text.startswith("So far, after 1 of 3 trials: ")


def test_an_ablation_counts_its_effects(tmp_path):
    spread = [0.01 * k for k in range(6)]
    changed = [record(k, {"width": v}, [m + s for s in spread]) for k, v, m in CHANGES]
    text = headline(Findings(study(tmp_path, changed, DEFAULT)))
    assert text.startswith("Of 2 single changes of PGN, which has a test AUROC of 62.5 [")
    assert "] % (n = 6 seeds), " in text
    assert "1 is better, 0 worse, and 1 without a significant difference" in text
    assert "; the largest difference: +10.0 points [+10.0, +10.0] with width = 2 (p = 0" in text


def test_the_first_picture_of_an_ablation_shows_what_its_sentence_counts(tmp_path):
    spread = [0.01 * k for k in range(6)]
    changed = [record(k, {"width": v}, [m + s for s in spread]) for k, v, m in CHANGES]
    first, second, _ = at_a_glance.section(Findings(study(tmp_path, changed, DEFAULT))).blocks
    labels = [label.get_text() for label in first.draw().axes[0].get_yticklabels()]
    assert labels == ["width = 2", "width = 3"]
    assert "in points, with 95 % intervals: 2 single changes." in first.caption
    assert (first.name, second.name) == ("glance_effects", "glance")


def test_the_first_picture_of_a_search_is_its_result(tmp_path):
    first, *_ = at_a_glance.section(Findings(chosen(tmp_path))).blocks
    assert first.name == "glance"


CHANGES = [(0, 1.0, 0.6), (1, 2.0, 0.7), (2, 3.0, 0.6)]


def on_mnist(path, classes, outsiders=()):
    """A listed study of some classes of MNIST."""
    names = [f"mnist/{k}" for k in classes]
    trial = record(0, {"width": 1.0}, [[0.9] * len(names)] * 2, tasks=names)
    planted = study(path, [trial], DEFAULT)
    planted.stored["tasks"] = [
        {"name": n, "source": "mnist", "normal_class": k, "outsiders": [*outsiders]}
        for n, k in zip(names, classes, strict=True)
    ]
    return Findings(planted)


def test_the_best_published_number_is_for_exactly_these_classes(tmp_path):
    one = on_mnist(tmp_path / "one", [2])
    best = best_published(one.study, one.results[0])
    assert (best.method, best.auroc.mean) == ("one-class Deep SVDD", pytest.approx(0.917))
    two = on_mnist(tmp_path / "two", [2, 8])
    of_two = best_published(two.study, two.results[0])
    assert of_two.auroc.mean == pytest.approx((0.917 + 0.939) / 2)
    assert [row.kind for row in two.glance.rows] == ["result", "published"]
    assert of_two.title in at_a_glance.section(two).blocks[0].caption


def test_the_average_over_classes_is_the_published_one(tmp_path):
    findings = on_mnist(tmp_path, range(10))
    best = best_published(findings.study, findings.results[0])
    assert best.auroc.mean == pytest.approx(0.948)


def test_nothing_is_published_on_other_tasks(tmp_path):
    findings = Findings(study(tmp_path, trials()[:1], DEFAULT))
    assert best_published(findings.study, findings.results[0]) is None
    against = on_mnist(tmp_path / "svhn", [2], outsiders=["svhn"])
    assert best_published(against.study, against.results[0]) is None


def test_the_picture_says_every_number_and_draws_no_interval_of_one_seed(tmp_path):
    glance = Findings(chosen(tmp_path, (0.8,))).glance
    sheet = draw_glance(glance)
    texts = [text for described in sheet.described.values() for text in described.texts]
    assert any(text.startswith("PGN, tuned: 80.0 % (the winner") for text in texts)
    assert sum(text.startswith("PGN, tuned") for text in texts) == 1, "a point, no line"
    shown = [text.get_text() for text in sheet.axes[0].texts]
    assert shown[0] == "80.0" and len(shown) == 3


def test_welchs_interval_is_that_of_scipy():
    import scipy

    first, second = [0.7, 0.75, 0.9], [0.5, 0.52]
    ours = unpaired_difference(estimate(first), estimate(second))
    theirs = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    expected = (max(-1, theirs.low), min(1, theirs.high))
    assert (ours.low, ours.high) == pytest.approx(expected)
    wider = unpaired_difference(estimate(first), estimate(second), error=0.2)
    assert wider.low < ours.low


def test_equal_seeds_and_single_ones_have_no_spread():
    same = unpaired_difference(estimate([0.7, 0.7]), estimate([0.5, 0.5]))
    assert (same.low, same.high) == pytest.approx((0.2, 0.2))
    one = unpaired_difference(estimate([0.7]), estimate([0.5, 0.6]))
    assert math.isnan(one.low) and gain_text(one) == "+15.0 points"
