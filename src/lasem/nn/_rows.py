"""The rows of a network's table: a convolution, one with batch norm, and a residual block."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from lasem.nn._blocks import TransferBlock
from lasem.nn._conv import TransferConv2d
from lasem.nn._mechanisms import AbstractMechanism, ConvShape
from lasem.nn._transferable import AbstractTransferable

Pair = tuple[int, int] | None
"""(c_kb, c_ts) of DF-CNN in a layer, where a network lists them."""


@dataclass(frozen=True)
class Conv:
    """A row of the table: a convolution with ReLU, and the max-pool after it.

    Attributes:
        kernel: Size of the kernel, odd.
        channels: Number of outputs.
        pool: Window and stride of the pool; 1 = none.
        skip: So many layers, of which this is the last, have an identity skip around them, added after the ReLU and
            before the pool; 0 = none.
    """

    kernel: int
    channels: int
    pool: int = 1
    skip: int = 0
    convolutions: ClassVar[int] = 1

    @property
    def title(self) -> str:
        """Kernel and channels, as a drawing names the layer."""
        return f"{self.kernel}x{self.kernel}, {self.channels}"

    @property
    def summary(self) -> str:
        """Channels, kernel, skip and pool."""
        skip, pool = "+" if self.skip else "", f" /{self.pool}" if self.pool > 1 else ""
        return f"{self.channels}@{self.kernel}x{self.kernel}{skip}{pool}"

    def multiply_adds(self, shape: tuple[int, ...]) -> int:
        """Of the convolution, for an input (C, H, W)."""
        return prod(shape) * self.kernel**2 * self.channels

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """After the pool: (C, H, W) -> (C', ceil(H/pool), ceil(W/pool))."""
        return (self.channels, *(-(-size // self.pool) for size in shape[1:]))

    def build(self, inputs: int, mechanism: AbstractMechanism, *, channels: Pair) -> AbstractTransferable:
        """The layer; where it closes a skip, the pool comes with that."""
        shape = ConvShape(inputs=inputs, outputs=self.channels, kernel=self.kernel, channels=channels)
        return TransferConv2d(shape, pool=1 if self.skip else self.pool, mechanism=mechanism)


@dataclass(frozen=True)
class NormConv:
    """A row of the table: a convolution with batch norm and ReLU.

    Attributes:
        kernel: Size of the kernel, odd.
        channels: Number of outputs.
    """

    kernel: int
    channels: int
    convolutions: ClassVar[int] = 1

    @property
    def title(self) -> str:
        """Kernel and channels, as a drawing names the layer."""
        return f"{self.kernel}x{self.kernel}, {self.channels}, norm"

    @property
    def summary(self) -> str:
        """Channels and kernel."""
        return f"{self.channels}@{self.kernel}x{self.kernel} norm"

    def multiply_adds(self, shape: tuple[int, ...]) -> int:
        """Of the convolution, for an input (C, H, W)."""
        return prod(shape) * self.kernel**2 * self.channels

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C, H, W) -> (C', H, W)."""
        return (self.channels, *shape[1:])

    def build(self, inputs: int, mechanism: AbstractMechanism, *, channels: Pair) -> AbstractTransferable:
        """The layer."""
        shape = ConvShape(inputs=inputs, outputs=self.channels, kernel=self.kernel, channels=channels)
        return TransferBlock(shape, stride=1, residual=False, average=False, mechanism=mechanism)


@dataclass(frozen=True)
class BasicBlock:
    """A row of the table: two 3x3 convolutions with batch norm, which decide together, and the skip around them.

    Attributes:
        channels: Number of outputs.
        stride: Of the first convolution; above 1 the skip is a projection.
        average: Average the result over all positions.
    """

    channels: int
    stride: int = 1
    average: bool = False
    convolutions: ClassVar[int] = 2

    @property
    def title(self) -> str:
        """Channels, as a drawing names the block."""
        return f"block, {self.channels}"

    @property
    def summary(self) -> str:
        """Channels, stride and average."""
        stride, average = f" /{self.stride}" if self.stride > 1 else "", " average" if self.average else ""
        return f"block {self.channels}{stride}{average}"

    def multiply_adds(self, shape: tuple[int, ...]) -> int:
        """Of its convolutions, for an input (C, H, W)."""
        projection = shape[0] if self.stride > 1 or shape[0] != self.channels else 0
        positions = prod(-(-size // self.stride) for size in shape[1:])
        return positions * self.channels * (9 * (shape[0] + self.channels) + projection)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C, H, W) -> (C', ceil(H/stride), ceil(W/stride)), or (C', 1, 1) where it averages."""
        return (self.channels, *(1 if self.average else -(-size // self.stride) for size in shape[1:]))

    def build(self, inputs: int, mechanism: AbstractMechanism, *, channels: Pair) -> AbstractTransferable:
        """The block."""
        shape = ConvShape(inputs=inputs, outputs=self.channels, kernel=3, channels=channels)
        return TransferBlock(shape, stride=self.stride, residual=True, average=self.average, mechanism=mechanism)


Row = Conv | NormConv | BasicBlock
