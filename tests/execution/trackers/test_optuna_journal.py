"""The journal for Optuna's dashboard: what it holds, and that nothing rests on it."""

import errno
import json
import os
import shutil
import urllib.request
from dataclasses import replace
from functools import partial
from statistics import mean

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.execution.trackers.servers import serving
from tests.faults.layer import Layer, installed
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.execution.callbacks import RecordWriter
from tune_ad.execution.trackers.optuna_journal import OptunaJournal, parameters
from tune_ad.search.baseline import Baseline
from tune_ad.search.plans import Grid
from tune_ad.storage.metric import TEST_AUROC
from tune_ad.storage.records import TrialSpec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def read(folder):
    """The study in the journal of a folder, as any program of Optuna reads it."""
    storage = JournalStorage(JournalFileBackend(str(folder.optuna)))
    (study,) = storage.get_all_studies()
    return optuna.load_study(study_name=study.study_name, storage=storage)


def content(folder):
    """What a journal says, without times."""
    study = read(folder)
    trials = [
        (t.number, t.state, t.values, t.params, t.distributions, t.user_attrs)
        + (t.intermediate_values,)
        for t in study.get_trials()
    ]
    return study.study_name, study.user_attrs, trials


@pytest.fixture
def begin(tiny, open_study, tmp_path):
    """A function: the tiny search in a folder of this test."""
    return partial(open_study, tiny, tmp_path)


@pytest.fixture
def copied(begin, finished, tmp_path):
    """The finished study, in a folder of this test."""
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    return begin(resume=True)


@pytest.fixture
def said(begin, monkeypatch):
    """The lines that a session has said."""
    lines = []
    monkeypatch.setattr(OptunaJournal, "__init__", _telling(lines, OptunaJournal.__init__))
    return lines


def _telling(lines, real):
    def made(self, study, folder, say):
        real(self, study, folder, lines.append)

    return made


def test_the_journal_says_what_the_records_say(finished, tiny):
    study, records = read(finished.folder), finished.folder.read_trials()
    assert (study.study_name, study.direction.name) == ("tiny", "MAXIMIZE")
    assert study.metric_names == ["validation AUROC"]
    assert len(study.trials) == len(records) == 4
    for trial, record in zip(study.trials, records, strict=True):
        assert (trial.number, trial.state) == (record.number, TrialState.COMPLETE)
        assert trial.value == record.objective
        assert trial.params == {name: record.params[name] for name in record.searched}
        assert trial.distributions == tiny.baselines[0].space
        assert trial.intermediate_values == dict(record.reports)
        assert trial.user_attrs["test AUROC"] == pytest.approx(mean(record.metrics[TEST_AUROC]))
        assert (trial.user_attrs["baseline"], trial.user_attrs["seeds"]) == ("PGN", [0])


def test_the_journal_names_the_winner_with_its_fresh_seeds(finished):
    winner = read(finished.folder).user_attrs["winner"]
    records = finished.folder.read_evaluation()
    aurocs = {str(r.replicas[0].seed): mean(r.metrics[TEST_AUROC]) for r in records}
    assert winner["test AUROC by fresh seed"] == pytest.approx(aurocs)
    assert winner["mean"] == pytest.approx(mean(aurocs.values()))
    best = read(finished.folder).best_trial
    assert (winner["trial"], winner["baseline"]) == (best.number, "PGN")


def test_what_is_deleted_or_damaged_is_made_anew_and_equals_what_grew(copied, finished):
    for damage in (os.unlink, lambda path: path.write_bytes(b'{"op_code": 99}\n{')):
        damage(copied.folder.optuna)
        assert copied.run().exit_code == 0
        assert content(copied.folder) == content(finished.folder)
    times = [(t.datetime_start, t.datetime_complete) for t in read(copied.folder).trials]
    assert all(start < end for start, end in times)


def test_failed_and_pruned_trials_are_in_it(copied):
    lines = copied.folder.trials.read()
    lines[1] |= {"state": "failed", "reason": "loss is not finite", "objective": None}
    lines[2] |= {"state": "pruned"}
    copied.folder.trials.rewrite(lines)
    copied.journal.rebuild()
    trials = read(copied.folder).trials
    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    assert [trial.state for trial in trials] == states
    assert trials[1].user_attrs["reason"] == "loss is not finite"
    assert trials[2].intermediate_values and trials[2].value == lines[2]["objective"]


@pytest.mark.slow
def test_a_trial_that_was_interrupted_runs_again_with_its_number(
    begin, finished, timeless, monkeypatch
):
    session, real = begin(), RecordWriter.ended

    def interrupted(self, spec, record, details):
        if spec.number == 1:
            raise KeyboardInterrupt
        real(self, spec, record, details)

    monkeypatch.setattr(RecordWriter, "ended", interrupted)
    assert session.run().interrupted
    assert [t.state for t in read(session.folder).trials] == [
        TrialState.COMPLETE,
        TrialState.RUNNING,
    ]
    monkeypatch.undo()
    again = begin(resume=True)
    again.journal.rebuild()
    assert read(again.folder).trials[1].state == TrialState.WAITING
    assert again.run().exit_code == 0
    assert content(again.folder) == content(finished.folder)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("first", [pytest.param(0, marks=SLOW), pytest.param(3, marks=SLOW), 30])
def test_a_disk_without_space_for_it_harms_no_study(begin, said, finished, timeless, first):
    session, seen = begin(), []

    def full(kind, place, size):
        if "optuna.journal" in place and kind in ("create", "write"):
            seen.append(place)
            if len(seen) > first:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)

    with installed(Layer(session.folder.path, full)):
        assert session.run().exit_code == 0
    assert timeless(session.folder.read_trials()) == timeless(finished.folder.read_trials())
    (line,) = said
    assert line.startswith(f"{session.folder.optuna} cannot be written (No space left on device)")
    assert not list(session.folder.path.glob(".optuna*")), "nothing is half written"
    assert begin(resume=True).run().exit_code == 0
    assert content(session.folder) == content(finished.folder)


def vanish(path):
    path.unlink()


def become_a_folder(path):
    path.unlink()
    path.mkdir()


def lose_the_study(path):
    optuna.delete_study(study_name="tiny", storage=JournalStorage(JournalFileBackend(str(path))))


def grow_nonsense(path):
    with path.open("a") as file:
        file.write("nonsense\n")


@pytest.mark.parametrize(
    "damage",
    [
        vanish,
        pytest.param(become_a_folder, marks=SLOW),
        pytest.param(lose_the_study, marks=SLOW),
        pytest.param(grow_nonsense, marks=SLOW),
    ],
)
def test_damage_while_a_study_runs_harms_no_study(
    begin, said, finished, timeless, monkeypatch, damage
):
    session, real = begin(), RecordWriter.ended

    def ended(self, spec, record, details):
        if spec.number == 1 and not self.evaluation:
            damage(session.folder.optuna)
        real(self, spec, record, details)

    monkeypatch.setattr(RecordWriter, "ended", ended)
    assert session.run().exit_code == 0
    assert timeless(session.folder.read_trials()) == timeless(finished.folder.read_trials())
    (line,) = said
    assert "the study goes on without it, and its next run makes it anew" in line
    if damage is not become_a_folder:  # of a folder, its owner has to judge
        assert begin(resume=True).run().exit_code == 0
        assert content(session.folder) == content(finished.folder)


def test_a_study_that_selects_nothing_shows_its_test_auroc(begin, tiny, open_study, tmp_path):
    small = {"budget": "paper", "changes": {"epochs": 1, "train_images": 40, "classes": ["0"]}}
    session = open_study(replace(tiny, name="grid", plan=Grid()), tmp_path, **small)
    assert session.run().exit_code == 0
    study, (record,) = read(session.folder), session.folder.read_trials()
    assert record.objective is None
    assert study.metric_names == ["test AUROC"]
    assert study.trials[0].value == pytest.approx(mean(record.metrics[TEST_AUROC]))
    assert "winner" not in study.user_attrs


def test_parameters_of_several_baselines_have_their_names(tiny, begin):
    of_ae = Baseline(AE, space={"latent_dim": CategoricalDistribution([2, 4])})
    pair = replace(tiny, baselines=(*tiny.baselines, of_ae))
    study = replace(begin().study, search=pair)
    params, distributions = parameters(study, TrialSpec(0, "AE", {"latent_dim": 2}))
    assert params == {"baseline": "AE", "AE/latent_dim": 2}
    assert distributions == {
        "baseline": CategoricalDistribution(["PGN", "AE"]),
        "AE/latent_dim": CategoricalDistribution([2, 4]),
    }


@pytest.mark.slow
def test_the_dashboard_of_optuna_opens_it(finished):
    pytest.importorskip("optuna_dashboard")
    command = ["optuna-dashboard", str(finished.folder.optuna), "--port"]
    with serving(command) as url:
        studies = json.load(urllib.request.urlopen(f"{url}/api/studies"))["study_summaries"]
        assert [study["study_name"] for study in studies] == ["tiny"]
        one = f"{url}/api/studies/{studies[0]['study_id']}"
        trials = json.load(urllib.request.urlopen(one))["trials"]
    records = finished.folder.read_trials()
    shown = [(t["number"], t["state"], t["values"]) for t in trials]
    assert shown == [(r.number, "Complete", [r.objective]) for r in records]
    assert {p["name"] for p in trials[0]["params"]} == {"latent_dim", "dropout"}
