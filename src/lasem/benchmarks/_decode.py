"""Decoding of images to uint8 pixels with one size and one number of channels."""

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lasem.errors import DataError

Cell: TypeAlias = Mapping[str, object] | Image.Image | None
"""An image that is not yet decoded: its ``bytes``, or the ``path`` of its file, or an image of Pillow."""

RESIZE = "bilinear"
"""Rule by which images of another size are resized: Pillow's bilinear filter, antialiased, to height and width."""

MOST_NAMED = 5
"""Most images that a message names besides the first one."""

DEEP = ("I", "F", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True)
class Decoding:
    """Size and number of channels to which images are decoded.

    Attributes:
        size: Height and width after resizing (bilinear, antialiased), one number if they are equal; None keeps the
            size of the images.
        channels: 3 converts every image to RGB, 1 to gray.
    """

    size: int | tuple[int, int] | None = None
    channels: int = 3


def decode_images(
    cells: Iterable[Mapping[str, object] | None], *, places: Sequence[str], split: str, decoding: Decoding
) -> np.ndarray:
    """Decode images in the order given.

    Args:
        cells: For each image, its encoded ``bytes`` or, if they are None, the ``path`` of its file.
        places: Row or file of each image, n in all, for error messages.
        split: Name of the split, for error messages.
        decoding: Size and number of channels of the result.

    Returns:
        Pixels, (n, C, H, W), uint8.

    Raises:
        DataError: An image cannot be decoded, or sizes differ and `decoding` gives none.
    """
    # The array is allocated at the first image, whose size is not known before.
    pixels: np.ndarray | None = None
    left = zip(places, cells, strict=True)
    for index, (place, cell) in enumerate(left):
        try:
            image = decode_image(cell, place=f"{place} of split '{split}'", decoding=decoding)
        except DataError as error:
            others = [other for other, cell in left if not _is_decodable(cell, decoding)]
            raise DataError(f"{error}{_and(others)}") from error
        if pixels is None:
            pixels = np.empty((len(places), *image.shape), dtype=np.uint8)
        if image.shape != pixels.shape[1:]:
            raise DataError(
                f"images of a stream must have one size (got {_size(image)} in {place} and {_size(pixels[0])} in"
                f" {places[0]} of split '{split}'); set size, for example size = 64, to resize them"
            )
        pixels[index] = image
    if pixels is None:
        raise DataError(f"a split must have at least one image (got none in '{split}'); add images")
    return pixels.transpose(0, 3, 1, 2)


def _is_decodable(cell: Cell, decoding: Decoding) -> bool:
    try:
        decode_image(cell, place="", decoding=decoding)
    except DataError:
        return False
    return True


def _and(others: Sequence[str]) -> str:
    """Say which images cannot be decoded either, if there are such."""
    if not others:
        return ""
    named = ", ".join(others[:MOST_NAMED]) + (", …" if len(others) > MOST_NAMED else "")
    return f"; so it is with {len(others)} more: {named}"


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"


def decode_image(cell: Cell, *, place: str, decoding: Decoding) -> np.ndarray:
    """Decode one image: (H, W, C), uint8.

    Args:
        cell: The encoded ``bytes`` of the image or the ``path`` of its file, or the image itself.
        place: Row or file of the image, for error messages.
        decoding: Size and number of channels of the result.

    Raises:
        DataError: The image cannot be decoded, or has more than 8 bits per channel.
    """
    try:
        with _strict(), _open(cell) as opened:
            # Cameras store the orientation as metadata; without this, pictures would lie on their side.
            image = ImageOps.exif_transpose(opened)
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"an image must have at most {Image.MAX_IMAGE_PIXELS:,} pixels (got more in {place}); scale it down"
        ) from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and more on broken bytes
        raise DataError(
            f"every image must be decodable (got {_reason(error, cell)} in {place}); repair or remove it"
        ) from error
    if image.mode in DEEP:
        raise DataError(f"images must have 8 bits per channel (got mode {image.mode} in {place}); convert them")
    mode = "L" if decoding.channels == 1 else "RGB"
    if image.mode != mode:
        # Pillow applies the transparency of a palette only when it converts to RGBA.
        image = (image.convert("RGBA") if "transparency" in image.info else image).convert(mode)
    if decoding.size is not None:
        height, width = (decoding.size, decoding.size) if isinstance(decoding.size, int) else decoding.size
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


@contextmanager
def _strict() -> Iterator[None]:
    """Make huge images an error, and silence Pillow's other warnings, such as those on damaged metadata of cameras."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _reason(error: Exception, cell: Cell) -> str:
    """Say why an image cannot be decoded, without the address of the object in memory that Pillow mentions."""
    if isinstance(cell, Image.Image) or not isinstance(error, UnidentifiedImageError):
        return f"{type(error).__name__} ({error})"
    content = (cell or {}).get("bytes")
    where = f"{len(content)} bytes" if isinstance(content, bytes) else str((cell or {}).get("path"))
    return f"{type(error).__name__} ({where}, of no known format)"


def _open(cell: Cell) -> Image.Image:
    if isinstance(cell, Image.Image):
        return cell.copy()  # because the copy is closed after decoding
    content = (cell or {}).get("bytes")
    if isinstance(content, bytes):
        return Image.open(io.BytesIO(content))
    path = (cell or {}).get("path")
    if not isinstance(path, str):
        raise ValueError("neither bytes nor a path")
    return Image.open(path)
