"""Preprocessing: how images of any kind become what the network of one task gets."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lasem.benchmarks._decode import RESIZE, Decoding, decode_image
from lasem.benchmarks._scaling import PixelScaling
from lasem.benchmarks._transforms import UNCHANGED, Transform
from lasem.errors import DataError

ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor
"""A file, an image of Pillow, an array (H, W) or (H, W, C), or a tensor (C, H, W)."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's modes by number of channels."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Steps from an image to the values that the network of one task gets, without the noise of its benchmark.

    Attributes:
        shape: (channels, height, width) of the images of the stream.
        scaling: Conversion of pixels from 0 to 1 to values of the network.
        transform: What the benchmark changes in all images of the task, such as the order of channels.
    """

    shape: tuple[int, int, int]
    scaling: PixelScaling = field(default_factory=PixelScaling)
    transform: Transform = UNCHANGED

    def pixels(self, image: ImageLike, *, place: str = "the image") -> Tensor:
        """Decode an image and resize it: (C, H, W), float32, from 0 to 1, as the benchmark's source has them.

        Files, images of Pillow and arrays of `uint8` are resized and converted to gray or RGB. Tensors and arrays of
        floats must have the shape of the stream already.

        Args:
            image: A file, an image of Pillow, an array (H, W) or (H, W, C), or a tensor (C, H, W).
            place: What the image is called in error messages.

        Raises:
            DataError: The image cannot be decoded, or has a wrong shape, type or range.
        """
        if isinstance(image, np.ndarray) and np.issubdtype(image.dtype, np.floating):
            image = torch.as_tensor(image[..., None] if image.ndim == 2 else image).movedim(-1, 0)
        if isinstance(image, Tensor):
            return self._checked(image, place)
        if isinstance(image, np.ndarray):
            cell = _image_of(image, place)
        elif isinstance(image, Image.Image):
            cell = image
        else:
            cell = {"path": os.fspath(image)}
        decoding = Decoding(size=self.shape[1:], channels=self.shape[0])
        pixels = np.array(decode_image(cell, place=place, decoding=decoding).transpose(2, 0, 1))  # writable
        return torch.from_numpy(pixels).float().div_(255)

    def apply(self, pixels: Tensor) -> Tensor:
        """Return what the network gets: pixels (B, C, H, W) from 0 to 1 -> (B, C, H, W)."""
        moved = replace(self.transform, inverted=False).rearrange(pixels)
        return self.scaling.apply(1 - moved if self.transform.inverted else moved)

    def undo(self, values: Tensor) -> Tensor:
        """Return the pixels of which `apply` makes these values, up to rounding: (B, C, H, W) -> (B, C, H, W)."""
        scaling, transform = self.scaling, self.transform
        if scaling.mean:
            mean, deviation = (values.new_tensor(row)[:, None, None] for row in (scaling.mean, scaling.deviation))
            values = values * deviation + mean
        pixels = values - scaling.low
        pixels = 1 - pixels if transform.inverted else pixels
        if transform.channel_order is not None:
            pixels = pixels[:, torch.tensor(transform.channel_order).argsort()]
        order = self.pixel_order()
        return pixels if order is None else pixels.flatten(2)[:, :, order.argsort()].unflatten(2, pixels.shape[2:])

    def pixel_order(self) -> Tensor | None:
        """Return for each pixel of a transformed image the pixel that is moved there, (H W,); None if none is moved."""
        transform = self.transform
        if not transform.rotation and transform.permutation_seed is None:
            return None
        positions = torch.arange(self.shape[1] * self.shape[2]).view(1, 1, *self.shape[1:])
        moves = replace(transform, channel_order=None, inverted=False)
        return moves.rearrange(positions).flatten()

    def describe(self) -> dict[str, object]:
        """Return the steps in JSON types, in the order in which they are applied."""
        transform = self.transform
        order = self.pixel_order()
        return {
            "channels": self.shape[0],
            "size": list(self.shape[1:]),
            "resize": RESIZE,
            "divide_by": 255,
            "pixel_order": None if order is None else order.tolist(),
            "channel_order": None if transform.channel_order is None else list(transform.channel_order),
            "inverted": transform.inverted,
            "add": self.scaling.low,
            "mean": list(self.scaling.mean),
            "deviation": list(self.scaling.deviation),
        }

    def _checked(self, image: Tensor, place: str) -> Tensor:
        """Refuse a tensor of another shape, type or range, and return its pixels from 0 to 1."""
        if tuple(image.shape) != self.shape:
            raise DataError(
                f"tensors and arrays of floats must have the run's image shape {self.shape} (got"
                f" {tuple(image.shape)} in {place}); resize them, or give files, images of Pillow"
                " or uint8 arrays, which are resized"
            )
        if image.dtype == torch.uint8:
            return image.detach().cpu().float() / 255
        if not image.dtype.is_floating_point:
            raise DataError(f"pixels must be uint8 or floats (got {image.dtype} in {place}); convert them")
        low, high = (float(value) for value in image.detach().aminmax())
        if not (low >= 0 and high <= 1):
            raise DataError(
                f"pixels must be from 0 to 1 (got {low:g} to {high:g} in {place}); divide uint8 pixels by 255, and do"
                " not standardize them, because the run's own scaling is applied"
            )
        return image.detach().cpu().float()


def _image_of(array: np.ndarray, place: str) -> Image.Image:
    """Make an image of Pillow of an array of uint8."""
    channels = 1 if array.ndim == 2 else array.shape[-1] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or channels not in MODES or not array.size:
        raise DataError(
            f"an array must be an image (H, W) or (H, W, C) of uint8 with 1, 3 or 4 channels, or of floats from 0 to 1"
            f" (got {array.dtype} of shape {array.shape} in {place}); convert or transpose it"
        )
    flat = array[..., 0] if array.ndim == 3 and channels == 1 else array
    return Image.fromarray(np.ascontiguousarray(flat))


def as_list(images: ImageLike | Sequence[ImageLike]) -> list[ImageLike]:
    """Make a list of one image, of a batch (a tensor or an array with four axes), or of a sequence of images."""
    if isinstance(images, Tensor | np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    return list(images)
