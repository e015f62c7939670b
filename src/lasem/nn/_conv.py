"""The convolution that the tables of networks are made of: SAME padding, ReLU, and a max-pool where wanted."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.nn._initializers import constant_bias, truncated_normal
from lasem.nn._pooling import same_max_pool
from lasem.nn._template import AbstractPureModule


class PooledConv2d(nn.Conv2d, AbstractPureModule):
    """Convolution with SAME padding, max-pool if any, and ReLU: (B, C, H, W) -> (B, C', ceil(H/p), ceil(W/p)).

    Args:
        inputs: Channels of the input, C.
        outputs: Channels of the output, C'.
        kernel: Size of the kernel, odd.
        pool: Window and stride p of the max-pool; 1 for none.
        source: Generator of the weight, a truncated normal. The bias starts at 0.2.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, pool: int = 1, source: Generator) -> None:
        # On the meta device the constructor of Conv2d draws nothing from the global generator.
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, device="meta")
        # Checkpoints number the optimizer's tensors, and there the bias comes first: so it must be registered first.
        del self.weight
        self.bias = constant_bias(outputs)
        self.weight = truncated_normal((outputs, inputs, kernel, kernel), source=source)
        self.pool = pool

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer to a batch: (B, C, H, W) -> (B, C', H', W')."""
        # As `compute`, which `torch.jit.script` cannot read because of its mapping.
        y = self._conv_forward(input, self.weight, self.bias)
        return F.relu_(same_max_pool(y, self.pool) if self.pool > 1 else y)

    def compute(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Apply the layer with other values of its weight and bias."""
        weight = parameters["weight"]
        y = F.conv2d(x, weight, parameters["bias"], padding=weight.shape[-1] // 2)
        # Pooling before the ReLU gives the same values, and the ReLU then touches fewer of them.
        if self.pool > 1:
            y = same_max_pool(y, self.pool)
        return F.relu_(y)

    def activations(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the activations before the pool: (B, C, H, W) -> (B, C', H, W)."""
        weight = parameters["weight"]
        return F.relu_(F.conv2d(x, weight, parameters["bias"], padding=weight.shape[-1] // 2))

    def finish(self, activations: Tensor) -> Tensor:
        """Pool activations: (B, C', H, W) -> (B, C', H', W')."""
        return activations if self.pool == 1 else same_max_pool(activations, self.pool)
