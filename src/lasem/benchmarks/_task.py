"""Split and Task: labeled images as tensors, checked so that every learner can use them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lasem.benchmarks._pairs import read_pairs
from lasem.benchmarks._stored_images import StoredImages
from lasem.errors import DataError

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
MOST_CLASSES = 2**16
RESHAPE = {
    2: "if a row is a list of features, make them channels of one pixel: images[:, :, None, None]",
    3: "if images have one channel, add its axis: images[:, None]",
}
"""What can be done about images with another number of axes, by that number."""


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images and labels of one split of a task; `Split.of` makes one from a torch Dataset or DataLoader.

    Attributes:
        images: Images, (N, C, H, W), floating point, finite; the dtype must be that of the learner's parameters, which
            is float32 by default. Images that do not fit in memory are `StoredImages`, which read an index of a batch
            from disk.
        labels: Labels, (N,), int64, from 0 to the number of classes - 1.

    Raises:
        DataError: Shapes, types, devices or lengths do not fit, there is no image, or a pixel is not finite.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if not (isinstance(self.images, Tensor) and isinstance(self.labels, Tensor)):
            raise DataError(
                f"images and labels must be tensors (got {type(self.images).__name__} and"
                f" {type(self.labels).__name__}); convert them, for example torch.as_tensor(images)"
            )
        if self.images.ndim != 4:
            raise DataError(
                f"images must have the shape (N, C, H, W) (got {tuple(self.images.shape)});"
                f" {RESHAPE.get(self.images.ndim, 'give one image per row')}"
            )
        if self.images.dtype not in FLOATS or self.images.layout != torch.strided:
            raise DataError(
                f"images must be a dense floating-point tensor (got {self.images.dtype}, {self.images.layout});"
                " convert them, for example images.float() / 255"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"labels must be int64 of shape ({len(self.images)},), one per image"
                f" (got {self.labels.dtype} of shape {tuple(self.labels.shape)});"
                " give one label per image, for example labels.long()"
            )
        if not len(self.images):
            raise DataError("a split must have at least one image (got none); give more images or a larger share")
        self._check_pixels()

    def _check_pixels(self) -> None:
        if not self.images.numel():
            raise DataError(
                f"an image must have at least one channel and one pixel (got shape {tuple(self.images.shape)});"
                " check how the images were read"
            )
        if self.images.device != self.labels.device:
            raise DataError(
                f"images and labels must be on one device (got images on {self.images.device} and labels on"
                f" {self.labels.device}); move one of them"
            )
        # Tensors on the meta device have shapes only; estimates use them. Stored images are made from finite integers.
        if self.images.is_meta or isinstance(self.images, StoredImages):
            return
        low, high = self.images.detach().aminmax()  # either is NaN if any pixel is
        if not bool(low.isfinite() & high.isfinite()):
            wrong = (~self.images.detach().isfinite()).flatten(1).any(1)
            raise DataError(
                f"pixels must be finite numbers (got {float(low)} to {float(high)}: NaN or infinity in"
                f" {int(wrong.sum())} of {len(wrong)} images, first in image {int(wrong.nonzero()[0])}); repair them"
            )

    @staticmethod
    def of(dataset: Iterable[tuple[Tensor, Tensor | int]] | Dataset[tuple[Tensor, Tensor | int]]) -> "Split":
        """Read a torch Dataset of (image, label) pairs, or a DataLoader of batches of them, into memory.

        Args:
            dataset: Pairs of an image (C, H, W) and its label, or of images (B, C, H, W) and labels (B,).

        Raises:
            DataError: Something else is in it, or the images and labels do not make a split.
        """
        images, labels = read_pairs(dataset)
        return Split(images=images, labels=labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape[1:]))
        kind = str(self.images.dtype).removeprefix("torch.")
        return f"Split({len(self)} images of {shape}, {kind} on {self.images.device})"

    def select(self, rows: Tensor) -> "Split":
        """Return a split of some of the images; images that are stored on disk stay there.

        Args:
            rows: Row numbers, (n,), int64.
        """
        images = self.images.select_rows(rows) if isinstance(self.images, StoredImages) else self.images[rows]
        return Split(images=images, labels=self.labels[rows])

    def to(self, device: torch.device) -> "Split":
        """Return the same split on another device."""
        return Split(images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """One classification problem with training, validation and test images.

    Attributes:
        name: Name for readers, such as "apple / bed / crab".
        classes: Number of classes; labels are 0 to classes - 1.
        train: Images for training.
        valid: Images for validation.
        test: Images for test.
        identity: Number, from 0, that all visits of the same task have in common. A stream sets None to the position.

    Raises:
        DataError: The splits do not fit each other or the number of classes, or a value has another type.
    """

    name: str
    classes: int
    train: Split
    valid: Split
    test: Split
    identity: int | None = None

    def __post_init__(self) -> None:
        self._check_types()
        self.check_labels()
        for name, split in self.splits.items():
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise DataError(
                    f"images of a task must have one shape (got {tuple(split.images.shape[1:])} in split '{name}' and"
                    f" {tuple(self.train.images.shape[1:])} in 'train' of task '{self.name}'); resize them"
                )
            here, first = (f"{images.dtype} on {images.device}" for images in (split.images, self.train.images))
            if here != first:
                raise DataError(
                    f"images of a task must have one dtype and device (got {here} in split '{name}' and {first} in"
                    f" 'train' of task '{self.name}'); convert or move them"
                )

    def check_labels(self) -> None:
        """Check that all labels are classes; learners do it too, because a tensor can change after the task was made.

        Raises:
            DataError: A label is negative, or not below the number of classes.
        """
        for name, split in self.splits.items():
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= self.classes:
                raise DataError(
                    f"labels of a task with {self.classes} classes must be from 0 to {self.classes - 1}"
                    f" (got {low} to {high} in split '{name}' of task '{self.name}'); renumber the labels"
                )

    def _check_types(self) -> None:
        rules = {
            "name": (isinstance(self.name, str), "text"),
            "classes": (_whole(self.classes, 2, MOST_CLASSES), f"a whole number from 2 to {MOST_CLASSES}"),
            "identity": (
                self.identity is None or _whole(self.identity, 0, 2**63 - 1),
                "a whole number from 0, or None",
            ),
            **{name: (isinstance(split, Split), "a Split") for name, split in self.splits.items()},
        }
        for name, (fits, rule) in rules.items():
            if not fits:
                raise DataError(
                    f"{name} must be {rule} (got {getattr(self, name)!r} in task {self.name!r}); correct it"
                )

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.train.images.shape[1:]))
        sizes = " / ".join(f"{len(split)} {name}" for name, split in self.splits.items())
        return f"Task({self.name!r}, {self.classes} classes, {sizes} images of {shape})"

    @property
    def splits(self) -> dict[str, Split]:
        """Training, validation and test split by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def to(self, device: torch.device) -> "Task":
        """Return the same task on another device."""
        return Task(
            name=self.name,
            classes=self.classes,
            train=self.train.to(device),
            valid=self.valid.to(device),
            test=self.test.to(device),
            identity=self.identity,
        )


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
