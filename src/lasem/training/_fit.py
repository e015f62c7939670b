"""Check of a task's images against the network that will train on them."""

from collections.abc import Sequence

from torch import Tensor

from lasem.benchmarks import Task
from lasem.errors import DataError


def require_fit(task: Task, *, shape: Sequence[int], like: Tensor) -> None:
    """Check that a task's images have the shape, dtype and device that a network was built for.

    Args:
        task: The task.
        shape: (C, H, W) of the network's images.
        like: Any tensor with the network's dtype, on its device.

    Raises:
        DataError: One of the three differs.
    """
    images = task.train.images
    facts = (
        ("shape", tuple(images.shape[1:]), tuple(shape), "build the network for it"),
        ("dtype", images.dtype, like.dtype, "convert one of them, e.g. images.float()"),
        ("device", images.device, like.device, "move one of them, e.g. task.to(device)"),
    )
    for name, came, needed, remedy in facts:
        if came != needed:
            raise DataError(
                f"images must have the {name} that the network was built for, {needed}"
                f" (got {came} in task '{task.name}'); {remedy}"
            )
