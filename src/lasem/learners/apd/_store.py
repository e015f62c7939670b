"""Decomposed parameters between tasks: what all share, what groups share, and each task's own part, packed."""

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from lasem.learners._layers import Kernel, count
from lasem.learners._learner import LearnerState
from lasem.learners.apd._consolidation import consolidate
from lasem.learners.apd._packed import Packed


def combined(shared: Tensor, mask: Tensor, own: Tensor) -> Tensor:
    """Weights sigma * sigmoid(M) + tau, the mask per unit.

    Args:
        shared: sigma, (units, inputs, h, w).
        mask: M, (units,), or (tasks, units).
        own: tau, (units, inputs, h, w), or (tasks, units, inputs, h, w).
    """
    return shared * mask.sigmoid()[..., None, None, None] + own


@dataclass(frozen=True)
class Part:
    """A task's own parameters.

    Attributes:
        masks: Per decomposed layer, (units,), before the sigmoid.
        own: Per decomposed layer, the sparse part.
        biases: Per decomposed layer, (units,).
        rest: Kernels of the layers behind them.
    """

    masks: list[Tensor]
    own: list[Packed]
    biases: list[Tensor]
    rest: list[Kernel]

    @property
    def numbers(self) -> int:
        """Numbers stored: values, and places of sparse ones."""
        plain = sum(part.numel() for part in (*self.masks, *self.biases))
        return plain + sum(own.numbers for own in self.own) + count(self.rest)


@dataclass
class Store:
    """All that answers are computed from.

    Attributes:
        shared: Per decomposed layer, (units, inputs, h, w).
        parts: By task.
        labels: By task, per decomposed layer its group; -1 for none. Empty before the first consolidation.
        centers: Per decomposed layer, what each group shares.
    """

    shared: list[Tensor] = field(default_factory=list)
    parts: dict[int, Part] = field(default_factory=dict)
    labels: dict[int, list[int]] = field(default_factory=dict)
    centers: list[list[Packed]] = field(default_factory=list)

    @property
    def shared_numbers(self) -> int:
        """Numbers stored for all tasks and for groups."""
        centers = sum(center.numbers for layer in self.centers for center in layer)
        return sum(part.numel() for part in self.shared) + centers

    def center(self, task: int, layer: int) -> Tensor:
        """What a task has from its group, in the shape of the layer; 0 without one."""
        label = self.labels[task][layer] if task in self.labels else -1
        if label < 0:
            return torch.zeros_like(self.shared[layer])
        return self.centers[layer][label].unpacked()

    def own(self, task: int, layer: int) -> Tensor:
        """A task's sparse part, apart from its group's."""
        return self.parts[task].own[layer].unpacked()

    def weight(self, task: int, layer: int) -> Tensor:
        """(units, inputs, h, w) of a task."""
        own = self.own(task, layer) + self.center(task, layer)
        return combined(self.shared[layer], self.parts[task].masks[layer], own)

    def kernels(self, task: int) -> list[Kernel]:
        """Of all layers, the output layer included."""
        part = self.parts[task]
        weights = [self.weight(task, layer) for layer in range(len(self.shared))]
        return [*zip(weights, part.biases, strict=True), *part.rest]

    def consolidate(self, *, groups: int, gap: float, seed: int) -> None:
        """Group the tasks anew, layer by layer; the groups so far are dissolved into their tasks first."""
        tasks = list(self.parts)
        labels: dict[int, list[int]] = {task: [] for task in tasks}
        centers: list[list[Packed]] = []
        for layer in range(len(self.shared)):
            whole = torch.stack([self.own(task, layer) + self.center(task, layer) for task in tasks])
            found = consolidate(whole, groups=groups, gap=gap, seed=seed)
            centers.append([Packed.of(center) for center in found.centers])
            for task, label, own in zip(tasks, found.labels, found.own, strict=True):
                labels[task].append(label)
                self.parts[task].own[layer] = Packed.of(own)
        self.labels, self.centers = labels, centers

    def state(self) -> LearnerState:
        """Everything, as it is stored."""
        tensors = {f"shared.{layer}": part for layer, part in enumerate(self.shared)}
        for task, part in self.parts.items():
            for layer, (mask, bias, own) in enumerate(zip(part.masks, part.biases, part.own, strict=True)):
                name = f"tasks.{task}.{layer}"
                tensors |= {f"{name}.mapping.mask": mask, f"{name}.bias": bias} | own.tensors(f"{name}.own")
            for number, (weight, bias) in enumerate(part.rest):
                tensors |= {f"tasks.{task}.rest.{number}.weight": weight, f"tasks.{task}.rest.{number}.bias": bias}
        for layer, centers in enumerate(self.centers):
            for group, center in enumerate(centers):
                tensors |= center.tensors(f"centers.{layer}.{group}")
        values: dict[str, object] = {
            "rest": {str(task): len(part.rest) for task, part in self.parts.items()},
            "labels": {str(task): labels for task, labels in self.labels.items()},
            "groups": [len(layer) for layer in self.centers],
        }
        return LearnerState(tensors=tensors, values=values)

    @classmethod
    def read(cls, tensors: dict[str, Tensor], values: dict[str, object]) -> "Store":
        """Take over a state."""
        shared = [tensors[f"shared.{layer}"] for layer in range(sum(name.startswith("shared.") for name in tensors))]
        shapes = [tuple(part.shape) for part in shared]
        parts = {
            int(task): Part(
                masks=[tensors[f"tasks.{task}.{layer}.mapping.mask"] for layer in range(len(shared))],
                own=[Packed.read(tensors, f"tasks.{task}.{i}.own", shape=shape) for i, shape in enumerate(shapes)],
                biases=[tensors[f"tasks.{task}.{layer}.bias"] for layer in range(len(shared))],
                rest=[
                    (tensors[f"tasks.{task}.rest.{number}.weight"], tensors[f"tasks.{task}.rest.{number}.bias"])
                    for number in range(rest)
                ],
            )
            for task, rest in cast(dict[str, int], values["rest"]).items()
        }
        labels = {int(task): list(found) for task, found in cast(dict[str, list[int]], values["labels"]).items()}
        centers = [
            [Packed.read(tensors, f"centers.{layer}.{group}", shape=shapes[layer]) for group in range(number)]
            for layer, number in enumerate(cast(list[int], values["groups"]))
        ]
        return cls(shared=shared, parts=parts, labels=labels, centers=centers)
