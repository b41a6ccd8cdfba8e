"""A detector in one file: its diagnostic, warning and incomparable setting show up everywhere.

Nothing of the engine, the records, TensorBoard or the report knows this detector.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from optuna.distributions import CategoricalDistribution
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from analysis.report.study_report import write_report
from tune_ad.app.command_line.console import closing
from tune_ad.detectors.base import Numbers, ScoreSpace, Terms, TrainedDetector
from tune_ad.detectors.config import NetworkConfig, choice, number
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.search import Baseline, Budget, Grid, Optuna, Search
from tune_ad.storage.metric import LOSS, TEST_AUROC, Metric

BRIGHTNESS = Metric("brightness", "shift")
TOO_BRIGHT = "test images are brighter than training images by more than the limit; scale them"


@dataclass(frozen=True)
class SphereConfig(NetworkConfig):
    """Hyperparameters of `Sphere`.

    Attributes:
        power: of the distance in the loss: losses of different powers cannot be compared.
        limit: of the shift of the brightness above which the detector warns.
    """

    power: str = choice("square", "root", measures=(LOSS,))
    limit: float = number(-1.0, "[-2, 2]")


class Sphere(TrainedDetector[SphereConfig]):
    """Distance of a linear code from the origin.

    Source: none; it is made for a test.
    """

    Config = SphereConfig
    meanings: ClassVar[Mapping[str, str]] = {"light": "mean brightness of the image"}

    def __init__(self, config: SphereConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.encoder = nn.Linear(shape.channels * shape.height * shape.width, config.latent_dim)

    def distance(self, images: Tensor) -> Tensor:
        """Squared distance of each code from the origin, or its root, shape (batch,)."""
        squared: Tensor = self.encoder(images.flatten(1)).square().sum(1)
        return squared if self.config.power == "square" else (squared + 1e-6).sqrt()

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The distance, as "loss"."""
        return {"loss": self.distance(images)}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The distance, as "score", and the mean brightness."""
        return {"score": self.distance(images), "light": images.flatten(1).mean(1)}

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        """How much brighter test images are than training images."""
        lights = [scored(part)["light"].mean() for part in ("test", "train")]
        return {BRIGHTNESS: float(lights[0] - lights[1])}

    def warnings(self, numbers: Mapping[Metric, float]) -> list[str]:
        """Whether that is more than the limit."""
        return [TOO_BRIGHT] if numbers.get(BRIGHTNESS, 0.0) > self.config.limit else []


class Undiagnosed(Sphere):
    """Its diagnostic raises an error."""

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        raise RuntimeError("no such layer")


POWERS = CategoricalDistribution(["square", "root"])
SETTINGS = {"latent_dim": 4, "batch_size": 20, "learning_rate": 1e-3}


def search(plan, **changes):
    budget = Budget(
        trials=4,
        epochs=2,
        seeds=2,
        classes=(0, 1),
        train_images=40,
        validation_images=20,
        test_images=20,
        evaluation_seeds=0,
    )
    fields = {
        "name": "sphere",
        "data": ("digits",),
        "plan": plan,
        "baselines": (Baseline(Sphere, space={"power": POWERS}, settings=SETTINGS),),
        "budgets": {"quick": budget},
        **changes,
    }
    return Search(**fields)


@pytest.fixture(scope="module")
def finished(open_study, tmp_path_factory):
    """A study of both powers, with its report."""
    session = open_study(search(Grid()), tmp_path_factory.mktemp("results"))
    session.run()
    write_report(session.folder.path)
    return session.folder


def test_the_record_holds_the_diagnostic_the_warning_and_what_compares(finished):
    records = finished.read_trials()
    assert [record.state for record in records] == ["complete"] * 2
    for record in records:
        assert len(record.metrics[BRIGHTNESS]) == 4
        assert all(-1 < value < 1 for value in record.metrics[BRIGHTNESS])
        (warning,) = record.warnings
        assert (warning.text, warning.replicas) == (TOO_BRIGHT, (0, 1, 2, 3))
        assert record.params["power"] in record.scales["loss"]
    assert len({record.scales["loss"] for record in records}) == 2
    line = json.loads(finished.trials.path.read_text().splitlines()[0])
    assert {"part": "brightness", "term": "shift"}.items() <= line["metrics"][-1].items()


def test_the_report_says_what_a_component_of_the_score_is(finished):
    report = (finished.path / "report.md").read_text(encoding="utf-8")
    assert "- light: mean brightness of the image" in report


def test_tensorboard_shows_the_diagnostic_and_the_warning(finished):
    runs = [path for path in finished.tensorboard.iterdir() if path.is_dir()]
    assert len(runs) == 2
    for run in runs:
        events = EventAccumulator(str(run)).Reload()
        (result,) = events.Tensors("result")
        assert "`brightness/shift`" in result.tensor_proto.string_val[0].decode()
        (warning,) = events.Tensors("health/warning")
        assert TOO_BRIGHT in warning.tensor_proto.string_val[0].decode()


def test_the_report_shows_the_diagnostic_and_the_warning(finished):
    report = (finished.path / "report.md").read_text(encoding="utf-8")
    assert TOO_BRIGHT in report
    assert "brightness\\_shift" in report
    table = (finished.path / "tables" / "diagnostics.csv").read_text(encoding="utf-8")
    assert "Sphere,brightness_shift,8," in table


def test_the_report_compares_no_losses_of_different_powers(finished):
    regret = (finished.path / "tables" / "regret.csv").read_text(encoding="utf-8")
    assert "validation" in regret
    assert "normal_only" not in regret


def test_an_error_in_a_diagnostic_costs_no_number_and_is_shown_everywhere(open_study, tmp_path):
    baseline = Baseline(Undiagnosed, settings=SETTINGS)
    session = open_study(search(Optuna(), baselines=(baseline,)), tmp_path, changes={"trials": 1})
    outcome = session.run()
    (record,) = session.folder.read_trials()
    assert (record.state, outcome.failed) == ("complete", 0)
    assert record.objective is not None
    assert len(record.metrics[TEST_AUROC]) == 4
    assert BRIGHTNESS not in record.metrics
    why = "its diagnostics are missing, diagnose raised RuntimeError: no such layer"
    assert [warning.replicas for warning in record.warnings if warning.text == why] == [
        (0, 1, 2, 3)
    ]
    assert f"warning in trial 0: {why}" in closing(session, outcome)
    write_report(session.folder.path)
    assert why in (session.folder.path / "report.md").read_text(encoding="utf-8")


def test_a_search_refuses_to_choose_between_losses_of_different_powers(open_study, tmp_path):
    with pytest.raises(UserError, match="'normal_only' cannot compare trials.*power"):
        search(Optuna(), selection="normal_only")
    adaptive = search(Optuna())
    with pytest.raises(UserError, match="loss of trials.*power of Sphere.*--set power="):
        open_study(adaptive, tmp_path, selection="normal_only")
    fixed = open_study(
        adaptive,
        tmp_path,
        selection="normal_only",
        settings={"power": "root"},
        changes={"trials": 1},
    )
    assert fixed.study.selects


def test_powers_of_another_baseline_are_another_measure(open_study, tmp_path):
    baselines = tuple(
        Baseline(Sphere, name=power, settings={**SETTINGS, "power": power})
        for power in ("square", "root")
    )
    with pytest.raises(UserError, match="baselines measure differently.*square.*root"):
        open_study(search(Optuna(), baselines=baselines), tmp_path, selection="normal_only")


def test_its_score_is_what_it_says():
    config = SphereConfig(**SETTINGS)
    module = Sphere(config, ImageShape(1, 2, 2))
    images = torch.rand(3, 1, 2, 2)
    expected = module.encoder(images.flatten(1)).square().sum(1)
    torch.testing.assert_close(module.score(images, {}), expected)
