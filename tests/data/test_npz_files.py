"""The .npz layout: what goes in comes out, and every fault is one helpful line."""

import os
import zipfile

import numpy as np
import pytest
import torch

from tune_ad.data import (
    ImageSet,
    content_digest,
    from_arrays,
    read_npz,
    validate_npz_header,
    write_npz,
)
from tune_ad.data.npz_files import load_images
from tune_ad.errors import UserError


def same(first: ImageSet, second: ImageSet) -> bool:
    tensors = "train_images", "train_labels", "test_images", "test_labels"
    return all(torch.equal(getattr(first, key), getattr(second, key)) for key in tensors)


@pytest.mark.parametrize("colour", [False, True])
def test_what_is_written_is_read(tmp_path, toy, colour):
    image_set = toy([4, 3], [2, 2], colour=colour)
    path = tmp_path / "toy.npz"
    write_npz(path, image_set)
    back = read_npz(path, classes=image_set.classes)
    assert same(image_set, back)
    assert (back.name, back.classes, back.about) == ("toy", image_set.classes, "made for a test")
    assert back.shape == ((3 if colour else 1), 4, 4)
    assert os.listdir(tmp_path) == ["toy.npz"]


def test_layout_is_the_documented_one(tmp_path, toy_arrays):
    arrays = toy_arrays([2, 2], [1, 1], colour=True)
    write_npz(tmp_path / "toy.npz", from_arrays("toy", ("a", "b"), arrays, "text"))
    with np.load(tmp_path / "toy.npz") as file:
        assert file["train_images"].dtype == file["train_labels"].dtype == np.uint8
        assert np.array_equal(file["train_images"], arrays.train_images)
        assert np.array_equal(file["test_labels"], arrays.test_labels)
        assert str(file["about"]) == "text"
    with zipfile.ZipFile(tmp_path / "toy.npz") as archive:
        assert {file.compress_type for file in archive.infolist()} == {zipfile.ZIP_STORED}


def test_pixel_of_a_colour_image_keeps_its_place(toy_arrays):
    arrays = toy_arrays([2], [1], colour=True)
    image_set = from_arrays("toy", ("a",), arrays, "")
    assert int(image_set.train_images[1, 2, 0, 3]) == arrays.train_images[1, 0, 3, 2]


def test_classes_of_a_users_file_are_its_labels(tmp_path, toy_arrays):
    arrays = toy_arrays([2, 0, 2], [1, 0, 1])
    np.savez(tmp_path / "mine.npz", **arrays._asdict())
    mine = read_npz(tmp_path / "mine.npz")
    assert (mine.name, mine.classes, mine.about) == ("mine", ("0", "1", "2"), "")


@pytest.mark.parametrize("train_rows", [None, 0])
def test_a_file_without_training_images_is_legal(tmp_path, train_rows, toy_arrays):
    arrays = toy_arrays([0, 0], [3, 2])._asdict()
    if train_rows is None:
        del arrays["train_images"], arrays["train_labels"]
    np.savez(tmp_path / "outside.npz", **arrays)
    outside = read_npz(tmp_path / "outside.npz")
    assert outside.train_images.shape == (0, 1, 4, 4)
    assert outside.train_labels.shape == (0,)
    assert validate_npz_header(tmp_path / "outside.npz") == ((1, 4, 4), 0, 5)


def test_many_classes_keep_their_labels(tmp_path, toy):
    image_set = toy([0] * 300 + [2], [0] * 300 + [1])
    write_npz(tmp_path / "toy.npz", image_set)
    assert read_npz(tmp_path / "toy.npz").test_labels.tolist() == [300]


def test_header_check_does_not_read_the_arrays(tmp_path, toy):
    write_npz(tmp_path / "toy.npz", toy([5, 5], [2, 2], colour=True, size=64))
    content = bytearray((tmp_path / "toy.npz").read_bytes())
    content[50_000] ^= 255
    (tmp_path / "toy.npz").write_bytes(content)
    assert validate_npz_header(tmp_path / "toy.npz") == ((3, 64, 64), 10, 4)
    with pytest.raises(UserError, match="damaged"):
        read_npz(tmp_path / "toy.npz")


HEADER_FAULTS = {
    "no test labels": ({"test_labels": None}, "test_labels missing"),
    "half a training part": ({"train_labels": None}, "train_labels missing"),
    "integer images": ({"train_images": np.zeros((4, 4, 4), np.int16)}, "but is int16"),
    "flat images": ({"train_images": np.zeros((4, 16), np.uint8)}, r"shape .*\(4, 16\)"),
    "two channels": ({"test_images": np.zeros((2, 4, 4, 2), np.uint8)}, r"\(2, 4, 4, 2\)"),
    "channels first": ({"test_images": np.zeros((2, 3, 4, 4), np.uint8)}, "channels last"),
    "no pixels": ({"test_images": np.zeros((2, 0, 4), np.uint8)}, r"\(2, 0, 4\)"),
    "too few labels": ({"train_labels": np.zeros(3, int)}, "4 images and train_labels 3 labels"),
    "float labels": ({"test_labels": np.zeros(2)}, "integers or texts of shape"),
    "one-hot labels": ({"test_labels": np.zeros((2, 2), int)}, r"shape \(2, 2\)"),
    "objects": ({"test_labels": np.array([1, "a"], object)}, "Python objects"),
    "other size": ({"test_images": np.zeros((2, 5, 5), np.uint8)}, r"\(4, 4\) and .*\(5, 5\)"),
    "no test image": (
        {"test_images": np.zeros((0, 4, 4), np.uint8), "test_labels": np.zeros(0, int)},
        "no image",
    ),
    "classes": ({"classes": np.arange(3)}, "classes must be texts of shape"),
    "normal": ({"normal": np.zeros((1, 1), int)}, "normal must be labels of shape"),
    "about": ({"about": np.arange(3)}, "about must be one text"),
}
LABEL_FAULTS = {
    "negative label": ({"train_labels": np.array([0, 1, -1, 0])}, "got -1 to 1"),
    "huge label": ({"test_labels": np.array([0, 10**9])}, "got 0 to 1000000000"),
}


@pytest.mark.parametrize("fault", [*HEADER_FAULTS, *LABEL_FAULTS])
def test_a_broken_layout_is_one_line_with_file_fault_and_remedy(tmp_path, fault, toy_arrays):
    change, words = {**HEADER_FAULTS, **LABEL_FAULTS}[fault]
    arrays = {**toy_arrays([2, 2], [1, 1])._asdict(), **change}
    path = tmp_path / "bad.npz"
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    refused(path, words, read_npz)
    if fault in HEADER_FAULTS:
        refused(path, words, validate_npz_header)


def refused(path, words, read):
    with pytest.raises(UserError, match=words) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "; " in message
    assert "\n" not in message


def test_files_that_are_no_npz_are_refused(tmp_path, toy):
    refused(tmp_path / "absent.npz", "no such file", read_npz)
    refused(tmp_path, "is a folder", read_npz)
    (tmp_path / "text.npz").write_text("not an archive")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    write_npz(tmp_path / "whole.npz", toy([9, 9], [3, 3]))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-200])
    for name in ("text.npz", "array.npy", "empty.npz", "cut.npz"):
        refused(tmp_path / name, "not a whole .npz archive", read_npz)
    refused(tmp_path / "other.npz", r"it holds: x\)", read_npz)


def test_headers_that_lie_are_refused(tmp_path, toy_arrays):
    np.savez(tmp_path / "good.npz", **toy_arrays([2, 2], [1, 1])._asdict())
    with zipfile.ZipFile(tmp_path / "good.npz") as good:
        members = {name: good.read(name) for name in good.namelist()}
    lies = {
        "short": (members["test_images.npy"][:-3], "its header says"),
        "no header": (b"nonsense", "cannot be read"),
        "version": (b"\x93NUMPY\x09\x00" + bytes(100), "format version"),
    }
    for name, (content, words) in lies.items():
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w") as bad:
            for member, true in {**members, "test_images.npy": content}.items():
                bad.writestr(member, content if member == "test_images.npy" else true)
        refused(tmp_path / f"{name}.npz", words, read_npz)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_damage_ends_in_another_error(tmp_path, toy_arrays, save):
    save(tmp_path / "good.npz", **toy_arrays([5, 5], [2, 2])._asdict())
    good = (tmp_path / "good.npz").read_bytes()
    stream = np.random.default_rng(0)
    refusals = 0
    for place in stream.integers(0, len(good), 300):
        bad = bytearray(good)
        bad[place] ^= int(stream.integers(1, 256))
        (tmp_path / "bad.npz").write_bytes(bad if place % 3 else bad[:place])
        try:
            read_npz(tmp_path / "bad.npz")
        except UserError as error:
            refusals += "\n" not in str(error)
    assert refusals > 200


def test_labels_beyond_the_declared_classes_are_refused(tmp_path, toy):
    write_npz(tmp_path / "mnist.npz", toy([2, 2, 2], [1, 1, 1]))
    with pytest.raises(UserError, match=r"must lie in \[0, 2\)"):
        read_npz(tmp_path / "mnist.npz", classes=("a", "b"))


@pytest.mark.parametrize("crash", [KeyboardInterrupt, MemoryError, OSError])
def test_a_crash_while_writing_leaves_no_file(tmp_path, toy, monkeypatch, crash):
    def half(file, **_arrays):
        file.write(b"PK half an archive")
        raise crash

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(crash):
        write_npz(tmp_path / "toy.npz", toy([2, 2], [1, 1]))
    assert os.listdir(tmp_path) == []


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, toy, monkeypatch):
    old = toy([2, 2], [1, 1])
    write_npz(tmp_path / "toy.npz", old)

    def refuse(_source, _target):
        raise OSError("disk gone")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk gone"):
        write_npz(tmp_path / "toy.npz", toy([3, 3], [1, 1], seed=1))
    assert same(read_npz(tmp_path / "toy.npz"), old)
    assert os.listdir(tmp_path) == ["toy.npz"]


def test_digest_sees_every_array_and_no_label_type(toy, toy_arrays):
    image_set = toy([3, 3], [2, 2])
    digest = content_digest(image_set)
    for key in ("train_images", "train_labels", "test_images", "test_labels"):
        changed = toy([3, 3], [2, 2])
        getattr(changed, key).view(-1)[0] ^= 1
        assert content_digest(changed) != digest
    arrays = toy_arrays([3, 3], [2, 2])
    small = arrays._replace(train_labels=arrays.train_labels.astype(np.uint8))
    assert content_digest(from_arrays("other", ("x", "y"), small, "words")) == digest


def test_an_image_set_refuses_what_breaks_its_contract(toy):
    good = toy([2, 2], [1, 1])
    images, labels = good.train_images, good.train_labels
    wrong = [
        (images.float(), labels),
        (images[:, 0], labels),
        (images, labels.int()),
        (images, labels[:2]),
        (images, labels + 1),
        (images[..., :2], labels),
    ]
    for bad_images, bad_labels in wrong:
        with pytest.raises(ValueError, match="toy: "):
            ImageSet(
                "toy", good.classes, bad_images, bad_labels, good.test_images, good.test_labels
            )
    with pytest.raises(ValueError, match="at least one test image"):
        ImageSet("toy", good.classes, images, labels, images[:0], labels[:0])


@pytest.mark.parametrize("header", [b"{'descr': '|u1', ", b"{'a\x00", b"'", b"{[(", b"\xff"])
def test_a_damaged_header_of_an_array_is_one_line(tmp_path, header):
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(UserError, match=r"a\.npy.* is damaged") as caught:
        load_images(path)
    assert "\n" not in str(caught.value)


def test_names_of_classes_cannot_act_on_a_terminal(tmp_path, toy_arrays):
    arrays = toy_arrays([2, 2], [1, 1], colour=False)
    with pytest.raises(UserError, match=r"the class a\\x1b\[31m has control characters"):
        from_arrays("toy", ("a\x1b[31m", "b"), arrays, "text")
    assert from_arrays("toy", ("a", "b"), arrays, "two\nlines \x07").about == "two lines \\x07"
