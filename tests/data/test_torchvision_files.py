"""Torchvision's own files, made small: each declared set reads its kind."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tune_ad.data import available, content_digest, from_arrays, load
from tune_ad.data.fetch import sources


def write_idx(path: Path, array: np.ndarray) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize(("alias", "folder"), [("mnist", "MNIST"), ("fmnist", "FashionMNIST")])
def test_torchvisions_idx_files_are_read(tmp_path, toy_arrays, monkeypatch, alias, folder):
    arrays, declared = toy_arrays([3, 3], [2, 2]), available()[alias]
    (tmp_path / folder / "raw").mkdir(parents=True)
    for name, array in zip(declared.torchvision.files, arrays, strict=True):
        write_idx(tmp_path / name, array)
    check_loaded(declared, arrays, tmp_path, monkeypatch)


def check_loaded(declared, arrays, root, monkeypatch):
    expected = content_digest(from_arrays("any", declared.classes, arrays, ""))
    monkeypatch.setattr(sources, "find", lambda *_: replace(declared, sha256=expected))
    loaded = load(declared.alias, root)
    assert (loaded.name, loaded.about) == (declared.name, declared.about)
    assert content_digest(loaded) == expected
    assert (root / f"{declared.name}.npz").is_file()


def test_torchvisions_cifar_files_are_read(tmp_path, toy_arrays, monkeypatch):
    from torchvision.datasets import CIFAR10

    arrays, declared = toy_arrays([5, 5], [2, 2], colour=True, size=32), available()["cifar"]
    names = [Path(file).name for file in declared.torchvision.files]
    images = [*np.split(arrays.train_images, 5), arrays.test_images]
    labels = [*np.split(arrays.train_labels, 5), arrays.test_labels]
    contents = {"batches.meta": {"label_names": list(declared.classes)}}
    for name, part, marks in zip(names, images, labels, strict=True):
        rows = part.transpose(0, 3, 1, 2).reshape(len(part), -1)
        contents[name] = {"data": rows, "labels": marks.tolist()}
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    sums = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, sums[name]] for name in names[5:]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    check_loaded(declared, arrays, tmp_path, monkeypatch)


def test_torchvisions_svhn_files_are_read(tmp_path, toy_arrays, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    arrays, declared = toy_arrays([3, 3], [2, 2], colour=True, size=32), available()["svhn"]
    parts = {"train": arrays[:2], "test": arrays[2:]}
    listed = {}
    for part, (images, labels) in parts.items():
        path = tmp_path / f"{part}_32x32.mat"
        ten_for_zero = np.where(labels == 0, 10, labels)[:, None]
        savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": ten_for_zero.astype(np.uint8)})
        listed[part] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", listed)
    check_loaded(declared, arrays, tmp_path, monkeypatch)
