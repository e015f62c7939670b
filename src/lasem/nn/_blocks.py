"""Stages with batch norm: one normed convolution, or a residual block of two (He et al. 2016)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.nn._initializers import generator
from lasem.nn._mechanisms import AbstractMechanism, ConvShape, plain_kernel
from lasem.nn._norm import NormedConv, Statistics
from lasem.nn._transferable import AbstractBranch, AbstractTransferable

SCALE = "norm_scale"


class PlainBlock(nn.Module):
    """A block for one network, of plain modules.

    Args:
        convolutions: "first", "second" and "projection", each Conv2d and BatchNorm2d; the last two may be missing.
        average: Whether the result is averaged over all positions.
    """

    def __init__(self, convolutions: Mapping[str, nn.Module], *, average: bool) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict(convolutions)
        self.average = average

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return _block(x, self.convolutions, average=self.average)


@dataclass(frozen=True)
class BlockBranch(AbstractBranch):
    """A block with its kernels read.

    Attributes:
        convolutions: As in `PlainBlock`.
        average: As in `PlainBlock`.
    """

    convolutions: Mapping[str, NormedConv]
    average: bool

    def __call__(self, x: Tensor) -> Tensor:
        """(N, B, C, H, W) -> (N, B, C', H', W')."""
        return _block(x, self.convolutions, average=self.average)

    def module(self) -> nn.Module:
        """The block as plain modules."""
        plain = {name: convolution.module() for name, convolution in self.convolutions.items()}
        return PlainBlock(plain, average=self.average)

    def running(self, statistics: nn.Module) -> "BlockBranch":
        """Normalized by a task's running statistics."""
        known = cast(nn.ModuleDict, statistics)
        convolutions = {
            name: replace(convolution, statistics=cast(Statistics, known[name]))
            for name, convolution in self.convolutions.items()
        }
        return replace(self, convolutions=convolutions)


class TransferBlock(AbstractTransferable):
    """Normed convolutions that a task has for itself or reads from shared knowledge, all or none of them.

    One convolution and ReLU; or two with ReLU between, around which goes a skip: the input itself, or its projection
    where channels or size change. ReLU follows the sum. A norm's shift is what the mechanism reads as a bias, and its
    scale is kept where that is: so both belong to a branch.

    Args:
        shape: Of the first convolution.
        stride: Of the first convolution and of the projection.
        residual: Whether there is a second convolution, with the skip.
        average: Whether the result is averaged over all positions.
        mechanism: How kernels are read.
    """

    def __init__(
        self, shape: ConvShape, *, stride: int, residual: bool, average: bool, mechanism: AbstractMechanism
    ) -> None:
        self.stride = stride
        self.average = average
        self.mechanism = mechanism
        self.shapes = {"first": shape}
        if residual:
            self.shapes["second"] = replace(shape, inputs=shape.outputs)
            if stride > 1 or shape.inputs != shape.outputs:
                self.shapes["projection"] = replace(shape, kernel=1)
        self._affine_is_shared = "bias" in mechanism.new_shared(ConvShape(1, 1, 1), generator(0))

    def new_shared(self, source: Generator) -> nn.Module:
        """The mechanism's shared parameters per convolution."""
        shared = {name: self.mechanism.new_shared(shape, source) for name, shape in self.shapes.items()}
        return self._with_affine(shared) if self._affine_is_shared else nn.ModuleDict(shared)

    def new_own(self, source: Generator) -> nn.Module:
        """Weight, shift and scale per convolution."""
        return self._with_affine({name: plain_kernel(shape, source) for name, shape in self.shapes.items()})

    def new_mapping(self, source: Generator) -> nn.Module:
        """The mechanism's parameters per task and convolution."""
        mapping = {name: self.mechanism.new_mapping(shape, source) for name, shape in self.shapes.items()}
        return nn.ModuleDict(mapping) if self._affine_is_shared else self._with_affine(mapping)

    def new_statistics(self) -> nn.Module:
        """Running statistics per norm."""
        return nn.ModuleDict({name: Statistics(shape.outputs) for name, shape in self.shapes.items()})

    def own_branch(self, own: nn.Module) -> AbstractBranch:
        """The block with the task's own kernels."""
        kernels = _parts(own)
        return self._branch({name: (part["weight"], part["bias"], part[SCALE]) for name, part in kernels.items()})

    def shared_branch(self, shared: nn.Module, mapping: nn.Module) -> AbstractBranch:
        """The block with the kernels that the mechanism reads."""
        knowledge, mapped = _parts(shared), _parts(mapping)
        affine = knowledge if self._affine_is_shared else mapped
        return self._branch(
            {name: (*self.mechanism.read(knowledge[name], mapped[name]), affine[name][SCALE]) for name in self.shapes}
        )

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C, H, W) -> (C', ceil(H/stride), ceil(W/stride)), or (C', 1, 1) where averaged."""
        sizes = [1 if self.average else -(-size // self.stride) for size in shape[1:]]
        return (self.shapes["first"].outputs, *sizes)

    def penalty(self, mapping: nn.Module) -> Tensor | None:
        """The sum of the mechanism's regularizers."""
        terms = [self.mechanism.penalty(part) for part in _parts(mapping).values()]
        known = [term for term in terms if term is not None]
        return torch.stack(known).sum() if known else None

    def _branch(self, kernels: Mapping[str, tuple[Tensor, Tensor, Tensor]]) -> BlockBranch:
        convolutions = {
            name: NormedConv(weight=weight, shift=shift, scale=scale, stride=1 if name == "second" else self.stride)
            for name, (weight, shift, scale) in kernels.items()
        }
        return BlockBranch(convolutions, average=self.average)

    def _with_affine(self, parts: Mapping[str, nn.ParameterDict]) -> nn.ModuleDict:
        """Add a norm's scale of 1, and let its shift start at 0."""
        for name, part in parts.items():
            part[SCALE] = nn.Parameter(torch.ones(self.shapes[name].outputs))
            if "bias" in part:
                nn.init.zeros_(part["bias"])
        return nn.ModuleDict(parts)


def _parts(module: nn.Module) -> dict[str, nn.ParameterDict]:
    """Parameters per convolution."""
    return {name: cast(nn.ParameterDict, part) for name, part in cast(nn.ModuleDict, module).items()}


def _block(x: Tensor, convolutions: "Mapping[str, NormedConv] | nn.ModuleDict", *, average: bool) -> Tensor:
    """A block over any leading axes; see `TransferBlock`."""
    y = F.relu_(convolutions["first"](x))
    if "second" in convolutions:
        skip = convolutions["projection"](x) if "projection" in convolutions else x
        y = F.relu_(convolutions["second"](y) + skip)
    return y.mean((-2, -1), keepdim=True) if average else y
