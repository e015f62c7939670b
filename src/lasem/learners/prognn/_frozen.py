"""Activations of frozen columns on the training images, kept while a task trains."""

import torch
from torch import Tensor

from lasem.learners.prognn._columns import Activations, Columns

KEPT_BYTES = 2**28
"""Size limit of the activations that are kept; columns beyond it are computed anew at every step."""


class FrozenActivations:
    """What the open task's training reads of older columns.

    The training images are the same in every epoch and older columns never change, so their activations are computed
    once, in batches of the size that training has, and kept for as many of the oldest columns as the limit allows.

    Args:
        columns: All columns, the open task's among them.
        task: Identity of the open task.
        images: All of its training images, (N, C, H, W).
        batch_size: Images per batch.
    """

    @torch.no_grad()
    def __init__(self, columns: Columns, task: int, images: Tensor, *, batch_size: int) -> None:
        self._columns, self._task = columns, task
        size = images.element_size() * len(images)
        self._number = kept_columns(columns, columns.num_older(task), image_values_bytes=size)
        self._kept: list[list[Tensor]] = []
        # The last batch overlaps the one before it: batches of one size are computed alike, to the last bit.
        starts = [*range(0, len(images) - batch_size, batch_size), len(images) - batch_size] if self._number else []
        for start in starts:
            found = columns.older(images[start : start + batch_size], task, number=self._number)
            self._kept = self._kept or [[_empty(x, len(images)) for x in layer] for layer in found]
            for layer, values in zip(self._kept, found, strict=True):
                for kept, value in zip(layer, values, strict=True):
                    kept[start : start + batch_size] = value.movedim(1, -1)

    @torch.no_grad()
    def read(self, images: Tensor, rows: Tensor) -> Activations:
        """Return the older columns' activations for a batch, given its rows among all training images, (B,)."""
        kept = [[values[rows].movedim(-1, 1) for values in layer] for layer in self._kept]
        return self._columns.older(images, self._task, kept=kept)


def kept_columns(columns: Columns, older: int, *, image_values_bytes: int) -> int:
    """Return how many of a number of older columns have their activations kept.

    Args:
        columns: Tells how many values of a column are read per image.
        older: Number of older columns.
        image_values_bytes: Bytes of one value of every training image.
    """
    return min(older, KEPT_BYTES // max(1, image_values_bytes * columns.values_read))


def _empty(value: Tensor, images: int) -> Tensor:
    """Make room for one activation of all images, channels last: (images, H, W, C)."""
    _, channels, height, width = value.shape
    return value.new_empty(images, height, width, channels)
