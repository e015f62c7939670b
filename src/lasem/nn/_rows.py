"""The layers that a network's table can list: a convolution, one with batch norm, and a residual block."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:  # torch is needed only to build a layer
    from torch import Generator

    from lasem.nn._blocks import NormBlock
    from lasem.nn._conv import PooledConv2d
    from lasem.nn._mechanisms import AbstractMechanism
    from lasem.nn._stage import TransferModule


@dataclass(frozen=True)
class Conv:
    """A convolution with ReLU, and the max-pool after it.

    Attributes:
        kernel: Size of the kernel, odd.
        channels: Number of outputs.
        pool: Window and stride of the pool; 1 for none.
        skip: Number of layers, of which this is the last, that have an identity skip around them. Their input is added
            after the ReLU and before the pool; 0 for no skip.
    """

    kernel: int
    channels: int
    pool: int = 1
    skip: int = 0
    convolutions: ClassVar[int] = 1

    @property
    def summary(self) -> str:
        """Channels, kernel, skip and pool in a few characters."""
        skip, pool = "+" if self.skip else "", f" /{self.pool}" if self.pool > 1 else ""
        return f"{self.channels}@{self.kernel}x{self.kernel}{skip}{pool}"

    def describe(self) -> dict[str, object]:
        """Describe the layer as JSON; `divides` is the factor by which it shrinks an image."""
        return {
            "kind": "convolution",
            "kernel": self.kernel,
            "channels": self.channels,
            "convolutions": 1,
            "divides": self.pool,
            "skip": self.skip,
        }

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape after the pool: (C, H, W) -> (C', ceil(H/pool), ceil(W/pool))."""
        return (self.channels, *(-(-size // self.pool) for size in shape[1:]))

    def build(self, inputs: int, mechanism: "AbstractMechanism") -> "TransferModule":
        """Make the layer as a stage of a backbone; where a skip ends at it, the skip pools after its sum."""
        from lasem.nn._stage import TransferModule

        return TransferModule(partial(self._module, inputs), mechanism)

    def _module(self, inputs: int, source: "Generator") -> "PooledConv2d":
        from lasem.nn._conv import PooledConv2d

        pool = 1 if self.skip else self.pool
        return PooledConv2d(inputs, self.channels, self.kernel, pool=pool, source=source)


@dataclass(frozen=True)
class NormConv:
    """A convolution with batch norm and ReLU.

    Attributes:
        kernel: Size of the kernel, odd.
        channels: Number of outputs.
    """

    kernel: int
    channels: int
    convolutions: ClassVar[int] = 1

    @property
    def summary(self) -> str:
        """Channels and kernel in a few characters."""
        return f"{self.channels}@{self.kernel}x{self.kernel} norm"

    def describe(self) -> dict[str, object]:
        """Describe the layer as JSON, with the same keys as `Conv.describe`."""
        return {
            "kind": "normed convolution",
            "kernel": self.kernel,
            "channels": self.channels,
            "convolutions": 1,
            "divides": 1,
            "skip": 0,
        }

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the output: (C, H, W) -> (C', H, W)."""
        return (self.channels, *shape[1:])

    def build(self, inputs: int, mechanism: "AbstractMechanism") -> "TransferModule":
        """Make the layer as a stage of a backbone."""
        from lasem.nn._stage import TransferModule

        return TransferModule(partial(self._module, inputs), mechanism)

    def _module(self, inputs: int, source: "Generator") -> "NormBlock":
        from lasem.nn._blocks import NormBlock

        return NormBlock(inputs, self.channels, self.kernel, source=source)


@dataclass(frozen=True)
class BasicBlock:
    """A residual block: two 3x3 convolutions with batch norm, which decide together, and the skip around them.

    Attributes:
        channels: Number of outputs.
        stride: Stride of the first convolution; above 1 the skip is a projection.
        average: Whether the result is averaged over all positions.
    """

    channels: int
    stride: int = 1
    average: bool = False
    convolutions: ClassVar[int] = 2

    @property
    def summary(self) -> str:
        """Channels, stride and average in a few characters."""
        stride, average = f" /{self.stride}" if self.stride > 1 else "", " average" if self.average else ""
        return f"block {self.channels}{stride}{average}"

    def describe(self) -> dict[str, object]:
        """Describe the block as JSON; `divides` is 0 where it averages over all positions."""
        return {
            "kind": "block",
            "kernel": 3,
            "channels": self.channels,
            "convolutions": 2,
            "divides": 0 if self.average else self.stride,
            "skip": 0,
        }

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the output: (C, H, W) -> (C', ceil(H/stride), ceil(W/stride)), averaged (C', 1, 1)."""
        return (self.channels, *(1 if self.average else -(-size // self.stride) for size in shape[1:]))

    def build(self, inputs: int, mechanism: "AbstractMechanism") -> "TransferModule":
        """Make the block as one stage of a backbone."""
        from lasem.nn._stage import TransferModule

        return TransferModule(partial(self._module, inputs), mechanism)

    def _module(self, inputs: int, source: "Generator") -> "NormBlock":
        from lasem.nn._blocks import NormBlock

        return NormBlock(
            inputs, self.channels, 3, stride=self.stride, residual=True, average=self.average, source=source
        )


Row = Conv | NormConv | BasicBlock
