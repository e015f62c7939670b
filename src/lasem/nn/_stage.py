"""A stage: the smallest unit that decides between a task's own branch and the shared one."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lasem.errors import LasemError
from lasem.nn._initializers import generator
from lasem.nn._transferable import AbstractBranch, AbstractTransferable
from lasem.seeds import derive_seed


class MissingBranchError(LasemError, LookupError):
    """A task was asked for a branch that it does not have."""


@dataclass(frozen=True)
class Fork:
    """Both branches of a stage, ready for use; None where a task does not have it."""

    own: AbstractBranch | None
    shared: AbstractBranch | None

    def branch(self, bit: int) -> AbstractBranch:
        """The shared branch for 1, the own for 0."""
        branch = self.shared if bit else self.own
        if branch is None:
            raise MissingBranchError(f"this task has no {'shared' if bit else 'own'} branch at this stage")
        return branch

    def __call__(self, x: Tensor) -> Tensor:
        """Apply both branches: (N, B, ...) -> (2 N, B, ...), all results of the own branch first."""
        return torch.cat([self.branch(0)(x), self.branch(1)(x)])

    def mixed(self, weights: Tensor) -> "Fork":
        """A fork whose shared branch is the weighted sum of both: (2,) weights, own branch first."""
        return Fork(own=None, shared=Mixture(own=self.branch(0), shared=self.branch(1), weights=weights))


@dataclass(frozen=True)
class Mixture(AbstractBranch):
    """Weighted sum of both branches' activations, which a differentiable search trains.

    Attributes:
        own: Own branch.
        shared: Shared branch.
        weights: (2,), own branch first.
    """

    own: AbstractBranch
    shared: AbstractBranch
    weights: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(N, B, ...) -> (N, B, ...)."""
        own, shared = self.weights.to(x.dtype).unbind()
        return self.shared.finish(own * self.own.activations(x) + shared * self.shared.activations(x))

    def module(self) -> nn.Module:
        """None: a commit keeps one of the branches."""
        raise LasemError("a mixture of branches is only trained - it has no module of its own - commit one branch")


class Stage(nn.Module):
    """Parameters of one layer: shared knowledge, and each task's own version or mapping.

    While a task is learned, `trial` is its copy of the shared knowledge; `commit` keeps or drops it. Entries of `own`,
    `mapping` and, in layers with batch norm, `statistics` are named after the task.

    Args:
        layer: How versions are made and read.
        index: Position of the stage, from 0.
        seed: Seed of all initial values.
    """

    def __init__(self, layer: AbstractTransferable, *, index: int, seed: int) -> None:
        super().__init__()
        self.layer = layer
        self.index = index
        self.seed = seed
        self.shared = layer.new_shared(generator(derive_seed(seed, "shared", index)))
        self.trial: nn.Module | None = None
        self.own = nn.ModuleDict()
        self.mapping = nn.ModuleDict()
        self.statistics = nn.ModuleDict()

    def redraw_shared(self, task: int) -> nn.Module:
        """Shared knowledge drawn anew, as if nothing had been learned."""
        return self.layer.new_shared(generator(derive_seed(self.seed, "shared", self.index, task)))

    def new_own(self, task: int) -> nn.Module:
        """A fresh own version for a task."""
        return self.layer.new_own(generator(derive_seed(self.seed, "own", self.index, task)))

    def new_mapping(self, task: int) -> nn.Module:
        """A fresh mapping for a task."""
        return self.layer.new_mapping(generator(derive_seed(self.seed, "mapping", self.index, task)))

    def open_trial(self) -> None:
        """Copy the shared knowledge for the task that is about to be learned."""
        self.trial = copy.deepcopy(self.shared)

    def commit(self, task: int, *, share: bool) -> None:
        """End a task: keep its shared branch with what it learned, or its own and the knowledge from before."""
        dropped = self.own if share else self.mapping
        if str(task) in dropped:
            del dropped[str(task)]
        if share and self.trial is not None:
            self.shared = self.trial
        self.trial = None

    def abandon(self, task: int, *, new: bool) -> None:
        """Drop the trial copy, and what a new task has."""
        self.trial = None
        for group in (self.own, self.mapping):
            if new and str(task) in group:
                del group[str(task)]

    def detach(self, task: int) -> None:
        """Replace a task's mapping by an own version equal to what it reads now."""
        self.own[str(task)] = self.layer.own_copy(self.shared, self.mapping[str(task)])
        del self.mapping[str(task)]

    def fork(self, task: int, *, trial: bool, running: bool = False) -> Fork:
        """Read the branches that a task has, once for as many uses as follow.

        Args:
            task: Identity of the task.
            trial: Read the trial copy of the shared knowledge, where there is one.
            running: Normalize by the task's running statistics instead of each node's batch.
        """
        key = str(task)
        knowledge = self.trial if trial and self.trial is not None else self.shared
        own = self.layer.own_branch(self.own[key]) if key in self.own else None
        shared = self.layer.shared_branch(knowledge, self.mapping[key]) if key in self.mapping else None
        if running and key in self.statistics:
            own, shared = (branch and branch.running(self.statistics[key]) for branch in (own, shared))
        return Fork(own=own, shared=shared)
