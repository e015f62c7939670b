"""Batch norm in a tree of networks: each node normalizes by its own batch, and a task by its running statistics."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lasem.errors import SpecError
from lasem.nn._initializers import truncated_normal


class Statistics(nn.Module):
    """Running mean and variance of one batch norm for one task.

    While they are estimated, `momentum` is the weight of the next batch: 1 / n for the n-th batch makes the cumulative
    average. With None they are used as they are.

    Args:
        channels: Number of channels, C.
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
        modules: Modules that contain `Statistics`.
        batches: Images (B, C, H, W).
        forward: Runs a batch through the norms that use these statistics.
    """
    estimated = [child for module in modules for child in module.modules() if isinstance(child, Statistics)]
    for number, images in enumerate(batches if estimated else (), start=1):
        for statistics in estimated:
            statistics.momentum = 1 / number
        forward(images)
    for statistics in estimated:
        statistics.momentum = None


@dataclass(frozen=True)
class NormInputs:
    """What a norm must know about the batch that it is about to normalize.

    Attributes:
        nodes: Number N of nodes of the tree whose batches lie one after another in the batch axis.
        statistics: Running statistics of the task; None to normalize every node by its own batch.
    """

    nodes: int = 1
    statistics: Statistics | None = None


class AbstractNodeNorm(ABC):
    """A module with batch norm that treats the nodes of a tree apart; `inputs` is set before every forward pass."""

    inputs: NormInputs = NormInputs()

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of channels that are normalized."""

    @abstractmethod
    def plain(self, statistics: Statistics | None) -> nn.Module:
        """Return the same function as modules of torch, which share this module's parameters.

        Args:
            statistics: Running statistics to copy; None to normalize by the batch always.
        """

    def normalize(self, y: Tensor, scale: Tensor | None, shift: Tensor | None, *, eps: float = 1e-5) -> Tensor:
        """Normalize the batches of all nodes: (N B, C, ...) -> (N B, C, ...)."""
        nodes, running = self.inputs.nodes, self.inputs.statistics
        if running is not None:
            momentum = running.momentum
            return F.batch_norm(
                y, running.mean, running.variance, scale, shift, momentum is not None, momentum or 0.0, eps
            )
        if nodes == 1:
            return F.batch_norm(y, None, None, scale, shift, training=True, eps=eps)
        return torch.cat(
            [F.batch_norm(node, None, None, scale, shift, training=True, eps=eps) for node in y.chunk(nodes)]
        )


class NodeBatchNorm(nn.Module, AbstractNodeNorm):
    """The batch norm of a wrapped module, made aware of nodes and of the statistics of tasks.

    Args:
        norm: A batch norm of torch, whose scale and shift are used. Its own running statistics are not.

    Raises:
        SpecError: The norm is of a class with a forward of its own, which is not known here.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.kind, self.num_features, self.eps = _kind(norm), norm.num_features, norm.eps
        self.register_parameter("weight", norm.weight if norm.affine else None)
        self.register_parameter("bias", norm.bias if norm.affine else None)
        self.tail = _tail(norm)
        for name in self.tail:
            self.add_module(name, norm.get_submodule(name))

    @property
    def channels(self) -> int:
        """Number of channels that are normalized."""
        return self.num_features

    def forward(self, x: Tensor) -> Tensor:
        """Normalize, and apply what the class applies after it: (N B, C, ...) -> (N B, C, ...)."""
        y = self.normalize(x, self.weight, self.bias, eps=self.eps)
        for name in self.tail:
            y = self.get_submodule(name)(y)
        return y

    def plain(self, statistics: Statistics | None) -> nn.Module:
        """Return a batch norm of torch with given statistics, in sequence with what follows it, if anything does."""
        norm = _batch_norm(self.kind, statistics, self.num_features, self.weight, self.bias, eps=self.eps)
        return nn.Sequential(norm, *map(self.get_submodule, self.tail)) if self.tail else norm


def _kind(norm: _BatchNorm) -> type[_BatchNorm]:
    """Return the class of torch that a batch norm belongs to, or is derived from."""
    return next(
        (kind for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d) if isinstance(norm, kind)), type(norm)
    )


def _tail(norm: _BatchNorm) -> tuple[str, ...]:
    """Return the names of the submodules that a batch norm applies to its result.

    Raises:
        SpecError: The class has a forward of its own that is not known here.
    """
    kind = type(norm)
    if kind.forward is _BatchNorm.forward:
        return ()
    if (kind.__module__.partition(".")[0], kind.__name__) == ("timm", "BatchNormAct2d"):
        return ("drop", "act")
    raise SpecError(
        "a batch norm with a forward of its own must keep the statistics it came with (got"
        f" {kind.__module__}.{kind.__name__}), because what it does to each task's statistics is not known; give the"
        ' stage norms="frozen", or use a batch norm of torch.nn followed by the rest'
    )


class NormedConv2d(nn.Conv2d, AbstractNodeNorm):
    """Convolution with SAME padding, followed by batch norm.

    The convolution needs no bias, so `bias` is the norm's shift; `norm_scale` is its scale.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        kernel: Size of the kernel, odd.
        stride: Stride of the convolution.
        source: Generator of the weight, a truncated normal. The scale starts at 1 and the shift at 0.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int, source: Generator) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, device="meta")
        del self.weight  # registered anew, after the bias; see `PooledConv2d`
        self.weight = truncated_normal((outputs, inputs, kernel, kernel), source=source)
        affine = self.new_affine()
        self.bias, self.norm_scale = affine["bias"], affine["norm_scale"]

    def new_affine(self) -> dict[str, nn.Parameter]:
        """Make a fresh shift of 0 and scale of 1, each (C',)."""
        size = self.out_channels
        return {"bias": nn.Parameter(torch.zeros(size)), "norm_scale": nn.Parameter(torch.ones(size))}

    @property
    def channels(self) -> int:
        """Number of channels that are normalized."""
        return self.out_channels

    def forward(self, input: Tensor) -> Tensor:
        """Convolve and normalize: (N B, C, H, W) -> (N B, C', ceil(H/stride), ceil(W/stride))."""
        stride, size = self.stride[0], self.weight.shape[-1]
        if size == 1 and stride > 1:
            # The same numbers. With a stride, torch 2.13 writes outside of memory in the backward pass of some
            # channels-last inputs on a CPU, for example of those with 4 channels.
            input, stride = input[..., ::stride, ::stride], 1
        y = F.conv2d(input, self.weight, stride=stride, padding=size // 2)
        return self.normalize(y, self.norm_scale, self.bias)

    def plain(self, statistics: Statistics | None) -> nn.Sequential:
        """Return a Conv2d without bias and a BatchNorm2d; before a 1x1 convolution a pooling makes its stride."""
        stride, size = self.stride[0], self.weight.shape[-1]
        # Why a convolution of size 1 has no stride, `forward` tells. A window of 1 pixel is that pixel.
        pool = {"pool": nn.MaxPool2d(1, stride)} if size == 1 and stride > 1 else {}
        conv = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            size,
            stride=1 if pool else stride,
            padding=size // 2,
            bias=False,
            device="meta",
        )
        conv.weight = self.weight
        shift = cast(nn.Parameter, self.bias)
        norm = _batch_norm(nn.BatchNorm2d, statistics, self.out_channels, self.norm_scale, shift, eps=1e-5)
        return nn.Sequential(OrderedDict[str, nn.Module](**pool, **{"0": conv, "1": norm}))


def _batch_norm(
    kind: type[_BatchNorm],
    statistics: Statistics | None,
    channels: int,
    scale: nn.Parameter | None,
    shift: nn.Parameter | None,
    *,
    eps: float,
) -> _BatchNorm:
    """Make a batch norm of torch with given values; without statistics it normalizes by the batch in any mode."""
    norm = kind(channels, eps=eps, affine=scale is not None, track_running_stats=statistics is not None)
    norm.register_parameter("weight", scale)
    norm.register_parameter("bias", shift)
    if statistics is not None:
        norm.to(statistics.mean)
        cast(Tensor, norm.running_mean).copy_(statistics.mean)
        cast(Tensor, norm.running_var).copy_(statistics.variance)
    return norm
