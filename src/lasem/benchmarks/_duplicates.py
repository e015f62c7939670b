"""Duplicates: images with the same pixels in splits that should have no image in common."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Hash each image; hashes are equal if all pixels are equal: (N, ...) -> (N,), int64."""
    # Eight bytes suffice: among a million images, two different ones collide with a probability of 3e-8.
    digests = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images)
    return np.frombuffer(b"".join(digests), dtype=np.int64)


def duplicate_notes(tasks: Iterable[Mapping[str, np.ndarray]]) -> tuple[str, ...]:
    """Say in words how many images are in several splits of a stream; no note if there are none.

    Args:
        tasks: Hashes of the images by split, each (N,), for each task.
    """
    images: dict[str, set[int]] = {}
    for task in tasks:
        for split, hashes in task.items():
            images.setdefault(split, set()).update(hashes.tolist())
    train, valid, test = (images.get(split, set()) for split in ("train", "valid", "test"))
    tested, validated = len(test & (train | valid)), len(valid & train)
    return tuple(
        f"{count} of {len(whole)} {name} images have the same pixels as an image in {elsewhere}: {name} accuracies are"
        " too high; remove these images from the data"
        for count, whole, name, elsewhere in (
            (tested, test, "test", "training or validation"),
            (validated, valid, "validation", "training"),
        )
        if count
    )
