"""Memory: whether a stream fits before anything is decoded or built."""

import torch

from lasem.errors import DataError
from lasem.memory import available_memory


def require_memory(*, num_images: int, largest_task: int, shape: tuple[int, int, int], device: torch.device) -> None:
    """Hold a stream to the memory that is there: its images as uint8 and one task's as float32.

    Args:
        num_images: Distinct images of the stream.
        largest_task: Images of the largest task, all splits.
        shape: Of an image: (channels, height, width).
        device: Where they are to lie.

    Raises:
        DataError: They do not fit.
    """
    pixels = shape[0] * shape[1] * shape[2]
    source, task, free = num_images * pixels, 4 * largest_task * pixels, available_memory(device)
    if source + task > free:
        raise DataError(
            f"a stream's images and one task's tensors must fit in memory - got {num_images} images of"
            f" {' x '.join(map(str, shape))} ({source / 2**30:.2f} GiB) and {largest_task} in a task"
            f" ({task / 2**30:.2f} GiB as floats) with {free / 2**30:.2f} GiB available on {device}"
            " - set max_test, a smaller size or fewer images per class"
        )
