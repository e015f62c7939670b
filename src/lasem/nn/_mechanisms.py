"""Mechanisms: how a convolution's kernel is read from shared knowledge.

A mechanism is a kernel reader without parameters of its own: it makes the shared parameters of a layer, makes the
parameters of a task's mapping, and reads a weight and a bias from the two.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from lasem.nn._initializers import constant_bias, truncated_normal


@dataclass(frozen=True)
class ConvShape:
    """Sizes of a convolution's kernel: (outputs, inputs, kernel, kernel).

    Attributes:
        channels: (c_kb, c_ts) of DF-CNN, where the network lists them; see `DeconvolutionalFactorization`.
    """

    inputs: int
    outputs: int
    kernel: int
    channels: tuple[int, int] | None = None

    @property
    def weight(self) -> tuple[int, int, int, int]:
        """Shape of the weight."""
        return (self.outputs, self.inputs, self.kernel, self.kernel)


def plain_kernel(shape: ConvShape, source: Generator) -> nn.ParameterDict:
    """Parameters of an ordinary convolution: weight (C', C, k, k), truncated normal, and bias (C',) of 0.2."""
    return nn.ParameterDict(
        {"weight": truncated_normal(shape.weight, source=source), "bias": constant_bias(shape.outputs)}
    )


class AbstractMechanism(ABC):
    """A kernel reader; a frozen dataclass of its options, so that a spec can name them."""

    @abstractmethod
    def new_shared(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """Shared parameters of a layer."""

    @abstractmethod
    def new_mapping(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """A task's parameters to read them by."""

    @abstractmethod
    def read(self, shared: nn.ParameterDict, mapping: nn.ParameterDict) -> tuple[Tensor, Tensor]:
        """Read a weight (C', C, k, k) and a bias (C',)."""

    @abstractmethod
    def penalty(self, mapping: nn.ParameterDict) -> Tensor | None:
        """Regularizer of a mapping, a scalar; None without one."""


@dataclass(frozen=True)
class HardParameterSharing(AbstractMechanism):
    """HPS: the shared parameters are the kernel (Caruana 1997)."""

    def new_shared(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """A weight and a bias."""
        return plain_kernel(shape, source)

    def new_mapping(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """Nothing."""
        del shape, source
        return nn.ParameterDict()

    def read(self, shared: nn.ParameterDict, mapping: nn.ParameterDict) -> tuple[Tensor, Tensor]:
        """The shared weight and bias themselves."""
        del mapping
        return shared["weight"], shared["bias"]

    def penalty(self, mapping: nn.ParameterDict) -> None:
        """None."""
        del mapping
