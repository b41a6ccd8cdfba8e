from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.app.estimates import speed as speed_module
from tune_ad.app.estimates.cost import (
    BYTES_PER_VARIANT,
    Remaining,
    Sizes,
    cost,
    image_sizes,
    overhead,
    trials_by_baseline,
)
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.app.estimates.speed import Speed, measured_speed, relative_seconds
from tune_ad.data import Arrays, class_tasks, from_arrays
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import epoch_operations, forward_operations
from tune_ad.detectors.pgn import PGN
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import BUDGETS, Budget
from tune_ad.search.declaration import Search
from tune_ad.search.plans import Grid, Listed
from tune_ad.search.study import Study
from tune_ad.training.replicas.stack import Stack
from tune_ad.training.suite import Suite

RATE = {"learning_rate": FloatDistribution(1e-5, 1e-2, log=True)}
BUDGET = Budget(trials=10, epochs=20, seeds=2, evaluation_seeds=0, evaluations=5)
SIZES = Sizes(train=100, validation=0, test=0, tasks=3)
SPEED = Speed(train={"train": 0.01}, fit=0.0, score=0.001, variants=0.003)
SPEEDS = {"PGN": SPEED}
ONE = defaultdict(lambda: 1.0)
"""Sampled configurations of every baseline that take as long as its default."""


@pytest.fixture
def fifteens():
    """Two classes of fifteen training and five test images."""
    images = [np.zeros((2 * n, 4, 4), np.uint8) for n in (15, 5)]
    labels = [np.repeat([0, 1], n) for n in (15, 5)]
    arrays = Arrays(images[0], labels[0], images[1], labels[1])
    return from_arrays("fifteens", ("a", "b"), arrays, "made for a test")


def study(*baselines, budget=BUDGET, **fields):
    budgets = dict.fromkeys(BUDGETS, budget)
    baselines = baselines or (Baseline(PGN, space=RATE),)
    search = Search("s", ("mnist",), baselines, budgets, **fields)
    shape = ImageShape(1, 28, 28)
    return Study("s", search, "mnist", shape, "quick", budget, search.selection)


def relative_operations(study, measured=None):
    """The mean relative seconds if they are proportional to operations."""
    ratios = relative_seconds(study, dict.fromkeys(study.baselines, SPEED), measured)
    return sum(ratios.values()) / len(ratios)


def seconds(sizes=SIZES, ratio=1.0, concurrent=1, **changes):
    changed = study(budget=replace(BUDGET, **changes))
    return cost(changed, sizes, SPEEDS, {"PGN": ratio}, concurrent).seconds


def test_the_cost_of_training():
    assert seconds() == pytest.approx(10 * 2 * 3 * 20 * 100 * 0.01)


@pytest.mark.parametrize("change", [{"trials": 30}, {"epochs": 60}, {"seeds": 6}])
def test_three_times_the_trials_epochs_or_seeds_cost_three_times_as_much(change):
    assert seconds(**change) == pytest.approx(3 * seconds())


def test_larger_suites_and_networks_cost_more_and_more_at_a_time_costs_less():
    assert seconds(SIZES._replace(tasks=9)) == pytest.approx(3 * seconds())
    assert seconds(SIZES._replace(train=300)) == pytest.approx(3 * seconds())
    assert seconds(ratio=1.5) == pytest.approx(1.5 * seconds())
    assert seconds(concurrent=4) == pytest.approx(seconds() / 4)
    assert seconds(concurrent=40) == pytest.approx(seconds() / 10)


def test_every_report_scores_the_held_out_images():
    watched = seconds(SIZES._replace(validation=200)) - seconds()
    assert watched == pytest.approx(10 * 2 * 3 * 200 * (4 * 0.001 + 0.003))


def test_every_trial_scores_the_test_images_once():
    tested = seconds(SIZES._replace(test=1000)) - seconds()
    assert tested == pytest.approx(10 * 2 * 3 * 1000 * 0.003)
    once_more = seconds(SIZES._replace(test=1000), evaluation_seeds=1)
    fresh = 3 * (20 * 100 * 0.01 + 1000 * 0.003)
    assert once_more == pytest.approx(seconds() + tested + fresh)


def test_a_test_curve_scores_the_test_images_at_every_report():
    sizes = SIZES._replace(test=1000)
    curve = seconds(sizes, test_curve=True) - seconds(sizes)
    assert curve == pytest.approx(10 * 2 * 3 * 1000 * 4 * 0.001)


def test_what_is_fitted_before_each_report_costs_its_time():
    fitting = {"PGN": SPEED._replace(fit=0.02)}
    watched = SIZES._replace(validation=200)
    slow, fast = (cost(study(), watched, speeds, ONE, 1).seconds for speeds in (fitting, SPEEDS))
    assert slow - fast == pytest.approx(10 * 2 * 3 * 5 * 100 * 0.02)
    slow, fast = (cost(study(), SIZES, speeds, ONE, 1).seconds for speeds in (fitting, SPEEDS))
    assert slow - fast == pytest.approx(10 * 2 * 3 * 100 * 0.02), "nothing is watched on the way"


def two_stages(**fields):
    """Deep SVDD with half as many epochs of pretraining as of training."""
    return study(Baseline(DeepSVDD, space=RATE, settings={"pretraining": 0.5}), **fields)


STAGE_SPEEDS = {
    "DeepSVDD": Speed(
        train={"pretraining": 0.04, "train": 0.01}, fit=0.02, score=0.001, variants=0.003
    )
}


def test_every_stage_costs_its_epochs_and_nothing_is_examined_before_the_last():
    price = cost(two_stages(), SIZES._replace(validation=200), STAGE_SPEEDS, ONE, 1).seconds
    training = 100 * (10 * 0.04 + 20 * 0.01)
    # reports after epochs 6, 12, 18, 24 and 30; the first is in the middle of pretraining
    examining = 100 * 4 * 0.02 + 200 * (3 * 0.001 + 0.003)
    assert price == pytest.approx(10 * 2 * 3 * (training + examining))


def test_with_patience_the_reports_are_spaced_over_the_longest_stage():
    watched = SIZES._replace(validation=200)
    price = cost(two_stages(patience=2), watched, STAGE_SPEEDS, ONE, 1).seconds
    training = 100 * (10 * 0.04 + 20 * 0.01)
    # reports after epochs 4, 8 and 10 of pretraining, then after 4, 8, 12, 16 and 20
    examining = 100 * 5 * 0.02 + 200 * (4 * 0.001 + 0.003)
    assert price == pytest.approx(10 * 2 * 3 * (training + examining))


def test_a_stage_that_was_not_measured_costs_as_much_as_the_slowest():
    stages = two_stages().baselines["DeepSVDD"].skeleton(two_stages().shape).stages()
    names = [stage.name for stage in stages]
    known = Speed(train={names[-1]: 0.01}, fit=0.0, score=0.0, variants=0.0)
    assert known.training(stages) == pytest.approx(30 * 0.01)


def test_the_speed_of_every_stage_is_measured_by_a_few_steps_however_long_it_is(monkeypatch):
    steps = []
    update = Stack.update
    monkeypatch.setattr(
        Stack,
        "update",
        lambda stack, stage, *rest: (steps.append(stage), update(stack, stage, *rest)),
    )
    long = study(Baseline(DeepSVDD, settings={"pretraining": 100.0}))
    (speed,) = measured_speed(long, "cpu").values()
    assert len(speed.train) == 2
    assert all(duration > 0 for duration in speed.train.values())
    stages = long.baselines["DeepSVDD"].skeleton(long.shape).stages()
    for stage in stages:  # 2, 2, 4, ... images, then three full batches
        assert 2 <= [step.name for step in steps].count(stage.name) <= 11


@pytest.mark.parametrize("pretraining", [0.5, 1.0, 3.0])
def test_operations_are_counted_over_the_epochs_of_every_stage(pretraining):
    space = {"pretraining": CategoricalDistribution([0.0, pretraining])}
    baseline = Baseline(DeepSVDD, space=space, settings={"pretraining": 0.0})
    ratio = relative_operations(study(baseline, plan=Grid()))
    module = baseline.fixed({"pretraining": pretraining}).skeleton(study(baseline).shape)
    both, encoder = (epoch_operations(module, stage) for stage in module.stages())
    assert both > encoder
    assert ratio == pytest.approx((1 + 1 + pretraining * both / encoder) / 2)


@pytest.fixture
def clock(monkeypatch):
    """Calls that are timed take the seconds of a function; returns the numbers of images."""

    def install(seconds):
        sizes, timed = [], []

        def of_call(call, device):
            call()
            timed.append(sizes[-1])
            return seconds(sizes[-1], timed.count(sizes[-1]))

        monkeypatch.setattr(speed_module, "seconds_of", of_call)
        return sizes

    return install


def test_a_call_is_timed_with_more_and_more_images_and_then_counts_the_fastest(clock):
    sizes = clock(lambda images, number: (1 + images) / number)
    assert speed_module._seconds_per_image(sizes.append, 10, 1e6, "cpu") == 11 / 3 / 10
    assert sizes == [2, 2, 4, 8, 10, 10, 10], "the first call is not timed"


@pytest.mark.parametrize("limit", [14.0, 30.0, 63.0])
def test_when_time_is_up_the_seconds_of_a_full_batch_follow_from_those_of_smaller_ones(
    clock, limit
):
    sizes = clock(lambda images, number: 1 + images / 2)
    assert speed_module._seconds_per_image(sizes.append, 200, limit, "cpu") == pytest.approx(
        101 / 200
    )
    spent = sum(1 + images / 2 for images in sizes[1:])
    assert spent <= limit
    assert max(sizes) < 200


@pytest.mark.parametrize("largest", [1, 2, 200])
def test_a_call_that_takes_long_is_timed_once(clock, largest):
    sizes = clock(lambda images, number: 50.0)
    assert speed_module._seconds_per_image(sizes.append, largest, 0.1, "cpu") == 50 / min(
        2, largest
    )
    assert sizes == [min(2, largest)] * 2


def test_seconds_that_do_not_grow_are_those_of_the_largest_call(clock):
    sizes = clock(lambda images, number: 8.0 if images == 2 else 2.0)
    seconds = speed_module._seconds_per_image(sizes.append, 2000, 24.0, "cpu")
    assert seconds == 2.0 / max(sizes)
    assert 2 < max(sizes) < 2000


def test_baselines_that_train_for_different_times_each_cost_their_own():
    baseline = Baseline(AE, settings={"epochs": 10}, name="short")
    free = replace(BUDGET, epochs=None)
    speeds = {"short": SPEED, "PGN": SPEED._replace(train={"train": 0.03})}
    both = study(baseline, Baseline(PGN, space=RATE), budget=free)
    price = cost(both, SIZES, speeds, ONE, 1).seconds
    assert price == pytest.approx(10 * 2 * 3 * 100 * (10 * 0.01 + 100 * 0.03) / 2)


def test_trials_that_are_listed_cost_what_those_of_their_baseline_cost():
    short = Baseline(AE, settings={"epochs": 10}, name="short")
    free = replace(BUDGET, epochs=None, trials=2)
    listed = study(short, Baseline(PGN), budget=free, plan=Listed([{}]))
    speeds = {"short": SPEED, "PGN": SPEED._replace(train={"train": 0.03})}
    whole = cost(listed, SIZES, speeds, ONE, 1)
    each = {"short": 2 * 3 * 100 * 10 * 0.01, "PGN": 2 * 3 * 100 * 100 * 0.03}
    assert whole.trial_seconds == pytest.approx(each)
    assert whole.seconds == pytest.approx(sum(each.values()))
    trials = trials_by_baseline(listed, 1, ended=["PGN"])
    assert trials == {"short": 1}
    left = Remaining(whole.size._replace(trials=1), trials)
    of_left = cost(listed, SIZES, speeds, ONE, 1, left)
    assert of_left.seconds == pytest.approx(each["short"])
    assert set(of_left.trial_seconds) == {"short"}


def test_trials_that_adapt_are_shared_by_the_baselines():
    both = study(Baseline(AE, space=RATE), Baseline(PGN, space=RATE))
    assert trials_by_baseline(both, 5) == {"AE": 2.5, "PGN": 2.5}


def test_budgets_of_other_epochs_are_priced_by_their_own(tiny, open_study, tmp_path):
    baseline = replace(tiny.baselines[0], space={})
    budget = replace(tiny.budgets["quick"], epochs=3, validation_images=1, evaluation_seeds=0)
    budgets = {"quick": budget, "standard": replace(budget, epochs=300), "paper": budget}
    session = open_study(replace(tiny, baselines=(baseline,), budgets=budgets), tmp_path)
    costs = Pricing(session).costs()
    assert costs["standard"].seconds > 20 * costs["quick"].seconds
    assert costs["paper"].seconds == pytest.approx(costs["quick"].seconds)


class Fitted(Detector[Config]):
    """A detector that is not trained."""

    Config = Config

    def score_variants(self, images, noise, score_space):
        return {"score": images.flatten(1).mean(1)}


def test_a_detector_that_is_fitted_costs_its_fit_and_its_scores():
    fitted = study(Baseline(Fitted), plan=Listed([{}]))
    (speed,) = measured_speed(fitted, "cpu").values()
    assert speed.train == {}
    assert speed.score > 0
    assert relative_operations(fitted) == 1.0
    speeds = {"Fitted": Speed(train={}, fit=0.02, score=0.001, variants=0.003)}
    price = cost(fitted, SIZES._replace(validation=200), speeds, ONE, 1)
    assert (price.size.trials, price.size.models) == (1, 2 * 3)
    assert price.seconds == pytest.approx(2 * 3 * (100 * 0.02 + 200 * 0.003))


def test_a_whole_data_set_by_which_nothing_is_selected_has_no_winner_to_train_again():
    budget = replace(BUDGET, evaluation_seeds=7)
    sizes = Sizes(train=100, validation=0, test=50, tasks=1)
    price = cost(study(budget=budget, plan=Listed([{}]), whole=True), sizes, SPEEDS, ONE, 1)
    assert (price.size.trials, price.size.models) == (1, 2)
    assert price.seconds == pytest.approx(2 * (20 * 100 * 0.01 + 50 * 0.003))


def test_the_images_of_a_whole_data_set():
    assert image_sizes(BUDGET, 1000, 500, 1) == (900, 100, 500, 1)
    capped = replace(BUDGET, validation_images=30, test_images=40)
    assert image_sizes(capped, 1000, 500, 1) == (900, 30, 40, 1)


def test_a_tenth_of_few_images_is_held_out_as_the_suite_does(fifteens):
    suite = Suite.prepare([fifteens], class_tasks(fifteens), BUDGET, 0)
    sizes = image_sizes(BUDGET, 15, len(fifteens.test_images), 2)
    for split in suite.splits.values():
        assert sizes.train == len(split.train) == 13
        validation = sum(map(len, split.validation.values()))
        assert sizes.validation == validation == 4


def test_the_winner_on_fresh_seeds_is_part_of_the_cost():
    price = cost(study(budget=replace(BUDGET, evaluation_seeds=7)), SIZES, SPEEDS, ONE, 1)
    assert price.seconds == pytest.approx(seconds() * (1 + 7 / 20))
    assert (price.size.trials, price.size.models) == (10, 10 * 2 * 3 + 7 * 3)


def test_the_start_and_the_report_are_counted_in_addition_to_training():
    quoted, chosen = (study(budget=replace(BUDGET, evaluation_seeds=n)) for n in (0, 5))
    serial = overhead(quoted, 10, "serial")
    assert 0 < serial < overhead(quoted, 100, "serial")
    assert serial == overhead(chosen, 10, "serial")
    assert serial < overhead(quoted, 10, "ray") < overhead(chosen, 10, "ray")


def test_a_plan_of_few_configurations_costs_no_more():
    sizes = CategoricalDistribution([8, 16, 32])
    baseline = Baseline(PGN, space={"latent_dim": sizes})
    assert cost(study(baseline, plan=Grid()), SIZES, SPEEDS, ONE, 1).size.trials == 3
    assert cost(study(baseline, plan=Listed([{}])), SIZES, SPEEDS, ONE, 1).size.trials == 1
    many = replace(BUDGET, trials=2)
    assert cost(study(baseline, plan=Grid(), budget=many), SIZES, SPEEDS, ONE, 1).size.trials == 2


def test_more_models_take_more_room():
    def room(**changes):
        return cost(study(budget=replace(BUDGET, **changes)), SIZES, SPEEDS, ONE, 1).bytes

    assert room(trials=20) > room() > 0
    assert room(seeds=4) > room()
    assert room(evaluation_seeds=5) > room()


def test_ranks_by_score_variants_take_room_for_models_that_are_reported():
    def room(space, **changes):
        baseline = Baseline(PGN, space=RATE, score_space=space)
        budget = replace(BUDGET, evaluation_seeds=3)
        return cost(study(baseline, budget=budget, **changes), SIZES, SPEEDS, ONE, 1)

    space = {"mc_samples": (0, 20), "dropout": (0.1,)}
    plain, chosen = room({}), room(space)
    assert chosen.bytes - plain.bytes == 3 * BYTES_PER_VARIANT * chosen.size.retrained > 0
    every = room(space, selection="oracle")
    more = every.bytes - room({}, selection="oracle").bytes
    assert more == 3 * BYTES_PER_VARIANT * every.size.models > 0


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ({}, (900, 1000, 5000, 10)),
        ({"validation_fraction": 0.0}, (1000, 0, 5000, 10)),
        ({"train_images": 50}, (50, 1000, 5000, 10)),
        ({"train_images": 5000}, (900, 1000, 5000, 10)),
        ({"validation_images": 30}, (900, 60, 5000, 10)),
        ({"validation_images": 300}, (900, 400, 5000, 10)),
        ({"test_images": 40}, (900, 1000, 80, 10)),
        ({"classes": (0, 3)}, (900, 1000, 5000, 2)),
    ],
)
def test_the_images_of_a_model(changes, sizes):
    assert image_sizes(replace(BUDGET, **changes), 1000, 5000, 10) == sizes


@pytest.mark.parametrize("changes", [{}, {"train_images": 10_000, "validation_images": 10_000}])
def test_the_images_of_a_model_are_those_of_the_suite(tiny, open_study, tmp_path, changes):
    session = open_study(tiny, tmp_path, changes=changes)
    sizes, suite = Pricing(session).images(session.study.budget), session.suite
    assert sizes.tasks == len(suite.tasks)
    for split in suite.splits.values():
        validation = sum(map(len, split.validation.values()))
        assert sizes.train == pytest.approx(len(split.train), rel=0.05)
        assert sizes.validation == pytest.approx(validation, rel=0.1)
        assert sizes.test == sum(map(len, split.test.values()))


@pytest.mark.parametrize(
    "space",
    [
        {},
        RATE,
        {**RATE, "dropout": FloatDistribution(0.1, 0.7)},
        {"mc_samples": CategoricalDistribution([0, 20, "inf"])},
    ],
    ids=sorted,
)
def test_a_space_without_the_architecture_leaves_the_operations_alone(space):
    assert relative_operations(study(Baseline(PGN, space=space))) == pytest.approx(1.0)


def widths(*values, detector=PGN, width=1.0):
    space = {"width": CategoricalDistribution(values)}
    return study(Baseline(detector, space=space, settings={"width": width}), plan=Grid())


@pytest.mark.parametrize("detector", [PGN, AE, DeepSVDD])
def test_wider_networks_take_more_operations_and_narrower_ones_fewer(detector):
    assert relative_operations(widths(1.0, 2.0, 4.0, detector=detector)) > 1.5
    assert relative_operations(widths(0.5, 1.0, detector=detector)) < 1.0
    wide, wider = (relative_operations(widths(1.0, w, detector=detector)) for w in (2.0, 4.0))
    assert wide < wider
    assert relative_operations(widths(1.0, 4.0, detector=detector, width=4.0)) < 1.0


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (1.0, (0.25 + 1 + 4) / 3),
        (0.0, 1.0),
        (0.5, (0.625 + 1 + 2.5) / 3),
        (2.0, (0.25 + 1 + 7) / 3),
    ],
)
def test_seconds_grow_with_operations_as_measured(growth, expected, monkeypatch):
    def stages(detector, config, shape):
        return ((config.epochs, int(100 * config.width**2)),)

    monkeypatch.setattr(speed_module, "_stages", stages)
    speeds = {"PGN": SPEED._replace(growth=growth)}
    assert relative_seconds(widths(0.5, 1.0, 2.0), speeds) == {"PGN": pytest.approx(expected)}


def test_the_growth_is_measured_with_the_largest_configuration(monkeypatch):
    seconds = {0.5: 0.9, 1.0: 1.0, 4.0: 3.0}
    monkeypatch.setattr(
        speed_module._Probe,
        "train",
        lambda probe, stage, limit: seconds[probe.replica_set.replicas[0].module.config.width],
    )
    (speed,) = measured_speed(widths(0.5, 1.0, 4.0), "cpu").values()
    module = widths(1.0, width=4.0).baselines["PGN"].skeleton(ImageShape(1, 28, 28))
    default = widths(1.0).baselines["PGN"].skeleton(ImageShape(1, 28, 28))
    ratio = forward_operations(module) / forward_operations(default)
    assert speed.train == {"train": 1.0}
    assert speed.growth == pytest.approx(2 / (ratio - 1))


def test_nothing_is_measured_of_configurations_that_are_not_larger(monkeypatch):
    built = []
    probe = speed_module._Probe
    monkeypatch.setattr(
        speed_module, "_Probe", lambda *arguments: (built.append(1), probe(*arguments))[1]
    )
    (speed,) = measured_speed(widths(0.5, 1.0), "cpu").values()
    assert (len(built), speed.growth) == (1, 1.0)


def test_each_baseline_is_measured_by_its_own_default():
    both = study(Baseline(AE, space=RATE), Baseline(PGN, space=RATE))
    assert relative_operations(both) == pytest.approx(1.0)


def test_wide_configurations_of_one_baseline_do_not_make_another_one_dearer():
    space = {"width": CategoricalDistribution([1.0, 4.0])}
    both = study(Baseline(AE, space=space), Baseline(PGN, space={}), plan=Grid())
    ratios = relative_seconds(both, dict.fromkeys(both.baselines, SPEED))
    assert ratios["AE"] > 1.5 and ratios["PGN"] == 1.0
    speeds = dict.fromkeys(both.baselines, SPEED)
    price = cost(both, SIZES, speeds, ratios, 1)
    ratio = price.trial_seconds["AE"] / price.trial_seconds["PGN"]
    assert ratio == pytest.approx(ratios["AE"])


def test_configurations_that_cannot_be_built_cost_nothing():
    sizes = {"latent_dim": CategoricalDistribution([16, 24, 40])}
    baseline = Baseline(AE, space=sizes, settings={"latent_dim": 16})
    assert relative_operations(study(baseline, plan=Grid())) == pytest.approx(1.0)


def test_speed_is_measured_over_the_baselines_and_leaves_the_threads_alone():
    threads = torch.get_num_threads()
    speeds = measured_speed(study(Baseline(PGN), Baseline(AE, name="plain")), "cpu")
    assert set(speeds) == {"PGN", "plain"}
    for speed in speeds.values():
        assert all(
            0 < duration < 1
            for duration in (*speed.train.values(), speed.fit, speed.score, speed.variants)
        )
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("cap", "test"), [(None, 10_000 + 1083 + 400), (500, 500 + 500 + 400)])
def test_the_test_images_of_all_outsider_sets_count(cap, test):
    budget = replace(BUDGET, test_images=cap, validation_images=50)
    sizes = image_sizes(budget, 50_000, 10_000, 1, [1083, 400])
    assert sizes == Sizes(train=45_000, validation=50, test=test, tasks=1)


def test_operations_of_another_budget_are_those_over_the_defaults_that_were_timed():
    space = {"width": CategoricalDistribution([1.0, 4.0])}
    small = replace(BUDGET, only={"width": (1.0,)})
    timed = study(Baseline(AE, space=space), plan=Grid(), budget=small)
    large = replace(timed, budget=replace(BUDGET, epochs=40))
    assert relative_operations(timed, timed) == 1
    assert relative_operations(large, timed) == pytest.approx(relative_operations(large, large))
    wide = replace(timed, budget=replace(BUDGET, only={"width": (4.0,)}))
    both = [relative_operations(sampled, timed) for sampled in (timed, wide)]
    assert relative_operations(large, timed) == pytest.approx(sum(both) / 2)
    assert relative_operations(wide, wide) == 1 < both[1]


def test_operations_of_a_forward_pass_are_those_of_the_last_stage():
    module = Baseline(AE).skeleton(ImageShape(1, 28, 28))
    wider = Baseline(AE, settings={"width": 2.0}).skeleton(ImageShape(1, 28, 28))
    assert 0 < forward_operations(module) < forward_operations(wider)
