"""A folder or an array of own images becomes an image set; what is decoded is cached."""

import hashlib
import threading
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


def test_classes_that_are_called_by_numbers_are_decoded_once(tmp_path, monkeypatch):
    for k, place in enumerate(["train/10", "test/1", "test/10", "test/2"] * 3):
        put(tmp_path / "photos", f"{place}/{k}.png", image(k))
    first = of(tmp_path / "photos").image_set
    assert (first.classes, first.normal) == (("1", "10", "2"), (1,))
    monkeypatch.setattr(reading, "decode", None)
    again = of(tmp_path / "photos", said=(said := [])).image_set
    assert (again.classes, again.normal) == (first.classes, first.normal)
    assert torch.equal(again.train_images, first.train_images)
    assert len(said) == 1


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
        r"test/good/empty.png is empty; copy it again \(1 other file cannot be read either: "
        r".*train/good/bad.png is no image of a known format; remove or convert it\), or leave "
        "such files out with --skip-unreadable",
    )
    said = []
    images = of(folder, SKIPPING, said).image_set
    assert len(images.train_images) == 6
    assert said[-3].startswith(f"{folder}/test/good/empty.png is empty")
    assert said[-2].startswith(f"{folder}/train/good/bad.png is no image")
    assert said[-1] == f"{folder}: left out: 2 unreadable files"
    of(folder, SKIPPING, said := [])  # from the cache
    assert said[-1] == f"{folder}: left out: 2 unreadable files"
    assert images.about.endswith("; left out: 2 unreadable files")


def test_three_unreadable_files_are_named_and_all_are_counted(folder):
    for k in range(5):
        (folder / f"train/good/bad{k}.png").write_bytes(b"")
    refused(folder, r"bad0.png is.*\(4 other files.*bad1.png is.*bad2.png is [^:]*; and 2 more\)")


def test_a_normal_class_without_a_readable_image_is_refused(folder):
    put(folder, "train/scratch/1.png", image(20))
    for file in [*(folder / "train/good").iterdir(), *(folder / "test/good").iterdir()]:
        file.write_bytes(b"")
    refused(folder, "no training image of the normal class 'good' can be read", SKIPPING)


def test_images_that_do_not_fit_into_memory_are_refused_after_the_first(folder, monkeypatch):
    monkeypatch.setattr(reading, "main_memory", lambda: 3 * 13 * 9 * 11 - 1)
    refused(folder, "13 images of 9x11 pixels need 0.0 GB of memory.*--image-size 64")
    monkeypatch.setattr(reading, "main_memory", lambda: 3 * 13 * 9 * 11)
    assert len(of(folder).image_set.train_images) == 6


def test_images_in_colour_after_grey_ones_are_counted_in_colour(folder, monkeypatch):
    put(folder, "train/good/3.png", np.stack([image(1), image(2), image(3)], axis=2))
    needed = 3 * 13 * 3 * 9 * 11
    monkeypatch.setattr(reading, "main_memory", lambda: needed - 1)
    refused(folder, "13 images of 9x11 pixels need 0.0 GB of memory.*--image-size 64")
    monkeypatch.setattr(reading, "main_memory", lambda: needed)
    assert of(folder).image_set.shape == (3, 9, 11)


def test_different_sizes_end_the_decoding_at_the_first_that_differs(folder, monkeypatch):
    put(folder, "test/good/7.png", image(7, (9, 12)))
    shown = []
    monkeypatch.setattr(reading._Folder, "_refuse_too_large", lambda *_: shown.append(1))
    monkeypatch.setattr(reading._Folder, "_refuse_unreadable", lambda *_: shown.append(2))
    refused(folder, "6.png has 9x11 pixels, .*7.png has 9x12; give the size")
    assert shown == [1]


def test_no_thread_decodes_after_a_refusal(folder):
    put(folder, "test/good/7.png", image(7, (9, 12)))
    before = set(threading.enumerate())
    with pytest.raises(UserError, match="7.png has 9x12") as caught:
        of(folder)
    assert set(threading.enumerate()) == before
    assert caught.tb, "it would otherwise have been freed, and with it the threads"


def test_a_folder_that_cannot_be_opened_is_not_passed_over(folder, monkeypatch):
    def walk(top, onerror):
        onerror(PermissionError(13, "Permission denied", f"{top}/train/secret"))
        return iter(())

    monkeypatch.setattr(reading.os, "walk", walk)
    refused(folder, r"train/secret cannot be opened .Permission denied.; make it readable")


def test_a_linked_folder_is_refused(folder, tmp_path):
    put(tmp_path / "elsewhere", "20.png", image(20))
    (folder / "test/scratch").symlink_to(tmp_path / "elsewhere")
    words = "test/scratch is a link to a folder; such links are not followed"
    refused(folder, words)
    with pytest.raises(UserError, match=words):
        list(image_files(folder))


def test_linked_files_hidden_links_and_a_link_to_the_whole_are_read(folder, tmp_path):
    plain = of(folder)
    put(tmp_path / "elsewhere", "20.png", image(20))
    (folder / ".hidden").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to(folder)
    assert of(tmp_path / "linked").digest == plain.digest
    (folder / "test/hole/20.png").symlink_to(tmp_path / "elsewhere/20.png")
    assert len(of(folder).image_set.test_images) == len(plain.image_set.test_images) + 1


def test_test_images_that_were_trained_on_are_refused_or_left_out(folder):
    put(folder, "test/hole/same.png", image(2))
    refused(folder, r"hole/same.png is a test image and equal to the training image .*good/2.png")
    images = of(folder, SKIPPING).image_set
    assert images.test_labels.tolist() == [0] * 4 + [1] * 3
    assert "1 duplicate" in images.about


def test_files_of_unknown_formats_are_counted_by_their_suffix(folder):
    for name in ("a.HEIC", "b.HEIC", "c.txt", ".hidden.json", "Thumbs.db"):
        (folder / "train/good" / name).write_bytes(b"x")
    of(folder, said=(said := []))
    assert said[1] == (
        f"{folder}: 3 files passed over, with a suffix of no known image format: .HEIC, .txt"
    )


def test_names_of_classes_that_take_turns_are_those_of_the_first_reading(tmp_path):
    for k in range(60):
        put(tmp_path / "photos", f"{'cat' if k % 2 else 'dog'}/{k}.png", image(k))
    first, again = of(tmp_path / "photos").image_set, of(tmp_path / "photos").image_set
    assert again.classes == first.classes == ("cat", "dog")
    assert again.normal is first.normal is None
    assert torch.equal(again.train_labels, first.train_labels)


def test_a_folder_of_png_files_has_the_bytes_of_the_arrays(folder, tmp_path):
    stack = np.stack([image(k) for k in range(13)])
    content = {"train_images": stack[:6], "test_images": stack[6:]}
    labels = {"train_labels": np.zeros(6, int), "test_labels": np.array([0] * 4 + [1] * 3)}
    arrays = read_npz(written(tmp_path / "x.npz", **content, **labels))
    images = of(folder).image_set
    for key in ("train_images", "train_labels", "test_images", "test_labels", "normal"):
        ours, theirs = getattr(images, key), getattr(arrays, key)
        assert ours == theirs if key == "normal" else torch.equal(ours, theirs)


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
        (lambda x: np.where(x > 9, np.nan, 0.1), "train_images has NaN pixels; replace them"),
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


@pytest.mark.parametrize(
    ("labels", "normal", "expected"),
    [
        ([0, 1], [0], 0),  # a label
        ([0, 1], [1], 1),
        ([0, 1], ["0"], 1),  # a name
        ([0, 1], ["1"], 0),
        (["1", "0"], [0], 1),  # the label "0"
        (["1", "0"], ["0"], 1),
    ],
)
def test_an_integer_normal_is_a_label_and_a_text_is_a_name(tmp_path, labels, normal, expected):
    images, numbers = arrays(60)[0], np.arange(60) % 2
    content = {"images": images, "labels": np.array(labels)[numbers], "normal": np.array(normal)}
    images = read_npz(written(tmp_path / "x.npz", classes=np.array(["1", "0"]), **content))
    assert (images.classes, images.normal) == (("1", "0"), (expected,))
    assert set(images.train_labels.tolist()) == {expected}


@pytest.mark.parametrize(
    ("labels", "normal", "choices"),
    [([0, 1], [10], "0, 1"), ([0, 1], [-1], "0, 1"), (["10", "20"], [1], "10, 20")],
)
def test_an_integer_normal_that_is_no_label_is_refused(tmp_path, labels, normal, choices):
    images, numbers = arrays(60)[0], np.arange(60) % 2
    content = {"images": images, "labels": np.array(labels)[numbers], "normal": np.array(normal)}
    path = written(tmp_path / "x.npz", classes=np.array(["10", "20"]), **content)
    with pytest.raises(UserError, match=f"{normal[0]}', which is no class; choose from {choices}"):
        read_npz(path)


def test_stated_normal_classes_decide_which_images_are_tested(tmp_path):
    images, _ = arrays(60)
    labels = np.arange(60) % 3
    other = read_npz(written(tmp_path / "x.npz", images=images, labels=labels, normal=[2]))
    assert other.normal == (2,)
    assert set(other.train_labels.tolist()) == {2}
    assert int((other.test_labels != 2).sum()) == 40
    with pytest.raises(UserError, match="normal names 2 classes; name one, and give"):
        read_npz(written(tmp_path / "x.npz", images=images, labels=labels, normal=[0, 2]))
    turns = read_npz(written(tmp_path / "y.npz", images=images, labels=labels))
    assert turns.normal_classes == (0, 1, 2)
    names = {"classes": np.array(["cat", "good", "dog"])}
    no_normal = written(tmp_path / "z.npz", **split(*arrays()), **names, normal=np.zeros(0, int))
    assert read_npz(no_normal).normal_classes == (0, 1, 2)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_images_too_few_to_be_divided_are_refused(tmp_path, number):
    images, _ = arrays(number)
    np.save(tmp_path / "x.npy", images)
    for path in (tmp_path / "x.npy", written(tmp_path / "x.npz", images=images)):
        with pytest.raises(UserError, match="leaves no test image; add images, at least 10"):
            read_own(path, "x", CHOICES, tmp_path, print)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"classes": np.array(["a", "a", "b"])}, "classes names 'a' twice"),
        (
            {"classes": np.array(["ok", "good", "b"])},
            "good and ok are both called normal; .*array",
        ),
        ({"normal": np.array([1]), "train_labels": np.zeros(9, int)}, "'1' has no training image"),
    ],
)
def test_unclear_classes_are_refused(tmp_path, content, words):
    path = written(tmp_path / "x.npz", **{**split(*arrays()), **content})
    with pytest.raises(UserError, match=words) as caught:
        read_npz(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


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


def test_equal_images_of_an_array_are_counted(tmp_path):
    images, labels = arrays()
    content = split(images, labels)
    content["test_images"] = content["test_images"].copy()
    content["test_images"][0] = content["train_images"][4]
    said = []
    read_own(written(tmp_path / "x.npz", **content), "x", CHOICES, tmp_path, said.append)
    assert [line.partition(": ")[2] for line in said] == [
        "1 test image equal to a training image; if they are not meant to be, leave them out"
    ]


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
