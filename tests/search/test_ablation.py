"""A search as an ablation: what changes, what is refused, and whole small studies of each kind."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution

from analysis.report.study_report import write_report
from tests.marks import slow
from tune_ad.app.command_line.console import closing, opening, plan
from tune_ad.app.command_line.options import Options
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.app.preparation.validation import prepare
from tune_ad.app.session import Outcome
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.sample_sizes import pairs_for
from tune_ad.search import catalogue
from tune_ad.search.ablation import ABLATIONS, ablated
from tune_ad.search.budgets import BUDGETS
from tune_ad.search.plans import Grid, OneAtATime, Sobol
from tune_ad.search.study import Study
from tune_ad.storage.metric import TEST_AUROC
from tune_ad.storage.records import TrialSpec

GOLDEN = Path(__file__).parent.parent / "analysis" / "golden"


@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        ("one", OneAtATime(points=3)),
        ("grid", Grid(points=2, with_default=True)),
        ("sobol", Sobol()),
    ],
)
@pytest.mark.parametrize("name", ["quickstart", "ae_mnist", "svdd_cifar", "rd_mnist"])
def test_an_ablation_selects_nothing_stops_nothing_and_has_paired_seeds(name, kind, plan):
    search, data = catalogue.find(name)
    ablation = ablated(search, kind)
    assert (ablation.plan, ablation.pruning) == (plan, False)
    further = {"last_batch": CategoricalDistribution(["filled", "short"])} if kind == "one" else {}
    assert ablation.baselines == tuple(
        replace(baseline, space={**baseline.space, **further}) for baseline in search.baselines
    )
    assert ablation.names() == search.names()
    for budget in BUDGETS:
        ours, theirs = ablation.budgets_for(data)[budget], search.budgets_for(data)[budget]
        assert ours.evaluation_seeds == 0
        assert ours.seeds == max(3, theirs.seeds)
        assert replace(ours, trials=1, seeds=1, evaluation_seeds=1) == replace(
            theirs, trials=1, seeds=1, evaluation_seeds=1
        )
        if kind == "sobol":
            searched = sum(bool(baseline.space) for baseline in search.baselines)
            assert ours.trials == max(32, 24 * searched, theirs.trials)


def test_single_changes_include_the_batches_and_the_updates_that_searches_do_not_vary():
    search, data = catalogue.find("aae_mnist")
    (searched,) = search.baselines
    assert not {"last_batch", "updates"} & searched.space.keys()
    study = study_under(ablated(search, "one"), data, "quick")
    default, *others = [configuration.params for configuration in study.planned]
    assert (default["last_batch"], default["updates"]) == ("filled", "alternating")
    assert {**default, "last_batch": "short"} in others
    assert {**default, "updates": "simultaneous"} in others
    published = study_under(ablated(search, "one"), data, "paper").planned[0].params
    assert (published["last_batch"], published["updates"]) == ("short", "simultaneous")
    fixed = replace(searched, settings={"updates": "simultaneous"}).ablated()
    assert "updates" not in fixed.space, "what a search fixes is not varied"


def test_an_ablation_of_an_earlier_version_is_continued_with_its_own_changes(tmp_path):
    shutil.copytree(GOLDEN / "quickstart-ablation", tmp_path / "quickstart-ablation")
    options = Options("quickstart", ablate="one", device="cpu", resume=True, results=tmp_path)
    study = prepare(options, say=lambda line: None).study
    assert "last_batch" not in study.baselines["PGN"].space
    assert study.config(TrialSpec(0, "PGN", {})).last_batch == "filled"


def study_under(search, data, budget):
    """A study of a search on grey images under one of its budgets."""
    shape = ImageShape(1, 28, 28)
    return Study("s", search, data, shape, budget, search.budgets_for(data)[budget], "validation")


def test_an_ablation_is_not_ablated_again():
    search, _ = catalogue.find("ablate_pgn_mnist")
    with pytest.raises(UserError, match="leave --ablate out, or use --ablate grid"):
        ablated(search, "one")
    assert ablated(search, "sobol").plan == Sobol()
    with pytest.raises(UserError, match="one, grid, sobol, got 'two'"):
        ablated(search, "two")


@pytest.fixture
def begin(tiny, open_study, tmp_path):
    """A function: an ablation of the tiny search in a folder of this test, of one epoch."""
    baseline = replace(tiny.baselines[0], score_space={})
    small = replace(tiny, baselines=(baseline,), pruning=True)

    def prepared(kind="one", changes=None, **options):
        usual = {} if options.get("resume") or options.get("extend") else {"epochs": 1}
        return open_study(
            small, tmp_path, ablate=kind, changes={**usual, **(changes or {})}, **options
        )

    return prepared


CHANGES = {(4, 0.5), (8, 0.5), (16, 0.5), (8, 0.1), (8, 0.4), (8, 0.7)}
SINGLE = {(*values, "filled") for values in CHANGES} | {(8, 0.5, "short")}
GRID = {(size, rate, "filled") for size in (4, 8, 16) for rate in (0.1, 0.5, 0.7)}


@pytest.mark.parametrize(("kind", "tried"), [("one", SINGLE), slow("grid", GRID)])
def test_an_ablation_is_a_study_of_its_own(begin, tmp_path, kind, tried):
    session = begin(kind)
    name = f"tiny{ABLATIONS[kind].suffix}"
    assert session.folder.path == tmp_path / name
    assert session.study.budget.trials == len(tried)
    assert Pricing(session).costs()["quick"].size.trials == len(tried)
    seeds = list(range(4 if kind == "one" else 3))  # 4: 6 changes need 8 pairs of class and seed
    assert Pricing(session).costs()["quick"].size.models == len(tried) * len(seeds) * 2
    assert session.run().exit_code == 0
    records = session.folder.read_trials()
    varied = ("latent_dim", "dropout", "last_batch")
    assert {tuple(r.params[name] for name in varied) for r in records} == tried
    assert len(records) == len(tried)
    for record in records:
        assert record.state == "complete"
        assert [replica.seed for replica in record.replicas] == [
            s for s in seeds for _ in range(2)
        ]
        assert len(record.metrics[TEST_AUROC]) == 2 * len(seeds)
    assert session.folder.read_evaluation() == []
    assert [path.name for path in tmp_path.iterdir()] == [name]
    stored = session.folder.read_study()
    assert (stored["search"], stored["ablation"]) == ("tiny", kind)
    assert stored["study"]["name"] == name
    assert stored["study"]["selection"] == "validation"
    plan = ABLATIONS[kind].plan()
    assert stored["study"]["plan"] == plan.describe()
    assert stored["study"]["pruning"] is False
    assert stored["seeds"] == seeds
    assert stored["fresh_seeds"] == []
    assert name in write_report(session.folder.path).summary


def test_an_ablation_spread_over_the_space_goes_on_with_the_same_points(begin):
    whole = [configuration.params for configuration in begin("sobol").study.planned]
    assert len(whole) == 32
    session = begin("sobol", {"trials": 3, "seeds": 1})
    assert session.study.budget.trials == 3
    assert session.run().exit_code == 0
    extended = begin("sobol", budget="auto", extend=2)
    assert extended.run().exit_code == 0
    tried = [spec.params for spec in extended.folder.read_trial_specs()]
    assert tried == whole[:5]
    assert tried[0] == {"latent_dim": 8, "dropout": 0.5}
    assert extended.folder.read_study()["study"]["budget"]["trials"] == 5


@pytest.mark.slow
def test_an_ablation_that_was_cut_short_is_resumed(begin):
    assert begin("grid", {"trials": 2, "seeds": 1}).run().exit_code == 0
    resumed = begin("grid", budget="auto", resume=True)
    assert resumed.run().exit_code == 0
    assert len(resumed.folder.read_trials()) == 2
    longer = begin("grid", budget="auto", extend=99)
    assert longer.study.budget.trials == 9, "there are no more"
    assert longer.run().exit_code == 0
    assert len(longer.folder.read_trials()) == 9


def test_what_the_user_fixes_is_not_varied(begin):
    session = begin("one", settings={"dropout": 0.3, "width": 2.0})
    assert [configuration.params for configuration in session.study.planned] == [
        {"latent_dim": size, "last_batch": batch}
        for size, batch in ((8, "filled"), (4, "filled"), (16, "filled"), (8, "short"))
    ]
    for baseline in session.study.baselines.values():
        params = baseline.config(session.study.shape, {})
        assert (params.dropout, params.width) == (0.3, 2.0)


def test_what_the_command_line_says_of_an_ablation(begin):
    session = begin("one")
    opened = opening(session)
    assert [line for line in opened.splitlines() if not line.startswith("too small")][:4] == [
        "tiny-ablation: ablation of tiny, one parameter at a time; "
        "7 trials x 2 classes x 4 seeds = 56 models",
        "4 seeds, the fewest with which one of 6 changes can be significant (--seeds 3 only ranks "
        "them, with 25% fewer models)",
        "budget quick, one trial at a time",
        "Every configuration is tested at its last epoch and reported; none is selected.",
    ]
    shown = plan(session)
    assert shown.startswith("tiny-ablation: ablation of tiny, one parameter at a time; digits")
    assert "plan: one parameter at a time\nEvery configuration is tested" in shown
    assert "* quick: 7 trials x 2 classes x 4 seeds = 56 models; about" in shown
    assert "the winner is not trained again" in shown
    ended = closing(session, Outcome(interrupted=True, out_of_time=False, failed=0))
    assert "continue with: tune-ad --search tiny --ablate one --resume --results" in ended


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "two"}, "--ablate must be one of one, grid, sobol, got 'two'"),
        ({"selection": "oracle"}, "--ablate selects no trial, so --selection has no effect"),
        ({"changes": {"evaluation_seeds": 3}}, "leave --evaluation-seeds out"),
        (
            {"settings": {"dropout": 0.3, "latent_dim": 8, "last_batch": "short"}},
            "tiny searches no parameter of PGN, so there is nothing to ablate; leave out --set",
        ),
    ],
    ids=str,
)
def test_what_an_ablation_has_no_use_for_is_refused(begin, tmp_path, options, words):
    with pytest.raises(UserError, match=words) as refusal:
        begin(**options)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "seeds"),
    [
        ({}, 4),
        ({"seeds": 3}, 3),
        ({"seeds": 7}, 7),
        ({"trials": 2}, 3),
        ({"classes": ["0"]}, 3),
        ({"classes": ["0", "1", "2"]}, 3),
    ],
    ids=str,
)
def test_the_default_seeds_are_the_least_with_which_a_change_can_be_significant(
    begin, changes, seeds
):
    """Of 6 changes; of 1 if two trials run; a single class would need 8 seeds."""
    session = begin("one", changes)
    assert session.study.budget.seeds == seeds
    needed = pairs_for(1 if "trials" in changes else 6)
    too_few = seeds * len(session.tasks) < needed
    assert any("a significant difference needs" in line for line in session.shortfalls) == too_few
    assert too_few == (changes in ({"seeds": 3}, {"classes": ["0"]}))


def test_a_truncated_ablation_counts_what_it_runs_also_when_it_is_extended(begin):
    session = begin("one", {"trials": 2, "seeds": 1})
    assert session.run().exit_code == 0
    assert session.folder.read_study()["planned"] == {"PGN": 2}
    extended = begin("one", budget="auto", extend=2)
    assert extended.run().exit_code == 0
    assert extended.folder.read_study()["planned"] == {"PGN": 4}


def test_a_search_that_varies_nothing_is_not_ablated(tiny, open_study, tmp_path):
    fixed = replace(tiny, baselines=(replace(tiny.baselines[0], space={}),))
    for kind in ABLATIONS:
        with pytest.raises(UserError, match="there is nothing to ablate$"):
            open_study(fixed, tmp_path, ablate=kind)


def test_a_baseline_that_varies_nothing_is_tested_beside_the_others(tiny, open_study, tmp_path):
    varied = replace(
        tiny.baselines[0], space={"latent_dim": CategoricalDistribution([8, 16])}, name="varied"
    )
    fixed = replace(tiny.baselines[0], space={}, name="fixed")
    both = replace(tiny, baselines=(varied, fixed))
    planned = partial(open_study, both, tmp_path)
    for kind in ABLATIONS:
        names = [configuration.baseline for configuration in planned(ablate=kind).study.planned]
        changed = 2 if kind == "one" else 1  # also the last batch
        assert sorted(names) == ["fixed", *["varied"] * (1 + changed)]
