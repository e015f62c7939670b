"""The convolutions of a network in one version only, for learners that change kernels or widths themselves."""

import copy
from collections.abc import Callable, Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lasem.errors import SpecError
from lasem.nn._conv import PooledConv2d
from lasem.nn._features import FlattenPositionsFirst
from lasem.nn._initializers import constant_bias, generator, mlp, truncated_normal
from lasem.nn._networks import Network
from lasem.nn._pooling import same_max_pool
from lasem.nn._rows import Conv
from lasem.nn._skips import SkipSequential, walk
from lasem.seeds import derive_seed

Kernel = tuple[Tensor, Tensor]
"""A weight (C', C, k, k) and a bias (C',)."""


class PlainConvs:
    """Rows of a network's table as functions of images and kernels. It holds no parameters.

    A layer is a convolution with SAME padding, max-pool if any, ReLU, as in `PooledConv2d`; identity skips go around
    layers as in `Backbone`. New kernels and heads are those that a backbone of the same seed would give a task.

    Args:
        network: Its layers are all `Conv`.
        shape: (C, H, W) of an image.
        seed: Seed of all initial values.

    Raises:
        SpecError: The network has layers with batch norm.
    """

    def __init__(self, network: Network, *, shape: tuple[int, int, int], seed: int = 0) -> None:
        self.rows = conv_rows(network)
        self.hidden = network.hidden
        self.skips = network.skips
        self.shape = shape
        self.seed = seed
        sizes: list[tuple[int, ...]] = [shape]
        for row in self.rows:
            sizes.append(row.output_shape(sizes[-1]))
        self.shapes = tuple(sizes)
        """(C, H, W) of the image and of every layer's result."""

    def __len__(self) -> int:
        """Number of layers."""
        return len(self.rows)

    @property
    def num_features(self) -> int:
        """Values of the last layer's result, flattened."""
        return prod(self.shapes[-1])

    def new_kernel(self, layer: int, task: int) -> nn.ParameterDict:
        """Fresh weight (C', C, k, k) and bias (C',) of a layer, counted from 0."""
        row, inputs = self.rows[layer], self.shapes[layer][0]
        source = generator(derive_seed(self.seed, "own", layer, task))
        weight = truncated_normal((row.channels, inputs, row.kernel, row.kernel), source=source)
        return nn.ParameterDict({"weight": weight, "bias": constant_bias(row.channels)})

    def new_head(self, task: int, classes: int) -> nn.Sequential:
        """Fresh fully connected layers: (..., features) -> (..., classes)."""
        source = generator(derive_seed(self.seed, "head", task))
        return mlp((self.num_features, *self.hidden, classes), source=source)

    def activate(self, layer: int, preactivation: Tensor) -> Tensor:
        """Max-pool and ReLU: (B, C', H, W) -> (B, C', H', W'). Where a skip ends, its pool follows the sum."""
        row = self.rows[layer]
        pools = row.pool > 1 and not row.skip
        return F.relu(same_max_pool(preactivation, row.pool) if pools else preactivation)

    def apply(self, layer: int, x: Tensor, kernel: Kernel) -> Tensor:
        """A whole layer: (B, C, H, W) -> (B, C', H', W')."""
        return self.activate(layer, convolve(x, *kernel))

    def walk(self, images: Tensor, step: Callable[[int, Tensor], Tensor], *, layers: int | None = None) -> Tensor:
        """Carry a batch through the layers and around them: (B, C, H, W) -> (B, C', H', W').

        Args:
            images: A batch.
            step: Applies one layer, by its number from 0.
            layers: How many of them; all by default.
        """
        hidden = images.contiguous(memory_format=torch.channels_last)
        return walk(hidden, step, stages=len(self) if layers is None else layers, skips=self.skips)

    def features(self, images: Tensor, kernels: Sequence[Kernel]) -> Tensor:
        """What a head reads, with one kernel per layer: (B, C, H, W) -> (B, F)."""
        return flatten(self.walk(images, lambda layer, x: self.apply(layer, x, kernels[layer])))

    def module(self, kernels: Sequence[Kernel], head: nn.Module) -> nn.Sequential:
        """A task's network as plain modules with their own copies: (B, C, H, W) -> (B, classes)."""
        pairs = zip(self.rows, kernels, strict=True)
        modules = [PooledConv2d.holding(*kernel, pool=1 if row.skip else row.pool) for row, kernel in pairs]
        modules += [FlattenPositionsFirst(), copy.deepcopy(head)]
        return (SkipSequential(*modules, skips=self.skips) if self.skips else nn.Sequential(*modules)).eval()


def conv_rows(network: Network) -> tuple[Conv, ...]:
    """The layers of a network of plain convolutions.

    Raises:
        SpecError: It has layers with batch norm.
    """
    rows = tuple(row for row in network.layers if isinstance(row, Conv))
    if len(rows) < len(network.layers):
        raise SpecError(
            "this learner works on convolutions without batch norm"
            f" - got {len(network.layers) - len(rows)} layers with it - choose another network, such as resnet-18"
        )
    return rows


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution with SAME padding, stride 1: (B, C, H, W) -> (B, C', H, W)."""
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def flatten(hidden: Tensor) -> Tensor:
    """`flatten_features` for one network: (B, C, H, W) -> (B, H W C)."""
    return hidden.movedim(1, -1).flatten(1)
