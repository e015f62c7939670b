"""Sub-trees, evaluated one after another to limit what autograd stores for one backward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lasem.configurations import ConfigurationSpace
from lasem.errors import LasemError
from lasem.nn import Backbone
from lasem.search._cost import tree_bytes
from lasem.search._task_network import TaskNetwork
from lasem.search._tree import Plan, plan

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Part:
    """Some candidates of a space, as a tree of their own.

    Attributes:
        whole: The space of all candidates.
        members: Indices of the candidates in that space, ascending.
    """

    whole: ConfigurationSpace
    members: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def space(self) -> ConfigurationSpace:
        """The space of these candidates only."""
        return self.whole.subset(self.members)

    @cached_property
    def layout(self) -> Plan:
        """The plan by which these candidates are evaluated."""
        return plan(self.space)

    @cached_property
    def by_leaf(self) -> tuple[int, ...]:
        """(N,) index of the candidate at each leaf of this tree, in the whole space."""
        return tuple(self.members[row] for row in self.layout.candidates)


def node_bytes(backbone: Backbone, images: Tensor, task: int, *, start: int = 0) -> list[int]:
    """Measure the bytes that autograd stores of one node for the backward pass of a batch: (d + 1,).

    There is one entry per stage, and a last one for the features of a leaf. The storage is measured on two and on three
    images. The difference is what one image takes, without the kernels, which all images share. A single image would
    not do, because batch norm refuses to train on one value per channel.

    Args:
        backbone: The network, with the task open.
        images: (B, C, H, W), of which the first is measured, repeated.
        task: Identity of the task.
        start: First stage that is applied; then the images are its input, and the stages before store nothing.
    """
    two, three = (_saved_by_stage(backbone, torch.cat([images[:1]] * size), task, start=start) for size in (2, 3))
    features = 3 * backbone.num_features * images.element_size()  # the features, their mask, and their product
    return [len(images) * (b - a) for a, b in zip(two, three, strict=True)] + [len(images) * features]


def _saved_by_stage(backbone: Backbone, images: Tensor, task: int, *, start: int) -> list[int]:
    """Return the bytes that autograd stores for each stage, along one path."""
    found = [0] * start
    forks = backbone.forks(task, seed=0)  # with the dropout masks that training stores

    def step(number: int, hidden: Tensor) -> Tensor:
        branch = forks[number].trained
        result, size = saved_bytes(lambda: branch(hidden))
        found.append(size)
        return result

    backbone.walk(images, step, start=start)
    return found


def saved_bytes(act: Callable[[], Outcome]) -> tuple[Outcome, int]:
    """Call a function; return its result, and the bytes that autograd stores of it for the backward pass."""
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        result = act()
    return result, sum(saved.values())


def kept_bytes(layout: Plan, per_node: Sequence[int]) -> int:
    """Return the bytes that autograd stores for the backward pass of a tree; see `node_bytes`."""
    return tree_bytes([step.nodes for step in layout.steps], per_node)


class Budget:
    """Divides candidates into sub-trees whose activations fit into memory.

    Args:
        space: All candidates.
        limit: Bytes of activations that autograd may store for one backward pass; None for no limit.
    """

    def __init__(self, space: ConfigurationSpace, limit: int | None) -> None:
        self._space, self._limit = space, limit
        self._per_node: list[int] = []
        self.part = lru_cache(maxsize=256)(self._part)
        self._divided = lru_cache(maxsize=256)(self._divide)

    def __reduce__(self) -> tuple[type["Budget"], tuple[ConfigurationSpace, int | None]]:
        """Copy and pickle without what is remembered, because a cache can be neither copied nor pickled."""
        return Budget, (self._space, self._limit)

    def _part(self, members: tuple[int, ...]) -> Part:
        """Plan the tree of some candidates, once for all steps that evaluate them."""
        return Part(self._space, members)

    def divide(
        self, members: tuple[int, ...], network: TaskNetwork, images: Tensor, *, whole: bool = False
    ) -> Sequence[Part]:
        """Divide candidates into as few sub-trees as prefixes of equal length allow, each within the limit.

        Args:
            members: Indices of the candidates.
            network: Network of the open task.
            images: A batch.
            whole: Return one tree whatever it takes, because the candidates are evaluated already.

        Raises:
            LasemError: Not even one candidate alone fits.
        """
        if self._limit is None or whole:
            return (self.part(members),)
        if not self._per_node:
            self._per_node = node_bytes(network.backbone, images, network.identity, start=network.front)
        return self._divided(members)

    def _divide(self, members: tuple[int, ...]) -> Sequence[Part]:
        needed = 0
        for depth in range(self._space.partition.num_layers + 1):
            groups: dict[tuple[int, ...], list[int]] = {}
            for member in members:
                groups.setdefault(self._space.layer_digits[member][:depth], []).append(member)
            parts = [self.part(tuple(group)) for group in groups.values()]
            needed = max(kept_bytes(part.layout, self._per_node) for part in parts)
            if self._limit is None or needed <= self._limit:
                return parts
        raise LasemError(
            f"search.memory must be enough for the activations of one candidate, {needed / 2**20:.1f} MiB here"
            f" (got {(self._limit or 0) / 2**20:.1f} MiB); raise it, or lower training.batch_size"
        )
