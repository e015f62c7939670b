"""Minibatches of a task: which images come in which order follows from a seed and a place in the stream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lasem.benchmarks import Split, Task
from lasem.errors import DataError
from lasem.search import Batch, Front, HeldOut
from lasem.seeds import derive_seed


def least_images(batch_size: int, held_out: HeldOut) -> int:
    """Return the fewest training images of a task: one batch, and one more if half of them are held out."""
    return batch_size * (2 if held_out == "half" else 1)


@dataclass(frozen=True)
class Features:
    """What the constant stages in front of a network give for the images of a split; see `lasem.search.Front`.

    Attributes:
        images: (N, ...), in place of images.
        labels: (N,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


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
        self.size, self._seed, self._visit = size, seed, visit
        self._whole = task.train
        self._train = task.train
        self._held_out = task.valid if held_out == "valid" else None
        self._features: Features | None = None
        self._held_out_features: Features | None = None
        if held_out == "half":
            order = self._order(len(task.train), "halves").to(task.train.labels.device)
            self._held_out, self._train = (
                task.train.select(indices) for indices in order.tensor_split([len(order) // 2])
            )

    @property
    def number(self) -> int:
        """Number of batches in an epoch."""
        return len(self._train) // self.size

    def return_half(self) -> None:
        """Train on all training images from the next epoch on, also on the half that was held out."""
        if self._train is not self._whole:
            self._train, self._held_out = self._whole, None
            self.drop_features()

    @property
    def num_images(self) -> int:
        """Number of images to train on, and of images that are held out besides."""
        return len(self._train) + len(self._held_out or ())

    def keep_features(self, front: Front) -> None:
        """Compute features of all images once, which `epoch` then yields on request, and `held_out` always."""
        if self._features is None:
            self._features = self._features_of(front, self._train)
            self._held_out_features = None if self._held_out is None else self._features_of(front, self._held_out)

    def _features_of(self, front: Front, split: Split) -> Features:
        return Features(front.all_features(split.images, batch_size=self.size), split.labels)

    def drop_features(self) -> None:
        """Drop the features, because values of the network were replaced."""
        self._features = self._held_out_features = None

    def epoch(self, epoch: int, *, features: bool = False) -> Iterator[tuple[Tensor, Batch]]:
        """Yield the complete batches of a fresh shuffle, with their rows; an incomplete last one is left out.

        Args:
            epoch: Number of the epoch.
            features: Yield features in place of images, if some are kept.
        """
        split = (self._features if features else None) or self._train
        for rows in self.shuffle(split, self.size, "shuffle", epoch):
            yield rows, (split.images[rows], split.labels[rows])

    def held_out(self, epoch: int) -> "HeldOutBatches | None":
        """Return the held-out batches of an epoch, shuffle after shuffle without end; None if nothing is held out."""
        split = self._held_out_features or self._held_out
        return None if split is None else HeldOutBatches(self, split, epoch)

    def unlabeled(self) -> Iterator[Tensor]:
        """Yield batches of all training images, to estimate statistics on: always one and the same shuffle."""
        return (images for images, _ in self._shuffled(self._whole, self.size, "statistics"))

    def masks(self, epoch: int) -> torch.Generator:
        """Return the source of an epoch's dropout masks, on the images' device."""
        seed = derive_seed(self._seed, "dropout", self._visit, epoch)
        return torch.Generator(self._train.labels.device).manual_seed(seed)

    def augmentation_seed(self, epoch: int, number: int) -> int:
        """Return the seed of the random changes of an epoch's batch."""
        return derive_seed(self._seed, "augmentation", self._visit, epoch, number)

    def module_seed(self, epoch: int, number: int) -> int:
        """Return the seed of what the modules of stages draw in one of an epoch's optimizer steps."""
        return derive_seed(self._seed, "modules", self._visit, epoch, number)

    def _shuffled(self, split: Split | Features, size: int, use: str, *numbers: int) -> Iterator[Batch]:
        for indices in self.shuffle(split, size, use, *numbers):
            yield split.images[indices], split.labels[indices]

    def shuffle(self, split: Split | Features, size: int, use: str, *numbers: int) -> Sequence[Tensor]:
        """Shuffle a split for a use and its numbers; return the indices of every complete batch of this size."""
        order = self._order(len(split), use, *numbers).to(split.labels.device)
        return order[: len(split) - len(split) % size].split(size)

    def _order(self, length: int, use: str, *numbers: int) -> Tensor:
        """A permutation that follows from the seed, the visit and the use alone, (length,)."""
        source = torch.Generator().manual_seed(derive_seed(self._seed, use, self._visit, *numbers))
        return torch.randperm(length, generator=source)


class HeldOutBatches:
    """The held-out batches of one epoch, without end.

    If fewer images are held out than a batch has, every batch is all of them. This is not a generator, because learners
    can be copied and pickled between any two steps, and a generator cannot.

    Args:
        batches: Batches of the visit, which shuffle.
        split: The images that are held out.
        epoch: Number of the epoch.
    """

    def __init__(self, batches: Batches, split: Split | Features, epoch: int) -> None:
        self._batches, self._split, self._epoch = batches, split, epoch
        self._cycle = 0
        self._left: list[Tensor] = []

    def next(self) -> Batch:
        """Return the next batch, of a new shuffle where the last one has ended."""
        if not self._left:
            size = min(self._batches.size, len(self._split))
            self._left += reversed(self._batches.shuffle(self._split, size, "held out", self._epoch, self._cycle))
            self._cycle += 1
        indices = self._left.pop()
        return self._split.images[indices], self._split.labels[indices]
