"""Initial values, drawn from a given generator."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, nn

MakeHead = Callable[[int, int, Generator], nn.Module]
"""Builds a head from (features, classes, generator); it maps (..., features) to (..., classes)."""
WEIGHT_SPREAD = 0.05
"""Standard deviation of initial weights, as in the authors' release."""
BIAS = 0.2
"""Initial bias, as in the authors' release."""


def generator(seed: int) -> Generator:
    """Make a generator on the CPU, where initial values are drawn so that they are the same on every device."""
    return torch.Generator().manual_seed(seed)


def truncated_normal(shape: tuple[int, ...], *, source: Generator) -> nn.Parameter:
    """Draw weights with standard deviation 0.05, cut at two standard deviations."""
    values = torch.empty(shape)
    nn.init.trunc_normal_(values, std=WEIGHT_SPREAD, a=-2 * WEIGHT_SPREAD, b=2 * WEIGHT_SPREAD, generator=source)
    return nn.Parameter(values)


def uniform(shape: tuple[int, ...], *, bound: float, source: Generator) -> nn.Parameter:
    """Draw values that are uniform in [-bound, bound]."""
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=source))


def kernel_shape(layer: nn.Module) -> tuple[int, int, int, int]:
    """Return (outputs, inputs, height, width) of a 2-d convolution's weight."""
    outputs, inputs, height, width = layer.get_parameter("weight").shape
    return outputs, inputs, height, width


def constant_bias(size: int) -> nn.Parameter:
    """Make biases that all start at 0.2: (size,)."""
    return nn.Parameter(torch.full((size,), BIAS))


def mlp(sizes: tuple[int, ...], *, source: Generator) -> nn.Sequential:
    """Make linear layers with ReLU between them, which are the head of every named network.

    Args:
        sizes: Inputs, hidden units..., classes.
        source: Generator of the initial weights.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
        linear.weight = truncated_normal((outputs, inputs), source=source)
        linear.bias = constant_bias(outputs)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
