"""A kept model scores as the model that was trained: every detector, every setting."""

import pytest
import torch

from tests.detectors.cases import (
    GREY,
    IMAGES,
    applicable,
    pixels,
    quick,
    small,
    titled,
    variants,
)
from tune_ad.data import ScaledImages
from tune_ad.detectors import every_detector
from tune_ad.detectors.shallow.base import ShallowDetector
from tune_ad.errors import UserError
from tune_ad.models.member import Member, detector_of
from tune_ad.search.own_detector import reference_of
from tune_ad.storage.kept_models import ESTIMATOR, WEIGHTS
from tune_ad.training.replicas.kept import KeptState
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

RELATIVE = 1e-5
TRAINING = torch.arange(IMAGES // 2)


def cases():
    for name, detector in every_detector().items():
        for settings in [*variants(detector), {"scaling": "gcn"}]:
            marks = [] if settings in [{}, {"scaling": "gcn"}] else [pytest.mark.slow]
            title = f"{name}-{titled(settings)}"
            yield pytest.param(detector, settings, id=title, marks=marks)


def trained(detector, config, images):
    scaled = ScaledImages(images, config.scaling)
    replica_set = ReplicaSet(detector, config, scaled, [ReplicaSpec("t", 3, TRAINING)])
    replica_set.train(1)
    replica_set.prepare_scoring()
    return replica_set


@pytest.mark.parametrize(("detector", "settings"), list(cases()))
def test_a_kept_model_scores_as_the_trained_one(detector, settings):
    config = small(detector, GREY, **quick(detector, **settings), **applicable(detector, {}))
    images = pixels(GREY)
    replica_set = trained(detector, config, images)
    expected = replica_set.score(0, torch.arange(IMAGES))
    files = KeptState.of(replica_set.replicas[0]).to_files()
    state = KeptState.from_files(files, "m")
    member = Member(detector_of(reference_of(detector)), config, GREY, state, "m")
    terms = member.terms(images)
    assert terms.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(
            torch.from_numpy(terms[name]), values, rtol=RELATIVE, atol=1e-7, msg=name
        )
    assert (ESTIMATOR in files) == issubclass(detector, ShallowDetector)


def test_images_that_are_scored_alone_have_the_same_scores():
    detector = every_detector()["VAE"]
    images = pixels(GREY)
    config = small(detector, GREY)
    state = KeptState.of(trained(detector, config, images).replicas[0])
    member = Member(detector, config, GREY, state, "m")
    together = member.scores(images)
    alone = [member.scores(images[k : k + 1])[0] for k in range(IMAGES)]
    assert together == pytest.approx(alone, rel=RELATIVE)
    assert len(member.scores(images[:0])) == 0


def test_a_damaged_or_foreign_file_is_refused_in_one_line():
    vae, pgn = (every_detector()[name] for name in ("VAE", "PGN"))
    config = small(vae, GREY)
    files = KeptState.of(trained(vae, config, pixels(GREY)).replicas[0]).to_files()
    with pytest.raises(UserError, match=r"best/0\.safetensors: damaged \(.*\); copy it again"):
        KeptState.from_files({WEIGHTS: files[WEIGHTS][:99]}, "best/0")
    state = KeptState.from_files(files, "best/0")
    with pytest.raises(
        UserError, match="does not fit PGN with the stored configuration"
    ) as caught:
        Member(pgn, small(pgn, GREY), GREY, state, "best/0")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("tune_ad.detectors.pgn:NoSuch", "cannot be imported"),
        ("no_such_package:PGN", "cannot be imported"),
        ("math:pi", "is no detector"),
    ],
)
def test_a_detector_that_is_not_there_is_named(path, words):
    with pytest.raises(UserError, match=words):
        detector_of(path)
