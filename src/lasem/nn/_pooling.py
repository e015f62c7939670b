"""Max-pooling with TensorFlow's SAME padding and a stride equal to the window."""

import torch.nn.functional as F
from torch import Tensor, nn


def same_max_pool(x: Tensor, window: int) -> Tensor:
    """Max-pool with SAME padding and stride equal to the window: (N, C, H, W) -> (N, C, ceil(H/k), ceil(W/k)).

    Where windows do not cover the image exactly, it is padded by -inf: half of the missing rows and columns, rounded
    down, come before it and the rest after it. PyTorch's `ceil_mode` alone would put all of them after the image, which
    gives another result, for example for 43 rows and a window of 3.
    """
    # In these words and no shorter ones, because `torch.jit.script` knows only a part of Python.
    top, bottom = _padding(x.shape[-2], window)
    left, right = _padding(x.shape[-1], window)
    if top == bottom and left == right and 2 * max(top, left) <= window:
        return F.max_pool2d(x, window, padding=[top, left])
    if top == 0 and left == 0:
        return F.max_pool2d(x, window, ceil_mode=True)
    return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=float("-inf")), window)


def _padding(size: int, window: int) -> tuple[int, int]:
    """Return how many rows to add before and after, so that windows cover ``size`` exactly."""
    missing = -size % window
    return missing // 2, missing - missing // 2


class SameMaxPool2d(nn.Module):
    """A layer that max-pools with SAME padding; see `same_max_pool`."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """Max-pool a batch: (N, C, H, W) -> (N, C, ceil(H/k), ceil(W/k))."""
        return same_max_pool(x, self.window)
