"""What a detector's own code raises, or that it hangs, is one line; it ends no program."""

import signal
import time
from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution

from tune_ad.app.estimates.speed import measured_speed
from tune_ad.detectors.answers import answering
from tune_ad.detectors.base import skeleton
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.training.largest import most_weights


class Faulty(PGN):
    """Cannot be built with a code size of 16, nor trained with one of 8."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        if config.latent_dim == 16:
            raise SystemExit(3)

    def terms(self, phase, images, noise):
        """Raise what training would raise."""
        raise LookupError("no terms\nat all")


class MuteError(Exception):
    """Has no message."""

    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    "error", [ValueError("a\nb"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MuteError()]
)
def test_what_is_raised_is_one_line_with_its_place(error):
    with (
        pytest.raises(UserError, match=r"^PGN fails: .*\(test_answers\.py, line \d+\)$") as caught,
        answering(PGN, "fails", 60.0),
    ):
        raise error
    assert type(error).__name__ in str(caught.value)


def test_errors_for_the_user_pass():
    error = UserError("as it is")
    with pytest.raises(UserError) as caught, answering(PGN, "fails", 60.0):
        raise error
    assert caught.value is error


def test_ctrl_c_passes():
    with pytest.raises(KeyboardInterrupt), answering(PGN, "fails", 60.0):
        signal.raise_signal(signal.SIGINT)


def test_code_that_hangs_is_interrupted():
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0
    with pytest.raises(UserError, match="TimeoutError: it takes more than 0.1 s"):
        with answering(PGN, "hangs", 0.1):
            time.sleep(60)
    after = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert after == before


def test_the_alarm_that_rings_first_counts():
    with answering(PGN, "is outside", 30.0):
        with pytest.raises(UserError, match="is inside"), answering(PGN, "is inside", 0.05):
            time.sleep(60)
        assert 20 < signal.getitimer(signal.ITIMER_REAL)[0] < 30
    with pytest.raises(UserError, match="more than 0.05 s"), answering(PGN, "is outside", 0.05):
        with answering(PGN, "is inside", 30.0):
            time.sleep(60)


@pytest.fixture
def study(finished, tiny):
    """The tiny study with the faulty detector."""
    space = {"latent_dim": CategoricalDistribution([4, 8, 16])}
    settings = {"latent_dim": 8, "batch_size": 30}
    search = replace(tiny, baselines=(Baseline(Faulty, space=space, settings=settings),))
    return replace(finished.session.study, search=search)


def test_a_configuration_that_cannot_be_built_is_left_out(study):
    baseline = study.search.baselines[0]
    with pytest.raises(UserError, match=r"Faulty cannot be built: SystemExit: 3"):
        skeleton(Faulty, baseline.config(study.shape, {"latent_dim": 16}), study.shape)
    assert most_weights(study).config.latent_dim == 8


def test_a_detector_that_cannot_be_trained_has_no_speed(study):
    with pytest.raises(UserError, match="Faulty cannot be trained: LookupError: no terms"):
        measured_speed(study, "cpu")
