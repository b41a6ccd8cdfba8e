"""How many trials share a GPU."""

from types import SimpleNamespace

import pytest
import torch
from torch._C._autograd import DeviceType

from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.schedule import Adam, Stage
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.errors import UserError
from tune_ad.execution import gpu_probe
from tune_ad.execution.gpu_probe import busy_share, busy_share_of, gpu_demand, seconds_on_gpu
from tune_ad.execution.gpu_share import GpuDemand, gpu_share
from tune_ad.execution.machine import Machine
from tune_ad.search.baseline import Baseline
from tune_ad.training.largest import Need

GB = 10**9
ONE, MANY = Machine(16, 1, 16, 1, 1), Machine(64, 1, 64, 1, 1)


def never():
    raise AssertionError("the GPU need not be timed")


def demand(busy=never, together=1.0, alone=0.5, free=20):
    need = Need("PGN", int(together * GB), int(alone * GB))
    measure = busy if callable(busy) else lambda: busy
    return GpuDemand(free * GB, int(0.9 * free * GB), need, measure)


@pytest.mark.parametrize(
    ("asked", "machine", "cpus", "concurrent", "share", "reason"),
    [
        (demand(0.9), ONE, 1, None, 1.0, "busy for 90%"),  # saturated
        (demand(1.0), ONE, 1, None, 1.0, "busy for 100%"),
        (demand(0.6), ONE, 1, None, 0.5, "busy for 60%"),
        (demand(0.3), ONE, 1, None, 0.25, "busy for 30%"),  # bound by launches
        (demand(0.4), ONE, 1, None, 0.3333, "busy for 40%"),
        (demand(0.0), MANY, 1, None, 0.0625, "at most 16"),  # only fitted, on the CPU
        (demand(0.01), MANY, 1, None, 0.0625, "at most 16"),
        (demand(None), ONE, 1, None, 1.0, "could not be measured"),
        (demand(0.1, together=9.0), ONE, 1, None, 0.5, "needs 9.0 GB of the 18.0 GB"),
        (demand(together=12.0), ONE, 1, None, 1.0, "needs 12.0 GB of the 18.0 GB"),
        (demand(together=40.0), ONE, 1, None, 1.0, "needs 40.0 GB of the 18.0 GB"),
        (demand(0.1), ONE, 4, None, 0.25, "16 cores for 1 GPU"),
        (demand(), ONE, 16, None, 1.0, "16 cores for 1 GPU"),
        (demand(0.1), Machine(16, 8, 16, 8, 1), 1, None, 0.5, "16 cores for 8 GPUs"),
        (demand(0.3), Machine(64, 4, 64, 4, 1), 1, None, 0.25, "busy for 30%"),
        (demand(), Machine(8, 8, 4, 4, 1), 4, None, 1.0, "4 cores for 4 GPUs"),
        (demand(), ONE, 1, 1, 1.0, "one trial runs at a time"),
        (demand(0.1), ONE, 1, 3, 0.3333, "3 trials run in parallel"),
        (demand(0.1), Machine(64, 4, 64, 4, 1), 1, 8, 0.5, "8 trials run in parallel"),
        (demand(0.6), ONE, 1, 8, 0.5, "busy for 60%"),
        (None, ONE, 1, None, 1.0, "cluster"),
    ],
)
def test_a_share_fills_the_gpu_and_neither_its_memory_nor_the_cores(
    asked, machine, cpus, concurrent, share, reason
):
    gpus, given = gpu_share(asked, machine, cpus, concurrent)
    assert gpus == share
    assert reason in given


@pytest.mark.parametrize("trials", range(1, 17))
def test_as_many_trials_run_as_the_share_says(trials):
    gpus, _ = gpu_share(demand(0.0), Machine(trials, 1, trials, 1, 1), 1, None)
    assert gpus * trials <= 1
    assert Machine(1000, 3, 1000, 3, 1).slots(1, gpus) == 3 * trials


def test_a_model_that_is_too_large_for_the_gpu_is_refused_in_one_line():
    with pytest.raises(UserError) as refusal:
        gpu_share(demand(alone=18.5, together=50.0), ONE, 1, None)
    message = str(refusal.value)
    assert "\n" not in message
    for words in ("PGN", "18.5 GB of GPU memory", "18.0 GB of 20.0 GB", "--set", "--device cpu"):
        assert words in message


def event(device, microseconds, annotation=False):
    span = SimpleNamespace(elapsed_us=lambda: microseconds)
    return SimpleNamespace(device_type=device, time_range=span, is_user_annotation=annotation)


def test_only_operations_of_the_gpu_count_as_busy():
    events = [
        event(DeviceType.CPU, 500),
        event(DeviceType.CUDA, 30),
        event(DeviceType.CUDA, 20),
        event(DeviceType.CUDA, 900, annotation=True),
    ]
    assert seconds_on_gpu(events) == pytest.approx(50e-6)


@pytest.fixture
def study_with(tiny, open_study, tmp_path):
    def study(*detectors):
        from dataclasses import replace

        baselines = tuple(Baseline(detector) for detector in detectors)
        return open_study(replace(tiny, baselines=baselines), tmp_path).study

    return study


@pytest.fixture
def timed(monkeypatch):
    """A function: every epoch takes a second, of which the GPU works for these shares in turn."""

    def fake(*shares):
        made, left, real = [], list(shares), gpu_probe.probe

        class Recorded:
            def __init__(self, activities):
                assert activities == [gpu_probe.ProfilerActivity.CUDA]

            def __enter__(self):
                return self

            def __exit__(self, *error):
                return None

            def events(self):
                return [event(DeviceType.CUDA, 1e6 * left.pop(0))]

        def on_cpu(baseline, config, study, device, models, batches):
            assert device == "cuda"
            made.append(baseline.title)
            return real(baseline, config, study, "cpu", models)

        def second(call, device):
            call()
            return 1.0

        monkeypatch.setattr(gpu_probe, "probe", on_cpu)
        monkeypatch.setattr(gpu_probe, "seconds_of", second)
        monkeypatch.setattr(gpu_probe, "profile", Recorded)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        return made

    return fake


@pytest.mark.parametrize(
    ("epochs", "trained"),
    [
        ((5,), [0, 1, 1, 1]),
        ((2, 7), [2, 3, 3, 3]),  # the second stage is the longest
        ((7, 2), [0, 1, 1, 1]),
        ((1,), [0, 0, 0, 0]),  # there is no other epoch
    ],
)
def test_the_second_epoch_of_the_longest_stage_is_timed(timed, epochs, trained):
    timed(0.5)
    calls = []
    stages = tuple(Stage(f"s{n}", n, (), Adam(1e-3, (0.9, 0.99), 0.0), 8) for n in epochs)
    lead = SimpleNamespace(stages=stages)
    stack = SimpleNamespace(lead=lead, train_epoch=calls.append)
    replica_set = SimpleNamespace(replicas=[None], stack_of=lambda positions: stack)
    assert busy_share_of(replica_set) == 0.5
    assert calls == trained


def test_the_busiest_baseline_counts(study_with, timed):
    made = timed(0.2, 0.5)
    assert busy_share(study_with(PGN, AE, KDE), 3) == 0.5
    assert made == ["PGN", "AE", "KDE"]


def test_a_study_that_only_fits_detectors_keeps_no_gpu_busy(study_with, timed):
    timed()
    assert busy_share(study_with(KDE), 3) == 0.0


def test_a_profiler_that_sees_nothing_is_not_taken_for_an_idle_gpu(study_with, timed):
    timed(0.0, 0.7)
    assert busy_share(study_with(PGN, AE), 3) is None


def test_the_gpu_with_least_free_memory_counts(study_with, monkeypatch):
    sizes = [(7 * GB, 8 * GB), (5 * GB, 8 * GB)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda k: sizes[k])
    monkeypatch.setattr(gpu_probe, "busy_share", lambda study, models: 0.25)
    lines = []
    asked = gpu_demand(study_with(PGN), 3, 10**6, lines.append)
    assert (asked.free, asked.usable) == (5 * GB, int(4.5 * GB))
    assert not lines
    assert asked.busy() == 0.25
    assert len(lines) == 1


def test_without_a_gpu_there_is_no_demand(study_with, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_demand(study_with(PGN), 3, 10**6, print) is None
