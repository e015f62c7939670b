"""Parts of a space, evaluated one after another so that what a backward pass keeps stays within a budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

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
        whole: The space.
        members: Their indices in it, ascending.
    """

    whole: ConfigurationSpace
    members: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def space(self) -> ConfigurationSpace:
        """They alone."""
        return self.whole.subset(self.members)

    @cached_property
    def layout(self) -> Plan:
        """How they are evaluated."""
        return plan(self.space)

    @cached_property
    def by_leaf(self) -> tuple[int, ...]:
        """(N,) per leaf of their tree, the index in the whole space."""
        return tuple(self.members[row] for row in self.layout.candidates)


def node_bytes(backbone: Backbone, images: Tensor, task: int) -> list[int]:
    """Bytes that one node keeps for the backward pass of a batch, per stage, and last for a leaf's features.

    They are measured on two and on three images: the difference is what an image takes, without what kernels take.
    On one image batch norm would have nothing to normalize by where the last map is a single pixel.

    Args:
        backbone: With the task open.
        images: (B, C, H, W), of which the first is measured, repeated.
        task: Its identity.
    """
    two, three = (_kept(backbone, images[:1].repeat(size, 1, 1, 1), task) for size in (2, 3))
    features = 3 * backbone.num_features * images.element_size()  # as they are, their mask, and what it leaves
    return [len(images) * (b - a) for a, b in zip(two, three, strict=True)] + [len(images) * features]


def _kept(backbone: Backbone, images: Tensor, task: int) -> list[int]:
    """Bytes that autograd keeps, stage by stage, along one path."""
    found: list[int] = []
    forks = backbone.forks(task)

    def step(number: int, hidden: Tensor) -> Tensor:
        fork = forks[number]
        branch = fork.branch(0 if fork.own is not None else 1)
        result, size = saved_bytes(lambda: branch(hidden))
        found.append(size)
        return result

    backbone.walk(images, step)
    return found


def saved_bytes(act: Callable[[], Outcome]) -> tuple[Outcome, int]:
    """Do something; what it gives, and the size of what autograd keeps of it for the backward pass."""
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        result = act()
    return result, sum(saved.values())


def kept_bytes(layout: Plan, per_node: Sequence[int]) -> int:
    """Bytes kept for the backward pass of a tree, from those of its nodes; see `node_bytes`."""
    return tree_bytes([step.nodes for step in layout.steps], per_node)


class Budget:
    """Divides candidates into sub-trees whose activations fit.

    Args:
        space: All candidates.
        limit: Bytes that a backward pass may keep of activations; None = no limit.
    """

    def __init__(self, space: ConfigurationSpace, limit: int | None) -> None:
        self._space, self._limit = space, limit
        self._per_node: list[int] = []
        self.part = lru_cache(maxsize=256)(self._part)
        self._divided = lru_cache(maxsize=256)(self._divide)

    def _part(self, members: tuple[int, ...]) -> Part:
        """Some candidates, laid out once."""
        return Part(self._space, members)

    def divide(
        self, members: tuple[int, ...], network: TaskNetwork, images: Tensor, *, whole: bool = False
    ) -> Sequence[Part]:
        """Sub-trees of some candidates, as few and as large as common prefixes of equal length allow.

        Args:
            members: Indices of candidates.
            network: The open task.
            images: A batch.
            whole: Do not divide: they are evaluated already.

        Raises:
            LasemError: Not even one candidate alone fits.
        """
        if self._limit is None or whole:
            return (self.part(members),)
        if not self._per_node:
            self._per_node = node_bytes(network.backbone, images, network.identity)
        return self._divided(members)

    def _divide(self, members: tuple[int, ...]) -> Sequence[Part]:
        needed = 0
        for depth in range(self._space.partition.num_layers + 1):
            groups: dict[tuple[int, ...], list[int]] = {}
            for member in members:
                groups.setdefault(self._space.layer_bits[member][:depth], []).append(member)
            parts = [self.part(tuple(group)) for group in groups.values()]
            needed = max(kept_bytes(part.layout, self._per_node) for part in parts)
            if self._limit is None or needed <= self._limit:
                return parts
        raise LasemError(
            f"a budget of memory holds the activations of one candidate, {needed / 2**20:.1f} MiB here"
            f" - got {(self._limit or 0) / 2**20:.1f} MiB in search.memory - raise it, or lower training.batch_size"
        )
