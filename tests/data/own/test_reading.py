"""A folder or an array of own images becomes an image set; what is decoded is cached."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tune_ad.data import read_npz, write_npz
from tune_ad.data.own import reading
from tune_ad.data.own.decoding import Target
from tune_ad.data.own.reading import Choices, image_files, read_own
from tune_ad.errors import UserError

CHOICES = Choices(Target(None, "stretch", "auto"), skip_unreadable=False, workers=2)
SKIPPING = CHOICES._replace(skip_unreadable=True)


def image(number, size=(9, 11)):
    return np.random.default_rng(number).integers(0, 255, size, dtype=np.uint8)


def put(folder, path, pixels):
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


@pytest.fixture
def folder(tmp_path):
    """Six normal training images, four normal test images, three anomalies."""
    root = tmp_path / "photos"
    for k in range(6):
        put(root, f"train/good/{k}.png", image(k))
    for k in range(6, 10):
        put(root, f"test/good/{k}.png", image(k))
    for k in range(10, 13):
        put(root, f"test/hole/{k}.png", image(k))
    return root


def of(folder, choices=CHOICES, said=None):
    lines = [] if said is None else said
    return read_own(folder, "photos", choices, folder.parent / "cache", lines.append)


def refused(folder, words, choices=CHOICES):
    with pytest.raises(UserError, match=words) as caught:
        of(folder, choices)
    assert "\n" not in str(caught.value)
    assert not (folder.parent / "cache").exists()


def test_a_folder_is_the_arrays_of_its_files(folder):
    said = []
    images = of(folder, said=said).image_set
    assert images.classes == ("good", "hole")
    assert images.normal == (0,)
    assert images.every_label
    assert images.shape == (1, 9, 11)
    expected = torch.from_numpy(np.stack([image(k) for k in range(6)]))[:, None]
    assert torch.equal(images.train_images, expected)
    assert images.test_labels.tolist() == [0] * 4 + [1] * 3
    assert (images.labelled_anomalies, images.tested_anomalies) == (0, 3)
    assert said == [f"{folder}: train and test folders: train 6 good; test 4 good, 3 hole"]


def test_the_same_images_are_decoded_once(folder, monkeypatch):
    first = of(folder)
    monkeypatch.setattr(reading, "decode", None)
    again = of(folder)
    assert again.digest == first.digest
    assert again.image_set.normal == first.image_set.normal
    assert again.image_set.classes == first.image_set.classes
    assert torch.equal(again.image_set.test_images, first.image_set.test_images)


def test_another_content_or_choice_is_decoded_again(folder):
    first = of(folder)
    other = of(folder, CHOICES._replace(target=Target((16, 16), "pad", "rgb")))
    assert other.image_set.shape == (3, 16, 16)
    put(folder, "train/good/0.png", image(77))
    changed = of(folder)
    assert len({first.digest, other.digest, changed.digest}) == 3
    assert len(list((folder.parent / "cache").iterdir())) == 3


def test_a_damaged_cache_is_decoded_again(folder):
    first = of(folder)
    (file,) = (folder.parent / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    said = []
    again = of(folder, said=said)
    assert torch.equal(again.image_set.train_images, first.image_set.train_images)
    assert any("decoded again" in line for line in said)


def test_colour_is_kept_if_one_image_has_it(folder):
    put(folder, "train/good/0.png", np.stack([image(1), image(2), image(3)], axis=2))
    images = of(folder).image_set
    assert images.shape == (3, 9, 11)
    assert torch.equal(images.train_images[1], torch.from_numpy(image(1)).expand(3, 9, 11))


def test_images_of_different_sizes_need_a_size(folder):
    put(folder, "train/good/3.png", image(3, (9, 12)))
    refused(folder, r"photos/test/good/6.png has 9x11.*3.png has 9x12; give the size")
    sized = CHOICES._replace(target=Target((10, 10), "stretch", "auto"))
    assert of(folder, sized).image_set.shape == (1, 10, 10)


def test_unreadable_files_are_refused_or_counted(folder):
    (folder / "train/good/bad.png").write_bytes(b"no pixels")
    (folder / "test/good/empty.png").write_bytes(b"")
    refused(
        folder,
        r"test/good/empty.png is empty; copy it again \(1 other file cannot be read either\), or "
        "leave such files out with --skip-unreadable",
    )
    said = []
    images = of(folder, SKIPPING, said).image_set
    assert len(images.train_images) == 6
    assert said[-1] == f"{folder}: left out: 2 unreadable files"
    assert images.about.endswith("; left out: 2 unreadable files")


def test_test_images_that_were_trained_on_are_refused_or_left_out(folder):
    put(folder, "test/hole/same.png", image(2))
    refused(folder, r"hole/same.png is a test image and equal to the training image .*good/2.png")
    images = of(folder, SKIPPING).image_set
    assert images.test_labels.tolist() == [0] * 4 + [1] * 3
    assert "1 duplicate" in images.about


def test_what_is_no_image_is_passed_over(folder):
    first = of(folder)
    for name in (
        "notes.txt",
        ".DS_Store",
        ".hidden/1.png",
        "__MACOSX/1.png",
        "train/good/Thumbs.db",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    assert of(folder).digest == first.digest
    assert len(list(image_files(folder))) == 13


def test_normal_images_alone_have_no_anomaly(tmp_path):
    for k in range(60):
        put(tmp_path / "photos", f"{k}.png", image(k))
    images = of(tmp_path / "photos").image_set
    assert images.classes == ("normal",)
    assert images.tested_anomalies == 0
    assert 3 < len(images.test_images) < 25
    before = {one.numpy().tobytes() for one in images.test_images}
    put(tmp_path / "photos", "another.png", image(99))
    after = {one.numpy().tobytes() for one in of(tmp_path / "photos").image_set.test_images}
    assert before <= after <= before | {image(99).tobytes()}


def test_anomalies_without_splits_are_tested_only(tmp_path):
    for k in range(60):
        put(tmp_path / "photos", f"normal/{k}.png", image(k))
    for k in range(60, 70):
        put(tmp_path / "photos", f"anomalous/{k}.png", image(k))
    images = of(tmp_path / "photos").image_set
    assert images.classes == ("anomalous", "normal")
    assert images.normal == (1,)
    assert images.labelled_anomalies == 0
    assert images.tested_anomalies == 10


def test_a_part_without_images_is_named(tmp_path):
    put(tmp_path / "photos", "train/good/1.png", image(1))
    put(tmp_path / "photos", "train/good/2.png", image(2))
    parts = {reading._part("good", "good", hashlib.sha256(b"x").hexdigest())}
    assert parts <= {"train", "test"}
    with pytest.raises(UserError, match="photos has no (training|test) image; add images"):
        of(tmp_path / "photos")


@pytest.mark.parametrize(
    ("name", "words"),
    [("x.txt", "is neither a folder nor a .npz nor a .npy"), ("x.npz", "no such file")],
)
def test_other_paths_are_refused(tmp_path, name, words):
    if name == "x.txt":
        (tmp_path / name).write_text("x")
    with pytest.raises(UserError, match=words):
        read_own(tmp_path / name, "x", CHOICES, tmp_path / "cache", print)


# ---------------------------------------------------------------------------------------- arrays


def arrays(count=12):
    labels = np.arange(count) % 3
    return np.stack([image(k, (8, 8)) for k in range(count)]), labels


def written(path, **content):
    np.savez(path, **content)
    return path


def split(images, labels):
    return {
        "train_images": images[:9],
        "train_labels": labels[:9],
        "test_images": images[9:],
        "test_labels": labels[9:],
    }


@pytest.fixture
def plain(tmp_path):
    return read_npz(written(tmp_path / "plain.npz", **split(*arrays())))


def test_floats_in_0_to_1_are_the_same_images(tmp_path, plain):
    images, labels = arrays()
    for kind in (np.float64, np.float32):
        content = split((images / 255).astype(kind), labels)
        other = read_npz(written(tmp_path / "floats.npz", **content))
        assert torch.equal(other.train_images, plain.train_images)
        assert torch.equal(other.test_images, plain.test_images)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x / 255 + 0.5, r"train_images of type float64 must lie in \[0, 1\], got 0.5"),
        (lambda x: np.where(x > 9, np.nan, 0.1), r"must lie in \[0, 1\], got nan to nan"),
        (lambda x: x.astype(np.int16), "must be uint8 or floats in .0, 1., but is int16"),
    ],
)
def test_other_numbers_are_refused_with_their_range(tmp_path, change, words):
    images, labels = arrays()
    path = written(tmp_path / "x.npz", **split(change(images), labels))
    with pytest.raises(UserError, match=words):
        read_npz(path)


def test_a_last_axis_of_one_is_left_out(tmp_path, plain):
    images, labels = arrays()
    other = read_npz(written(tmp_path / "x.npz", **split(images[..., None], labels)))
    assert torch.equal(other.train_images, plain.train_images)


def test_texts_are_labels_and_names(tmp_path, plain):
    images, labels = arrays()
    names = np.array(["bag", "coat", "shoe"])
    other = read_npz(written(tmp_path / "x.npz", **split(images, names[labels])))
    assert other.classes == ("bag", "coat", "shoe")
    assert other.train_labels.tolist() == plain.train_labels.tolist()
    assert other.normal is None
    assert other.normal_classes == (0, 1, 2)


def test_labels_from_1_leave_out_a_class_without_images(tmp_path):
    images, labels = arrays()
    other = read_npz(written(tmp_path / "x.npz", **split(images, labels + 1)))
    assert other.normal_classes == (1, 2, 3)


def test_names_and_normal_classes_are_read_and_written(tmp_path):
    images, labels = arrays()
    extra = {"classes": np.array(["bag", "coat", "shoe"]), "normal": np.array(["coat"])}
    first = read_npz(written(tmp_path / "x.npz", **split(images, labels), **extra))
    assert (first.classes, first.normal) == (("bag", "coat", "shoe"), (1,))
    write_npz(tmp_path / "y.npz", first)
    again = read_npz(tmp_path / "y.npz", first.name)
    assert (again.classes, again.normal) == (first.classes, first.normal)
    bad = {**extra, "normal": np.array(["boot"])}
    with pytest.raises(UserError, match="normal names 'boot', which is no class; choose from bag"):
        read_npz(written(tmp_path / "z.npz", **split(images, labels), **bad))


def test_a_single_trained_class_is_the_normal_one(tmp_path):
    images, labels = arrays()
    content = split(images, labels) | {"train_labels": np.zeros(9, int)}
    other = read_npz(written(tmp_path / "x.npz", **content))
    assert other.normal == (0,)
    assert (other.labelled_anomalies, other.tested_anomalies) == (0, 2)


def test_images_alone_are_normal_and_divided_by_their_content(tmp_path):
    images, _ = arrays(80)
    np.save(tmp_path / "x.npy", images)
    alone = read_own(tmp_path / "x.npy", "x", CHOICES, tmp_path, print).image_set
    also = read_npz(written(tmp_path / "y.npz", images=images))
    assert torch.equal(alone.train_images, also.train_images)
    assert alone.normal == also.normal == (0,)
    assert len(alone.train_images) + len(alone.test_images) == 80
    labelled = read_npz(
        written(tmp_path / "z.npz", images=images, labels=np.array(["good", "bad"] * 40))
    )
    assert labelled.classes == ("bad", "good")
    assert labelled.normal == (1,)
    assert labelled.labelled_anomalies == 0
    assert labelled.tested_anomalies == 40


def test_options_of_files_have_no_effect_on_arrays(tmp_path):
    images, labels = arrays()
    path = written(tmp_path / "x.npz", **split(images, labels))
    sized = CHOICES._replace(target=Target((16, 16), "stretch", "auto"))
    with pytest.raises(UserError, match="arrays are used as they are .1x8x8.*leave them out"):
        read_own(path, "x", sized, tmp_path, print)
    own = read_own(path, "x", CHOICES, tmp_path, print)
    assert own.image_set.every_label
    assert own.digest == read_own(path, "x", CHOICES, tmp_path, print).digest
    changed = written(tmp_path / "y.npz", **split(images[::-1].copy(), labels))
    assert own.digest != read_own(changed, "x", CHOICES, tmp_path, print).digest
    assert replace(own.image_set, name="y").name == "y"
