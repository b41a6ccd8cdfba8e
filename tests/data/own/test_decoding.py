"""Image files of every kind: what is read, and 24 that are refused in a line each."""

import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tune_ad.data.own import decoding
from tune_ad.data.own.decoding import Target, Unreadable, decode

AS_IT_IS = Target(None, "stretch", "auto")
GREY = np.arange(0, 240, 1, np.uint8).reshape(12, 20)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


def pixels_of(content, target):
    return decode(content, target).pixels


def saved(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def of(array, format="PNG", mode=None, **options):
    image = Image.fromarray(array)
    return saved(image.convert(mode) if mode else image, format, **options)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "TGA", "GIF"])
def test_grey_images_are_read_as_they_were_written(format):
    assert np.array_equal(pixels_of(of(GREY, format), AS_IT_IS), GREY)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_colours_are_read_as_they_were_written(format):
    assert np.array_equal(pixels_of(of(COLOUR, format), AS_IT_IS), COLOUR)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_lossy_formats_are_read(format):
    smooth = np.tile(np.arange(0, 200, 8, np.uint8), (25, 1))
    pixels = pixels_of(of(smooth, format, quality=95), AS_IT_IS).astype(int)
    grey = pixels if pixels.ndim == 2 else pixels.mean(2)
    assert np.abs(grey - smooth).mean() < 4


def test_equal_channels_are_grey_unless_colour_is_asked_for():
    equal = np.repeat(GREY[..., None], 3, axis=2)
    assert np.array_equal(pixels_of(of(equal), AS_IT_IS), GREY)
    assert np.array_equal(pixels_of(of(equal), AS_IT_IS._replace(colour="rgb")), equal)
    assert np.array_equal(pixels_of(of(GREY), AS_IT_IS._replace(colour="rgb")), equal)
    weights = np.array([299, 587, 114]) / 1000
    grey = pixels_of(of(COLOUR), AS_IT_IS._replace(colour="grey"))
    assert np.abs(grey - COLOUR @ weights).max() <= 1


def test_palettes_bits_and_transparency():
    palette = Image.fromarray(COLOUR).quantize(16)
    assert np.array_equal(pixels_of(saved(palette), AS_IT_IS), np.asarray(palette.convert("RGB")))
    bits = GREY > 100
    assert np.array_equal(pixels_of(saved(Image.fromarray(bits)), AS_IT_IS), 255 * bits)
    alpha = np.where(GREY > 100, 255, 0).astype(np.uint8)
    clear = np.dstack([COLOUR, alpha])
    expected = np.where(alpha[..., None] > 0, COLOUR, 0)
    assert np.array_equal(pixels_of(of(clear), AS_IT_IS), expected)


def test_the_rotation_that_the_camera_noted_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at the right of the stored image
    rotated = pixels_of(of(GREY, exif=exif), AS_IT_IS)
    assert np.array_equal(rotated, np.rot90(GREY, -1))


@pytest.mark.parametrize("rule", decoding.RESIZINGS)
def test_images_are_brought_to_a_size_by_the_named_rule(rule):
    constant = np.full((10, 40), 99, np.uint8)
    pixels = pixels_of(of(constant), Target((20, 20), rule, "auto"))
    assert pixels.shape == (20, 20)
    filled = pixels != 0
    if rule == "pad":
        assert filled.sum() == 20 * 5  # a quarter as high as wide
        assert not filled[:7].any() and not filled[13:].any()
    else:
        assert filled.all()
    assert set(np.unique(pixels)) <= {0, 99}
    same = pixels_of(of(GREY), Target(GREY.shape, rule, "auto"))
    assert np.array_equal(same, GREY)


def test_crop_keeps_the_middle():
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    assert (pixels_of(of(wide), Target((10, 10), "crop", "auto")) == 200).all()


def many(count):
    frames = [Image.fromarray(np.roll(GREY, k)) for k in range(count)]
    return frames[0], frames[1:]


def animated(format):
    first, others = many(3)
    return saved(first, format, save_all=True, append_images=others)


def deep_png(array):
    """A PNG in colour with 16 bits per channel, which Pillow cannot write."""
    height, width, _ = array.shape
    rows = (array.astype(">u2") * 16).tobytes()
    lines = [rows[k : k + 6 * width] for k in range(0, len(rows), 6 * width)]

    def chunk(name, content):
        body = name + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bad_files():
    """25 files that cannot be read, with the words of the line."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    png, jpeg, tiff = of(noise), of(noise, "JPEG"), of(noise, "TIFF")
    deep = (GREY.astype(np.uint16) * 257).astype(np.uint16)
    header = bytearray(png)
    header[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 1
    return {
        "empty.png": (b"", "is empty; copy it again"),
        "text.png": (b"these are not pixels", "is no image of a known format"),
        "html.jpg": (b"<html><body>404</body></html>", "is no image of a known format"),
        "zip.png": (b"PK\x03\x04" + bytes(50), "is no image of a known format"),
        "numpy.png": (b"\x93NUMPY\x01\x00", "is no image of a known format"),
        "cut.png": (png[: len(png) // 2], "is damaged"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "is damaged"),
        "cut.tif": (tiff[: len(tiff) // 3], "is damaged|is no image"),
        "head.png": (png[:8], "is damaged|is no image"),
        "head.jpg": (jpeg[:3], "is damaged|is no image"),
        "flipped.png": (bytes(flipped), "is damaged"),
        "huge.png": (bytes(header), "is huge"),
        "cmyk.jpg": (of(COLOUR, "JPEG", "CMYK"), "has the colours CMYK; convert it to RGB"),
        "cmyk.tif": (of(COLOUR, "TIFF", "CMYK"), "has the colours CMYK; convert it to RGB"),
        "lab.tif": (of(COLOUR, "TIFF", "LAB"), "has the colours LAB; convert it to RGB"),
        "deep.png": (of(deep), "has 16 bits per channel; convert it to 8 bits"),
        "deep.tif": (of(deep, "TIFF"), "has 16 bits per channel; convert it to 8 bits"),
        "deep colour.png": (deep_png(COLOUR), "has 16 bits per channel; convert it to 8 bits"),
        "int.tif": (of(GREY.astype(np.int32), "TIFF"), "has 32 bits per channel"),
        "float.tif": (of(GREY.astype(np.float32), "TIFF"), "has 32 bits per channel"),
        "moving.gif": (animated("GIF"), "contains 3 pictures; save each as a file"),
        "moving.png": (animated("PNG"), "contains 3 pictures; save each as a file"),
        "moving.webp": (animated("WEBP"), "contains 3 pictures; save each as a file"),
        "pages.tif": (animated("TIFF"), "contains 3 pictures; save each as a file"),
        "small.png": (of(GREY[:7]), "has 7 x 20 pixels; the smallest side is 8"),
    }


BAD = bad_files()


def test_there_are_25_bad_files():
    assert len(BAD) == 25


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_fault_and_remedy(name):
    content, words = BAD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Unreadable, match=words) as caught:
            pixels_of(content, AS_IT_IS)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)


def test_a_picture_over_the_limit_is_huge_even_if_it_can_be_read(monkeypatch):
    monkeypatch.setattr(decoding, "LARGEST_PIXELS", 100)
    with pytest.raises(Unreadable, match="is huge .12 x 20 pixels.; cut or reduce it"):
        pixels_of(of(GREY), AS_IT_IS)


FORMATS = ("AVIF", "BMP", "DDS", "GIF", "ICO", "JPEG", "PCX", "PNG", "PPM", "SGI", "TIFF", "WEBP")


@pytest.mark.parametrize("format", [name for name in FORMATS if name in Image.SAVE])
def test_damage_of_any_kind_is_a_line(format):
    """Cut files and random bytes: what Pillow raises differs between formats and versions."""
    random = np.random.default_rng(0)
    whole = of(random.integers(0, 255, (24, 24, 3), dtype=np.uint8), format)
    for k in range(60):
        content = bytearray(whole)
        for place in random.integers(0, min(len(whole), 200), k % 6):
            content[place] = random.integers(0, 256)
        if k % 2:
            content = content[: random.integers(1, len(content))]
        try:
            assert pixels_of(bytes(content), AS_IT_IS).dtype == np.uint8
        except Unreadable as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), TypeError("x"), NotImplementedError("x"), struct.error("x")]
)
def test_errors_of_a_decoder_are_damage(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(decoding.Image, "open", fail)
    with pytest.raises(Unreadable, match=r"is damaged .x.; copy it again"):
        pixels_of(of(GREY), AS_IT_IS)


def test_threads_leave_the_warnings_of_the_process_as_they_were():
    content = of(np.zeros((200, 200), np.uint8))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: pixels_of(content, AS_IT_IS), range(400)))
    assert warnings.filters == before


def test_warnings_are_ignored_until_the_last_thread_has_decoded():
    quiet, before = decoding._Quiet(), list(warnings.filters)
    first, second = quiet.entered(), quiet.entered()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("of a camera", stacklevel=1)  # an error of the tests if it is not ignored
    second.__exit__(None, None, None)
    assert warnings.filters == before


def test_a_file_that_may_not_be_opened_says_so(tmp_path):
    with pytest.raises(Unreadable, match="cannot be opened .Is a directory.; make it readable"):
        decoding.read(tmp_path, AS_IT_IS)
    (tmp_path / "x.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(Unreadable, match="cannot be opened"):
        decoding.read(tmp_path / "x.png", AS_IT_IS)
    assert os.listdir(tmp_path) == ["x.png"]


@pytest.mark.parametrize("colour", ["grey", "rgb", "auto"])
def test_only_colours_that_are_lost_are_said_to_be(colour):
    target = AS_IT_IS._replace(colour=colour)
    equal = np.repeat(GREY[..., None], 3, axis=-1)
    assert decode(of(COLOUR), target).lost_colour == (colour == "grey")
    assert not decode(of(equal), target).lost_colour
    assert not decode(of(GREY), target).lost_colour


def test_postscript_is_no_image_since_it_is_a_program():
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 12\n%%EndComments\nshowpage\n"
    with pytest.raises(Unreadable, match="is a program"):
        decode(content, AS_IT_IS)


def test_a_file_larger_than_any_image_is_not_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(decoding.LARGEST_FILE + 1)  # takes no space
    with pytest.raises(Unreadable, match=r"is huge \(445 MB\)"):
        decoding.content_of(path)
