"""Files of arrays: sized before they are read, and refused in a line if they are odd."""

import io
import struct
import zipfile

import numpy as np
import pytest

from tune_ad import array_files
from tune_ad.array_files import header_of, headers_of, read_arrays
from tune_ad.data.npz_files import load_images, of_images, read_npz
from tune_ad.errors import UserError
from tune_ad.models.inputs import KEYS

REMEDY = "copy it again"


@pytest.fixture
def small_memory(monkeypatch):
    """A machine with ten megabytes."""
    monkeypatch.setattr(array_files, "main_memory", lambda: 10_000_000)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(text, version=(1, 0), form="<H", length=None):
    """The beginning of a .npy file with a header of one's own."""
    content = text.encode()
    size = struct.pack(form, len(content) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + content


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.fixture
def bomb(tmp_path):
    """A few kilobytes that hold 64 megabytes."""
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, images=np.zeros((16_000, 64, 64), np.uint8))
    assert path.stat().st_size < 100_000
    return path


def test_sizes_are_those_of_the_headers(bomb):
    assert headers_of(bomb)["images"].nbytes == 16_000 * 64 * 64
    assert headers_of(bomb, keys=("labels",)) == {}


@pytest.mark.parametrize("read", [read_npz, load_images, lambda path: load_images(path, KEYS)])
def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_read(
    bomb, small_memory, monkeypatch, read
):
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", lambda *_: pytest.fail("it is read"))
    with pytest.raises(UserError, match=r"bomb.npz needs 0.[13] GB of memory, and there are 0.0"):
        read(bomb)


def test_floats_need_more_while_they_are_converted(tmp_path, small_memory):
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 150, 150), np.float32))  # 1.8 MB
    with pytest.raises(UserError, match="give fewer or smaller images"):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", images=np.zeros((80, 150, 150), np.uint8))  # as many bytes
    with pytest.raises(UserError, match="leaves no"):  # all images are equal
        read_npz(tmp_path / "b.npz")


def test_an_array_without_archive_is_sized_too(tmp_path, small_memory):
    np.save(tmp_path / "a.npy", np.zeros((4000, 32, 32), np.uint8))
    with pytest.raises(UserError, match="GB of memory"):
        of_images(tmp_path / "a.npy", "a")


def test_other_files_of_the_program_are_sized(bomb, small_memory):
    with pytest.raises(UserError, match=f"GB of memory.*{REMEDY}"):
        read_arrays(bomb, REMEDY)


@pytest.mark.parametrize(
    "content",
    [
        npy(np.array([{}], object)),
        header("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }"),
        header("x", (2, 0), "<I", length=4_000_000_000),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9, 99999999999), }"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (-9, 9, -9), }"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': 'text', }"),
        header("not a dictionary"),
        header("(" * 9000),
        header("{}", (9, 9)),
        b"\x93NUMPY",
        b"",
        b"no array",
    ],
)
def test_odd_arrays_are_refused_in_a_line(tmp_path, content):
    archive = zipped(tmp_path / "odd.npz", images=content)
    (tmp_path / "odd.npy").write_bytes(content)
    refusals = [
        lambda: read_arrays(archive, REMEDY),
        lambda: read_npz(archive),
        lambda: load_images(tmp_path / "odd.npy"),
    ]
    for read in refusals:
        with pytest.raises(UserError, match="odd") as refused:
            read()
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000


def test_an_archive_that_is_called_an_array_is_refused(tmp_path, bomb):
    path = bomb.rename(tmp_path / "images.npy")
    with pytest.raises(UserError, match="is damaged"):
        load_images(path)


def test_a_header_is_read_without_the_values():
    content = npy(np.zeros((3, 4), np.float32))
    found = header_of(io.BytesIO(content[:200]), len(content))
    assert (found.dtype, found.shape, found.nbytes) == (np.float32, (3, 4), 48)
    with pytest.raises(ValueError, match="but its header says"):
        header_of(io.BytesIO(content), len(content) + 1)
