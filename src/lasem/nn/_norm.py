"""Batch norm in a tree of networks: each node normalizes by its own batch, a task by its running statistics."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Statistics(nn.Module):
    """Running mean and variance of one norm, for one task.

    While they are estimated, `momentum` is the weight of the next batch: 1 / n for the n-th makes the cumulative
    average. None uses them as they are.

    Args:
        channels: C.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.momentum: float | None = None


def average(modules: Iterable[nn.Module], batches: Iterable[Tensor], forward: Callable[[Tensor], object]) -> None:
    """Set all statistics within modules to their averages over batches; without any, no batch is taken.

    Args:
        modules: Hold `Statistics`.
        batches: Images (B, C, H, W).
        forward: Runs a batch through the norms that read them.
    """
    held = [part for module in modules for part in module.modules() if isinstance(part, Statistics)]
    for number, images in enumerate(batches if held else (), start=1):
        for statistics in held:
            statistics.momentum = 1 / number
        forward(images)
    for statistics in held:
        statistics.momentum = None


@dataclass(frozen=True)
class NormedConv:
    """A convolution without bias, SAME padding, and batch norm after it.

    Attributes:
        weight: (C', C, k, k).
        scale: (C',) of the norm.
        shift: (C',) of the norm.
        stride: Of the convolution.
        statistics: The task's; None normalizes every node by its own batch.
    """

    weight: Tensor
    scale: Tensor
    shift: Tensor
    stride: int
    statistics: Statistics | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(N, B, C, H, W) -> (N, B, C', ceil(H/stride), ceil(W/stride))."""
        padding = self.weight.shape[-1] // 2
        y = F.conv2d(x.flatten(0, 1), self.weight, stride=self.stride, padding=padding)
        running = self.statistics
        if running is not None:
            estimated = running.momentum is not None
            moments, weight = (running.mean, running.variance), running.momentum or 0.0
            y = F.batch_norm(y, *moments, self.scale, self.shift, training=estimated, momentum=weight)
        elif len(x) == 1:
            y = self._by_batch(y)
        else:
            y = torch.cat([self._by_batch(node) for node in y.chunk(len(x))])
        return y.unflatten(0, x.shape[:2])

    def _by_batch(self, y: Tensor) -> Tensor:
        """Normalize one node: (B, C, H, W) -> (B, C, H, W)."""
        return F.batch_norm(y, None, None, self.scale, self.shift, training=True)

    def module(self) -> nn.Sequential:
        """Conv2d and BatchNorm2d with copies of the values."""
        outputs, inputs, kernel, _ = self.weight.shape
        padding = kernel // 2
        conv = nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride=self.stride, padding=padding, bias=False)
        conv.weight = nn.Parameter(self.weight.detach().clone())
        norm = nn.BatchNorm2d(outputs, track_running_stats=self.statistics is not None).to(self.weight)
        norm.weight = nn.Parameter(self.scale.detach().clone())
        norm.bias = nn.Parameter(self.shift.detach().clone())
        if self.statistics is not None:
            cast(Tensor, norm.running_mean).copy_(self.statistics.mean)
            cast(Tensor, norm.running_var).copy_(self.statistics.variance)
        return nn.Sequential(conv, norm)
