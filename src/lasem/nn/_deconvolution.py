"""Deconvolutional factorization: kernels deconvolved from a small shared tensor (DF-CNN; Lee et al. 2019)."""

from dataclasses import replace
from typing import Annotated, Literal

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.nn._initializers import kernel_shape, uniform
from lasem.nn._mechanisms import AbstractMechanism, Tensors
from lasem.options import must, options

FILTER, STRIDE = 3, 2
"""Kernel size and stride of the transposed convolution; with a padding of 1 it turns h rows into 2h - 1."""

Channels = Annotated[tuple[int, int], must(lambda pair: min(pair) >= 1, "a pair of positive numbers")]
"""Channels of the base and of the deconvolved tensor, (c_kb, c_ts), for all layers."""


@options
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

    channels: Literal["rule", "table"] | Channels = "rule"

    def generated(self, layer: nn.Module) -> tuple[str, ...]:
        """Return the names of weight and bias for convolutions with square kernels of odd size, such as 3x3.

        A transposed convolution of stride 2 makes 2h - 1 rows of h, so there is no base for other sizes.
        """
        names = super().generated(layer)
        if not names:
            return ()
        _, _, height, width = kernel_shape(layer)
        return names if height == width and height % 2 == 1 else ()

    def for_layer(self, channels: tuple[int, int] | None) -> AbstractMechanism:
        """Return the mechanism with the listed channels, or with the rule, where the option is "table"."""
        if self.channels != "table":
            return self
        return replace(self, channels="rule" if channels is None else channels)

    def sizes(self, layer: nn.Module) -> tuple[int, int]:
        """Return (c_kb, c_ts) for a layer."""
        if isinstance(self.channels, tuple):
            return self.channels
        outputs, inputs, *_ = kernel_shape(layer)
        total = inputs + outputs
        return (2 * total + 3) // 6, (4 * total + 3) // 6

    def new_shared(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make the base (c_kb, h, h), uniform within sqrt(6 / (h h + h c_kb)); h = (k + 1) / 2."""
        base, _ = self.sizes(layer)
        size = (kernel_shape(layer)[2] + 1) // 2
        bound = (6 / (size**2 + size * base)) ** 0.5
        return nn.ParameterDict({"base": uniform((base, size, size), bound=bound, source=source)})

    def new_mapping(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make a deconvolution (c_kb, c_ts, 3, 3), its bias, a contraction (C', C, c_ts), and the layer's bias if any.

        Each is uniform within its own bound, which TensorFlow's Glorot initializer gives for the paper's order of axes.
        """
        base, spread = self.sizes(layer)
        outputs, inputs, *_ = kernel_shape(layer)
        bounds = {
            "deconvolution": ((base, spread, FILTER, FILTER), 6 / (FILTER**2 * (spread + base))),
            "deconvolution_bias": ((spread,), 6 / (1 + spread)),
            "contraction": ((outputs, inputs, spread), 6 / (spread * (inputs + outputs))),
        }
        if "bias" in self.generated(layer):
            bounds["bias"] = ((outputs,), 3 / outputs)
        return nn.ParameterDict(
            {name: uniform(size, bound=square**0.5, source=source) for name, (size, square) in bounds.items()}
        )

    def read(self, shared: Tensors, mapping: Tensors) -> dict[str, Tensor]:
        """Deconvolve the base, then contract the result."""
        deconvolved = F.conv_transpose2d(
            shared["base"].unsqueeze(0),
            mapping["deconvolution"],
            mapping["deconvolution_bias"],
            stride=STRIDE,
            padding=FILTER // 2,
        ).squeeze(0)
        weight = (mapping["contraction"] @ deconvolved.flatten(1)).unflatten(2, deconvolved.shape[1:])
        return {"weight": weight, "bias": mapping["bias"]} if "bias" in mapping else {"weight": weight}
