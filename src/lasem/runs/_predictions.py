"""Predictions: classes and probabilities for images, as tables for people and programs."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from lasem.benchmarks import ImageLike
from lasem.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """The answers of a run to images, made by `Learned.classify`.

    Attributes:
        sources: Path of each image, or its number where it came from no file.
        class_names: Names of the classes of the task; their numbers if the stream did not tell names.
        probabilities: (N, classes), float32; each row adds up to 1.
    """

    sources: list[str]
    class_names: list[str]
    probabilities: Tensor

    def __len__(self) -> int:
        return len(self.sources)

    def __repr__(self) -> str:
        """Return a line about the number of images and classes."""
        return f"Predictions({len(self)} images, {len(self.class_names)} classes)"

    @property
    def classes(self) -> Tensor:
        """Number of the most probable class of each image, (N,), int64."""
        return self.probabilities.argmax(1)

    @property
    def labels(self) -> list[str]:
        """Name of the most probable class of each image."""
        return [self.class_names[number] for number in self.classes.tolist()]

    def records(self) -> list[dict[str, object]]:
        """Return one table per image, in JSON types: image, class, its probability, and those of all classes."""
        rows = zip(self.sources, self.labels, self.probabilities.tolist(), strict=True)
        return [
            {
                "image": source,
                "class": label,
                "probability": max(row),
                "probabilities": dict(zip(self.class_names, row, strict=True)),
            }
            for source, label, row in rows
        ]

    def ranked(self, most: int) -> list[list[tuple[str, float]]]:
        """Return for each image the names and probabilities of its most probable classes, the best first.

        Args:
            most: Largest number of classes for each image.
        """
        values, numbers = self.probabilities.topk(min(most, len(self.class_names)), dim=1)
        rows = zip(numbers.tolist(), values.tolist(), strict=True)
        return [
            [(self.class_names[label], share) for label, share in zip(labels, shares, strict=True)]
            for labels, shares in rows
        ]


def source_name(image: ImageLike, number: int) -> str:
    """Return the path of an image, or its number among the images where it came from no file."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {number}"


def require_image_batch(images: Tensor, *, shape: tuple[int, int, int]) -> None:
    """Check that images are a batch of a run's shape and type.

    Args:
        images: What should be images, (B, C, H, W), float32.
        shape: Shape of an image of the run, (C, H, W).

    Raises:
        DataError: They are not.
    """
    wanted = f"(B, {', '.join(map(str, shape))})"
    if not isinstance(images, Tensor):
        raise DataError(f"images must be a tensor {wanted} (got {type(images).__name__}); use torch.as_tensor")
    if images.ndim != 4 or tuple(images.shape[1:]) != shape or not len(images):
        remedy = "resize or transpose them" if images.ndim == 4 else "add the axis of the batch, as images[None] does"
        raise DataError(f"images must have the shape {wanted} (got {tuple(images.shape)}); {remedy}")
    if images.dtype != torch.float32:
        remedy = "images.float() / 255" if images.dtype == torch.uint8 else "images.float()"
        raise DataError(f"images must be float32 (got {images.dtype}); convert them with {remedy}")


def require_pixel_range(images: Tensor) -> None:
    """Check that pixels are numbers from 0 to 1.

    Raises:
        DataError: They are not.
    """
    low, high = (float(value) for value in images.detach().aminmax())
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"pixels must be from 0 to 1 (got {low:g} to {high:g}); divide uint8 pixels by 255, and do not standardize"
            " them, because predict does"
        )
