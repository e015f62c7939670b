"""Whether a task's images fit a network: its shape, its type of numbers, its device."""

from collections.abc import Sequence

from torch import Tensor

from lasem.benchmarks import Task
from lasem.errors import DataError


def require_fit(task: Task, *, shape: Sequence[int], like: Tensor) -> None:
    """Hold a task's images to what a network was built for.

    Args:
        task: The task.
        shape: (C, H, W) of the network's images.
        like: Of the network's dtype, on its device.

    Raises:
        DataError: Their shape, dtype or device is another one.
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
                f"images have the {name} that the network was built for, {needed} - got {came} in task '{task.name}'"
                f" - {remedy}"
            )
