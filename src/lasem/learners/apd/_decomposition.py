"""Decomposed parameters while a task is learned: the shared part, the task's, and those of all earlier tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lasem.learners._layers import Kernel
from lasem.learners._proximal import soft_threshold, step_sizes
from lasem.learners.apd._packed import Packed
from lasem.learners.apd._store import Part, Store, combined


@dataclass
class Decomposition:
    """What an open task trains, apart from what earlier tasks answer with until it ends.

    Attributes:
        shared: sigma per decomposed layer, (units, inputs, h, w).
        masks: M of the open task.
        own: tau of the open task.
        center: What the open task has from its group; not trained.
        biases: Of the open task.
        rest: Kernels of the layers behind, of the open task.
        others: Identities of the other tasks, O of them.
        other_masks: Their M per layer, (O, units).
        other_own: Their tau per layer, (O, units, inputs, h, w).
        other_centers: What they have from their groups, likewise; not trained.
        targets: theta_i* per layer, their parameters before this task, likewise; not trained.
    """

    shared: list[nn.Parameter]
    masks: list[nn.Parameter]
    own: list[nn.Parameter]
    center: list[Tensor]
    biases: list[nn.Parameter]
    rest: list[tuple[nn.Parameter, nn.Parameter]]
    others: list[int]
    other_masks: list[nn.Parameter]
    other_own: list[nn.Parameter]
    other_centers: list[Tensor]
    targets: list[Tensor]

    @classmethod
    def of(cls, store: Store, task: int, part: Part) -> "Decomposition":
        """Begin a task.

        Args:
            store: With the shared part, and those of the other tasks.
            task: Its identity.
            part: Its own part.
        """
        others = [other for other in store.parts if other != task]
        layers = range(len(store.shared))

        def gather(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
            return [torch.stack([row[layer] for row in parts]) for layer in layers] if parts else []

        return cls(
            shared=_parameters(store.shared),
            masks=_parameters(part.masks),
            own=_parameters([own.unpacked() for own in part.own]),
            center=[store.center(task, layer) for layer in layers],
            biases=_parameters(part.biases),
            rest=[(_parameter(weight), _parameter(bias)) for weight, bias in part.rest],
            others=others,
            other_masks=_parameters(gather([store.parts[other].masks for other in others])),
            other_own=_parameters(gather([[store.own(other, layer) for layer in layers] for other in others])),
            other_centers=gather([[store.center(other, layer) for layer in layers] for other in others]),
            targets=gather([[store.weight(other, layer) for layer in layers] for other in others]),
        )

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        rest = [part for kernel in self.rest for part in kernel]
        return [*self.shared, *self.masks, *self.own, *self.biases, *rest, *self.other_masks, *self.other_own]

    def kernels(self, *, threshold: float | None = None) -> list[Kernel]:
        """Of the open task.

        Args:
            threshold: Leave out what is no larger of its own part; nothing by default.
        """
        own = [part if threshold is None else pruned(part, threshold) for part in self.own]
        layers = zip(self.shared, self.masks, own, self.center, strict=True)
        weights = [combined(shared, mask, part + center) for shared, mask, part, center in layers]
        return [*zip(weights, self.biases, strict=True), *self.rest]

    def other_weights(self, *, threshold: float | None = None) -> list[Tensor]:
        """Of the other tasks, per layer (O, units, inputs, h, w)."""
        own = [part if threshold is None else pruned(part, threshold) for part in self.other_own]
        layers = zip(self.shared, self.other_masks, own, self.other_centers, strict=False)
        return [combined(shared, mask, part + center) for shared, mask, part, center in layers]

    def retention(self) -> Tensor:
        """The sum of |theta_i* - (sigma * sigmoid(M_i) + tau_i)|^2 over the other tasks."""
        pairs = zip(self.other_weights(), self.targets, strict=True)
        terms = [(weight - target).square().sum() for weight, target in pairs]
        return torch.stack(terms).sum() if terms else self.shared[0].new_zeros(())

    def norm(self) -> Tensor:
        """The sum of |tau_i|_1 over all tasks, the open one included."""
        return torch.stack([part.abs().sum() for part in (*self.own, *self.other_own)]).sum()

    @torch.no_grad()
    def shrink(self, optimizer: Optimizer, weight: float) -> None:
        """The proximal step of weight times the l1 norm, after a step of an optimizer."""
        for part in (*self.own, *self.other_own):
            part.copy_(soft_threshold(part, weight * step_sizes(optimizer, part)))

    @torch.no_grad()
    def commit(self, store: Store, task: int, *, threshold: float) -> None:
        """Store the shared part, the task's, and what earlier tasks' have become."""
        store.shared = [part.detach().clone() for part in self.shared]
        for row, other in enumerate(self.others):
            before = store.parts[other]
            store.parts[other] = Part(
                masks=[masks[row].detach().clone() for masks in self.other_masks],
                own=[Packed.of(pruned(own[row], threshold)) for own in self.other_own],
                biases=before.biases,
                rest=before.rest,
            )
        store.parts[task] = Part(
            masks=[mask.detach().clone() for mask in self.masks],
            own=[Packed.of(pruned(own, threshold)) for own in self.own],
            biases=[bias.detach().clone() for bias in self.biases],
            rest=[(weight.detach().clone(), bias.detach().clone()) for weight, bias in self.rest],
        )

    def state(self) -> dict[str, Tensor]:
        """All that is trained, by position."""
        return {str(number): parameter.detach() for number, parameter in enumerate(self.parameters)}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over a state."""
        for number, parameter in enumerate(self.parameters):
            parameter.copy_(tensors[str(number)])


def pruned(own: Tensor, threshold: float) -> Tensor:
    """Own parts without what is no larger than a threshold."""
    return torch.where(own.abs() > threshold, own, 0.0)


def _parameter(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone())


def _parameters(values: Sequence[Tensor]) -> list[nn.Parameter]:
    return [_parameter(value) for value in values]
