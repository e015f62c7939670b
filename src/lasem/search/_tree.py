"""All candidates in one pass: the configurations of a space as the leaves of a tree over the stages.

Networks that decide alike on the first l layers compute the same there, so a prefix of decisions is computed once.
The tree lives in an axis: `hidden` is (N, B, C, H, W), one node per distinct prefix, each on the same batch. A stage
applies its own branch to the nodes that continue with 0, its shared branch to those that continue with 1, and
concatenates. In the full space of d layers, layer l has 2^(l-1) inputs instead of 2^d. Layers of one group need no
special case: a prefix that shared the group's first layer has no continuation that does otherwise.
An identity skip may go around decisions: it follows its node, so each node adds the activation of its own ancestor.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace
from lasem.nn import Backbone, Skip, indices

Rows = slice | tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """What one stage does to the nodes before it.

    Attributes:
        own: Nodes that its own branch takes.
        shared: Nodes that its shared branch takes; their results follow those of the own branch.
        nodes: Number of nodes after it.
    """

    own: Rows
    shared: Rows
    nodes: int

    @property
    def parents(self) -> list[int]:
        """Per node after it, the node before it."""
        return [*_listed(self.own), *_listed(self.shared)]


@dataclass(frozen=True)
class Plan:
    """How a space is evaluated.

    Attributes:
        steps: One per stage.
        candidates: (K,) the candidate that each leaf holds.
    """

    steps: tuple[Step, ...]
    candidates: tuple[int, ...]

    def ancestors(self, skip: Skip) -> tuple[int, ...]:
        """Per node after a skip, the node before it that it descends from."""
        rows = list(range(self.steps[skip.end].nodes))
        for step in reversed(self.steps[skip.start : skip.end + 1]):
            parents = step.parents
            rows = [parents[row] for row in rows]
        return tuple(rows)


@lru_cache(maxsize=256)
def plan(space: ConfigurationSpace) -> Plan:
    """Lay out the tree of a space's prefixes."""
    prefixes: dict[tuple[int, ...], int] = {(): 0}
    steps: list[Step] = []
    for depth in range(1, space.partition.num_layers + 1):
        wanted = {bits[:depth] for bits in space.layer_bits}
        rows = [[row for prefix, row in prefixes.items() if (*prefix, bit) in wanted] for bit in (0, 1)]
        before = list(prefixes)
        children = [(*before[row], bit) for bit in (0, 1) for row in rows[bit]]
        steps.append(Step(own=_rows(rows[0]), shared=_rows(rows[1]), nodes=len(children)))
        prefixes = {prefix: row for row, prefix in enumerate(children)}
    index = {bits: candidate for candidate, bits in enumerate(space.layer_bits)}
    return Plan(steps=tuple(steps), candidates=tuple(index[bits] for bits in prefixes))


def _rows(rows: list[int]) -> Rows:
    """Adjacent rows as a slice, which takes a view; others as they are."""
    if not rows:
        return slice(0, 0)
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else tuple(rows)


def _listed(rows: Rows) -> list[int] | tuple[int, ...]:
    """Rows one by one."""
    return list(range(rows.start, rows.stop)) if isinstance(rows, slice) else rows


def leaf_features(backbone: Backbone, images: Tensor, task: int, *, layout: Plan) -> Tensor:
    """Run a batch through every path: (B, C, H, W) -> (K, B, F), in the order of the leaves."""
    forks = backbone.forks(task)

    def step(number: int, hidden: Tensor) -> Tensor:
        rows = (layout.steps[number].own, layout.steps[number].shared)
        taken = [(bit, _take(hidden, nodes)) for bit, nodes in enumerate(rows) if nodes != slice(0, 0)]
        results = [forks[number].branch(bit)(nodes) for bit, nodes in taken]
        return _joined(results) if len(results) > 1 else results[0]

    return backbone.walk(images, step, ancestors=layout.ancestors)


def in_space_order(leaves: Tensor, layout: Plan) -> Tensor:
    """Put what was computed per leaf into the order of the candidates: (K, ...) -> (K, ...)."""
    if layout.candidates == tuple(range(len(layout.candidates))):
        return leaves
    return torch.empty_like(leaves).index_copy(0, indices(layout.candidates, leaves.device), leaves)


def _joined(results: list[Tensor]) -> Tensor:
    """Concatenate nodes; as (N B, C, H, W), since `cat` keeps channels last of four axes only."""
    return torch.cat([result.flatten(0, 1) for result in results]).unflatten(0, (-1, results[0].shape[1]))


def _take(hidden: Tensor, rows: Rows) -> Tensor:
    """Nodes of an axis; all of them without an indexing step, whose backward pass would fill and copy."""
    if rows == slice(0, len(hidden)):
        return hidden
    return hidden[rows] if isinstance(rows, slice) else hidden[indices(rows, hidden.device)]
