"""How much memory of a GPU replicas need."""

from dataclasses import replace

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tests.detectors.cases import CIFAR, MNIST, trained_cases
from tests.marks import slow
from tests.training.cases import PARTS, SECOND, planted, run, study_of, trial_of
from tune_ad.detectors import every_detector
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.pgn.dropout import PRODUCTS_AT_ONCE, exponential_excess
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.search.plans import Listed
from tune_ad.training import largest as largest_module
from tune_ad.training.largest import largest
from tune_ad.training.replicas import paths
from tune_ad.training.replicas.device_memory import (
    MOST_SCORED,
    PROCESS,
    Footprint,
    available,
    footprint,
    highest,
    left,
    needed,
    scoring_bytes,
    usable,
)
from tune_ad.training.replicas.paths import Load, limits

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
@pytest.mark.slow
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


def limits_of(detector, memory, monkeypatch, shape=MNIST, replicas=20, images=0, **settings):
    """The limits of a configuration on a GPU of which this memory is available."""
    monkeypatch.setattr(paths, "available", lambda share: int(share * memory))
    config = detector.Config.released(shape, **settings)
    return limits(Load(detector, config, shape, {}, replicas, images), "cuda")


def test_a_detector_that_is_only_fitted_keeps_nothing(monkeypatch):
    one = of(KDE)
    assert (one.fixed, one.image, one.step, one.scored_image) == (0, 0, 0, 0)
    assert limits_of(KDE, 8 * GB, monkeypatch, replicas=30) == (1, 30, MOST_SCORED)


def test_fewer_images_are_scored_at_once_if_they_need_much_memory():
    assert Footprint(0, 0, 8, 1000).scored_at_once(GB) == MOST_SCORED
    assert Footprint(0, 0, 8, 10**6).scored_at_once(300 * 10**6) == 200
    assert Footprint(0, 0, 8, 10**6, 10**7).scored_at_once(300 * 10**6, 10) == 100
    assert Footprint(0, 0, 8, 10**9).scored_at_once(GB) == 1
    assert Footprint(0, 0, 8, 10**9).scored_at_once(-GB) == 1
    assert Footprint(0, 0, 8, 10**6, 10**7).scored_together(10 * 165 * 10**5) == 10
    assert Footprint(0, 0, 8, 10**9).scored_together(GB) == 1


@pytest.mark.parametrize("share", [slow(1.0), 0.25])
def test_the_memory_of_the_trial_decides_how_many_images_are_scored_at_once(share, monkeypatch):
    """A large GPU scores as many images with GPND on colour images as fill it."""
    gpnd = every_detector()["GPND"]
    one = of(gpnd, CIFAR)
    found = limits_of(gpnd, share * 80 * GB, monkeypatch, CIFAR, replicas=10)
    assert found.scored == 10
    memory = left(one, 10, 0, int(share * 80 * GB))
    assert found.scored < found.images < MOST_SCORED
    assert one.scoring(found.images, 10) <= memory < one.scoring(found.images + 1, 10)


@pytest.mark.parametrize(("detector", "settings"), trained_cases())
def test_every_configuration_can_be_scored_on_the_meta_device(detector, settings):
    shape = ImageShape(1, 32, 32)
    one = of(detector, shape, **{**settings, "batch_size": 8})
    assert one.scored_image >= 4 * 32 * 32  # at least the image itself


def test_the_memory_of_scoring_is_that_of_a_known_pass():
    """The images, twice as bright ones and three copies of these exist at the same time."""

    class Pass(PGN):
        def score_variants(self, images, noise, score_space):
            doubled = images * 2
            more = torch.cat([doubled, doubled, doubled])
            del doubled
            return {"score": more.sum().expand(len(images))}

        def terms(self, phase, images, noise):
            return {"loss": images.sum((1, 2, 3))}

    with torch.device("meta"):
        module = Pass(PGN.Config.released(MNIST), MNIST)
    of_image, _ = scoring_bytes(module, {})
    assert of_image == 4 * 28 * 28 * (1 + 1 + 3)


@pytest.mark.slow
def test_more_values_of_the_score_space_need_more_memory():
    config = PGN.Config.released(MNIST, mc_samples=1)
    few, many = (footprint(PGN, config, MNIST, space) for space in ({}, {"mc_samples": (1, 500)}))
    size = 1000
    assert many.scoring(size) > few.scoring(size)


def test_the_products_of_an_exact_expectation_are_those_that_a_gpu_holds_at_once():
    """The chunk of a CPU is one image if a layer has so many weights; that of a GPU is 64."""
    features, outputs = 2**9, 2**9
    assert PRODUCTS_AT_ONCE.rows(torch.device("cpu"), features * outputs) == 1

    def call(images):
        weight = torch.empty(outputs, features, dtype=torch.float64)
        excess = exponential_excess(images.flatten(1).double(), weight, 0.5)
        return {"score": excess.sum(1)}

    products = [highest(call, count, ImageShape(2, 16, 16)) for count in (1, 64, 128)]
    assert products[1] > 2 * 8 * PRODUCTS_AT_ONCE.gpu, "float64, several at the same time"
    assert products[1] > 40 * products[0]
    assert products[2] < 1.1 * products[1], "a chunk at a time"


@pytest.mark.slow
def test_each_image_needs_the_products_of_an_exact_expectation():
    exact, usual = (of(PGN, CIFAR, width=0.5, dropout_on=drop) for drop in ("both", "mean"))
    assert exact.scored_image > 10 * usual.scored_image, "until they are a chunk of a GPU"
    assert exact.scoring(100, 10) > usual.scoring(100, 10)


def test_what_fits_is_trained_together(monkeypatch):
    one = Footprint(fixed=10**7, image=10**6, batch=100, scored_image=0)
    monkeypatch.setattr(paths, "footprint", lambda *of: one)

    def trained(memory):
        return limits_of(PGN, memory, monkeypatch, images=GB).trained

    everything = needed(one, 20, 20, GB)
    assert everything == PROCESS + GB + 20 * 10**7 + 20 * 150 * 10**6
    assert trained(int(everything / 0.9) + 10) == 20
    assert trained(int(everything / 0.9) - 10**8) == 19
    assert trained(1) == 1
    assert needed(one, 20, 5, GB) < everything
    assert usable(10 * GB) == 9 * GB


@pytest.mark.parametrize(
    ("free", "kept", "share", "memory"),
    [
        (80 * GB, 0, 1.0, 80 * GB),
        (80 * GB, 0, 0.25, 20 * GB),
        (5 * GB, 0, 0.25, 5 * GB),  # somebody else uses most of it
        (5 * GB, 3 * GB, 0.25, 8 * GB),  # of an earlier trial of this process
    ],
)
def test_a_process_uses_its_share_of_a_gpu_but_at_most_what_is_free(
    monkeypatch, free, kept, share, memory
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: kept)
    assert available(share) == memory


@pytest.mark.parametrize(("memory", "together"), [(80 * GB, 4), (2 * GB, 4), (8 * 10**8, 1)])
def test_a_trial_trains_as_many_replicas_together_as_fit(monkeypatch, memory, together):
    monkeypatch.setattr(paths, "available", lambda share: int(share * memory))
    trial = trial_of(study_of(PGN), planted(PARTS, SECOND, stripes=True), latent_dim=16)
    trial.device = "cuda"
    assert trial.limits(1.0).trained == together
    assert trial.limits(0.001).trained == 1


def test_on_the_cpu_memory_decides_nothing(monkeypatch):
    monkeypatch.setattr(paths, "footprint", lambda *of: 1 / 0)
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


@pytest.mark.slow
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


def test_values_that_cannot_be_built_are_skipped(tiny, open_study, tmp_path):
    baseline = Baseline(
        every_detector()["AE"],
        space={"latent_dim": CategoricalDistribution([16, 24, 1000])},
        settings={"batch_size": 30, "latent_dim": 16},
    )
    study = open_study(replace(tiny, baselines=(baseline,)), tmp_path).study
    one = of(every_detector()["AE"], study.shape, latent_dim=16, batch_size=30, epochs=3)
    assert largest(study, 2, 0).together == needed(one, 2, 2, 0)


def test_a_value_that_cannot_be_built_does_not_hide_those_of_other_parameters(
    tiny, open_study, tmp_path
):
    detector = every_detector()["AE"]
    space = {
        "latent_dim": CategoricalDistribution([16, 24]),
        "width": FloatDistribution(0.5, 4.0),
    }
    baseline = Baseline(detector, space=space, settings={"batch_size": 30, "latent_dim": 16})
    study = open_study(replace(tiny, baselines=(baseline,)), tmp_path).study
    wide = of(detector, study.shape, latent_dim=16, width=4.0, batch_size=30, epochs=3)
    assert largest(study, 2, 0).together == needed(wide, 2, 2, 0)


def test_a_study_of_which_nothing_can_be_built_is_refused(tiny, open_study, tmp_path, monkeypatch):
    def refuse(*of):
        raise UserError("cannot be built")

    study = searched(tiny, open_study, tmp_path)
    monkeypatch.setattr(largest_module, "footprint", refuse)
    with pytest.raises(UserError, match="no configuration that was tried can be built for"):
        largest(study, 2, 0)
