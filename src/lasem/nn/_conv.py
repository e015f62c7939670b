"""The transferable convolution, and a convolution ready for use."""

from dataclasses import dataclass, replace
from typing import cast

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.nn._mechanisms import AbstractMechanism, ConvShape, plain_kernel
from lasem.nn._pooling import SameMaxPool2d, same_max_pool
from lasem.nn._transferable import AbstractBranch, AbstractTransferable


@dataclass(frozen=True)
class ConvBranch(AbstractBranch):
    """Convolution with SAME padding, ReLU, and max-pool if any.

    The pool comes before the ReLU: both orders give the same values, and this one touches fewer.

    Attributes:
        weight: (C', C, k, k).
        bias: (C',).
        pool: Window and stride; 1 = no pool.
    """

    weight: Tensor
    bias: Tensor
    pool: int

    def __call__(self, x: Tensor) -> Tensor:
        """(N, B, C, H, W) -> (N, B, C', H', W')."""
        y = F.conv2d(x.flatten(0, 1), self.weight, self.bias, padding=self.weight.shape[-1] // 2)
        if self.pool > 1:
            y = same_max_pool(y, self.pool)
        return F.relu_(y).unflatten(0, x.shape[:2])

    def activations(self, x: Tensor) -> Tensor:
        """Before the pool: (N, B, C, H, W) -> (N, B, C', H, W)."""
        return replace(self, pool=1)(x)

    def finish(self, activations: Tensor) -> Tensor:
        """The pool: (N, B, C', H, W) -> (N, B, C', H', W')."""
        if self.pool == 1:
            return activations
        return same_max_pool(activations.flatten(0, 1), self.pool).unflatten(0, activations.shape[:2])

    def module(self) -> nn.Module:
        """Conv2d, pool if any, ReLU."""
        outputs, inputs, kernel, _ = self.weight.shape
        conv = nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, padding=kernel // 2)
        conv.weight = nn.Parameter(self.weight.detach().clone())
        conv.bias = nn.Parameter(self.bias.detach().clone())
        return nn.Sequential(conv, *([SameMaxPool2d(self.pool)] if self.pool > 1 else []), nn.ReLU())


class TransferConv2d(AbstractTransferable):
    """A convolution that a task has for itself or reads from shared knowledge.

    Args:
        shape: Inputs, outputs and the (odd) size of the kernel.
        pool: Window and stride of the max-pool after it; 1 = none.
        mechanism: How its kernel is read.
    """

    def __init__(self, shape: ConvShape, *, pool: int, mechanism: AbstractMechanism) -> None:
        self.shape = shape
        self.pool = pool
        self.mechanism = mechanism

    def new_shared(self, source: Generator) -> nn.Module:
        """The mechanism's shared parameters."""
        return self.mechanism.new_shared(self.shape, source)

    def new_own(self, source: Generator) -> nn.Module:
        """Weight and bias."""
        return plain_kernel(self.shape, source)

    def new_mapping(self, source: Generator) -> nn.Module:
        """The mechanism's parameters per task."""
        return self.mechanism.new_mapping(self.shape, source)

    def own_branch(self, own: nn.Module) -> AbstractBranch:
        """Convolution with the task's own kernel."""
        kernel = cast(nn.ParameterDict, own)
        return ConvBranch(weight=kernel["weight"], bias=kernel["bias"], pool=self.pool)

    def shared_branch(self, shared: nn.Module, mapping: nn.Module) -> AbstractBranch:
        """Convolution with the kernel that the mechanism reads."""
        weight, bias = self.mechanism.read(cast(nn.ParameterDict, shared), cast(nn.ParameterDict, mapping))
        return ConvBranch(weight=weight, bias=bias, pool=self.pool)

    def own_copy(self, shared: nn.Module, mapping: nn.Module) -> nn.Module:
        """The kernel that the mechanism reads now."""
        weight, bias = self.mechanism.read(cast(nn.ParameterDict, shared), cast(nn.ParameterDict, mapping))
        return nn.ParameterDict({"weight": weight.detach().clone(), "bias": bias.detach().clone()})

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C, H, W) -> (C', ceil(H/pool), ceil(W/pool))."""
        _, height, width = shape
        return (self.shape.outputs, -(-height // self.pool), -(-width // self.pool))

    def penalty(self, mapping: nn.Module) -> Tensor | None:
        """The mechanism's regularizer."""
        return self.mechanism.penalty(cast(nn.ParameterDict, mapping))
