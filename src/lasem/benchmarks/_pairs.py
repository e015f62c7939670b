"""Pairs of images and labels, as torch Datasets and DataLoaders give them, as two tensors."""

from collections.abc import Iterable, Iterator, Sized

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from lasem.errors import DataError


def read_pairs(dataset: object) -> tuple[Tensor, Tensor]:
    """Read all pairs into memory: images (N, C, H, W) and labels (N,), int64.

    Args:
        dataset: Pairs of an image (C, H, W) and its label, or of images (B, C, H, W) and labels (B,).

    Raises:
        DataError: Something else is in it, it is empty, or the images have different shapes.
    """
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for number, item in enumerate(_items(dataset)):
        image, label = _pair(item, number)
        images.append(image if image.ndim == 4 else image[None])
        labels.append(label.reshape(-1))
    if not images:
        raise DataError("a dataset must have at least one image (got none); check how it was made")
    shapes = sorted({tuple(batch.shape[1:]) for batch in images})
    if len(shapes) > 1:
        raise DataError(f"images of a dataset must have one shape (got {shapes[0]} and {shapes[1]}); resize them")
    return torch.cat(images), torch.cat(labels)


def _items(dataset: object) -> Iterator[object]:
    if isinstance(dataset, Dataset) and not isinstance(dataset, IterableDataset) and isinstance(dataset, Sized):
        # A dataset need not raise IndexError at its end, so that a loop over it might not stop.
        return (dataset[index] for index in range(len(dataset)))
    if isinstance(dataset, Iterable) and not isinstance(dataset, Tensor):
        return iter(dataset)
    raise DataError(
        f"a split must be read from a torch Dataset or a DataLoader (got {type(dataset).__name__});"
        " for tensors, write Split(images=images, labels=labels)"
    )


def _pair(item: object, number: int) -> tuple[Tensor, Tensor]:
    image, label = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
    if not isinstance(image, Tensor) or image.ndim not in (3, 4):
        got = f"a tensor {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise DataError(
            f"an item of a dataset must be an image (C, H, W), or a batch of them, and its label (got {got} in item"
            f" {number}); give the dataset a transform that makes float tensors"
        )
    whole = isinstance(label, int) or (isinstance(label, Tensor) and not label.is_floating_point())
    if not whole or (found := torch.as_tensor(label, dtype=torch.int64)).numel() != (
        1 if image.ndim == 3 else len(image)
    ):
        raise DataError(
            f"every image of a dataset must have one label, a whole number (got {label!r} in item {number}); give the"
            " dataset a target_transform that makes one"
        )
    return image, found
