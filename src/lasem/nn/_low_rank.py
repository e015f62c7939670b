"""Low-rank adaptation: a shared weight, and a task's product of two thin matrices on top of it (Hu et al. 2022)."""

from math import prod

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.conv import _ConvNd

from lasem.nn._initializers import uniform
from lasem.nn._mechanisms import AbstractMechanism, Tensors
from lasem.options import NonNegative, Positive, options


@options
class LoRA(AbstractMechanism):
    """LoRA: the weight of a linear or convolution layer is a shared one plus a product of two thin matrices.

    W = S + (alpha / r) B A, with S the shared weight as a matrix of one row per output channel, A (r, columns) and
    B (rows, r). B starts at 0, so a new task starts at the shared weight. Everything else, such as biases and norms, is
    shared as it is.

    Attributes:
        rank: Number r of rows of A; at most what the weight itself has of rows or columns.
        alpha: Factor of the product, which is divided by the rank.
    """

    rank: Positive = 8
    alpha: NonNegative = 8.0

    def generated(self, layer: nn.Module) -> tuple[str, ...]:
        """Generate the weight of linear layers and of convolutions of any number of axes, grouped ones included."""
        return ("weight",) if isinstance(layer, nn.Linear | _ConvNd) else ()

    def new_shared(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Share the weight as the module has it."""
        del source
        return nn.ParameterDict({"weight": layer.get_parameter("weight")})

    def new_mapping(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make A ("down"), uniform within 1 / sqrt(columns), and B ("up"), which is 0."""
        shape = layer.get_parameter("weight").shape
        rows, columns = shape[0], prod(shape[1:])
        rank = min(self.rank, rows, columns)
        down = uniform((rank, columns), bound=columns**-0.5, source=source)
        return nn.ParameterDict({"down": down, "up": nn.Parameter(torch.zeros(rows, rank))})

    def read(self, shared: Tensors, mapping: Tensors) -> dict[str, Tensor]:
        """Add the product to the weight."""
        weight, down, up = shared["weight"], mapping["down"], mapping["up"]
        # Divided by the rank of these matrices, which a small weight may have made smaller than the option.
        product = (self.alpha / len(down)) * (up @ down)
        return {"weight": weight + product.view(weight.shape)}
