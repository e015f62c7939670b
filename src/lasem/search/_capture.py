"""The tree captured: compiled once per task, so that a GPU repeats it without being told every operation anew."""

from typing import Protocol

import torch
from torch import Tensor

from lasem.nn import Backbone
from lasem.search._tree import Plan, leaf_features


class LeafFeatures(Protocol):
    """Carries a batch along every path; see `leaf_features`."""

    def __call__(self, backbone: Backbone, images: Tensor, task: int, *, layout: Plan) -> Tensor:
        """(B, C, H, W) -> (K, B, F), in the order of the leaves."""
        ...


def capture() -> LeafFeatures:
    """Compile `leaf_features` for the task that is about to be learned; CUDA graphs on a GPU, fused loops on a CPU.

    Forward and backward pass are captured, at the first step that takes them. What was compiled before is forgotten:
    another task has other modules, and the compiler keeps only a few variants.
    """
    torch.compiler.reset()
    return torch.compile(leaf_features, dynamic=False, fullgraph=True, mode="reduce-overhead")
