"""Check that a stream fits in memory, before anything is decoded or built."""

import torch

from lasem.errors import DataError
from lasem.memory import available_memory


def memory_shortage(
    *, num_images: int, largest_task: int, shape: tuple[int, int, int], device: torch.device, share: float = 1.0
) -> str | None:
    """Return in words why a stream does not fit in memory: all images as uint8 and the largest task as float32.

    Args:
        num_images: Number of distinct images of the stream.
        largest_task: Number of images in all splits of the largest task.
        shape: Shape of an image, (channels, height, width).
        device: Device that is to hold the images.
        share: Share of the available memory that they may take.

    Returns:
        The rule and the numbers, or None if it fits.
    """
    pixels = shape[0] * shape[1] * shape[2]
    source, task, free = num_images * pixels, 4 * largest_task * pixels, available_memory(device)
    if source + task <= share * free:
        return None
    return (
        f"the images of a stream and the tensors of one task must fit in memory (got {num_images} images of"
        f" {' x '.join(map(str, shape))}, {source / 2**30:.2f} GiB, and {largest_task} in a task,"
        f" {task / 2**30:.2f} GiB as floats, with {free / 2**30:.2f} GiB available on {device})"
    )


def require_memory(*, num_images: int, largest_task: int, shape: tuple[int, int, int], device: torch.device) -> None:
    """Refuse a stream that does not fit in memory; see `memory_shortage`.

    Raises:
        DataError: The images do not fit.
    """
    shortage = memory_shortage(num_images=num_images, largest_task=largest_task, shape=shape, device=device)
    if shortage:
        raise DataError(f"{shortage}; set max_test, a smaller size or fewer images per class")
