"""PixelStore: the distinct images of a stream, each decoded and hashed once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lasem.benchmarks._draw import SPLITS, Chosen, Draw
from lasem.benchmarks._duplicates import image_hashes
from lasem.benchmarks._memory import require_memory
from lasem.errors import DataError


@dataclass(frozen=True, eq=False)
class PixelStore:
    """Decoded images of a stream, by split of the source.

    Attributes:
        rows: Row numbers in the source for each split, (n,), int64, ascending.
        pixels: Images for each split, (n, C, H, W), uint8.
        digest: Hash of all pixels and labels.
        hashes: Hash of each image for each split, (n,), int64; equal if the pixels are equal.
    """

    rows: Mapping[str, np.ndarray]
    pixels: Mapping[str, Tensor]
    digest: str
    hashes: Mapping[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image: (channels, height, width)."""
        channels, height, width = next(iter(self.pixels.values())).shape[1:]
        return channels, height, width

    @property
    def device(self) -> torch.device:
        """Device on which the images are."""
        return next(iter(self.pixels.values())).device

    def gather(self, split: str, rows: np.ndarray) -> Tensor:
        """Return the pixels of some rows of a split: (n, C, H, W), uint8."""
        index = torch.from_numpy(np.searchsorted(self.rows[split], rows))
        return self.pixels[split][index.to(self.device)]

    def hash_of(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Return the hashes of some rows of a split: (n,), int64."""
        return self.hashes[split][np.searchsorted(self.rows[split], rows)]


def fill_store(draw: Draw, tasks: Sequence[Chosen], *, device: torch.device) -> PixelStore:
    """Decode once every image that a task uses.

    Raises:
        DataError: An image cannot be decoded, sizes differ between splits, or they do not fit in memory.
    """
    # One decoded image tells the size, so that memory is checked before the others are decoded.
    source, wanted = draw.source, _distinct(draw, tasks)
    split, rows = next(iter(wanted.items()))
    channels, height, width = source.decode(split, rows[:1]).shape[1:]
    require_memory(
        num_images=sum(len(rows) for rows in wanted.values()),
        largest_task=max(sum(len(rows) for rows in chosen.values()) for chosen in tasks),
        shape=(channels, height, width),
        device=device,
    )
    digest, pixels, hashes = hashlib.sha256(), {}, {}
    for name, rows in sorted(wanted.items()):
        decoded = np.ascontiguousarray(source.decode(name, rows))
        if decoded.shape[1:] != (channels, height, width):
            raise DataError(
                f"images of a stream must have one size (got {' x '.join(map(str, decoded.shape[2:]))} in split"
                f" '{name}' and {height} x {width} in split '{split}' of {source.name}); set size, such as size = 64"
            )
        digest.update(decoded.tobytes())
        digest.update(source.split(name).labels[rows].tobytes())
        # uint8 takes a quarter of the memory of float32; a task is converted when it is accessed.
        pixels[name] = torch.from_numpy(decoded).to(device)
        hashes[name] = image_hashes(decoded)
    return PixelStore(rows=wanted, pixels=pixels, digest=digest.hexdigest(), hashes=hashes)


def _distinct(draw: Draw, tasks: Sequence[Chosen]) -> dict[str, np.ndarray]:
    """Return the rows used by any task, by split of the source: each (n,), int64, ascending."""
    wanted: dict[str, list[np.ndarray]] = {}
    for chosen in tasks:
        for split in SPLITS:
            wanted.setdefault(draw.sizes.source_of(split), []).append(chosen[split])
    return {split: np.unique(np.concatenate(rows)) for split, rows in wanted.items()}
