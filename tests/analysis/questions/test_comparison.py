import json
import math
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from analysis.document.blocks import Figure, Table, Text
from analysis.questions.comparison.contenders import (
    class_contrasts,
    contender,
    contrasts,
    differences,
    every_pair,
)
from analysis.questions.comparison.settings import differing_tasks, setting_differences
from analysis.questions.comparison.studies import (
    compare,
    contenders_of,
    labels,
    pairs_across_studies,
)
from analysis.quoted import results, results_to_come
from analysis.report.findings import Findings
from analysis.report.sections import comparison
from analysis.study import StudyRecords
from tests.analysis import planted
from tune_ad.errors import UserError
from tune_ad.search.distributions import to_json
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import VALIDATION_AUROC

TEN = tuple(f"digits/{k}" for k in range(10))
TITLES = dict(zip(TEN, ("zero", "one", "two"), strict=False))


def aurocs(mean, tasks=TEN, seeds=5, noise=0.002, seed=0):
    rng = np.random.default_rng(seed)
    level = mean + 0.01 * np.arange(len(tasks))
    return (level + noise * rng.standard_normal((seeds, len(tasks)))).tolist()


def make(path, values, tasks=TEN, **search):
    """A study with one configuration, of these AUROCs, of each baseline."""
    trials = [
        planted.record(k, {"width": 1.0}, rows, tasks=tasks, baseline=name)
        for k, (name, rows) in enumerate(values.items())
    ]
    study = planted.study(
        path,
        trials,
        defaults={name: {"width": 1.0} for name in values},
        plan={"name": "Listed"},
        **search,
    )
    return restored(study, tasks=[{"name": name} for name in tasks])


def restored(study, **changes):
    """The study with other content at the top of its `study.json`."""
    study.folder.study.write_text(to_text({**study.stored, **changes}))
    return StudyRecords.read(study.folder.path)


def contenders(study):
    return [contender(result.baseline, result) for result in results(study)]


def blocks(report, kind):
    every_block = (
        report.blocks
        if hasattr(report, "blocks")
        else [b for s in report.sections for b in s.blocks]
    )
    return [block for block in every_block if isinstance(block, kind)]


def table(report, name):
    return next(block for block in blocks(report, Table) if block.name == name)


def prose(report):
    return "\n".join(block.text for block in blocks(report, Text))


@pytest.fixture
def three(tmp_path):
    return make(
        tmp_path, {"low": aurocs(0.6), "high": aurocs(0.7, seed=1), "mid": aurocs(0.65, seed=2)}
    )


def test_a_planted_difference_is_found_between_all_pairs(three):
    compared = contrasts(every_pair(contenders(three)))
    assert [(e.first, e.second) for e in compared] == [
        ("high", "mid"),
        ("high", "low"),
        ("mid", "low"),
    ]
    assert [e.paired.difference.mean for e in compared] == pytest.approx(
        [0.05, 0.1, 0.05], abs=0.002
    )
    assert {e.decision.tone for e in compared} == {"better"}
    assert {e.improvement.mean for e in compared} == {1.0}
    assert {(e.paired.n, e.paired.difference.n, e.classes) for e in compared} == {(50, 5, 10)}


def test_the_correction_counts_results_that_are_still_to_run(tmp_path, three):
    values = {"low": aurocs(0.6), "high": aurocs(0.7, seed=1), "mid": aurocs(0.65, seed=2)}
    defaults = {name: {"width": 1.0} for name in (*values, "VAE", "AAE")}
    baselines = {
        name: {"detector": "PGN", "space": planted.space(params), "params": params}
        for name, params in defaults.items()
    }
    budget = {"trials": 5, "evaluation_seeds": 0, "seeds": 1}
    study = make(tmp_path / "later", values, baselines=baselines, budget=budget)
    findings = Findings(restored(study, planned=dict.fromkeys(defaults, 1)))
    assert findings.pairs_to_come == 2 * 3 + 1
    (first, *_), (alone, *_) = findings.contrasts, Findings(three).contrasts
    assert first.paired.p == alone.paired.p
    assert first.decision.p == pytest.approx(10 * first.paired.p)
    assert alone.decision.p == pytest.approx(3 * alone.paired.p)
    caption = table(comparison.section(findings), "pairs_baselines").caption
    assert "Holm over 10 tests, 7 of them of results that are still to run," in caption
    whole = table(comparison.section(Findings(three)), "pairs_baselines").caption
    assert "still to run" not in whole


def test_winners_that_are_still_to_be_trained_again_are_results_to_come(tmp_path):
    names = ("a", "b", "c")
    params = {name: {"width": 1.0} for name in names}
    trials = [planted.record(k, params[n], [0.6], baseline=n) for k, n in enumerate(names)]
    for trial in trials:
        trial.metrics[VALIDATION_AUROC] = [0.6] * len(planted.TASKS)
    fresh = [
        planted.record(k, params[name], [0.6 + 0.1 * k], baseline=name)
        for k, name in enumerate(names[:2])
    ]
    budget = {"trials": 3, "evaluation_seeds": 1, "seeds": 1}
    made = planted.study(tmp_path, trials, params, fresh=fresh, budget=budget)
    plan = {"name": "Turns", "traits": {**made.search["plan"]["traits"], "in_turns": True}}
    search = {**made.search, "quotes": "winners", "plan": plan}
    study = replace(made, stored={**made.stored, "study": search, "evaluate": True})
    assert [result.baseline for result in results(study)] == ["a", "b"]
    assert study.fresh_left == 1
    assert results_to_come(study, results(study)) == 1
    assert Findings(study).pairs_to_come == 2


def test_a_planted_null_is_no_verdict(tmp_path):
    study = make(tmp_path, {"a": aurocs(0.6), "b": aurocs(0.6, seed=3)})
    (contrast,) = contrasts(every_pair(contenders(study)))
    assert contrast.decision.tone == "unsure"
    assert contrast.decision.p > 0.05
    assert math.isnan(contrast.improvement.low)
    more = {"a": aurocs(0.6, seeds=8), "b": aurocs(0.6, seeds=8, seed=3)}
    (contrast,) = contrasts(every_pair(contenders(make(tmp_path / "more", more))))
    assert contrast.improvement.low < 0.5 < contrast.improvement.high


def test_class_by_class_five_seeds_give_no_verdict_and_twelve_do(three, tmp_path):
    few = class_contrasts(every_pair(contenders(three)))
    assert len(few) == 30
    assert all("paired seeds" in contrast.decision.reason for contrast in few)
    values = {"a": aurocs(0.7, seeds=12), "b": aurocs(0.6, seeds=12, seed=1)}
    many = class_contrasts(every_pair(contenders(make(tmp_path / "many", values))))
    assert {contrast.decision.tone for contrast in many} == {"better"}


def test_copies_of_a_model_that_no_seed_changes_are_no_evidence(tmp_path):
    values = {"KDE": aurocs(0.7, noise=0), "OCSVM": aurocs(0.6, noise=0)}
    study = make(tmp_path, values)
    (contrast,) = contrasts(every_pair(contenders(study)))
    assert contrast.paired.difference.mean == pytest.approx(0.1)
    assert (contrast.decision.tone, contrast.improvement.n) == ("unsure", 1)
    assert contrast.decision.reason == "not tested (both deterministic)"
    assert {e.decision.reason for e in class_contrasts(every_pair(contenders(study)))} == {
        "not tested (both deterministic)"
    }
    caption = table(comparison.section(Findings(study)), "pairs_baselines").caption
    assert caption.endswith("No verdict: not tested (both deterministic).")
    noisy = {**values, "AE": aurocs(0.5)}
    compared = contrasts(every_pair(contenders(make(tmp_path / "noisy", noisy))))
    assert [contrast.paired.n for contrast in compared] == [1, 50, 50]
    assert [contrast.decision.tone for contrast in compared] == ["unsure", "better", "better"]


def test_one_seed_of_ten_classes_is_no_verdict(tmp_path):
    values = {"a": aurocs(0.7, seeds=1), "b": aurocs(0.6, seeds=1, seed=1)}
    (contrast,) = contrasts(every_pair(contenders(make(tmp_path, values))))
    assert contrast.decision.tone == "unsure"
    assert contrast.decision.reason == "the test needs 3 paired seeds, got 1"


def test_a_seed_that_lost_a_class_is_paired_nowhere(tmp_path):
    rows = aurocs(0.6)
    rows[2][4] = None
    study = make(tmp_path, {"a": aurocs(0.7, seed=1), "b": rows})
    a, b = contenders(study)
    assert list(differences(a, b).columns) == [0, 1, 3, 4]
    assert (
        "b: 1 of 5 seeds failed" in table(comparison.section(Findings(study)), "baselines").caption
    )


def test_the_section_shows_numbers_mean_ranks_and_pairs(three):
    report = comparison.section(Findings(three))
    rows = table(report, "baselines").shown
    assert list(rows["baseline"]) == ["low", "high", "mid"]
    assert str(rows["mean"][1]).startswith("74.5 ± ")
    assert list(rows["n"]) == [5, 5, 5]
    assert list(rows["mean rank"].map(str)) == ["3.00", "1.00", "2.00"]
    assert "not ten independent data sets" in table(report, "baselines").caption
    assert not blocks(report, Figure), "a diagram of ranks would need a test"
    cell = table(report, "pairs_baselines").shown["difference"][1]
    assert (cell.tone, cell.value) == ("better", pytest.approx(0.1, abs=0.002))
    by_class = table(report, "pairs_baselines_by_class")
    assert by_class.shown.shape == (10, 4)
    assert len(by_class.stored) == 30


def test_of_many_baselines_pairs_with_the_best_are_shown_by_class(tmp_path):
    values = {f"b{k}": aurocs(0.5 + 0.05 * k, seed=k) for k in range(5)}
    report = comparison.section(Findings(make(tmp_path, values)))
    by_class = table(report, "pairs_baselines_by_class")
    assert list(by_class.shown.columns) == ["class", *(f"b4 - b{k}" for k in (3, 2, 1, 0))]
    assert len(by_class.stored) == 100
    assert "Only pairs with b4" in by_class.caption


def test_one_seed_and_two_classes_are_shown_without_a_verdict(tmp_path):
    values = {name: [[0.6 + 0.1 * k, 0.7]] for k, name in enumerate("abc")}
    report = comparison.section(Findings(make(tmp_path, values, TEN[:2])))
    assert "mean rank" not in table(report, "baselines").shown
    caption = table(report, "pairs_baselines").caption
    assert "No verdict: the test needs 3 paired seeds, got 1." in caption


@pytest.mark.parametrize(
    "values",
    [{}, {"a": [[0.6] * 10]}],
    ids=["empty", "one trial"],
)
def test_there_is_no_section_without_two_results(tmp_path, values):
    assert comparison.section(Findings(make(tmp_path, values))) is None


def test_baselines_of_which_every_seed_failed_stand_in_the_table_alone(tmp_path):
    values = {"a": aurocs(0.6), "b": [[None] * 10] * 5, "c": [[None] * 10] * 5}
    report = comparison.section(Findings(make(tmp_path, values)))
    assert [block.name for block in blocks(report, Table)] == ["baselines"]
    assert "b: 5 of 5 seeds failed" in table(report, "baselines").caption
    assert str(table(report, "baselines").shown["mean"][1]) == ""


def test_two_studies_are_paired_where_they_share_classes_and_seeds(tmp_path):
    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one")
    two = make(tmp_path / "2", {"AE": aurocs(0.6, TEN[:6], seed=1)}, TEN[:6], name="two")
    report = compare([one, two])
    assert report.title == "one and two"
    row = table(report, "pairs_results").shown.iloc[0]
    assert (row["first"], row["second"]) == ("AE, one", "AE, two")
    assert (row["classes"], row["n"]) == (6, 5)
    assert row["difference"].tone == "better"
    assert "AE, one against AE, two, over 6 classes: +10." in report.summary
    assert "- AE, two: 62." in report.summary


def test_only_what_differs_is_listed_and_budgets_are_warned_of(tmp_path):
    def budget(epochs):
        return {"trials": 1, "evaluation_seeds": 0, "seeds": 5, "epochs": epochs}

    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one", budget=budget(2))
    two = make(tmp_path / "2", {"AE": aurocs(0.7)}, name="two", budget=budget(200))
    two = restored(two, versions={"tune_ad": "0", "torch": "2"}, hardware={"device": "cuda"})
    differences = setting_differences([one, two], ["one", "two"]).set_index(["part", "setting"])
    assert dict(differences["two"]) == {
        ("budget", "epochs"): "200",
        ("versions", "torch"): "2",
        ("hardware", "device"): "cuda",
    }
    assert differences.loc[("versions", "torch"), "one"] == ""
    text = prose(compare([one, two]))
    assert (
        "The budgets differ (epochs 2 and 200): a difference in results may come from that alone"
        in text
    )
    assert "The recorded settings are identical, except for names and dates" in prose(
        compare([one, make(tmp_path / "3", {"AE": aurocs(0.7)}, name="3", budget=budget(2))])
    )


def test_settings_are_shown_in_words(tmp_path):
    """Classes by their names, ranges without JSON, "all" for no limit."""
    spaces = [FloatDistribution(0.1, high) for high in (0.7, 0.9)]
    studies = []
    for k, space in enumerate(spaces):
        limits = {"classes": [0, 3], "train_images": None if k else 50, "epochs": k or None}
        made = make(
            tmp_path / str(k),
            {"AE": aurocs(0.7, TEN[:2])},
            TEN[:2],
            name=f"study {k}",
            budget={"trials": 1, "evaluation_seeds": 0, "seeds": 5, **limits},
            baselines={
                "AE": {
                    "detector": "PGN",
                    "space": {"width": to_json(space)},
                    "params": {"width": 0.5},
                }
            },
        )
        shown = TEN[k : k + 2]
        tasks = [{"name": name, "title": f"digits/{TITLES[name]}"} for name in shown]
        studies.append(restored(made, tasks=tasks, changes={"epochs": k or None}))
    differences = setting_differences(studies, ["a", "b"]).set_index(["part", "setting"])
    assert {key: tuple(row) for key, row in differences.iterrows()} == {
        ("study", "tasks"): ("digits/zero, digits/one", "digits/one, digits/two"),
        ("budget", "classes"): ("digits/zero, digits/one", "digits/one, digits/two"),
        ("budget", "train_images"): ("50", "all"),
        ("budget", "epochs"): ("as published", "1"),
        ("baseline AE", "searched: width"): ("0.1 to 0.7", "0.1 to 0.9"),
    }


def test_studies_of_different_data_sets_have_no_paired_numbers(tmp_path):
    other = tuple(f"clothes/{k}" for k in range(10))
    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one")
    two = make(tmp_path / "2", {"AE": aurocs(0.6)}, other, name="two", data_set="clothes")
    report = compare([one, two])
    reason = (
        "one and two: they share no class (digits/0, digits/1, digits/2 and 7 more; clothes/0, "
        "clothes/1, clothes/2 and 7 more)."
    )
    assert reason in prose(report)
    assert report.summary.startswith(f"Not comparable:\n- {reason}\n\n- AE, one: ")
    assert not [block for block in blocks(report, Table) if block.name.startswith("pairs")]
    assert "Tested:" not in report.summary


def test_a_task_of_one_name_that_is_not_the_same_is_not_shared(tmp_path):
    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one")
    two = make(tmp_path / "2", {"AE": aurocs(0.6)}, name="two")
    tasks = [{"name": name, "outsiders": ["svhn"] if k == 0 else []} for k, name in enumerate(TEN)]
    one = restored(one, tasks=[{**task, "outsiders": []} for task in tasks])
    two = restored(two, tasks=tasks)
    report = compare([one, two])
    assert "digits/0: the studies use this name for different tasks" in prose(report)
    assert table(report, "pairs_results").shown["classes"][0] == 9


def test_the_name_of_a_class_makes_no_other_task(tmp_path):
    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one")
    two = make(tmp_path / "2", {"AE": aurocs(0.6)}, name="two")
    two = restored(two, tasks=[{"name": name, "class_name": f"digit {name}"} for name in TEN])
    assert differing_tasks([one, two]) == set()
    assert "Not tested" not in compare([one, two]).summary


def test_without_a_shared_seed_nothing_is_paired_and_it_says_so(tmp_path):
    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one")
    two = make(tmp_path / "2", {"AE": aurocs(0.6)}, name="two")
    lines = [json.loads(line) for line in two.folder.trials.path.read_text().splitlines()]
    for replica in lines[0]["replicas"]:
        replica["seed"] += 1000
    two.folder.trials.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = compare([one, StudyRecords.read(two.folder.path)])
    reason = "AE, one against AE, two: they share no seed (0 to 4 against 1000 to 1004)."
    assert reason in prose(report)
    assert reason in report.summary
    row = table(report, "pairs_results").shown.iloc[0]
    assert str(row["difference"]) == "not paired"
    assert row["P(first > second)"].value == 1.0


def test_the_summary_says_what_each_test_shows(tmp_path):
    values = {"a": aurocs(0.7), "b": aurocs(0.6, seed=1)}
    one, two = (make(tmp_path / name, values, name=name) for name in ("one", "two"))
    assert "Not tested" not in compare([one, two]).summary
    _, tested = compare([one, two]).summary.split("Tested:\n")
    lines = tested.splitlines()
    assert lines[0].startswith(
        "- a, one against a, two, over 10 classes: +0.0 [+0.0, +0.0] points"
    )
    assert lines[0].endswith("n = 50: p = 1 after Holm over 2 tests; not significant.")
    assert lines[1].startswith("- b, one against b, two, over 10 classes: ")


@pytest.mark.slow
def test_of_many_pairs_the_summary_counts_the_rest(tmp_path):
    values = {f"b{k}": aurocs(0.5 + 0.05 * k, seed=k) for k in range(8)}
    one, two = (make(tmp_path / name, values, name=name) for name in ("one", "two"))
    assert "- 2 more pairs: see the table of pairs." in compare([one, two]).summary
    few = {name: rows[:1] for name, rows in values.items()}
    one, two = (make(tmp_path / f"few {name}", few, name=name) for name in ("one", "two"))
    summary = compare([one, two]).summary
    assert "- all 8 pairs: the test needs 3 paired seeds, got 1." in summary


def test_deterministic_methods_are_not_tested_and_the_summary_says_so(tmp_path):
    one = make(tmp_path / "1", {"KDE": aurocs(0.7, noise=0)}, name="one")
    two = make(tmp_path / "2", {"OCSVM": aurocs(0.6, noise=0)}, name="two")
    report = compare([one, two])
    reason = "KDE, one against OCSVM, two: pairs of deterministic methods are not tested."
    assert reason in report.summary
    caption = table(report, "pairs_results").caption
    assert "Pairs of deterministic methods are not tested." in caption


def test_different_tasks_of_one_name_and_failed_seeds_are_reasons(tmp_path):
    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one")
    two = make(tmp_path / "2", {"AE": aurocs(0.6)}, name="two")
    two = restored(two, tasks=[{"name": name, "outsiders": ["svhn"]} for name in TEN])
    failed = make(tmp_path / "3", {"AE": [[None] * 10] * 5}, name="failed")
    summary = compare([one, two, failed]).summary
    assert "one and two: the classes have the same names, but the tasks differ" in summary
    assert "one and failed: every seed of one of them failed." in summary


def fresh(path, seeds, planned):
    """A study whose winner was tested on some of its fresh seeds."""
    budget = {"trials": 1, "evaluation_seeds": planned, "seeds": 1}
    metrics = {"validation_auroc": [0.9] * 10}
    trial = planted.record(0, {"width": 1.0}, [[0.7] * 10], tasks=TEN, metrics=metrics)
    rows = aurocs(0.7, seeds=seeds)
    winner = planted.record(0, {"width": 1.0}, rows, tasks=TEN)
    return restored(
        planted.study(path, [trial], fresh=[winner], budget=budget, name=path.name),
        tasks=[{"name": name} for name in TEN],
    )


def test_an_evaluation_that_has_not_ended_is_said(tmp_path):
    report = compare([fresh(tmp_path / "part", 1, 5), fresh(tmp_path / "whole", 7, 7)])
    rows = table(report, "quotes").shown
    assert list(rows["seeds"]) == ["so far 1 of 5 fresh seeds", "7"]
    assert "no interval); so far 1 of 5 fresh seeds" in report.summary
    assert "so far 1 of 5 fresh seeds" in table(report, "results").caption
    assert rows["bootstrap"][0] == ""
    assert rows["bootstrap"][1].startswith("[74.")
    assert "too narrow for few" in table(report, "quotes").caption


def test_a_study_that_quotes_nothing_is_listed_with_the_reason(tmp_path):
    one = make(tmp_path / "1", {"AE": aurocs(0.7)}, name="one")
    empty = make(tmp_path / "2", {}, name="empty")
    whole = make(tmp_path / "3", {"AE": aurocs(0.7)}, name="whole", whole=True)
    fresh = {"trials": 1, "evaluation_seeds": 3}
    running = make(tmp_path / "4", {"AE": aurocs(0.7)}, name="running", budget=fresh)
    report = compare([one, empty, whole, running])
    assert report.title == "one, empty, whole and running"
    for line in (
        "empty has no test AUROC: no trial has finished",
        "whole has no test AUROC: all images of digits are normal in this study",
        "running has no test AUROC: the winner has not been trained again on fresh seeds yet",
    ):
        assert line in prose(report)
    assert [s.title for s in compare([empty, whole]).sections] == [
        "Results of the studies",
        "Differences between the studies",
    ]


def test_studies_of_one_name_are_told_apart_by_their_folder(tmp_path):
    one, two = (make(tmp_path / k, {"AE": aurocs(0.7)}, name="same") for k in "12")
    assert labels([one, two]) == [f"same in {tmp_path / '1'}", f"same in {tmp_path / '2'}"]
    compare([one, two])
    with pytest.raises(UserError, match="named twice"):
        compare([one, one])
    with pytest.raises(UserError, match="needs two studies"):
        compare([one])


def test_studies_with_several_results_are_paired_baseline_by_baseline(tmp_path):
    values = {"AE": aurocs(0.7), "VAE": aurocs(0.6, seed=1)}
    one, two = (make(tmp_path / k, values, name=k) for k in "12")
    alone = make(tmp_path / "3", {"KDE": aurocs(0.5)}, name="3")
    studies = [one, two, alone]
    pairs = pairs_across_studies(contenders_of({s.name: results(s) for s in studies}, set()))
    assert sorted((a.label, b.label) for a, b in pairs) == [
        ("AE, 1", "AE, 2"),
        ("AE, 1", "KDE, 3"),
        ("AE, 2", "KDE, 3"),
        ("VAE, 1", "KDE, 3"),
        ("VAE, 1", "VAE, 2"),
        ("VAE, 2", "KDE, 3"),
    ]
    report = compare(studies)
    assert "mean rank" in table(report, "results").shown
    names = [block.name for block in blocks(report, Table)]
    assert len(set(names)) == len(names)


def test_pairs_of_baselines_that_are_named_are_compared_and_no_others(tmp_path):
    one = make(tmp_path / "1", {"AE": aurocs(0.7), "PGN": aurocs(0.9, seed=1)}, name="1")
    two = make(tmp_path / "2", {"AE": aurocs(0.72, seed=2), "KDE": aurocs(0.8, seed=3)}, name="2")
    report = compare([one, two], [("PGN", "KDE"), ("AE", "KDE")])
    pairs = table(report, "pairs_results").shown
    assert [*zip(pairs["first"], pairs["second"], strict=True)] == [
        ("PGN, 1", "KDE, 2"),
        ("KDE, 2", "AE, 1"),
    ]
    assert "after Holm over 2 tests" in report.summary
    with pytest.raises(UserError, match="no results of KDE and PGN that share a class"):
        compare([one, two], [("KDE", "PGN")])


def test_a_contender_without_test_aurocs_has_no_values(tmp_path):
    study = make(tmp_path, {"AE": aurocs(0.7)})
    (result,) = results(study)
    blank = result._replace(tested=[replace(result.tested[0], metrics={})])
    assert contender("AE", blank).values.empty
    assert math.isnan(contender("AE", blank).result.auroc.mean) is False
    assert every_pair([contender("AE", blank), contender("AE", result)]) == []
