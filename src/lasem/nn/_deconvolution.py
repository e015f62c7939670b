"""Deconvolutional factorization: kernels deconvolved from a small shared tensor (DF-CNN; Lee et al. 2019)."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.errors import require
from lasem.nn._initializers import uniform
from lasem.nn._mechanisms import AbstractMechanism, ConvShape

FILTER, STRIDE = 3, 2
"""Of the transposed convolution; with one row of padding, h rows become 2h - 1."""


@dataclass(frozen=True)
class DeconvolutionalFactorization(AbstractMechanism):
    """DF-CNN: a shared tensor, deconvolved by the task and contracted with a tensor of the task.

    D = deconvolution(base) + deconvolution_bias, (T, k, k) with k = 2h - 1, without an activation
    W[o, i, x, y] = sum over m of contraction[o, i, m] D[m, x, y]

    The paper's K [h, h, c_kb] is `base` with its channels first; V is `deconvolution`, in the order of
    `torch.nn.functional.conv_transpose2d`; Z [c_ts, C, C'] is `contraction` with its axes reversed.

    Attributes:
        channels: Channels of the base and of D, (c_kb, c_ts): "rule", a third and two thirds of C + C', to the nearest
            number (thirds have no ties); "table", those that the network lists for each layer (the authors' release
            has them for their networks; a network that lists none takes the rule); or a pair for all layers.
    """

    channels: Literal["rule", "table"] | tuple[int, int] = "rule"

    def __post_init__(self) -> None:
        right = (
            len(self.channels) == 2 and min(self.channels) >= 1
            if isinstance(self.channels, tuple)
            else (self.channels in ("rule", "table"))
        )
        require(right, "channels are 'rule', 'table' or a pair of positive numbers", channels=self.channels)

    def sizes(self, shape: ConvShape) -> tuple[int, int]:
        """(c_kb, c_ts) for a layer."""
        if isinstance(self.channels, tuple):
            return self.channels
        if self.channels == "table" and shape.channels is not None:
            return shape.channels
        total = shape.inputs + shape.outputs
        return (2 * total + 3) // 6, (4 * total + 3) // 6

    def new_shared(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """The base (c_kb, h, h), uniform within sqrt(6 / (h h + h c_kb)); h = (k + 1) / 2."""
        base, _ = self.sizes(shape)
        size = (shape.kernel + 1) // 2
        bound = (6 / (size**2 + size * base)) ** 0.5
        return nn.ParameterDict({"base": uniform((base, size, size), bound=bound, source=source)})

    def new_mapping(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """A task's deconvolution (c_kb, c_ts, 3, 3) and its bias, the contraction (C', C, c_ts) and the layer's bias.

        Each is uniform within its own bound, that of TensorFlow's Glorot initializer for the paper's order of axes.
        """
        base, spread = self.sizes(shape)
        inputs, outputs = shape.inputs, shape.outputs
        bounds = {
            "deconvolution": ((base, spread, FILTER, FILTER), 6 / (FILTER**2 * (spread + base))),
            "deconvolution_bias": ((spread,), 6 / (1 + spread)),
            "contraction": ((outputs, inputs, spread), 6 / (spread * (inputs + outputs))),
            "bias": ((outputs,), 3 / outputs),
        }
        return nn.ParameterDict(
            {name: uniform(size, bound=square**0.5, source=source) for name, (size, square) in bounds.items()}
        )

    def read(self, shared: nn.ParameterDict, mapping: nn.ParameterDict) -> tuple[Tensor, Tensor]:
        """Deconvolve, then contract."""
        deconvolved = F.conv_transpose2d(
            shared["base"].unsqueeze(0),
            mapping["deconvolution"],
            mapping["deconvolution_bias"],
            stride=STRIDE,
            padding=FILTER // 2,
        ).squeeze(0)
        weight = mapping["contraction"] @ deconvolved.flatten(1)
        return weight.unflatten(2, deconvolved.shape[1:]), mapping["bias"]

    def penalty(self, mapping: nn.ParameterDict) -> None:
        """None; the release's is numerically nil."""
        del mapping
