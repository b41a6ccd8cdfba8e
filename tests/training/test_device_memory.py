"""How much memory of a GPU replicas need."""

from dataclasses import replace

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tests.detectors.cases import CIFAR, MNIST, trained_cases
from tests.training.cases import PARTS, SECOND, planted, run, study_of, trial_of
from tune_ad.detectors import every_detector
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.search.baseline import Baseline
from tune_ad.search.plans import Listed
from tune_ad.training import trial as trial_module
from tune_ad.training.largest import largest
from tune_ad.training.replicas.device_memory import (
    MOST_SCORED,
    PROCESS,
    SCORED,
    Footprint,
    fitting,
    footprint,
    needed,
    usable,
)

GB = 10**9


def of(detector, shape=MNIST, **settings):
    return footprint(detector, detector.Config.released(shape, **settings), shape)


def kept_on_the_cpu(detector, config, shape, phase, count):
    """Bytes that a real step keeps for the gradient, besides the weights."""
    module = detector(config, shape)
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    saved = {}

    def pack(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    noise = {
        name: wanted.draw(torch.Generator().manual_seed(0))
        for name, wanted in module.noise(phase.name, count).items()
    }
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        graph = module.loss_and_terms(phase.name, torch.rand(count, *shape), noise)
    sizes = {key: t.untyped_storage().nbytes() for key, t in saved.items() if key not in own}
    del graph
    return sum(sizes.values())


@pytest.mark.parametrize(("detector", "settings"), trained_cases())
def test_shapes_tell_what_a_real_step_keeps(detector, settings):
    shape = ImageShape(1, 32, 32)
    config = detector.Config.released(shape, **{**settings, "batch_size": 8})
    module, batch = detector(config, shape), 8
    real = max(
        kept_on_the_cpu(detector, config, shape, phase, 2 * batch)
        - kept_on_the_cpu(detector, config, shape, phase, batch)
        for stage in module.stages()
        for phase in stage.phases
    )
    assert footprint(detector, config, shape).image == pytest.approx(real / batch, rel=0.02)


def test_the_footprint_of_a_known_model():
    one = of(PGN, batch_size=50)
    parameters = sum(p.numel() for p in PGN(PGN.Config.released(MNIST), MNIST).parameters())
    assert one.batch == 50
    assert 4 * 5 * parameters <= one.fixed < 1.01 * 4 * 5 * parameters
    assert one.step == int(1.5 * 50 * one.image)
    assert of(PGN, batch_size=100).image == pytest.approx(one.image, rel=0.02)
    assert of(PGN, width=4.0).image > 2 * one.image


def test_a_detector_that_is_only_fitted_keeps_nothing():
    one = of(KDE)
    assert (one.fixed, one.image, one.step) == (0, 0, 0)
    assert one.scored_at_once == MOST_SCORED
    assert fitting(one, 30, 0, 8 * GB) == 30


def test_fewer_images_are_scored_at_once_if_they_need_much_memory():
    assert Footprint(0, 1000, 8, 1).scored_at_once == MOST_SCORED
    assert Footprint(0, SCORED // 100, 8, 1).scored_at_once == 100
    assert Footprint(0, SCORED // 100, 8, 10).scored_at_once == 10
    assert Footprint(0, 2 * SCORED, 8, 10).scored_at_once == 1
    wide = of(every_detector()["GPND"], CIFAR, width=4.0)
    assert wide.image * wide.scoring * wide.scored_at_once <= SCORED


def test_the_products_of_an_exact_expectation_count():
    exact, usual = of(PGN, CIFAR, dropout_on="both"), of(PGN, CIFAR)
    assert exact.scoring == 128 * usual.scoring
    products = 128 * 2048 * 8  # bytes of an image: codes, features, float64
    assert exact.scored_at_once * products < SCORED < usual.scored_at_once * products


def test_what_fits_is_trained_together():
    one = Footprint(fixed=10**7, image=10**6, batch=100, scoring=1)
    everything = needed(one, 20, 20, GB)
    assert everything == PROCESS + GB + 20 * 10**7 + 20 * 150 * 10**6
    assert fitting(one, 20, GB, int(everything / 0.9) + 10) == 20
    assert fitting(one, 20, GB, int(everything / 0.9) - 10**8) == 19
    assert fitting(one, 20, GB, 1) == 1
    assert needed(one, 20, 5, GB) < everything
    assert usable(10 * GB) == 9 * GB


@pytest.mark.parametrize(("memory", "together"), [(80 * GB, 4), (2 * GB, 4), (8 * 10**8, 1)])
def test_a_trial_trains_as_many_replicas_together_as_fit(monkeypatch, memory, together):
    monkeypatch.setattr(trial_module, "total_memory", lambda: memory)
    trial = trial_of(study_of(PGN), planted(PARTS, SECOND, stripes=True), latent_dim=16)
    trial.device = "cuda"
    trained, scored = trial.together(1.0)
    assert min(trained, 4) == together
    assert scored >= 4
    assert trial.together(0.001)[0] == 1


def test_on_the_cpu_memory_decides_nothing(monkeypatch):
    monkeypatch.setattr(trial_module, "footprint", lambda *of: 1 / 0)
    assert run(trial_of(study_of(PGN), latent_dim=16))[-1].done


SPACE = {
    "width": FloatDistribution(0.5, 4.0),
    "latent_dim": CategoricalDistribution([64, 8, 16]),
    "batch_size": IntDistribution(8, 128),
}


def searched(tiny, open_study, tmp_path, **changes):
    baseline = Baseline(PGN, space=SPACE, settings={"latent_dim": 8, "batch_size": 30})
    search = replace(tiny, baselines=(baseline,), **changes)
    return open_study(search, tmp_path).study


def test_the_largest_configuration_has_the_largest_value_of_every_parameter(
    tiny, open_study, tmp_path
):
    study = searched(tiny, open_study, tmp_path)
    need = largest(study, 6, GB)
    one = of(PGN, study.shape, width=4.0, latent_dim=64, batch_size=128, epochs=3)
    assert need == ("PGN", needed(one, 6, 6, GB), needed(one, 6, 1, GB))


def test_of_a_list_only_its_values_are_tried(tiny, open_study, tmp_path):
    listed = [{"width": 1.0, "batch_size": 16}, {"width": 2.0, "batch_size": 8}]
    study = searched(tiny, open_study, tmp_path, plan=Listed(listed))
    one = of(PGN, study.shape, width=2.0, latent_dim=8, batch_size=16, epochs=3)
    assert largest(study, 6, 0).together == needed(one, 6, 6, 0)


def test_values_that_cannot_be_built_need_nothing(tiny, open_study, tmp_path):
    baseline = Baseline(
        every_detector()["AE"],
        space={"latent_dim": CategoricalDistribution([16, 24, 1000])},
        settings={"batch_size": 30, "latent_dim": 16},
    )
    study = open_study(replace(tiny, baselines=(baseline,)), tmp_path).study
    one = of(every_detector()["AE"], study.shape, latent_dim=16, batch_size=30, epochs=3)
    assert largest(study, 2, 0).together == needed(one, 2, 2, 0)
