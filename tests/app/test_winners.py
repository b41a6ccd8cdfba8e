"""A study that compares the best configuration of each baseline, from the search to the answer."""

import signal
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from analysis.quoted import results
from analysis.report.answer import answer
from analysis.report.findings import Findings
from analysis.report.sections import comparison
from analysis.report.study_report import write_report
from analysis.study import StudyRecords
from tests.marks import slow
from tune_ad.app.command_line.console import plan
from tune_ad.app.estimates.cost import Size
from tune_ad.app.estimates.pricing import Pricing
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.isolation_forest import IsolationForest
from tune_ad.search import Baseline, OptunaInTurns, Search
from tune_ad.selection import ranked
from tune_ad.training.replicas.replica_set import ReplicaSet

NAMES = ["PGN", "AE", "IsolationForest"]


@pytest.fixture(scope="module")
def several(tiny_budget):
    """Two trained baselines and a shallow one, seven trials in turns, three fresh seeds."""
    sizes = {
        "latent_dim": CategoricalDistribution([16, 32, 48]),
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    }
    settings = {"latent_dim": 16, "batch_size": 30, "learning_rate": 1e-3}
    budget = replace(tiny_budget, trials=7, evaluation_seeds=3)
    paper = replace(budget, trials=3, evaluation_seeds=0, validation_fraction=0.0)
    return Search(
        name="several",
        data=("digits",),
        plan=OptunaInTurns(),
        baselines=(
            Baseline(PGN, space=sizes, settings=settings),
            Baseline(AE, space=sizes, settings=settings),
            Baseline(
                IsolationForest,
                space={"samples": CategoricalDistribution([8, 16, 32])},
                settings={"trees": 10, "samples": 16},
            ),
        ),
        budgets={"quick": budget, "standard": budget, "paper": paper},
    )


@pytest.fixture(scope="module")
def compared(several, open_study, tmp_path_factory):
    """The study after its end; do not write to it."""
    session = open_study(several, tmp_path_factory.mktemp("winners"))
    assert session.run().exit_code == 0
    return session


@pytest.fixture
def begin(several, open_study, tmp_path):
    """A function that begins or continues the study."""
    return partial(open_study, several, tmp_path)


def best_of(folder, name):
    """The trial of a baseline that the rule ranks first."""
    records = [record for record in folder.read_trials() if record.baseline == name]
    return ranked(records, "validation")[0]


def fresh_by_baseline(folder):
    """The configurations and seeds of the evaluation, by baseline."""
    by_baseline = {}
    for record in folder.read_evaluation():
        seed = record.replicas[0].seed
        by_baseline.setdefault(record.baseline, []).append((record.identity, seed))
    return {name: sorted(runs) for name, runs in by_baseline.items()}


@pytest.mark.slow
def test_each_baseline_has_its_share_of_trials(compared):
    trials = Counter(record.baseline for record in compared.folder.read_trials())
    assert trials == {"PGN": 3, "AE": 2, "IsolationForest": 2}


def test_each_baseline_has_a_winner_on_fresh_seeds(compared):
    folder = compared.folder
    expected = {
        name: [(best_of(folder, name).identity, seed) for seed in compared.study.fresh_seeds]
        for name in NAMES
    }
    assert fresh_by_baseline(folder) == expected
    assert compared.is_complete
    numbers = [record.number for record in folder.read_evaluation()]
    assert sorted(numbers) == list(range(9)), "no two runs share a number"


def test_the_results_are_the_winners(compared):
    study = StudyRecords.read(compared.folder.path)
    assert (study.quotes, study.retrains) == ("winners", True)
    found = results(study)
    assert [result.label for result in found] == NAMES
    for result in found:
        assert result.identity == best_of(compared.folder, result.baseline).identity
        assert (result.auroc.n, result.planned) == (3, 3)
        assert result.selection.startswith("Selected by validation AUROC (held-out training")


def test_the_answer_compares_the_winners(compared):
    findings = Findings(StudyRecords.read(compared.folder.path))
    text = answer(findings)
    means = {result.label: result.auroc.mean for result in findings.results}
    best, *others = sorted(NAMES, key=lambda name: -means[name])
    places = [text.index(f"- {name}: ") for name in (best, *others)]
    assert places == sorted(places), "the largest mean comes first"
    assert f"Test AUROC of {best} minus that of each other baseline" in text
    assert "after Holm's correction over 3 tested pairs of baselines" in text
    for other in others:
        assert text.count(f"- {other}: ") == 2
    assert "no test" in text or "p = " in text
    section = comparison.section(findings)
    assert [block.name for block in section.blocks][:2] == ["baselines", "pairs_baselines"]
    assert len(section.blocks[1].stored) == 3


def test_the_report_is_written(compared):
    write_report(compared.folder.path)
    page = (compared.folder.path / "report.html").read_text()
    for name in NAMES:
        assert f"The best trial of {name} has a test AUROC of" in page


@pytest.mark.parametrize("epochs", [21, *(slow(epochs) for epochs in (18, 29))])
def test_a_study_goes_on_in_the_middle_of_its_winners(
    begin, monkeypatch, compared, timeless, epochs
):
    train, calls = ReplicaSet.train_by_epochs, []

    def interrupted(self, *arguments):
        calls.append(None)
        if len(calls) == epochs:
            signal.raise_signal(signal.SIGINT)
        return train(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ReplicaSet, "train_by_epochs", interrupted)
        session = begin()
        assert session.run().interrupted
    assert len(session.folder.read_trials()) == 7
    done = len(session.folder.read_evaluation())
    assert 0 <= done < 9
    resumed = begin(resume=True)
    assert Pricing(resumed).left() == Size(trials=0, seeds=1, fresh_seeds=9 - done, tasks=2)
    assert resumed.run().exit_code == 0
    assert resumed.is_complete
    evaluations = [s.folder.read_evaluation() for s in (resumed, compared)]
    assert timeless(evaluations[0]) == timeless(evaluations[1])


def test_a_dry_run_counts_every_winner(several, open_study, tmp_path):
    session = open_study(several, tmp_path)
    assert Pricing(session).size() == Size(trials=7, seeds=1, fresh_seeds=3, tasks=2, winners=3)
    text = plan(session)
    assert "3 winners x 3 fresh seeds x 2 classes = 18 models" in text
    assert "the winner of each baseline is trained again on 3 fresh seeds" in text
    few = open_study(several, tmp_path, changes={"evaluation_seeds": 1})
    assert any("with 3 winners to compare" in fault for fault in few.shortfalls)
    assert any("--evaluation-seeds 4" in fault for fault in few.shortfalls)
