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
        held_out: What its search sees besides.
        seed: Of the learner.
        visit: Position in the stream.

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
                Split(images=task.train.images[rows], labels=task.train.labels[rows])
                for rows in order.tensor_split([len(order) // 2])
            )

    @property
    def number(self) -> int:
        """Batches per epoch."""
        return len(self._train) // self._size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """A fresh shuffle in complete batches; an incomplete last one is left out."""
        return self._shuffled(self._train, self._size, "shuffle", epoch)

    def held_out(self, epoch: int) -> Iterator[Batch] | None:
        """Held-out batches without end, shuffle after shuffle; None where nothing is held out.

        Where fewer images are held out than a batch has, every batch is all of them.
        """
        split = self._held_out
        return None if split is None else self._cycled(split, epoch)

    def unlabeled(self) -> Iterator[Tensor]:
        """Images of all training data, to estimate statistics on: always one shuffle, whenever it is asked for."""
        return (images for images, _ in self._shuffled(self._whole, self._size, "statistics"))

    def masks(self, epoch: int) -> torch.Generator:
        """Source of an epoch's dropout masks, on the images' device."""
        place = derive_seed(self._seed, "dropout", self._visit, epoch)
        return torch.Generator(self._train.labels.device).manual_seed(place)

    def _cycled(self, split: Split, epoch: int) -> Iterator[Batch]:
        cycle = 0
        while True:
            yield from self._shuffled(split, min(self._size, len(split)), "held out", epoch, cycle)
            cycle += 1

    def _shuffled(self, split: Split, size: int, use: str, *place: int) -> Iterator[Batch]:
        order = self._order(len(split), use, *place).to(split.labels.device)
        for rows in order[: len(split) - len(split) % size].split(size):
            yield split.images[rows], split.labels[rows]

    def _order(self, number: int, use: str, *place: int) -> Tensor:
        """A permutation, (number,)."""
        source = torch.Generator().manual_seed(derive_seed(self._seed, use, self._visit, *place))
        return torch.randperm(number, generator=source)
