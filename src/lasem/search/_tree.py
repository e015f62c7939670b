"""Evaluation of all candidates in one pass: they are the leaves of a tree over the stages.

Networks that decide alike on the first l layers compute the same there, so each distinct prefix of decisions is
computed once. In the full space of d layers, layer l has 2^(l-1) inputs instead of 2^d. The nodes of the tree are an
axis: `hidden` is (N, B, C, H, W), one node per distinct prefix, each on the same batch. A stage applies the branch of
each digit to the nodes that continue with it (0 own, 1 shared, 2 frozen), and concatenates the results. Nodes whose
whole prefix is frozen read no parameter that trains, so autograd stores nothing of them.

Layers of one group need no special case: a prefix that shares the first layer of a group has no continuation that does
not share the others. An identity skip may go around decisions; each node then adds the activation of its own ancestor.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace
from lasem.nn import Backbone, Skip, indices

Path = tuple[int, ...]
"""Digits of the decisions that lead to a node."""

Nodes = slice | tuple[int, ...]
"""Nodes of the tree after one stage, as indices of the first axis."""


@dataclass(frozen=True)
class Step:
    """The nodes to which one stage applies its branches.

    Attributes:
        taken: Per digit, the nodes that continue with its branch; the results follow one another in this order.
        nodes: Number of nodes after the stage.
    """

    taken: tuple[Nodes, ...]
    nodes: int

    @property
    def parents(self) -> list[int]:
        """The node before the stage that each node after it comes from."""
        return [row for rows in self.taken for row in _listed(rows)]


@dataclass(frozen=True)
class Plan:
    """The tree of a space of candidates.

    Attributes:
        steps: One step per stage.
        candidates: (K,) index of the candidate at each leaf.
    """

    steps: tuple[Step, ...]
    candidates: tuple[int, ...]

    @cached_property
    def paths(self) -> tuple[tuple[Path, ...], ...]:
        """For each stage and each node after it, the digits of the decisions that lead to the node."""
        found: list[tuple[Path, ...]] = []
        before: tuple[Path, ...] = ((),)
        for step in self.steps:
            digits = [digit for digit, rows in enumerate(step.taken) for _ in _listed(rows)]
            before = tuple((*before[row], digit) for row, digit in zip(step.parents, digits, strict=True))
            found.append(before)
        return tuple(found)

    def ancestors(self, skip: Skip) -> tuple[int, ...]:
        """Return for each node after a skip the node before it from which it descends."""
        rows = list(range(self.steps[skip.end].nodes))
        for step in reversed(self.steps[skip.start : skip.end + 1]):
            parents = step.parents
            rows = [parents[row] for row in rows]
        return tuple(rows)


@lru_cache(maxsize=256)
def plan(space: ConfigurationSpace) -> Plan:
    """Plan the tree of a space: its distinct prefixes, stage by stage."""
    prefixes: dict[tuple[int, ...], int] = {(): 0}
    steps: list[Step] = []
    for depth in range(1, space.partition.num_layers + 1):
        wanted = {digits[:depth] for digits in space.layer_digits}
        branches = range(space.branches)
        rows = [[row for prefix, row in prefixes.items() if (*prefix, digit) in wanted] for digit in branches]
        before = list(prefixes)
        children = [(*before[row], digit) for digit in branches for row in rows[digit]]
        steps.append(Step(taken=tuple(map(_adjacent, rows)), nodes=len(children)))
        prefixes = {prefix: row for row, prefix in enumerate(children)}
    index = {digits: candidate for candidate, digits in enumerate(space.layer_digits)}
    return Plan(steps=tuple(steps), candidates=tuple(index[digits] for digits in prefixes))


def _adjacent(rows: list[int]) -> Nodes:
    """Return adjacent nodes as a slice, which makes a view instead of a copy, and others as they are."""
    if not rows:
        return slice(0, 0)
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else tuple(rows)


def _listed(rows: Nodes) -> list[int] | tuple[int, ...]:
    """Return nodes one by one."""
    return list(range(rows.start, rows.stop)) if isinstance(rows, slice) else rows


def leaf_features(
    backbone: Backbone, images: Tensor, task: int, *, layout: Plan, seed: int | None = None, start: int = 0
) -> Tensor:
    """Run a batch through every path: (B, C, H, W) -> (K, B, F), in the order of the leaves.

    Args:
        backbone: The network.
        images: A batch.
        task: Identity of the task.
        layout: Plan of the tree.
        seed: Decides what the modules of stages draw, such as dropout masks. A node draws the same in every tree that
            has it. Without a seed, modules draw nothing.
        start: First stage that is applied; then `images` is its input, which all candidates have in common.
    """
    forks = backbone.forks(task, seed=seed)

    def step(number: int, hidden: Tensor) -> Tensor:
        rows = layout.steps[number].taken
        taken = [(digit, _take(hidden, nodes)) for digit, nodes in enumerate(rows) if nodes != slice(0, 0)]
        if seed is None:
            results = [forks[number].branch(digit)(nodes) for digit, nodes in taken]
        else:
            paths = [[path for path in layout.paths[number] if path[-1] == digit] for digit, _ in taken]
            results = [forks[number].branch(digit)(nodes, ps) for (digit, nodes), ps in zip(taken, paths, strict=True)]
        return _joined(results) if len(results) > 1 else results[0]

    return backbone.walk(images, step, ancestors=layout.ancestors, start=start)


def _joined(results: list[Tensor]) -> Tensor:
    """Concatenate the nodes of all branches: (N, B, ...), (M, B, ...) -> (N + M, B, ...)."""
    # `cat` preserves the channels-last layout of tensors with four axes only, so nodes and batch are one axis here.
    return torch.cat([result.flatten(0, 1) for result in results]).unflatten(0, (-1, results[0].shape[1]))


def _take(hidden: Tensor, rows: Nodes) -> Tensor:
    """Select nodes: (N, ...) -> (M, ...)."""
    # If all are selected, there is no indexing step: its backward pass would fill and copy a tensor of this size.
    if rows == slice(0, len(hidden)):
        return hidden
    return hidden[rows] if isinstance(rows, slice) else hidden[indices(rows, hidden.device)]
