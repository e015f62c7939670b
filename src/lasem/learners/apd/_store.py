"""Decomposed parameters between tasks: shared weights, what groups share, and each task's own, packed."""

from dataclasses import dataclass, field

import torch
from pydantic import BaseModel
from torch import Tensor

from lasem.learners._layers import Kernel, count
from lasem.learners.apd._consolidation import consolidate
from lasem.learners.apd._packed import PackedTensor


def combined(shared: Tensor, mask: Tensor, sparse: Tensor) -> Tensor:
    """Compute weights sigma * sigmoid(M) + tau, with one number of the mask M per unit.

    Args:
        shared: sigma, (units, inputs, h, w).
        mask: M, (units,), or (tasks, units).
        sparse: tau, (units, inputs, h, w), or (tasks, units, inputs, h, w).
    """
    return shared * mask.sigmoid()[..., None, None, None] + sparse


@dataclass(frozen=True)
class TaskParameters:
    """The parameters of one task.

    Attributes:
        masks: Per decomposed layer, M (units,), before the sigmoid.
        sparse: Per decomposed layer, tau without what its group shares.
        biases: Per decomposed layer, (units,).
        rest: Kernels of the layers behind the decomposed ones.
    """

    masks: list[Tensor]
    sparse: list[PackedTensor]
    biases: list[Tensor]
    rest: list[Kernel]

    @property
    def numbers(self) -> int:
        """How many numbers are stored: values, and positions of sparse ones."""
        plain = sum(tensor.numel() for tensor in (*self.masks, *self.biases))
        return plain + sum(packed.numbers for packed in self.sparse) + count(self.rest)


class StoreState(BaseModel):
    """JSON values of a `Store`, as a checkpoint stores them.

    Attributes:
        rest: Per task, how many layers lie behind the decomposed ones.
        labels: Per task and decomposed layer, the number of its group; -1 for none.
        groups: Per decomposed layer, the number of groups.
    """

    rest: dict[int, int]
    labels: dict[int, list[int]]
    groups: list[int]


@dataclass
class Store:
    """All parameters that answers are computed from.

    Attributes:
        shared: Per decomposed layer, sigma (units, inputs, h, w).
        tasks: The parameters of each task, by its identity.
        labels: Per task and decomposed layer, the number of its group; -1 for none. Empty before a consolidation.
        centers: Per decomposed layer, what each group shares.
    """

    shared: list[Tensor] = field(default_factory=list)
    tasks: dict[int, TaskParameters] = field(default_factory=dict)
    labels: dict[int, list[int]] = field(default_factory=dict)
    centers: list[list[PackedTensor]] = field(default_factory=list)

    @property
    def shared_numbers(self) -> int:
        """How many numbers are stored for all tasks and for groups."""
        centers = sum(center.numbers for layer in self.centers for center in layer)
        return sum(weight.numel() for weight in self.shared) + centers

    def center(self, task: int, layer: int) -> Tensor:
        """Return what a task's group shares, in the shape of the layer; zeros without a group."""
        label = self.labels[task][layer] if task in self.labels else -1
        if label < 0:
            return torch.zeros_like(self.shared[layer])
        return self.centers[layer][label].unpacked()

    def sparse(self, task: int, layer: int) -> Tensor:
        """Return a task's sparse weights without what its group shares: (units, inputs, h, w)."""
        return self.tasks[task].sparse[layer].unpacked()

    def weight(self, task: int, layer: int) -> Tensor:
        """Put a task's weights together: (units, inputs, h, w)."""
        sparse = self.sparse(task, layer) + self.center(task, layer)
        return combined(self.shared[layer], self.tasks[task].masks[layer], sparse)

    def kernels(self, task: int) -> list[Kernel]:
        """Put the kernels of all layers together, including the output layer's."""
        parameters = self.tasks[task]
        weights = [self.weight(task, layer) for layer in range(len(self.shared))]
        return [*zip(weights, parameters.biases, strict=True), *parameters.rest]

    def consolidate(self, *, groups: int, gap: float, seed: int) -> None:
        """Group the tasks anew, layer by layer, after dissolving earlier groups into their tasks."""
        tasks = list(self.tasks)
        labels: dict[int, list[int]] = {task: [] for task in tasks}
        centers: list[list[PackedTensor]] = []
        for layer in range(len(self.shared)):
            whole = torch.stack([self.sparse(task, layer) + self.center(task, layer) for task in tasks])
            found = consolidate(whole, groups=groups, gap=gap, seed=seed)
            centers.append([PackedTensor.of(center) for center in found.centers])
            for task, label, own in zip(tasks, found.labels, found.own, strict=True):
                labels[task].append(label)
                self.tasks[task].sparse[layer] = PackedTensor.of(own)
        self.labels, self.centers = labels, centers

    def state(self) -> tuple[StoreState, dict[str, Tensor]]:
        """Return everything that `read` takes: JSON values, and tensors by name."""
        tensors = {f"shared.{layer}": weight for layer, weight in enumerate(self.shared)}
        for task, own in self.tasks.items():
            for layer, (mask, bias, sparse) in enumerate(zip(own.masks, own.biases, own.sparse, strict=True)):
                name = f"tasks.{task}.{layer}"
                tensors |= {f"{name}.mapping.mask": mask, f"{name}.bias": bias} | sparse.tensors(f"{name}.own")
            for number, (weight, bias) in enumerate(own.rest):
                tensors |= {f"tasks.{task}.rest.{number}.weight": weight, f"tasks.{task}.rest.{number}.bias": bias}
        for layer, centers in enumerate(self.centers):
            for group, center in enumerate(centers):
                tensors |= center.tensors(f"centers.{layer}.{group}")
        rest = {task: len(own.rest) for task, own in self.tasks.items()}
        return StoreState(rest=rest, labels=self.labels, groups=[len(layer) for layer in self.centers]), tensors

    @classmethod
    def read(cls, values: StoreState, tensors: dict[str, Tensor]) -> "Store":
        """Make a store from a state."""
        shared = [tensors[f"shared.{layer}"] for layer in range(sum(name.startswith("shared.") for name in tensors))]
        shapes = [tuple(weight.shape) for weight in shared]
        tasks = {
            task: TaskParameters(
                masks=[tensors[f"tasks.{task}.{layer}.mapping.mask"] for layer in range(len(shared))],
                sparse=[PackedTensor.read(tensors, f"tasks.{task}.{i}.own", shape=s) for i, s in enumerate(shapes)],
                biases=[tensors[f"tasks.{task}.{layer}.bias"] for layer in range(len(shared))],
                rest=[
                    (tensors[f"tasks.{task}.rest.{number}.weight"], tensors[f"tasks.{task}.rest.{number}.bias"])
                    for number in range(rest)
                ],
            )
            for task, rest in values.rest.items()
        }
        centers = [
            [PackedTensor.read(tensors, f"centers.{layer}.{group}", shape=shapes[layer]) for group in range(number)]
            for layer, number in enumerate(values.groups)
        ]
        return cls(shared=shared, tasks=tasks, labels=dict(values.labels), centers=centers)
