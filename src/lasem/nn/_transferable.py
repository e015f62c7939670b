"""What a stage is made of: a layer that can be had in two versions, and a version ready for use.

Nothing here assumes a convolution. A layer, a block or a whole sub-network of a user fits as soon as it says how to
make an own version, shared knowledge, and a task's mapping that reads a shared version from it.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from lasem.errors import LasemError


class AbstractBranch(ABC):
    """One version of a layer, with its kernel already read: a function of images."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Apply to every node's own batch: (N, B, C, H, W) -> (N, B, C', H', W')."""

    @abstractmethod
    def module(self) -> nn.Module:
        """The same function as a plain module with its own copy of the values, on (B, C, H, W)."""

    def running(self, statistics: nn.Module) -> "AbstractBranch":
        """The same branch, normalizing by a task's running statistics instead of its batch; itself without norm."""
        del statistics
        return self

    def activations(self, x: Tensor) -> Tensor:
        """What mixtures of branches are taken of; `finish` makes the output of it."""
        return self(x)

    def finish(self, activations: Tensor) -> Tensor:
        """The part without parameters, alike for both branches of a stage, that follows a mixture: such as a pool."""
        return activations


class AbstractTransferable(ABC):
    """A layer in two versions. It holds no parameters: `Stage` keeps those it makes."""

    @abstractmethod
    def new_shared(self, source: Generator) -> nn.Module:
        """Shared knowledge, initialized from ``source``."""

    @abstractmethod
    def new_own(self, source: Generator) -> nn.Module:
        """A task's own version."""

    @abstractmethod
    def new_mapping(self, source: Generator) -> nn.Module:
        """The parameters by which a task reads its shared version; without any where knowledge is used as it is."""

    def new_statistics(self) -> nn.Module | None:
        """A task's running statistics, as buffers of a module; None for layers without batch norm."""
        return None

    @abstractmethod
    def own_branch(self, own: nn.Module) -> AbstractBranch:
        """Make the own version ready for use."""

    @abstractmethod
    def shared_branch(self, shared: nn.Module, mapping: nn.Module) -> AbstractBranch:
        """Read the shared version from knowledge, ready for use."""

    @abstractmethod
    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the output for an input of this shape, both without leading axes."""

    def own_copy(self, shared: nn.Module, mapping: nn.Module) -> nn.Module:
        """An own version equal to the shared one as it is now.

        Raises:
            LasemError: The layer has no such version.
        """
        del shared, mapping
        raise LasemError(
            f"a first task that is not searched needs layers that can be copied - {type(self).__name__} has no"
            ' own_copy - write one, or set learner.first_task to "searched"'
        )

    def penalty(self, mapping: nn.Module) -> Tensor | None:
        """Regularizer of a mapping, a scalar; None where the mechanism has none."""
        del mapping


@dataclass(frozen=True)
class ModuleBranch(AbstractBranch):
    """A branch that is a module of any kind."""

    inner: nn.Module

    def __call__(self, x: Tensor) -> Tensor:
        """(N, B, ...) -> (N, B, ...); nodes and batch are one axis inside the module."""
        return self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def module(self) -> nn.Module:
        """A copy of the module."""
        return copy.deepcopy(self.inner)


class TransferModule(AbstractTransferable):
    """Hard parameter sharing of any module: a linear layer, a residual block, a part of a user's network.

    Args:
        make: Builds the module with fresh parameters from a generator.
        output: Shape of the output for the shape of an input, both without the batch axis.
    """

    def __init__(
        self, make: Callable[[Generator], nn.Module], *, output: Callable[[tuple[int, ...]], tuple[int, ...]]
    ) -> None:
        self.make = make
        self.output = output

    def new_shared(self, source: Generator) -> nn.Module:
        """The module all tasks may use."""
        return self.make(source)

    def new_own(self, source: Generator) -> nn.Module:
        """A task's own module."""
        return self.make(source)

    def new_mapping(self, source: Generator) -> nn.Module:
        """Nothing: the shared module is used as it is."""
        del source
        return nn.Module()

    def own_branch(self, own: nn.Module) -> AbstractBranch:
        """The own module."""
        return ModuleBranch(own)

    def shared_branch(self, shared: nn.Module, mapping: nn.Module) -> AbstractBranch:
        """The shared module."""
        del mapping
        return ModuleBranch(shared)

    def own_copy(self, shared: nn.Module, mapping: nn.Module) -> nn.Module:
        """A copy of the module."""
        del mapping
        return copy.deepcopy(shared)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As given by the constructor."""
        return self.output(shape)
