"""Memory and work of one step of a search, for any partition of its network, known before any step is made."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lasem.benchmarks import Outline
from lasem.configurations import LARGEST_SPACE, Partition
from lasem.formats import duration, memory_size
from lasem.memory import available_memory
from lasem.nn import AnyNetwork, Backbone, nested_partitions
from lasem.runs import Spec, build_mechanism, build_strategy
from lasem.search import (
    Candidates,
    DropoutMasks,
    TreeSize,
    em_multiply_adds,
    list_candidates,
    node_bytes,
    saved_bytes,
    static_multiply_adds,
    tree_bytes,
    tree_sizes,
)

MOST_SUGGESTIONS = 3
"""Most partitions that an error message suggests."""


@runtime_checkable
class ListsCandidates(Protocol):
    """A strategy that chooses among the candidates of a partition; by itself it trains one candidate at a time."""

    @property
    def partition(self) -> Partition | None:
        """Groups of stages that decide together; None lets every stage decide by itself."""
        ...

    @property
    def candidates(self) -> Candidates | None:
        """(K, G) digits, or "ordered"; None stands for all configurations of the partition."""
        ...


@runtime_checkable
class EvaluatesTree(ListsCandidates, Protocol):
    """A strategy whose every step evaluates all its candidates in one tree, so that its cost follows from counting."""

    @property
    def m_steps(self) -> int:
        """Optimizer steps per evaluation of the tree."""
        ...

    @property
    def memory(self) -> float | None:
        """MiB of activations above which the tree is evaluated in sub-trees; None never divides it."""
        ...


@dataclass(frozen=True)
class Limits:
    """Limits that a run must respect.

    Attributes:
        memory: Bytes that a step may take; None sets no limit.
        hours: Hours of training and evaluation; None sets no limit.
    """

    memory: int | None
    hours: float | None = None

    @staticmethod
    def of(device: torch.device, *, memory: int | None = None, hours: float | None = None) -> "Limits":
        """Make limits; the default for memory is what is available on a device now."""
        return Limits(available_memory(device) if memory is None else memory, hours)


@dataclass(frozen=True)
class StepCost:
    """Cost of one step of a search.

    Attributes:
        partition: Groups of the network's layers, as a spec counts them; None for the spec's own search.
        candidates: Number K of candidates.
        activation_bytes: Most that a backward pass stores, with dropout masks and generated kernels.
        bytes: The activations, and parameters with gradients, optimizer state and the copy for the roll-back.
        work: Multiply-adds in units of one network's step; for candidates that train in turn their number K.
        subtrees: Number of sub-trees that are evaluated one after another; 1 evaluates the whole tree at once.
        subtree_bytes: Activations of the largest sub-tree: the smallest `search.memory` that leads to so many.
    """

    partition: Partition | None
    candidates: int
    activation_bytes: int
    bytes: int
    work: float
    subtrees: int = 1
    subtree_bytes: int = 0


@dataclass(frozen=True)
class SearchCost:
    """Cost of one search, with the measurements needed to predict the cost of other partitions.

    Attributes:
        network: Layers of the network.
        strategy: Strategy of the search, with its partition over stages.
        node_bytes: (d + 1,) bytes that a node of the tree stores for one batch; see `lasem.search.node_bytes`.
        stage_work: (d,) multiply-adds of every stage for one image.
        kernel_bytes: Bytes that generating kernels stores for the backward pass, once per step.
        model_bytes: Bytes of parameters, gradients, optimizer state and the copy for the roll-back.
        features: Number of values of a leaf's features for one batch.
        keep: Probability with which dropout keeps a feature.
        stochastic: Whether modules of stages draw random numbers, such as dropout masks.
        seconds: Predicts the seconds of a whole run from the cost of a step; None if nothing was timed.
    """

    network: AnyNetwork
    strategy: ListsCandidates
    node_bytes: Sequence[int]
    stage_work: Sequence[int]
    kernel_bytes: int
    model_bytes: int
    features: int
    keep: float
    stochastic: bool = False
    seconds: Callable[[StepCost], float] | None = None

    @property
    def in_turn(self) -> bool:
        """Whether candidates train one at a time, not in one tree."""
        return not isinstance(self.strategy, EvaluatesTree)

    def step(self, partition: Partition | None = None) -> StepCost:
        """Return the cost of a step of this search, or of the same search over all candidates of another partition.

        With `search.memory`, the tree is divided into as few sub-trees as the budget allows. If the budget is too small
        for one candidate, this is the cost of evaluating candidates one by one.

        Args:
            partition: Groups of the network's layers, as a spec counts them.
        """
        steps = list(self.divided_steps(partition))
        return next((step for step in steps if self.within_budget(step)), steps[-1])

    @property
    def budget(self) -> float | None:
        """Bytes of activations that `search.memory` allows for one backward pass; None if it sets no limit."""
        memory = self.strategy.memory if isinstance(self.strategy, EvaluatesTree) else None
        return None if memory is None else memory * 2**20

    def within_budget(self, step: StepCost) -> bool:
        """Return whether `search.memory` allows a step."""
        return self.budget is None or step.subtree_bytes <= self.budget

    def divided_steps(self, partition: Partition | None = None) -> Iterator[StepCost]:
        """Yield the cost of a step over the whole tree, then over smaller and smaller sub-trees; see `step`."""
        groups, wanted = self.strategy.partition or Partition.single(len(self.stage_work)), self.strategy.candidates
        if partition is not None:
            groups, wanted = self.network.stage_partition(partition), "ordered" if wanted == "ordered" else None
        branches = self.network.branches
        listed = list_candidates(wanted, groups=groups.num_groups, branches=branches)
        candidates = branches**groups.num_groups if listed is None else len(listed)
        if self.in_turn:
            activations = tree_bytes([1] * len(self.stage_work), self.node_bytes) + self.kernel_bytes
            yield StepCost(partition, candidates, activations, self.model_bytes + activations, work=candidates)
            return
        for size in tree_sizes(groups, listed, self.node_bytes, branches=branches):
            yield self._tree_step(partition, candidates, size)

    def _tree_step(self, partition: Partition | None, candidates: int, size: TreeSize) -> StepCost:
        """Return the cost of a step over a tree that is divided in one way."""
        stored = tree_bytes(size.widest, self.node_bytes)
        masks = DropoutMasks.held_bytes(candidates, size.widest[-1], self.features, keep=self.keep)
        activations = stored + masks + self.kernel_bytes
        m_steps = self.strategy.m_steps if isinstance(self.strategy, EvaluatesTree) else 1
        separate = self.stochastic or getattr(self.strategy, "held_out", "none") != "none"
        work = em_multiply_adds(self.stage_work, size, m_steps=m_steps, separate=separate)
        return StepCost(
            partition=partition,
            candidates=candidates,
            activation_bytes=activations,
            bytes=self.model_bytes + activations,
            work=work / static_multiply_adds(self.stage_work),
            subtrees=size.parts,
            subtree_bytes=stored,
        )

    def faults(self, limits: Limits, step: StepCost | None = None) -> list[str]:
        """Return in words what does not fit, of this search's own step or of another one."""
        return list(self._faults(limits, step or self.step()))

    def _faults(self, limits: Limits, step: StepCost) -> Iterator[str]:
        """Yield one sentence per limit that a step exceeds."""
        count = f"{step.candidates:,} candidates"
        if step.candidates > LARGEST_SPACE:
            yield f"too many candidates for this search: {count}, of which at most {LARGEST_SPACE:,} can be listed"
        if limits.memory is not None and step.bytes > limits.memory:
            need, available = memory_size(step.bytes), memory_size(limits.memory)
            yield f"not enough memory for this search: {count} need about {need} per step, {available} are available"
        if self.budget is not None and not self.within_budget(step):
            need = memory_size(step.subtree_bytes)
            yield f"search.memory is {memory_size(self.budget)}, but the activations of one candidate need {need}"
        if limits.hours is not None and self.seconds is not None and self.seconds(step) > 3600 * limits.hours:
            time = duration(self.seconds(step))
            yield f"not enough time for this search: {count} need about {time}, --max-hours is {limits.hours:g}"

    def fitting_partitions(self, limits: Limits) -> list[StepCost]:
        """Return the costs of the finest partitions that fit; they never divide what the network holds together."""
        own = self.step().candidates
        steps = (self.step(partition) for partition in reversed(nested_partitions(self.network)))
        fitting = (step for step in steps if step.candidates < own and not self.faults(limits, step))
        return list(islice(fitting, MOST_SUGGESTIONS))

    def fitting_memory(self, limits: Limits) -> tuple[int, StepCost] | None:
        """Return a `search.memory` in MiB that divides the tree into as few sub-trees as fit, and the cost of a step.

        None if the search has no tree, if its candidates cannot be listed, or if no budget fits.
        """
        if self.in_turn or self.step().candidates > LARGEST_SPACE:
            return None
        for divided in self.divided_steps():
            mebibytes = math.ceil(divided.subtree_bytes / 2**20)
            budgeted = replace(self, strategy=_with_memory(self.strategy, mebibytes))
            step = budgeted.step()
            if not budgeted.faults(limits, step):
                return mebibytes, step
        return None


def _with_memory(strategy: ListsCandidates, memory: int) -> ListsCandidates:
    """Return a strategy with another budget for activations, in MiB."""
    return replace(strategy, memory=memory)  # pyright: ignore[reportArgumentType, reportCallIssue]


def search_cost(spec: Spec, outline: Outline, *, device: torch.device) -> SearchCost | None:
    """Measure what the cost of a spec's search follows from, on a network of its own.

    The candidates are counted, not listed, so a space of any size can be asked for. Nothing of a run is touched.

    Args:
        spec: One experiment.
        outline: Outline of its stream.
        device: Device on which the network is made.

    Returns:
        The cost; None if the strategy does not choose among candidates that can be counted.
    """
    network = spec.network.options
    strategy = build_strategy(spec)
    if not isinstance(strategy, ListsCandidates):
        return None
    backbone = network.build(outline.shape, mechanism=build_mechanism(spec)).to(device)
    backbone.begin_task(0, classes=max(outline.classes), uses=[(True, True)] * len(backbone.stages))
    images = torch.zeros(spec.training.batch_size, *outline.shape, device=device)
    trained = sum(p.numel() for p in backbone.task_parameters(0))
    initial = sum(stage.num_initial for stage in backbone.iter_stages())
    trial = [p for stage in backbone.iter_stages() if stage.trial for p in stage.trial.parameters()]
    return SearchCost(
        network=network,
        strategy=strategy,
        node_bytes=node_bytes(backbone, images, 0),
        stage_work=_stage_work(backbone, images[:1].repeat(2, 1, 1, 1)),
        kernel_bytes=saved_bytes(lambda: backbone.forks(0))[1],
        # float32 values of every parameter, its gradient and its optimizer state, the copy for the roll-back, and the
        # initial values that own branches of low rank and frozen branches read
        model_bytes=4 * (3 * trained + sum(p.numel() for p in trial) + initial),
        features=len(images) * backbone.num_features,
        keep=spec.training.keep,
        stochastic=backbone.stochastic,
    )


@torch.no_grad()
def _stage_work(backbone: Backbone, images: Tensor) -> list[int]:
    """Return the multiply-adds of every stage for one image, counted along one path of the open task 0."""
    from torch.utils.flop_counter import FlopCounterMode  # takes half a second to import

    forks, found = backbone.forks(0), []

    def step(number: int, hidden: Tensor) -> Tensor:
        branch = forks[number].trained
        with FlopCounterMode(display=False) as counter:
            result = branch(hidden)
        found.append(counter.get_total_flops() // (2 * len(images)))  # a multiply-add is two operations
        return result

    backbone.walk(images, step)
    return found
