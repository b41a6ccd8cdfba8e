"""Images, and several of them arranged in one, as values of a summary."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

Pixels = npt.NDArray[np.uint8]

GAP, GAP_GREY = 1, 128


def check_pixels(pixels: Pixels, ndim: int) -> None:
    """Check that pixels are uint8 with `ndim` axes (grey) or `ndim` + 1 (colour).

    Raises:
        ValueError: the type or the shape differs.
    """
    is_colour = pixels.ndim == ndim + 1 and pixels.shape[-1] == 3
    if pixels.dtype != np.uint8 or not (pixels.ndim == ndim or is_colour):
        axes = "(h, w)" if ndim == 2 else "(n, h, w)"
        raise ValueError(
            f"pixels must be uint8 of shape {axes}, with or without a last axis of 3, "
            f"but got {pixels.dtype} of shape {pixels.shape}"
        )


def image_value(tag: str, pixels: Pixels) -> Any:  # noqa: ANN401
    """An image as a value of a summary, without loss.

    Args:
        tag: name of the image.
        pixels: uint8 pixels, shape (h, w) for grey or (h, w, 3) for red, green and blue.

    Raises:
        ValueError: `pixels` has another shape or another type.
    """
    check_pixels(pixels, 2)
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(png, format="PNG")
    height, width, *channels = pixels.shape
    picture = Summary.Image(
        height=height,
        width=width,
        colorspace=3 if channels else 1,
        encoded_image_string=png.getvalue(),
    )
    return Summary.Value(tag=tag, image=picture)


def aligned(rows: Sequence[Pixels]) -> list[Pixels]:
    """Rows of images of one size, each with as many as the longest: what it lacks is grey.

    Args:
        rows: rows of images, each uint8 of shape (n, h, w) or (n, h, w, 3).
    """
    longest = max((len(pixels) for pixels in rows), default=0)
    return [
        np.pad(
            pixels,
            [(0, longest - len(pixels))] + [(0, 0)] * (pixels.ndim - 1),
            constant_values=GAP_GREY,
        )
        for pixels in rows
    ]


def without_grey_axis(pixels: Pixels) -> Pixels:
    """Images of shape (n, h, w, 1) as (n, h, w); others as they are."""
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def tiled(rows: Sequence[Pixels]) -> Pixels:
    """Rows of images as one image, with grey lines between and around them.

    Args:
        rows: rows of images, each uint8 of shape (n, h, w) for grey or (n, h, w, 3) for colour; if
            one row has colours, so does the result.

    Returns:
        the image, uint8, shape (height, width) or (height, width, 3).

    Raises:
        ValueError: the rows differ in n, h or w, or have another shape or type.
    """
    for pixels in rows:
        check_pixels(pixels, 3)
    shapes = [pixels.shape[:3] for pixels in rows]
    if len(set(shapes)) != 1:
        raise ValueError(f"rows must have the same (n, h, w), but got {shapes}")
    has_colour = any(pixels.ndim == 4 for pixels in rows)
    grid = np.stack([_in_colour(pixels) if has_colour else pixels for pixels in rows])
    grid = _framed(grid, (GAP, 0), axis=2)
    count, n, height, width, *channels = grid.shape
    picture = grid.swapaxes(1, 2).reshape(count * height, n * width, *channels)
    return _framed(picture, (0, GAP), axis=0)


def _in_colour(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, axis=3)


def _framed(pixels: Pixels, widths: tuple[int, int], axis: int) -> Pixels:
    """Pixels with a grey border along the axes `axis` and `axis` + 1.

    Args:
        pixels: uint8 pixels of any shape.
        widths: the widths of the border along the two axes.
        axis: the first of the two axes.
    """
    pad = [(0, 0)] * pixels.ndim
    pad[axis] = pad[axis + 1] = widths
    return np.pad(pixels, pad, constant_values=GAP_GREY)
