"""Training with pauses, and the messages of a trial between two reports: the same numbers."""

import itertools
from dataclasses import replace

import pytest
import torch

from tests.detectors.cases import same
from tests.marks import slow
from tests.training.cases import (
    PARTS,
    SECOND,
    Blinded,
    Brightness,
    Staged,
    blind,
    patient,
    planted,
    replica_set_on,
    run,
    stepped,
    study_of,
    trial_of,
    without_seconds,
)
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.pgn import PGN
from tune_ad.training.replicas import paths
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.report import Progress, Report
from tune_ad.training.trial import Trial


@pytest.fixture
def together(monkeypatch, request):
    """The maximum number of replicas of a trial that are trained together."""
    monkeypatch.setattr(paths, "trained_together", lambda module, device: request.param)
    return request.param


# ------------------------------------------------------------------------- a set of replicas


def by_epochs(replica_set: ReplicaSet, epochs: int):
    """The epochs of replicas that were left at each pause, and what training returned."""
    training, left = replica_set.train_by_epochs(epochs), []
    while True:
        try:
            left.append(next(training))
        except StopIteration as end:
            return left, end.value


def set_of(detector, **settings):
    """Two seeds on two tasks; the second task has fewer images."""
    suite = planted(PARTS, SECOND, stripes=True)
    replica_set = replica_set_on(suite, detector, seeds=(0, 1))
    config = replace(replica_set.replicas[0].module.config, **settings)
    specs = [replica.spec for replica in replica_set.replicas]
    return ReplicaSet(detector, config, torch.tensor(suite.images) / 255, specs)


SHORT = {"epochs": 5, "batch_size": 4, "learning_rate": 1e-3}


@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize(
    ("detector", "settings"),
    [
        (AE, {**SHORT, "latent_dim": 16}),
        (PGN, {**SHORT, "latent_dim": 8}),
        (Blinded, SHORT),
        (Staged, SHORT),
    ],
    ids=["AE", "PGN", "Blinded", "Staged"],
)
def test_training_with_pauses_gives_the_same_results(detector, settings, epochs, monkeypatch):
    blind(monkeypatch, 1, "toy/0", 3 * 2, "loss")
    paused, whole = set_of(detector, **settings), set_of(detector, **settings)
    while not whole.finished:
        _, terms = by_epochs(paused, epochs)
        assert terms == whole.train(epochs)
        assert paused.epoch == whole.epoch
    assert paused.failures == whole.failures
    assert same(paused.state_dict(), whole.state_dict())


def test_each_pause_yields_the_number_of_epochs_that_remain():
    replica_set = set_of(Blinded, **SHORT)
    assert by_epochs(replica_set, 3)[0] == list(range(11, -1, -1)), "of four replicas"
    assert by_epochs(replica_set, 99)[0] == list(range(7, -1, -1)), "there are two more epochs"
    assert by_epochs(replica_set, 1) == ([], [{}] * 4)


def test_the_epochs_of_a_replica_that_fails_are_over(monkeypatch):
    blind(monkeypatch, 0, "toy/1", 2, "loss")  # one batch an epoch: after two epochs
    replica_set = set_of(Blinded, **SHORT)
    left, terms = by_epochs(replica_set, 5)
    assert left == [*range(19, 12, -1), *range(9, -1, -1)], "of four replicas with five epochs"
    assert list(replica_set.failures) == [1]
    assert terms[1] == {}
    assert by_epochs(replica_set, 1)[0] == []


def test_until_its_end_the_set_has_advanced_by_nothing():
    replica_set = set_of(Blinded, **SHORT)
    training = replica_set.train_by_epochs(2)
    for _ in range(8):
        next(training)
        assert replica_set.epoch == 0
    with pytest.raises(StopIteration):
        next(training)
    assert replica_set.epoch == 2


def test_a_detector_that_is_fitted_makes_no_pause():
    replica_set = replica_set_on(planted(PARTS), Brightness, seeds=(0, 1))
    assert by_epochs(replica_set, 3) == ([], [{}, {}])


@pytest.mark.parametrize(
    ("together", "expected"), [(1, [2, 1, 1, 1, 1]), (2, [1] * 5)], indirect=["together"]
)
def test_with_patience_only_the_replicas_that_train_are_counted(together, expected):
    paused, whole = (trial_of(patient(), planted(PARTS)).replica_set for _ in range(2))
    held_out = [torch.arange(8, 13)] * 2
    counts = []
    while not whole.finished:
        left, terms = by_epochs(paused, 1)
        counts.append(len(left))
        assert terms == whole.train(1)
        for replica_set in (paused, whole):
            replica_set.watch(held_out)
            replica_set.early_stopping[0].stopped = replica_set.early_stopping[0].stopped or 2
    assert counts == expected
    assert same(paused.state_dict(), whole.state_dict())


# ------------------------------------------------------------------------------------ a trial


def advanced(trial: Trial, seconds: float = 0.0) -> list[Progress | Report]:
    """All messages of a trial to its end."""
    messages = [trial.advance(seconds)]
    while not (isinstance(messages[-1], Report) and messages[-1].done):
        messages.append(trial.advance(seconds))
    return messages


def reports_among(messages):
    return [message for message in messages if isinstance(message, Report)]


CASES = [
    pytest.param(study_of(DeepSVDD), {}, id="DeepSVDD"),
    pytest.param(study_of(PGN, test_curve=True), {"latent_dim": 8}, id="PGN"),
    pytest.param(study_of(Staged, epochs=7, evaluations=4), {}, id="Staged"),
    pytest.param(study_of(Blinded), {}, id="Blinded"),
    pytest.param(patient(), {}, id="patient"),
    pytest.param(study_of(Brightness), {}, id="Brightness"),
]


@pytest.mark.parametrize("seconds", [slow(0.0), 0.001, slow(60.0)])
@pytest.mark.parametrize(("study", "params"), CASES)
def test_advancing_gives_the_reports_of_whole_steps(study, params, seconds, monkeypatch):
    blind(monkeypatch, 1, "toy/0", 2 * 3, "loss")
    reports = reports_among(advanced(trial_of(study, **params), seconds))
    whole = run(trial_of(study, **params))
    assert [without_seconds(report) for report in reports] == [without_seconds(r) for r in whole]


@pytest.mark.parametrize(("study", "params"), CASES)
def test_progress_rises_to_the_epochs_of_each_report(study, params):
    messages = advanced(trial_of(study, **params))
    assert reports_among(messages)[-1] is messages[-1]
    done = 0.0
    for message in messages:
        now = message.epochs if isinstance(message, Progress) else message.epoch
        assert now >= done
        if isinstance(message, Progress):
            assert now > done, "every message is an epoch of a replica further"
        done = now
    for message, report in itertools.pairwise(messages):
        if isinstance(report, Report) and isinstance(message, Progress):
            assert message.epochs <= report.epoch


@pytest.mark.parametrize("together", [1, 2, 4, 6], indirect=True)
def test_without_time_each_epoch_of_a_stack_is_a_message(together):
    """Three intervals of two epochs, four replicas."""
    messages = advanced(trial_of(study_of(Blinded)))
    stacks = -(-4 // together)
    expected = ([False] * 2 * stacks + [True]) * 3
    assert [isinstance(message, Report) for message in messages] == expected
    shares = [message.epochs for message in messages if isinstance(message, Progress)]
    assert shares == [k / stacks for k in range(1, 6 * stacks + 1)], "of the mean replica"


def test_with_time_enough_an_interval_is_one_step():
    trial = trial_of(study_of(Blinded))
    kinds = [type(trial.advance(3600.0)) for _ in range(4)]
    assert kinds == [Report, Report, Progress, Report], "the end of training is told"


def test_a_detector_that_is_fitted_reports_at_once():
    (report,) = advanced(trial_of(study_of(Brightness), planted(PARTS)))
    assert isinstance(report, Report)


@pytest.mark.parametrize("together", [1, 2], indirect=True)
def test_a_step_finishes_an_interval_that_was_begun(together):
    trial = trial_of(study_of(Blinded))
    for _ in range(3):
        assert isinstance(trial.advance(), Progress)
    reports = [stepped(trial), stepped(trial), stepped(trial)]
    whole = run(trial_of(study_of(Blinded)))
    assert [without_seconds(report) for report in reports] == [without_seconds(r) for r in whole]


def test_a_state_is_stored_between_intervals(tmp_path):
    study = study_of(PGN)
    whole = run(trial_of(study, latent_dim=8))
    first = trial_of(study, latent_dim=8)
    while not isinstance(first.advance(), Report):
        pass
    torch.save(first.state_dict(), tmp_path / "trial.pt")
    second = trial_of(study, latent_dim=8)
    second.load_state_dict(torch.load(tmp_path / "trial.pt", weights_only=True))
    reports = reports_among(advanced(second))
    assert [without_seconds(report) for report in reports] == [
        without_seconds(r) for r in whole[1:]
    ]


@pytest.mark.parametrize(("together", "expected"), [(1, 8), (2, 4), (4, 2)], indirect=["together"])
def test_the_time_between_two_messages_does_not_count(monkeypatch, together, expected):
    clock = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    once, often = trial_of(study_of(Blinded)), trial_of(study_of(Blinded))
    stepped(once)
    messages = 0
    while not isinstance(often.advance(), Report):
        messages += 1
        for _ in range(100):
            next(clock)
    assert messages == expected
    assert often.history.seconds == once.history.seconds
