"""A node that is lost in the middle of a trial, and the loss of the head."""

from collections import defaultdict

import pytest

from tests.cluster.conftest import TINY, session_of

pytestmark = pytest.mark.slow
EPOCHS = 20
SLOW = '''
"""A detector whose epochs take a while, and which notes each of them."""

import os
import time
from dataclasses import dataclass

from optuna.distributions import FloatDistribution
from torch import nn

from tune_ad.detectors.base import TrainedDetector
from tune_ad.detectors.config import NetworkConfig


@dataclass(frozen=True)
class SlowConfig(NetworkConfig):
    pass


class Slow(TrainedDetector[SlowConfig]):
    Config = SlowConfig
    space = {"learning_rate": FloatDistribution(1e-4, 1e-2, log=True)}

    def __init__(self, config, shape):
        super().__init__(config, shape)
        pixels = shape.channels * shape.height * shape.width
        self.encoder = nn.Linear(pixels, config.latent_dim, bias=False)

    def terms(self, phase, images, noise):
        return {"loss": self.encoder(images.flatten(1)).sub(1).square().sum(1)}

    def after_step(self, stage, phase, terms, progress):
        epoch = round(float(progress) * self.config.epochs)
        with open("LOG", "a") as log:
            log.write(f"{self.config.learning_rate!r} {os.getpid()} {epoch}\\n")
        time.sleep(0.1)
        return {}

    def score_variants(self, images, noise, score_space):
        return {"score": self.terms("train", images, noise)["loss"]}
'''


class Epochs:
    """The epochs that were trained, as the detector notes them."""

    def __init__(self, folder):
        self.log = folder / "epochs"
        self.log.touch()
        self.detector = folder / "slow.py"
        self.detector.write_text(SLOW.replace("LOG", str(self.log)), encoding="utf-8")

    def trained(self):
        """By trial (its learning rate) and process: the epochs, each once, in order."""
        epochs = defaultdict(dict)
        for line in self.log.read_text().splitlines():
            rate, process, epoch = line.split()
            epochs[float(rate)].setdefault(int(process), {})[int(epoch)] = None
        return {
            rate: {process: [*numbers] for process, numbers in of_trial.items()}
            for rate, of_trial in epochs.items()
        }


@pytest.fixture
def begin(tmp_path):
    """A function: begin a study of the slow detector; the command, its folder and its epochs."""

    def start(cluster, trials, number):
        epochs = Epochs(cluster.folder)
        results = cluster.results
        words = (
            *TINY,
            *("--detector", f"{epochs.detector}:Slow", "--epochs", number, "--trials", trials),
            *("--no-evaluation", "--concurrent", 2, "--set", "batch_size=30"),
            *("--results", results),
        )
        command = cluster.begin(*words)
        return command, cluster.study(results, "quickstart_slow"), epochs

    return start


def test_a_trial_whose_node_is_lost_goes_on_elsewhere_from_its_checkpoint(make_cluster, begin):
    cluster = make_cluster()
    for _ in range(3):
        cluster.start("--num-cpus=1")
    others = cluster.nodes[1:]
    command, study, epochs = begin(cluster, 3, EPOCHS)

    def halfway():
        """A trial on a node other than the head that has left a checkpoint behind."""
        stored = {path.parent.name for path in study.ray.glob("tune/trial-*/checkpoint_*")}
        for rate, of_trial in epochs.trained().items():
            for process, numbers in of_trial.items():
                node = next((n for n in others if n.process.pid == session_of(process)), None)
                if node and stored and EPOCHS / 2 <= numbers[-1] < EPOCHS - 2:
                    return rate, process, node
        return None

    rate, process, node = command.until(halfway)
    node.kill()
    before = epochs.trained()[rate][process]
    ended = command.end()
    assert ended.code == 0, ended.output
    records = study.read_trials()
    assert sorted(record.number for record in records) == [0, 1, 2]
    assert {record.state for record in records} == {"complete"}
    assert not study.ray.exists()
    (again,) = (numbers for other, numbers in epochs.trained()[rate].items() if other != process)
    assert before[0] == 0
    assert 0 < again[0] <= before[-1] + 1
    assert again == [*range(again[0], EPOCHS)]
    for other, of_trial in epochs.trained().items():
        if other != rate:
            assert [*of_trial.values()] == [[*range(EPOCHS)]]


def test_after_the_loss_of_the_head_a_study_resumes_on_another_cluster(make_cluster, begin):
    first = make_cluster()
    for _ in range(2):
        first.start("--num-cpus=1")
    command, study, _ = begin(first, 5, 8)
    command.until(lambda: len(study.trials.read()) >= 1)
    first.nodes[0].kill()
    ended = command.end()
    assert ended.code == 3, ended.output
    assert "--resume" in ended.error()
    first.kill()
    recorded = study.trials.path.read_text()
    assert 1 <= len(study.read_trials()) < 5

    second = make_cluster()
    second.start("--num-cpus=2")
    detector = ("--detector", f"{first.folder / 'slow.py'}:Slow")
    words = ("--search", "quickstart", "--resume", "--no-evaluation", "--results", first.results)
    resumed = second.run(*words, *detector)
    assert resumed.code == 0, resumed.output
    assert study.trials.path.read_text().startswith(recorded)
    for trials in (study.read_trial_specs(), study.read_trials()):
        assert sorted(trial.number for trial in trials) == [*range(5)]
    assert {record.state for record in study.read_trials()} == {"complete"}
    assert not study.ray.exists()
