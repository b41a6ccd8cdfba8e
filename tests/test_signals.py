"""Ctrl-C while Ray starts, while it ends, and after the last trial; signals of schedulers."""

import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import ray
from ray import tune

from tests.interrupting import wherever
from tune_ad.detectors.answers import answering
from tune_ad.errors import UserError
from tune_ad.execution.ray import runner
from tune_ad.execution.ray.runner import RayAdapter, Resources, TrialEndCallback
from tune_ad.signals import (
    SIGNALS,
    ForeignError,
    foreign_code,
    interrupt_afterwards,
    kept_handlers,
    signals_afterwards,
    terminations,
)

HANDLER = signal.default_int_handler


@pytest.fixture(autouse=True)
def default_handler():
    """Ctrl-C raises KeyboardInterrupt, as in a program; restored afterwards."""
    before = signal.signal(signal.SIGINT, HANDLER)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


def test_an_interruption_takes_effect_after_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt_afterwards():
        press()
        done.append("all")
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) is HANDLER


def test_a_second_interruption_takes_effect_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt_afterwards():
        press()
        press()
        done.append("all")
    assert done == []
    assert signal.getsignal(signal.SIGINT) is HANDLER


def test_without_an_interruption_nothing_is_raised():
    with interrupt_afterwards():
        assert signal.getsignal(signal.SIGINT) is not HANDLER
    assert signal.getsignal(signal.SIGINT) is HANDLER


def test_an_error_of_the_block_goes_before_an_interruption():
    with pytest.raises(ZeroDivisionError), interrupt_afterwards():
        press()
        raise ZeroDivisionError


@pytest.mark.parametrize("number", [signal.SIGINT, *SIGNALS, signal.SIGALRM])
def test_every_signal_takes_effect_after_a_block_that_must_not_be_left_half_done(number):
    done, heard = [], []

    def hear(number, frame):
        heard.append((number, list(done)))

    before = signal.signal(number, hear)
    try:
        with signals_afterwards():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done.append("all")
        assert heard == [(number, ["all"])] * 2
        assert signal.getsignal(number) is hear
    finally:
        signal.signal(number, before)


def test_a_signal_is_not_lost_if_such_a_block_raises():
    with pytest.raises(KeyboardInterrupt) as caught, signals_afterwards():
        press()
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_every_signal_of_such_a_block_has_its_effect_though_the_first_raises():
    heard = []

    def hear(number, frame):
        heard.append(number)

    before = signal.signal(signal.SIGTERM, hear)
    try:
        with pytest.raises(KeyboardInterrupt), signals_afterwards():
            press()
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


@pytest.mark.parametrize("block", [signals_afterwards, foreign_code])
def test_a_signal_while_its_handlers_are_set_leaves_them_as_they_were(block, monkeypatch):
    """The signal comes after the first handler was replaced, and its own handler raises."""
    set_handler, calls = signal.signal, []

    def interrupted(number, handler):
        calls.append(number)
        result = set_handler(number, handler)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return result

    numbers = (signal.SIGINT, *SIGNALS)
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setattr("tune_ad.signals.signal.signal", interrupted)
    with pytest.raises(KeyboardInterrupt), block():
        pytest.fail("the block is not entered")
    monkeypatch.undo()
    assert [signal.getsignal(number) for number in numbers] == before


def test_such_a_block_in_another_thread_changes_nothing():
    seen = []

    def look():
        with signals_afterwards():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [HANDLER]


@pytest.fixture
def calls(monkeypatch):
    """The calls of Ray's start and end, which do nothing."""
    calls = []
    monkeypatch.setattr(ray, "init", lambda **options: calls.append("init"))
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    return calls


def test_an_interruption_while_ray_starts_ends_it_and_is_raised(calls, monkeypatch):
    def start(**options):
        press()
        calls.append("init")

    monkeypatch.setattr(ray, "init", start)
    with pytest.raises(KeyboardInterrupt), runner.cluster(Resources(1)):
        pytest.fail("connected")
    assert calls == ["init", "shutdown"]


def test_an_interruption_while_ray_ends_is_raised_when_it_has_ended(calls, monkeypatch):
    def end():
        press()
        calls.append("shutdown")

    monkeypatch.setattr(ray, "shutdown", end)
    with pytest.raises(KeyboardInterrupt), runner.cluster(Resources(1)):
        calls.append("run")
    assert calls == ["init", "run", "shutdown"]


def test_ray_tune_does_not_keep_a_signal_that_says_why_the_program_ends():
    with terminations() as received:
        ending = TrialEndCallback(RayAdapter(None))
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # as Ray Tune takes it
        ending.on_step_begin(0, [])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGUSR1)
        assert received == [signal.SIGUSR1]


class Loop:
    """A loop that was interrupted or not."""

    def __init__(self, interrupted):
        self.study, self.interrupted = None, interrupted


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A function: `runner.run` with a Tuner that treats Ctrl-C as Ray's does."""

    def start(interrupted, presses):
        class Tuner:
            def __init__(self, *arguments, **options):
                pass

            def fit(self):
                signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, HANDLER))
                for _ in range(presses):
                    press()

        monkeypatch.setattr(tune, "Tuner", Tuner)
        monkeypatch.setattr(tune, "with_parameters", lambda kind, **options: kind)
        monkeypatch.setattr(tune, "with_resources", lambda kind, options: kind)
        suite = SimpleNamespace()
        runner.run(Loop(interrupted), suite, Resources(1), tmp_path / "ray")

    return start


def test_an_interruption_of_trials_is_known_from_the_loop(run):
    run(interrupted=True, presses=1)


def test_an_interruption_after_the_last_trial_is_raised(run):
    with pytest.raises(KeyboardInterrupt):
        run(interrupted=False, presses=1)
    assert signal.getsignal(signal.SIGINT) is HANDLER


def test_training_without_an_interruption_raises_nothing(run):
    run(interrupted=False, presses=0)
    assert signal.getsignal(signal.SIGINT) is HANDLER


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
@pytest.mark.parametrize("deaf", [False, True])
def test_the_signals_of_schedulers_act_as_ctrl_c(number, deaf):
    before = signal.getsignal(number)
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN) if deaf else None
    try:
        with terminations() as received:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            assert received == [number]
            with pytest.raises(KeyboardInterrupt), interrupt_afterwards():
                signal.raise_signal(number)
                reached = True
            assert reached
    finally:
        if usual is not None:
            signal.signal(signal.SIGINT, usual)
    assert signal.getsignal(number) is before


def test_a_closed_terminal_does_not_end_what_nohup_has_started():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminations() as received:
            signal.raise_signal(signal.SIGHUP)
        assert received == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_that_a_library_replaces_are_restored():
    with terminations():
        ours = signal.getsignal(signal.SIGTERM)
        with kept_handlers():
            signal.signal(signal.SIGTERM, lambda number, frame: None)
        assert signal.getsignal(signal.SIGTERM) is ours


def test_another_thread_changes_nothing():
    before = signal.getsignal(signal.SIGTERM)

    def look():
        with terminations() as received, kept_handlers():
            return received, signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(look).result() == ([], before)


def test_a_handler_that_python_did_not_set_is_left_alone(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(signal, "getsignal", lambda number: None)
        with kept_handlers():
            pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_exception_that_no_signal_has_raised_is_no_interruption():
    for error in (KeyboardInterrupt(), LookupError(), SystemExit()):
        with pytest.raises(ForeignError) as caught, foreign_code():
            raise error
        assert caught.value.error is error


def test_an_interruption_is_never_taken_for_an_error_of_other_code_wherever_it_comes():
    seen = []

    def run():
        try:
            with foreign_code():
                raise LookupError
        except ForeignError as fault:
            seen.append(type(fault.error))

    def check():
        assert {*seen} == {LookupError}
        with pytest.raises(KeyboardInterrupt):
            press()

    wherever(lambda: signal.signal(signal.SIGINT, HANDLER), run, check)
    assert 1 < len(seen) < 100


def test_an_interruption_is_never_taken_for_an_error_of_a_detector_wherever_it_comes():
    said = []

    def run():
        try:
            with answering(int, "cannot be built", 60.0):
                raise LookupError("no layer")
        except UserError as error:
            said.append(str(error))

    def check():
        assert all(text.startswith("int cannot be built: LookupError: no layer") for text in said)
        assert not 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60, "only that of the test"
        assert signal.getsignal(signal.SIGALRM) is before

    before = signal.getsignal(signal.SIGALRM)
    wherever(lambda: signal.signal(signal.SIGINT, HANDLER), run, check)
    assert len(said) > 1


def test_a_block_for_other_code_that_is_abandoned_ends_in_silence(capsys):
    def steps(block):
        with block:
            yield

    for block in (foreign_code(), answering(int, "cannot be built", 60.0)):
        abandoned = steps(block)
        next(abandoned)
        abandoned.close()
    assert signal.getsignal(signal.SIGINT) is HANDLER
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("instead", [None, LookupError, KeyboardInterrupt])
def test_a_signal_is_not_lost_whatever_the_code_makes_of_it(number, instead):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with terminations() as received, pytest.raises(KeyboardInterrupt), foreign_code():
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            if instead:
                raise instead from None
    assert received == [number] * (number != signal.SIGINT)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("handler", [HANDLER, signal.SIG_IGN])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_python_swallows_comes_again(handler, number):
    if handler is signal.SIG_IGN and number == signal.SIGINT:
        pytest.skip("nothing is received")
    signal.signal(signal.SIGINT, handler)

    class Owner:
        """Something that a weak reference can refer to."""

    owner = Owner()
    reference = weakref.ref(owner, lambda _: signal.raise_signal(number))
    with terminations(), pytest.raises(KeyboardInterrupt):
        del owner
        assert reference() is None
        time.sleep(60)


def test_a_signal_for_which_a_program_has_another_use_is_no_interruption():
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with foreign_code():
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]
