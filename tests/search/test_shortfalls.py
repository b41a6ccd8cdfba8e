"""What a study is too small to answer is said, with the number that would do."""

from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.sample_sizes import LEAST_PAIRS, LEAST_STEPS, SIGNIFICANCE, pairs_for, smallest_p
from tune_ad.search.baseline import Baseline
from tune_ad.search.checks.shortfalls import optimiser_steps, shortfalls
from tune_ad.search.claim import Claim
from tune_ad.search.plans import Grid, Listed, OneAtATime, Optuna, OptunaInTurns, Sobol
from tune_ad.search.study import Study

BATCH = 20
ENOUGH = LEAST_STEPS * BATCH  # images of one epoch


@pytest.fixture
def study_of(tiny, tiny_budget):
    """A function: a study on digits with a plan, a budget and baselines."""

    def made(plan=None, baselines=None, search=(), **budget):
        usual = {"epochs": 1, "seeds": 2, "train_images": None, "evaluation_seeds": 3}
        changed = replace(tiny_budget, **{**usual, **budget})
        settled = tuple(baselines or (Baseline(PGN, space=SPACE, settings={"batch_size": BATCH}),))
        declared = replace(tiny, plan=plan or Optuna(), baselines=settled, **dict(search))
        shape = ImageShape(1, 8, 8)
        return Study("tiny", declared, "digits", shape, "quick", changed, "validation")

    return made


SPACE = {
    "latent_dim": CategoricalDistribution([8, 16, 32]),
    "width": CategoricalDistribution([0.5, 1.0]),
}


@pytest.mark.parametrize("tests", [1, 2, 3, 17, 100])
def test_fewer_pairs_cannot_be_significant(tests):
    needed = pairs_for(tests)
    assert tests * smallest_p(needed) <= SIGNIFICANCE
    assert needed == LEAST_PAIRS or tests * smallest_p(needed - 1) > SIGNIFICANCE


def test_a_study_that_can_answer_says_nothing(study_of):
    assert shortfalls(study_of(), ENOUGH, tasks=2) == []


@pytest.mark.parametrize(("images", "epochs", "steps"), [(100, 3, 15), (101, 3, 18), (19, 1, 1)])
def test_a_batch_that_is_not_full_is_a_step(study_of, images, epochs, steps):
    assert optimiser_steps(study_of(epochs=epochs), images) == {"PGN": steps}


def test_too_few_steps_are_named_with_the_number_that_would_do(study_of):
    assert shortfalls(study_of(), ENOUGH - BATCH + 1, tasks=2) == []
    (sentence,) = shortfalls(study_of(), ENOUGH - BATCH, tasks=2)
    assert sentence.startswith("only 499 optimiser steps per model: with fewer than 500")
    assert "only 1 optimiser step per model:" in shortfalls(study_of(), 1, tasks=2)[0]


def test_what_is_fitted_makes_no_steps(study_of):
    baselines = [Baseline(PGN, settings={"batch_size": 100}), Baseline(KDE)]
    mixed = study_of(Listed([{}]), baselines, seeds=3)
    assert optimiser_steps(mixed, 1000) == {"PGN": 10}
    both = study_of(Listed([{}]), [*baselines, Baseline(PGN, name="other")], seeds=3)
    (sentence,) = shortfalls(both, 1000, tasks=2)
    assert sentence.startswith("only 5 optimiser steps per model (PGN, other)")
    assert shortfalls(study_of(Listed([{}]), [Baseline(KDE)], seeds=3), 1, tasks=2) == []


def test_all_stages_count(study_of):
    from tune_ad.detectors.deep_svdd import DeepSVDD

    settings = {"batch_size": BATCH, "pretraining": 1.0}
    study = study_of(baselines=[Baseline(DeepSVDD, settings=settings)], epochs=4)
    assert optimiser_steps(study, 100) == {"DeepSVDD": 2 * 4 * 5}


def test_one_seed_cannot_tell_similar_trials_apart(study_of):
    (sentence,) = shortfalls(study_of(seeds=1), ENOUGH, tasks=2)
    assert sentence.startswith("one seed per trial") and "--seeds 2" in sentence
    assert shortfalls(study_of(seeds=1, trials=1), ENOUGH, tasks=2) == []


def test_an_ablation_needs_pairs_for_all_its_changes(study_of):
    """Of 2 + 1 changes, each with a pair per class and seed."""
    usual = {"plan": OneAtATime(), "evaluation_seeds": 0}
    needed = pairs_for(3)
    assert needed == 7
    assert shortfalls(study_of(**usual, seeds=4), ENOUGH, tasks=2) == []
    (sentence,) = shortfalls(study_of(**usual, seeds=3), ENOUGH, tasks=2)
    assert sentence.startswith("6 pairs of class and seed: with 3 changes to compare")
    assert "7 pairs" in sentence and "--seeds 4" in sentence
    (sentence,) = shortfalls(study_of(**usual, seeds=2), ENOUGH, tasks=10)
    assert "3 seeds (--seeds 3)" in sentence
    grid = study_of(Grid(), evaluation_seeds=0, trials=6, seeds=3)
    assert shortfalls(grid, ENOUGH, tasks=2) == [
        "6 pairs of class and seed: with 3 changes to compare, a significant difference needs at "
        "least 7 pairs and 3 seeds (--seeds 4)"
    ]


def test_a_claim_needs_seeds_for_its_verdict(study_of):
    claim = {"claim": Claim("capacity", factor="width", strata=("latent_dim",))}
    usual = {"plan": Grid(), "search": claim, "evaluation_seeds": 0}
    assert shortfalls(study_of(**usual, seeds=6), ENOUGH, tasks=1) == []
    assert shortfalls(study_of(**usual, seeds=5), ENOUGH, tasks=1) == [
        "5 seeds: a verdict on the claim needs 6 (--seeds 6)"
    ]


@pytest.mark.parametrize("methods", [2, 3, 9])
def test_methods_need_pairs_for_all_their_comparisons(study_of, methods):
    """Each is compared with every other."""
    needed = pairs_for(methods * (methods - 1) // 2)
    baselines = [
        Baseline(PGN, name=f"method {k}", settings={"batch_size": BATCH}) for k in range(methods)
    ]
    usual = {"evaluation_seeds": 0, "trials": methods}
    assert shortfalls(study_of(Listed([{}]), baselines, seeds=needed, **usual), ENOUGH, 1) == []
    few = study_of(Listed([{}]), baselines, seeds=needed - 1, **usual)
    (sentence,) = shortfalls(few, ENOUGH, tasks=1)
    assert sentence.startswith(
        f"{needed - 1} pairs of class and seed: with {methods} configurations"
    )
    assert sentence.endswith(f"(--seeds {needed})")


def test_samples_of_a_space_need_two_seeds_and_no_pairs(study_of):
    space = {"plan": Sobol(), "trials": 6, "evaluation_seeds": 0}
    (line,) = shortfalls(study_of(seeds=1, **space), ENOUGH, tasks=2)
    assert line.startswith("one seed per trial: the effect of a parameter")
    assert shortfalls(study_of(seeds=2, **space), ENOUGH, tasks=2) == []


def test_samples_of_several_spaces_compare_their_defaults(study_of):
    two = [Baseline(PGN, name=name, space=SPACE, settings={"batch_size": BATCH}) for name in "ab"]
    space = {"plan": Sobol(), "trials": 6, "evaluation_seeds": 0, "baselines": two}
    (line,) = shortfalls(study_of(seeds=2, **space), ENOUGH, tasks=5)
    assert "with 2 default configurations to compare" in line and line.endswith("(--seeds 3)")
    assert shortfalls(study_of(seeds=3, **space), ENOUGH, tasks=5) == []


def test_a_single_method_is_tested_against_published_numbers(study_of):
    usual = {"plan": Listed([{}]), "evaluation_seeds": 0}
    assert shortfalls(study_of(**usual, seeds=3), ENOUGH, tasks=2) == []
    assert shortfalls(study_of(**usual, seeds=2), ENOUGH, tasks=2) == [
        "2 seeds: a test against published numbers needs 3 (--seeds 3)"
    ]


def test_the_winner_needs_fresh_seeds_for_a_test(study_of):
    assert shortfalls(study_of(evaluation_seeds=3), ENOUGH, tasks=2) == []
    (sentence,) = shortfalls(study_of(evaluation_seeds=1), ENOUGH, tasks=2)
    assert (
        sentence.startswith("1 fresh seed for the winner") and "--evaluation-seeds 3" in sentence
    )


def test_a_study_without_anomalies_needs_no_seeds(study_of, tiny, tiny_budget):
    budgets = dict.fromkeys(tiny.budgets, replace(tiny_budget, classes=None))
    search = {"whole": True, "budgets": budgets}
    study = study_of(Grid(), search=search, evaluation_seeds=0, seeds=1, classes=None)
    assert shortfalls(study, ENOUGH, tasks=1) == []


def test_baselines_without_a_turn_are_named(study_of):
    names = ("first", "second", "third")
    baselines = [
        Baseline(PGN, name=name, space=SPACE, settings={"batch_size": BATCH}) for name in names
    ]
    few = study_of(plan=OptunaInTurns(), baselines=baselines, trials=1)
    assert shortfalls(few, ENOUGH, tasks=6)[0] == (
        "only 1 trial for 3 baselines: second, third are not tried (--trials 3)"
    )
    enough = study_of(plan=OptunaInTurns(), baselines=baselines, trials=3)
    assert not any("not tried" in line for line in shortfalls(enough, ENOUGH, tasks=6))
