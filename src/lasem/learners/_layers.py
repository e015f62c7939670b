"""Plain networks as functions of their kernels, for learners that change kernels or widths themselves."""

from collections.abc import Callable, Sequence
from math import prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lasem.errors import SpecError
from lasem.learners._interface import Setup
from lasem.nn import (
    AnyNetwork,
    Conv,
    FlattenPositionsFirst,
    SameMaxPool2d,
    SkipSequential,
    constant_bias,
    generator,
    mlp,
    same_max_pool,
    truncated_normal,
    walk,
)
from lasem.seeds import derive_seed

Kernel = tuple[Tensor, Tensor]
"""Weight (units, inputs, h, w) and bias (units,) of one layer."""

Drop = Callable[[Tensor], Tensor]
"""Dropout of the features, (B, F) -> (B, F)."""


class PlainNetwork:
    """A network of convolutions and fully connected layers as functions of images and kernels.

    The object describes the layers and holds no parameters. A convolution has SAME padding, a max-pool where the
    network's table has one, and ReLU; identity skips go around layers as in `Backbone`. Fresh kernels are those that a
    backbone of the same seed would give a task that shares nothing.

    A *unit* is an output channel of a convolution or an output of a fully connected layer. Every kernel is
    (units, inputs, h, w): a fully connected layer is a convolution whose window covers the whole feature map, and the
    layers after it have one position. So a unit's incoming weights are a row, and its outgoing weights a column, in
    every layer. Functions that are given kernels accept any numbers of units, as long as adjacent layers agree.

    Args:
        network: Table of the layers; all of them must be `Conv`.
        shape: (C, H, W) of an image.
        seed: Seed of all initial values.

    Attributes:
        rows: The convolutions as the network's table has them.
        hidden: Hidden fully connected layers of the head.
        skips: Identity skips around convolutions.
        shape: Shape (C, H, W) of an image.
        seed: Seed of all initial values.
        shapes: (C, H, W) of the image and of every convolution's result.
        windows: (h, w) of every kernel, the output layer's last.
        units: Units of every hidden layer, as the table has them.

    Raises:
        SpecError: The network has layers with batch norm.
    """

    @classmethod
    def of(cls, setup: Setup) -> "PlainNetwork":
        """Describe the network that a learner is built from.

        Raises:
            SpecError: The network has layers with batch norm.
        """
        return cls(setup.network, shape=setup.outline.shape, seed=setup.seed)

    def __init__(self, network: AnyNetwork, *, shape: tuple[int, int, int], seed: int = 0) -> None:
        self.rows = _convolutions(network)
        self.hidden = network.hidden
        self.skips = network.skips
        self.shape = shape
        self.seed = seed
        sizes: list[tuple[int, ...]] = [shape]
        for row in self.rows:
            sizes.append(row.output_shape(sizes[-1]))
        self.shapes = tuple(sizes)
        _, height, width = self.shapes[-1]
        dense = [(height, width), *[(1, 1)] * len(self.hidden)]
        self.windows = (*((row.kernel, row.kernel) for row in self.rows), *dense)
        self.units = (*(size[0] for size in self.shapes[1:]), *self.hidden)

    @property
    def num_convs(self) -> int:
        """Number of convolutions; the hidden layers behind them are fully connected."""
        return len(self.rows)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Inputs of every layer as the table has them: channels or units, those of the output layer last."""
        return (self.shape[0], *self.units)

    @property
    def num_features(self) -> int:
        """Number of values in the last convolution's result, flattened."""
        return prod(self.shapes[-1])

    def new_kernel(self, layer: int, task: int) -> nn.ParameterDict:
        """Draw the weight (C', C, k, k) and the bias (C',) of a convolution, counted from 0."""
        row, inputs = self.rows[layer], self.shapes[layer][0]
        source = generator(derive_seed(self.seed, "own", layer, task))
        weight = truncated_normal((row.channels, inputs, row.kernel, row.kernel), source=source)
        return nn.ParameterDict({"weight": weight, "bias": constant_bias(row.channels)})

    def new_head(self, task: int, classes: int) -> nn.Sequential:
        """Draw the fully connected layers of a task: (..., features) -> (..., classes)."""
        source = generator(derive_seed(self.seed, "head", task))
        return mlp((self.num_features, *self.hidden, classes), source=source)

    def new_kernels(self, task: int, *, classes: int) -> list[Kernel]:
        """Draw the kernels of all layers: the values of `new_kernel` and `new_head`, in the form of kernels."""
        parts = [self.new_kernel(layer, task) for layer in range(self.num_convs)]
        kernels = [(part["weight"].detach(), part["bias"].detach()) for part in parts]
        linears = [part for part in self.new_head(task, classes) if isinstance(part, nn.Linear)]
        for linear, window in zip(linears, self.windows[self.num_convs :], strict=True):
            weight = linear.weight.detach().unflatten(1, (*window, -1)).movedim(-1, 1)
            kernels.append((weight.contiguous(), linear.bias.detach()))
        return kernels

    def activate(self, layer: int, preactivation: Tensor) -> Tensor:
        """Apply a convolution's max-pool, if it has one, and ReLU: (B, C', H, W) -> (B, C', H', W')."""
        row = self.rows[layer]
        pools = row.pool > 1 and not row.skip  # where a skip ends, the pool follows the sum
        return F.relu(same_max_pool(preactivation, row.pool) if pools else preactivation)

    def walk(self, images: Tensor, step: Callable[[int, Tensor], Tensor], *, convs: int | None = None) -> Tensor:
        """Carry a batch through the convolutions and the skips around them: (B, C, H, W) -> (B, C', H', W').

        Args:
            images: A batch.
            step: Applies one convolution, given its number from 0 and its input.
            convs: How many of them are applied; all by default.
        """
        hidden = images.contiguous(memory_format=torch.channels_last)
        return walk(hidden, step, stages=self.num_convs if convs is None else convs, skips=self.skips)

    def features(self, images: Tensor, kernels: Sequence[Kernel]) -> Tensor:
        """Compute the head's input with one kernel per convolution: (B, C, H, W) -> (B, F)."""
        return flatten(self.walk(images, lambda layer, x: self.activate(layer, convolve(x, *kernels[layer]))))

    def logits(self, images: Tensor, kernels: Sequence[Kernel], *, drop: Drop | None = None) -> Tensor:
        """Compute logits, (B, C, H, W) -> (B, classes).

        Args:
            images: A batch.
            kernels: One per hidden layer, and the output layer's.
            drop: Dropout of the features behind the last convolution; none by default.
        """
        hidden = self.features(images, kernels[: self.num_convs])
        hidden = drop(hidden) if drop else hidden
        *dense, output = [(_matrix(weight), bias) for weight, bias in kernels[self.num_convs :]]
        for weight, bias in dense:
            hidden = F.relu(F.linear(hidden, weight, bias))
        return F.linear(hidden, *output)

    def module(self, kernels: Sequence[Kernel]) -> nn.Sequential:
        """Make a module of `torch.nn` layers with copies of kernels: (B, C, H, W) -> (B, classes)."""
        convs = [_conv_module(row, kernel) for row, kernel in zip(self.rows, kernels, strict=False)]
        head: list[nn.Module] = []
        for weight, bias in kernels[self.num_convs :]:
            matrix = _matrix(weight)
            linear = nn.utils.skip_init(nn.Linear, matrix.shape[1], matrix.shape[0])
            head += [_filled(linear, matrix, bias), nn.ReLU()]
        modules = [*convs, FlattenPositionsFirst(), nn.Sequential(*head[:-1])]
        return (SkipSequential(*modules, skips=self.skips) if self.skips else nn.Sequential(*modules)).eval()


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with SAME padding and stride 1: (B, C, H, W) -> (B, C', H, W)."""
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def flatten(hidden: Tensor) -> Tensor:
    """Flatten a feature map, positions first, as heads read it: (B, C, H, W) -> (B, H W C)."""
    return hidden.movedim(1, -1).flatten(1)


def count(kernels: Sequence[Kernel]) -> int:
    """Count the parameters in kernels."""
    return sum(part.numel() for kernel in kernels for part in cast(tuple[Tensor, ...], kernel))


def _convolutions(network: AnyNetwork) -> tuple[Conv, ...]:
    rows = tuple(row for row in network.layers if isinstance(row, Conv))
    if len(rows) < len(network.layers):
        raise SpecError(
            "a learner that changes the network itself must have convolutions without batch norm (got"
            f" {len(network.layers) - len(rows)} layers with batch norm); choose another network, such as resnet-18"
        )
    return rows


def _conv_module(row: Conv, kernel: Kernel) -> nn.Sequential:
    outputs, inputs, size, _ = kernel[0].shape
    conv = _filled(nn.utils.skip_init(nn.Conv2d, inputs, outputs, size, padding=size // 2), *kernel)
    pools = row.pool > 1 and not row.skip
    return nn.Sequential(conv, *([SameMaxPool2d(row.pool)] if pools else []), nn.ReLU())


def _filled(module: nn.Module, weight: Tensor, bias: Tensor) -> nn.Module:
    module.weight = nn.Parameter(weight.detach().clone())
    module.bias = nn.Parameter(bias.detach().clone())
    return module


def _matrix(weight: Tensor) -> Tensor:
    """(units, inputs, h, w) -> (units, h w inputs), in the order of flattened features."""
    return weight.movedim(1, -1).flatten(1)
