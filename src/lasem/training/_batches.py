"""Minibatches of a task: which images come in which order follows from a seed and a place in the stream."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from lasem.benchmarks import Split, Task
from lasem.errors import DataError
from lasem.search import Batch
from lasem.seeds import derive_seed

HeldOut = Literal["none", "valid", "half"]
"""Which images a search sees besides the training batches; see `AbstractStrategy`."""


def least_images(batch_size: int, held_out: HeldOut) -> int:
    """Return the fewest training images of a task: one batch, and one more if half of them are held out."""
    return batch_size * (2 if held_out == "half" else 1)


class Batches:
    """The batches of one visit of a task.

    Args:
        task: The task.
        size: Images per batch.
        held_out: Which images its search sees besides.
        seed: Seed of the learner.
        visit: Position of the visit in the stream.

    Raises:
        DataError: There are too few images.
    """

    def __init__(self, task: Task, *, size: int, held_out: HeldOut, seed: int, visit: int) -> None:
        least = least_images(size, held_out)
        if len(task.train) < least:
            raise DataError(
                f"a task must have at least one batch of training images, {least} here"
                f" (got {len(task.train)} in 'train' of task '{task.name}'); lower batch_size or give more images"
            )
        self._size, self._seed, self._visit = size, seed, visit
        self._whole = task.train
        self._train, self._held_out = task.train, task.valid if held_out == "valid" else None
        if held_out == "half":
            order = self._order(len(task.train), "halves").to(task.train.labels.device)
            self._held_out, self._train = (
                Split(images=task.train.images[indices], labels=task.train.labels[indices])
                for indices in order.tensor_split([len(order) // 2])
            )

    @property
    def number(self) -> int:
        """Number of batches in an epoch."""
        return len(self._train) // self._size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the complete batches of a fresh shuffle; an incomplete last one is left out."""
        return self._shuffled(self._train, self._size, "shuffle", epoch)

    def held_out(self, epoch: int) -> Iterator[Batch] | None:
        """Yield held-out batches without end, shuffle after shuffle; None if nothing is held out.

        If fewer images are held out than a batch has, every batch is all of them.
        """
        split = self._held_out
        return None if split is None else self._cycled(split, epoch)

    def unlabeled(self) -> Iterator[Tensor]:
        """Yield batches of all training images, to estimate statistics on: always one and the same shuffle."""
        return (images for images, _ in self._shuffled(self._whole, self._size, "statistics"))

    def masks(self, epoch: int) -> torch.Generator:
        """Return the source of an epoch's dropout masks, on the images' device."""
        seed = derive_seed(self._seed, "dropout", self._visit, epoch)
        return torch.Generator(self._train.labels.device).manual_seed(seed)

    def _cycled(self, split: Split, epoch: int) -> Iterator[Batch]:
        cycle = 0
        while True:
            yield from self._shuffled(split, min(self._size, len(split)), "held out", epoch, cycle)
            cycle += 1

    def _shuffled(self, split: Split, size: int, use: str, *numbers: int) -> Iterator[Batch]:
        order = self._order(len(split), use, *numbers).to(split.labels.device)
        for indices in order[: len(split) - len(split) % size].split(size):
            yield split.images[indices], split.labels[indices]

    def _order(self, length: int, use: str, *numbers: int) -> Tensor:
        """A permutation that follows from the seed, the visit and the use alone, (length,)."""
        source = torch.Generator().manual_seed(derive_seed(self._seed, use, self._visit, *numbers))
        return torch.randperm(length, generator=source)
