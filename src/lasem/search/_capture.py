"""CUDA graphs of the tree, compiled once per task, so that a GPU repeats all operations of a pass at one call."""

from types import FunctionType
from typing import Protocol

import torch
from torch import Tensor

from lasem.nn import Backbone
from lasem.search._tree import Plan, leaf_features


class LeafFeatures(Protocol):
    """A function that carries a batch along every path of the tree; see `leaf_features`."""

    def __call__(self, backbone: Backbone, images: Tensor, task: int, *, layout: Plan, start: int = 0) -> Tensor:
        """Compute the features of all leaves: (B, C, H, W) -> (K, B, F)."""
        ...


class Captured:
    """`leaf_features`, compiled for one task: CUDA graphs on a GPU, fused loops on a CPU.

    Forward and backward pass are captured at the first steps that take them. A copy or a pickle captures them anew.
    """

    def __init__(self) -> None:
        # Another task has other parameters, and the compiler keeps only a few variants of one function. It tells
        # functions apart by their code, so each task gets its own copy. What earlier tasks compiled is freed with their
        # copies, and what users compiled themselves is left alone, which `torch.compiler.reset` would drop.
        copied = FunctionType(
            leaf_features.__code__.replace(), leaf_features.__globals__, closure=leaf_features.__closure__
        )
        copied.__kwdefaults__ = leaf_features.__kwdefaults__
        self._compiled = torch.compile(copied, dynamic=False, fullgraph=True, mode="reduce-overhead")

    def __call__(self, backbone: Backbone, images: Tensor, task: int, *, layout: Plan, start: int = 0) -> Tensor:
        """Compute the features of all leaves: (B, C, H, W) -> (K, B, F)."""
        return self._compiled(backbone, images, task, layout=layout, start=start)

    def __reduce__(self) -> tuple[type["Captured"], tuple[()]]:
        """Copy and pickle as an instance that has compiled nothing yet."""
        return Captured, ()


def capture() -> LeafFeatures:
    """Compile `leaf_features` for the task that is about to be learned; see `Captured`."""
    return Captured()
