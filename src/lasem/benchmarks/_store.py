"""PixelStore: the distinct images of a stream, each decoded and hashed once, in memory or in a temporary file."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lasem.benchmarks._draw import SPLITS, Chosen, Draw
from lasem.benchmarks._duplicates import image_hashes
from lasem.benchmarks._memory import memory_shortage
from lasem.benchmarks._scratch import scratch_array, scratch_folder
from lasem.benchmarks._source import Source
from lasem.errors import DataError
from lasem.formats import memory_size
from lasem.text import printable

logger = logging.getLogger(__name__)

Storage: TypeAlias = Literal["auto", "memory", "disk"]
"""Where decoded images lie: in memory, on disk, or on disk only if they do not fit in memory."""

AUTO_SHARE = 0.75
"""Largest share of the available memory that images may take by themselves; the network and its steps need some too."""

CHUNK = 512
"""Number of images that are decoded at a time."""


@dataclass(frozen=True, eq=False)
class PixelStore:
    """Decoded images of a stream, by split of the source.

    Attributes:
        rows: Row numbers in the source for each split, (n,), int64, ascending.
        pixels: Images for each split, (n, C, H, W), uint8.
        digest: Hash of all pixels and labels.
        hashes: Hash of each image for each split, (n,), int64; equal if the pixels are equal.
        device: Device of the images that `gather` returns.
        on_disk: Whether the pixels lie in a temporary file; they lie on the device otherwise.
    """

    rows: Mapping[str, np.ndarray]
    pixels: Mapping[str, Tensor]
    digest: str
    hashes: Mapping[str, np.ndarray]
    device: torch.device
    on_disk: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image: (channels, height, width)."""
        channels, height, width = next(iter(self.pixels.values())).shape[1:]
        return channels, height, width

    @property
    def about(self) -> str:
        """Where the pixels lie, in one sentence; empty if they are in memory."""
        if not self.on_disk:
            return ""
        size = memory_size(sum(images.nbytes for images in self.pixels.values()))
        return f"images are read from a temporary file of {size} in {printable(scratch_folder())}"

    def gather(self, split: str, rows: np.ndarray, *, device: torch.device | None = None) -> Tensor:
        """Return the pixels of some rows of a split: (n, C, H, W), uint8, on the device unless another one is given."""
        pixels = self.pixels[split]
        index = torch.from_numpy(np.searchsorted(self.rows[split], rows)).to(pixels.device)
        return pixels[index].to(device or self.device)

    def hash_of(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Return the hashes of some rows of a split: (n,), int64."""
        return self.hashes[split][np.searchsorted(self.rows[split], rows)]


def fill_store(draw: Draw, tasks: Sequence[Chosen], *, device: torch.device, storage: Storage = "auto") -> PixelStore:
    """Decode once every image that a task uses.

    Args:
        draw: Source of the images.
        tasks: Rows of every task.
        device: Device of the images.
        storage: Where decoded images lie.

    Raises:
        DataError: An image cannot be decoded, sizes differ between splits, or there is too little space.
    """
    # One decoded image tells the size, so that the space is checked before the others are decoded.
    wanted = _distinct(draw, tasks)
    first, rows = next(iter(wanted.items()))
    channels, height, width = draw.source.decode(first, rows[:1]).shape[1:]
    shortage = memory_shortage(
        num_images=sum(len(rows) for rows in wanted.values()),
        largest_task=max(sum(len(rows) for rows in chosen.values()) for chosen in tasks),
        shape=(channels, height, width),
        device=device,
        share=AUTO_SHARE if storage == "auto" else 1.0,
    )
    if shortage and storage == "memory":
        raise DataError(f'{shortage}; set images = "disk", max_test, a smaller size or fewer images per class')
    on_disk = storage == "disk" or (storage == "auto" and shortage is not None)
    new_array = scratch_array if on_disk else np.empty
    arrays = {split: new_array((len(rows), channels, height, width), np.uint8) for split, rows in wanted.items()}
    digest, hashes = hashlib.sha256(), {}
    for split, rows in sorted(wanted.items()):
        hashes[split] = _decode_into(arrays[split], draw.source, split=split, rows=rows, first=first, digest=digest)
        digest.update(draw.source.split(split).labels[rows].tobytes())
    # uint8 takes a quarter of the memory of float32; a task is converted when it is accessed.
    pixels = {split: torch.from_numpy(array) for split, array in arrays.items()}
    if not on_disk:
        pixels = {split: images.to(device) for split, images in pixels.items()}
    return PixelStore(
        rows=wanted, pixels=pixels, digest=digest.hexdigest(), hashes=hashes, device=device, on_disk=on_disk
    )


def _decode_into(
    array: np.ndarray, source: Source, *, split: str, rows: np.ndarray, first: str, digest: "hashlib._Hash"
) -> np.ndarray:
    """Decode rows of a split into an array (n, C, H, W), some at a time, and return a hash of each image: (n,), int64.

    Args:
        array: Takes the pixels.
        source: Source of the images.
        split: Name of the split.
        rows: The rows, (n,).
        first: Split whose first image gave the size, for the error message.
        digest: Hash of all pixels, to which these are added.
    """
    hashes = []
    for start in range(0, len(rows), CHUNK):
        decoded = np.ascontiguousarray(source.decode(split, rows[start : start + CHUNK]))
        if decoded.shape[1:] != array.shape[1:]:
            _, _, height, width = array.shape
            here = f"split '{split}'" if split != first else f"row {rows[start]}"
            raise DataError(
                f"images of a stream must have one size (got {' x '.join(map(str, decoded.shape[2:]))} in {here}"
                f" and {height} x {width} in split '{first}' of {source.name}); set size, such as size = 64"
            )
        array[start : start + CHUNK] = decoded
        digest.update(decoded.data)
        logger.info("decoded %d of %d images in split '%s'", start + len(decoded), len(rows), split)
        hashes.append(image_hashes(decoded))
    return np.concatenate(hashes)


def _distinct(draw: Draw, tasks: Sequence[Chosen]) -> dict[str, np.ndarray]:
    """Return the rows used by any task, by split of the source: each (n,), int64, ascending."""
    wanted: dict[str, list[np.ndarray]] = {}
    for chosen in tasks:
        for split in SPLITS:
            wanted.setdefault(draw.sizes.source_of(split), []).append(chosen[split])
    return {split: np.unique(np.concatenate(rows)) for split, rows in wanted.items()}
