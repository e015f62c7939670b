"""Stages with batch norm: one normed convolution, or a residual block of two (He et al. 2016)."""

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.nn._norm import NormedConv2d


class NormBlock(nn.Module):
    """Normed convolutions with ReLU, as one module.

    Either one convolution and ReLU; or two with ReLU between them, around which goes a skip: the input itself, or its
    projection where channels or size change. ReLU follows the sum.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        kernel: Size of the kernels, odd.
        stride: Stride of the first convolution and of the projection.
        residual: Whether there is a second convolution, with the skip.
        average: Whether the result is averaged over all positions.
        source: Generator of the initial weights.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        residual: bool = False,
        average: bool = False,
        source: Generator,
    ) -> None:
        super().__init__()
        self.first = NormedConv2d(inputs, outputs, kernel, stride=stride, source=source)
        self.second = NormedConv2d(outputs, outputs, kernel, stride=1, source=source) if residual else None
        projects = residual and (stride > 1 or inputs != outputs)
        self.projection = NormedConv2d(inputs, outputs, 1, stride=stride, source=source) if projects else None
        self.average = average

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: (N B, C, H, W) -> (N B, C', H', W')."""
        y = F.relu_(self.first(x))
        if self.second is not None:
            skip = x if self.projection is None else self.projection(x)
            y = F.relu_(self.second(y) + skip)
        return y.mean((-2, -1), keepdim=True) if self.average else y
