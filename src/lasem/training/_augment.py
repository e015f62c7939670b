"""Random changes of training images: flips, shifts and colors, on the device of the images."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lasem.training._options import Training


def augment(images: Tensor, training: Training, *, seed: int) -> Tensor:
    """Flip, shift and color every image by itself: (B, C, H, W) -> (B, C, H, W).

    The draws come from a generator of the host, so that they are the same on every device. Where an option is off, no
    image is changed by it.

    Args:
        images: A batch, in any scale of pixels.
        training: Options `random_flip`, `random_crop` and `color_jitter`.
        seed: Decides all draws.
    """
    source, number = Generator().manual_seed(seed), len(images)
    if training.random_flip:
        flipped = (torch.rand(number, generator=source) < 0.5).to(images.device)
        images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
    if training.random_crop:
        offsets = torch.randint(2 * training.random_crop + 1, (2, number), generator=source)
        images = _crop(images, offsets.to(images.device), training.random_crop)
    if training.color_jitter:
        draws = (2 * torch.rand(3, number, 1, 1, 1, generator=source) - 1) * training.color_jitter
        images = _color(images, *draws.to(images))
    return images


def _crop(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Pad images by reflection, and cut each at its own (row, column), (2, B), to its former size."""
    number, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4, mode="reflect")
    rows = offsets[0][:, None, None] + torch.arange(height, device=images.device)[:, None]
    columns = offsets[1][:, None, None] + torch.arange(width, device=images.device)
    batch = torch.arange(number, device=images.device)[:, None, None]
    return padded.movedim(1, -1)[batch, rows, columns].movedim(-1, 1).contiguous()


def _color(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change brightness, contrast and saturation by shares, each (B, 1, 1, 1), relative to an image's own values.

    They are relative to its mean and standard deviation, so that pixels may have any scale, also a standardized one.
    """
    mean = images.mean((1, 2, 3), keepdim=True)
    deviation = images.std((1, 2, 3), keepdim=True)
    gray = images.mean(1, keepdim=True)
    colored = gray + (1 + saturation) * (images - gray)
    return mean + (1 + contrast) * (colored - mean) + brightness * deviation
