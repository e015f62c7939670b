"""The branches of a stage with their parameters computed: functions that the tree applies to its nodes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lasem.configurations import BRANCHES, OWN, SHARED
from lasem.errors import LasemError
from lasem.nn._template import Template
from lasem.seeds import derive_seed

Path = tuple[int, ...]
"""Digits of the decisions that lead to a node of the tree."""


class MissingBranchError(LasemError, LookupError):
    """A task was asked for a branch that it does not have."""


class AbstractBranch(ABC):
    """A stage with the parameters of one branch, ready for use: a function of the batches of all nodes."""

    @abstractmethod
    def __call__(self, x: Tensor, paths: Sequence[Path] | None = None) -> Tensor:
        """Apply the branch to every node's own batch: (N, B, ...) -> (N, B, ...).

        Args:
            x: Batches of all nodes.
            paths: What tells each node's random numbers from those of other nodes: the decisions that lead to it.
                Numbers from 0 by default.
        """

    @abstractmethod
    def module(self) -> nn.Module:
        """Return the same function as a module with its own copies of the values: (B, ...) -> (B, ...)."""


@dataclass(frozen=True)
class Branch(AbstractBranch):
    """One branch of a stage, with its parameters computed.

    Attributes:
        template: The stage's module.
        tensors: Values of the module's parameters and buffers, by name.
        statistics: Running statistics of the task; None to normalize by the batch.
        training: Whether the module is in training mode.
        seed: Decides, with the path of a node, the random numbers that the module draws; None where it draws none.
    """

    template: Template
    tensors: Mapping[str, Tensor]
    statistics: nn.Module | None = None
    training: bool = True
    seed: int | None = None

    def __call__(self, x: Tensor, paths: Sequence[Path] | None = None) -> Tensor:
        """Apply the branch to every node's own batch: (N, B, ...) -> (N, B, ...)."""
        if self.seed is not None:
            return torch.stack(self._random(x, paths))
        y = self.template.compute(
            self.tensors, x.flatten(0, 1), nodes=len(x), statistics=self.statistics, training=self.training
        )
        return y.unflatten(0, x.shape[:2])

    def _random(self, x: Tensor, paths: Sequence[Path] | None) -> list[Tensor]:
        """Apply the branch to one node after another, each with random numbers of its own: N times (B, ...)."""
        # In one batch, what a node draws would depend on the other nodes, and so on how the tree is divided.
        assert self.seed is not None
        seeds = [derive_seed(self.seed, *path) for path in paths or [(node,) for node in range(len(x))]]
        return [
            self.template.compute(self.tensors, node, statistics=self.statistics, training=self.training, seed=seed)
            for node, seed in zip(x, seeds, strict=True)
        ]

    def activations(self, x: Tensor, path: Path) -> Tensor:
        """Compute what a mixture averages: (N, B, ...) -> (N B, ...); see `AbstractPureModule.activations`."""
        if self.seed is not None:
            return torch.cat(self._random(x, [(*path, node) for node in range(len(x))]))
        return self.template.activations(self.tensors, x.flatten(0, 1), nodes=len(x))

    def module(self) -> nn.Module:
        """Return the same function as a module with its own copies of the values: (B, ...) -> (B, ...)."""
        return self.template.filled(self.tensors, self.statistics)


@dataclass(frozen=True)
class Mixture(AbstractBranch):
    """The weighted sum of all branches' activations, which a differentiable search trains.

    Attributes:
        branches: The branches, own branch first.
        weights: One weight per branch.
    """

    branches: tuple[Branch, ...]
    weights: Tensor

    def __call__(self, x: Tensor, paths: Sequence[Path] | None = None) -> Tensor:
        """Mix, then apply what has no parameters, such as a pool: (N, B, ...) -> (N, B, ...)."""
        del paths  # a mixture is no node of a tree; its branches draw apart from each other
        mixed: Tensor | None = None
        for digit, (weight, branch) in enumerate(zip(self.weights.to(x.dtype).unbind(), self.branches, strict=True)):
            term = weight * branch.activations(x, (digit,))
            mixed = term if mixed is None else mixed + term
        assert mixed is not None
        return self.branches[0].template.finish(mixed).unflatten(0, x.shape[:2])

    def module(self) -> nn.Module:
        """Refuse, because a commit keeps one of the branches."""
        raise LasemError(
            "a branch must be committed to become a module (got a mixture of all); commit one of them first"
        )


@dataclass(frozen=True)
class Fork:
    """The branches of a stage that a task has, ready for use.

    Attributes:
        branches: Branches by digit: 0 own, 1 shared, 2 frozen.
    """

    branches: Mapping[int, AbstractBranch]

    def branch(self, digit: int) -> AbstractBranch:
        """Return the branch of a digit: 0 for the own branch, 1 for the shared one, 2 for the frozen one."""
        if digit not in self.branches:
            known = BRANCHES[digit] if digit in range(len(BRANCHES)) else repr(digit)
            raise MissingBranchError(
                f"a task must have been opened with a branch to use it (got no {known} branch at a stage);"
                " name that branch in `uses` of begin_task"
            )
        return self.branches[digit]

    @property
    def trained(self) -> AbstractBranch:
        """The own branch, or the shared one where there is no own one, or else the frozen one."""
        return self.branch(min(self.branches, default=OWN))

    def mixed(self, weights: Tensor) -> "Fork":
        """Return a fork whose shared branch is the weighted sum of all: one weight per branch, own branch first."""
        branches = tuple(self.branch(digit) for digit in range(len(weights)))
        plain = tuple(branch for branch in branches if isinstance(branch, Branch))
        return Fork({SHARED: Mixture(plain, weights)})
