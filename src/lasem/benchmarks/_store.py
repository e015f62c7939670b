"""PixelStore: the distinct images of a stream, decoded and hashed once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lasem.benchmarks._draw import SPLITS, Chosen, Draw
from lasem.benchmarks._memory import require_memory


@dataclass(frozen=True, eq=False)
class PixelStore:
    """Images by split of the source.

    Attributes:
        rows: Per split, (n,), int64, ascending.
        pixels: Per split, (n, C, H, W), uint8.
        digest: Hash of pixels and labels.
    """

    rows: Mapping[str, np.ndarray]
    pixels: Mapping[str, Tensor]
    digest: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: (channels, height, width)."""
        channels, height, width = next(iter(self.pixels.values())).shape[1:]
        return channels, height, width

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return next(iter(self.pixels.values())).device

    def gather(self, split: str, rows: np.ndarray) -> Tensor:
        """Pixels of rows of a split: (n, C, H, W), uint8."""
        index = torch.from_numpy(np.searchsorted(self.rows[split], rows))
        return self.pixels[split][index.to(self.device)]


def fill_store(draw: Draw, tasks: Sequence[Chosen], *, device: torch.device) -> PixelStore:
    """Decode every image that a task has chosen, once.

    Raises:
        DataError: An image cannot be decoded, or they do not fit in memory.
    """
    source, wanted = draw.source, _distinct(draw, tasks)
    split, rows = next(iter(wanted.items()))
    channels, height, width = source.decode(split, rows[:1]).shape[1:]
    require_memory(
        num_images=sum(len(rows) for rows in wanted.values()),
        largest_task=max(sum(len(rows) for rows in chosen.values()) for chosen in tasks),
        shape=(channels, height, width),
        device=device,
    )
    digest, pixels = hashlib.sha256(), {}
    for split, rows in sorted(wanted.items()):
        decoded = np.ascontiguousarray(source.decode(split, rows))
        digest.update(decoded.tobytes())
        digest.update(source.split(split).labels[rows].tobytes())
        pixels[split] = torch.from_numpy(decoded).to(device)
    return PixelStore(rows=wanted, pixels=pixels, digest=digest.hexdigest())


def _distinct(draw: Draw, tasks: Sequence[Chosen]) -> dict[str, np.ndarray]:
    """Rows wanted by any task, by split of the source: each (n,), int64, ascending."""
    wanted: dict[str, list[np.ndarray]] = {}
    for chosen in tasks:
        for split in SPLITS:
            wanted.setdefault(draw.sizes.source_of(split), []).append(chosen[split])
    return {split: np.unique(np.concatenate(rows)) for split, rows in wanted.items()}
