"""Max-pooling with TensorFlow's SAME padding, window = stride."""

import torch.nn.functional as F
from torch import Tensor, nn


def same_max_pool(x: Tensor, window: int) -> Tensor:
    """Max-pool with SAME padding and stride equal to the window: (N, C, H, W) -> (N, C, ceil(H/k), ceil(W/k)).

    The missing rows and columns are -inf, floor of half of them before and the rest after; `ceil_mode` alone would
    put all of them after, which is another result for 43 -> 15 by 3.
    """
    before, after = zip(*(_padding(size, window) for size in x.shape[-2:]), strict=True)
    if before == after and 2 * max(before) <= window:
        return F.max_pool2d(x, window, padding=before)
    if not any(before):
        return F.max_pool2d(x, window, ceil_mode=True)
    (top, left), (bottom, right) = before, after
    return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=float("-inf")), window)


def _padding(size: int, window: int) -> tuple[int, int]:
    """Rows to add before and after so that windows cover ``size`` exactly."""
    missing = -size % window
    return missing // 2, missing - missing // 2


class SameMaxPool2d(nn.Module):
    """`same_max_pool` as a module."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ceil(H/k), ceil(W/k))."""
        return same_max_pool(x, self.window)
