"""The contract of every declared data set, found by discovery."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch

from tune_ad.data import (
    ImageSet,
    Pool,
    SplitSizes,
    against,
    available,
    canonical_name,
    class_tasks,
    content_digest,
    load,
    locate,
    one_class,
    split,
)
from tune_ad.storage.metric import OTHER_CLASSES

REPOSITORY = Path(__file__).parents[2]
ALIASES = sorted(available())


@cache
def loaded(alias: str) -> ImageSet:
    """The data set as it lies in TUNE_AD_DATA or data/; nothing is fetched or converted."""
    root = Path(os.environ.get("TUNE_AD_DATA") or REPOSITORY / "data")
    if not root.is_dir():
        root = REPOSITORY / "tests"  # embedded sets need no folder, so any will do
    if locate(alias, root) not in ("npz", "embedded"):
        file = f"{canonical_name(alias)}.npz"
        pytest.skip(
            f"{alias} is not at hand; put {file} into data/ or into the folder named by "
            f"TUNE_AD_DATA, or fetch it: python -c \"import tune_ad; tune_ad.load('{alias}')\""
        )
    return load(alias, root)


def trainable(alias: str) -> Pool:
    image_set = loaded(alias)
    if not len(image_set.train_images):
        pytest.skip(f"{alias} is here without its training images")
    return Pool([image_set])


def test_names_and_aliases_are_unique_and_safe_as_file_names():
    declared = available()
    names = [data_set.name for data_set in declared.values()]
    aliases = [alias for alias, data_set in declared.items() if alias != data_set.name]
    assert len({*names, *declared}) == len(set(names)) + len(aliases)
    assert all(name.replace("_", "a").isalnum() for name in {*names, *declared})
    assert canonical_name("fmnist") == "fashion_mnist"
    assert canonical_name("fashion_mnist") == "fashion_mnist"


@pytest.mark.parametrize("alias", ALIASES)
def test_declaration_is_complete(alias):
    data_set = available()[alias]
    assert data_set.about
    channels, height, width = data_set.shape
    assert channels in (1, 3)
    assert min(height, width) >= 2
    assert len(set(data_set.classes)) == len(data_set.classes) >= 2
    assert data_set.embedded or data_set.torchvision or data_set.registries
    assert data_set.sha256 is None or len(data_set.sha256) == 64
    assert data_set.sha256 or not data_set.registries, "what a registry sends must be checked"


@pytest.mark.parametrize("alias", ALIASES)
def test_images_and_labels_have_their_types_ranges_and_shapes(alias):
    image_set, declared = loaded(alias), available()[alias]
    assert (image_set.name, image_set.classes) == (declared.name, declared.classes)
    assert image_set.about
    assert image_set.shape == declared.shape
    for images, labels in (
        (image_set.train_images, image_set.train_labels),
        (image_set.test_images, image_set.test_labels),
    ):
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert images.shape == (len(labels), *image_set.shape)
        assert images.is_contiguous()
        assert set(labels.tolist()) <= set(range(len(image_set.classes)))
    assert set(image_set.test_labels.tolist()) == set(range(len(image_set.classes)))
    assert image_set.test_images.min() == 0
    assert image_set.test_images.max() >= 250


@pytest.mark.parametrize("alias", [alias for alias in ALIASES if available()[alias].sha256])
def test_digest_is_the_declared_one(alias):
    assert content_digest(loaded(alias)) == available()[alias].sha256


@pytest.mark.parametrize("alias", ALIASES)
def test_split_keeps_training_normal_and_every_image_in_one_part(alias):
    pool, name = trainable(alias), available()[alias].name
    files, tests = pool.train_range(name), pool.test_range(name)
    first_and_last = [0, len(available()[alias].classes) - 1]
    for task in class_tasks(available()[alias], first_and_last):
        result = split(task, pool, SplitSizes(), seed=1)
        assert set(pool.labels[result.train].tolist()) == {task.normal_class}
        assert set(pool.labels[result.validation.normal].tolist()) == {task.normal_class}
        assert task.normal_class not in pool.labels[result.validation.outsiders[OTHER_CLASSES]]
        assert set(pool.labels[result.test.normal].tolist()) == {task.normal_class}
        assert task.normal_class not in pool.labels[result.test.outsiders[OTHER_CLASSES]]
        trained = [result.train, *result.validation.values()]
        for home, groups in ((files, trained), (tests, result.test.values())):
            for indices in groups:
                assert indices.dtype == torch.int64
                assert len(indices)
                assert home.start <= int(indices.min())
                assert int(indices.max()) < home.stop
        together = torch.cat(result.values())
        assert len(together.unique()) == len(together)


@pytest.mark.parametrize("alias", ALIASES)
def test_split_depends_on_the_seed_alone(alias):
    pool, task = trainable(alias), class_tasks(available()[alias])[-1]
    first, again, other = (split(task, pool, SplitSizes(), seed) for seed in (0, 0, 1))
    for indices, repeated in zip(first.values(), again.values(), strict=True):
        assert torch.equal(indices, repeated)
    assert not torch.equal(first.train, other.train)
    assert not torch.equal(
        first.validation.outsiders[OTHER_CLASSES], other.validation.outsiders[OTHER_CLASSES]
    )
    assert torch.equal(first.test.normal, other.test.normal)


@pytest.mark.parametrize("alias", ["digits", "mnist"])
def test_no_validation_image_is_trained_on_byte_for_byte(alias):
    """An image of both parts may only be one that its publisher put twice into the files."""
    pool, task = trainable(alias), one_class(alias, 1)
    result = split(task, pool, SplitSizes(), seed=0)
    files = pool.train_range(task.source)
    published = Counter(prints(pool, torch.arange(files.start, files.stop)))
    trained = set(prints(pool, result.train))
    for part in (result.validation.normal, result.validation.outsiders[OTHER_CLASSES]):
        shared = trained.intersection(prints(pool, part))
        assert all(published[digest] >= 2 for digest in shared)
    assert sum(published.values()) - len(published) <= 2, "the training files hold no more doubles"


def prints(pool: Pool, indices: torch.Tensor) -> list[bytes]:
    return [hashlib.sha256(image.numpy()).digest() for image in pool.images(indices)]


def test_real_sets_of_one_shape_are_pooled_as_outsiders():
    pool = Pool([loaded("cifar"), loaded("svhn")])
    result = split(against("cifar", ["svhn"]), pool, SplitSizes(test_images=100), seed=0)
    assert len(result.train) == 45_000
    assert len(result.validation.normal) == 5_000
    assert result.validation.outsiders == {}
    assert [len(result.test.outsiders["svhn"]), len(result.test.normal)] == [100, 100]


def test_digits_are_all_there_stratified_and_need_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNE_AD_DATA", raising=False)
    digits = load("digits")
    assert list(tmp_path.iterdir()) == []
    assert digits.shape == (1, 8, 8)
    train, test = torch.bincount(digits.train_labels), torch.bincount(digits.test_labels)
    assert int((train + test).sum()) == 1797
    assert torch.equal(test, ((train + test) * 0.3).round().long())
    assert set(digits.train_images.unique().tolist()) <= {round(v * 255 / 16) for v in range(17)}


def test_importing_the_package_leaves_heavy_libraries_alone():
    code = (
        "import sys, tune_ad.data as d; d.available(); d.locate('digits'); "
        "sys.exit(bool({'torchvision', 'sklearn', 'PIL', 'ray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
