"""Checks of images and labels against the network that will train on them or answer for them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lasem.benchmarks import Task
from lasem.errors import DataError, LasemError, require


def require_fit(task: Task, *, shape: Sequence[int], like: Tensor) -> None:
    """Check that a task's images have the shape, dtype and device that a network was built for, and its labels fit it.

    Args:
        task: The task.
        shape: (C, H, W) of the network's images.
        like: Any tensor with the network's dtype, on its device.

    Raises:
        DataError: One of the three differs, or a label is no class of the task.
    """
    task.check_labels()
    require_images(task.train.images, shape=shape, like=like, where=f" in task '{task.name}'")


def require_images(images: Tensor, *, shape: Sequence[int], like: Tensor, where: str = "") -> None:
    """Check that a batch of images has the shape, dtype and device that a network was built for.

    Args:
        images: What should be images, (B, C, H, W).
        shape: (C, H, W) of the network's images.
        like: Any tensor with the network's dtype, on its device.
        where: Where the images stand, for the message.

    Raises:
        DataError: They are no tensor, or one of the three differs.
    """
    if not isinstance(images, Tensor):
        raise DataError(
            f"images must be a tensor of shape (B, {', '.join(map(str, shape))}) (got {type(images).__name__}{where});"
            " convert them, e.g. torch.from_numpy(images).float()"
        )
    needed = tuple(shape)
    facts = (
        ("shape", tuple(images.shape[1:]), needed, "build the network for it, or give (B, C, H, W)"),
        ("dtype", images.dtype, like.dtype, "convert one of them, e.g. images.float() in the same scale of pixels"),
        ("device", images.device, like.device, "move one of them, e.g. task.to(device)"),
    )
    for name, came, wanted, remedy in facts:
        if came != wanted:
            raise DataError(
                f"images must have the {name} that the network was built for, {wanted} (got {came}{where}); {remedy}"
            )


def require_labels(labels: Tensor, *, images: Tensor, classes: int) -> None:
    """Check that labels are classes, one per image; on a GPU their values are not read, which would wait for it.

    Args:
        labels: What should be labels, (B,).
        images: The batch that they belong to.
        classes: Number of classes of the task.

    Raises:
        DataError: They are not.
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        kind = f"{labels.dtype} of shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise DataError(
            f"labels must be an int64 tensor of shape ({len(images)},) (got {kind}); give one class per image, e.g."
            " labels.long()"
        )
    if labels.is_cpu and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(
            f"labels of a task with {classes} classes must be from 0 to {classes - 1} (got {int(labels.min())} to"
            f" {int(labels.max())} in a batch); renumber the labels"
        )


def require_trained(identity: int, classes: Mapping[int, int]) -> None:
    """Check that a learner can answer for a task.

    Args:
        identity: Identity of the task.
        classes: Number of classes of every task that was trained, by identity.

    Raises:
        LasemError: The learner has not been trained on the task.
    """
    if identity not in classes:
        raise LasemError(
            f"a learner must have been trained on a task to answer for it (got task {identity});"
            f" tasks trained: {sorted(classes) or 'none'}"
        )


def require_closed(opened: int | None, *, following: int) -> None:
    """Check that no task is open when the next one begins.

    Args:
        opened: Identity of the open task; None for none.
        following: Identity of the task that is about to begin.

    Raises:
        LasemError: A task is open.
    """
    if opened is not None:
        raise LasemError(
            f"one task must end before the next begins (got task {following} while task {opened} is open);"
            " call end_task first"
        )


def require_crop(padding: int, *, shape: Sequence[int]) -> None:
    """Check that images are large enough to be padded by reflection.

    Raises:
        SpecError: They are not.
    """
    require(
        padding < min(shape[-2:]),
        f"random_crop must be below the height and width of images, {shape[-2]} x {shape[-1]} here",
        remedy="lower it",
        where="[training]",
        random_crop=padding,
    )
