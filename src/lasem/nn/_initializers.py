"""Initial values, drawn from a given generator."""

from itertools import pairwise

import torch
from torch import Generator, nn

WEIGHT_SPREAD = 0.05
BIAS = 0.2


def generator(seed: int) -> Generator:
    """A CPU generator; initial values are drawn there, so that they are the same for every device."""
    return torch.Generator().manual_seed(seed)


def truncated_normal(shape: tuple[int, ...], *, source: Generator) -> nn.Parameter:
    """Weights of standard deviation 0.05, cut at two deviations."""
    values = torch.empty(shape)
    nn.init.trunc_normal_(values, std=WEIGHT_SPREAD, a=-2 * WEIGHT_SPREAD, b=2 * WEIGHT_SPREAD, generator=source)
    return nn.Parameter(values)


def uniform(shape: tuple[int, ...], *, bound: float, source: Generator) -> nn.Parameter:
    """Uniform in [-bound, bound]."""
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=source))


def kernel_shape(layer: nn.Module) -> tuple[int, int, int, int]:
    """Return (outputs, inputs, height, width) of a 2-d convolution's weight."""
    outputs, inputs, height, width = layer.get_parameter("weight").shape
    return outputs, inputs, height, width


def constant_bias(size: int) -> nn.Parameter:
    """Biases of 0.2."""
    return nn.Parameter(torch.full((size,), BIAS))


def mlp(sizes: tuple[int, ...], *, source: Generator) -> nn.Sequential:
    """Linear layers with ReLU between them: the head of every plain network here.

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
