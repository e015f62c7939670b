"""Decomposed parameters while a task is learned: shared weights, the open task's, and those of all earlier tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lasem.learners._layers import Kernel
from lasem.learners.apd._packed import PackedTensor
from lasem.learners.apd._store import Store, TaskParameters, combined
from lasem.training import soft_threshold, step_sizes


@dataclass
class Decomposition:
    """What an open task trains, apart from what earlier tasks answer with until it ends.

    Attributes:
        shared: sigma per decomposed layer, (units, inputs, h, w).
        masks: M of the open task.
        sparse: tau of the open task.
        center: What the open task's group shares; not trained.
        biases: Biases of the open task.
        rest: Kernels of the open task in the layers behind the decomposed ones.
        others: Identities of the other tasks, O of them.
        other_masks: M of the other tasks per layer, (O, units).
        other_sparse: tau of the other tasks per layer, (O, units, inputs, h, w).
        other_centers: What the groups of the other tasks share, likewise; not trained.
        targets: theta_i*, the weights of the other tasks before this one, likewise; not trained.
    """

    shared: list[nn.Parameter]
    masks: list[nn.Parameter]
    sparse: list[nn.Parameter]
    center: list[Tensor]
    biases: list[nn.Parameter]
    rest: list[tuple[nn.Parameter, nn.Parameter]]
    others: list[int]
    other_masks: list[nn.Parameter]
    other_sparse: list[nn.Parameter]
    other_centers: list[Tensor]
    targets: list[Tensor]

    @classmethod
    def of(cls, store: Store, task: int, own: TaskParameters) -> "Decomposition":
        """Begin a task.

        Args:
            store: Shared weights, and the parameters of the other tasks.
            task: Identity of the task.
            own: Parameters that the task begins with.
        """
        others = [other for other in store.tasks if other != task]
        layers = range(len(store.shared))

        def gather(tensors: Sequence[Sequence[Tensor]]) -> list[Tensor]:
            return [torch.stack([of_task[layer] for of_task in tensors]) for layer in layers] if tensors else []

        return cls(
            shared=_parameters(store.shared),
            masks=_parameters(own.masks),
            sparse=_parameters([packed.unpacked() for packed in own.sparse]),
            center=[store.center(task, layer) for layer in layers],
            biases=_parameters(own.biases),
            rest=[(_parameter(weight), _parameter(bias)) for weight, bias in own.rest],
            others=others,
            other_masks=_parameters(gather([store.tasks[other].masks for other in others])),
            other_sparse=_parameters(gather([[store.sparse(other, layer) for layer in layers] for other in others])),
            other_centers=gather([[store.center(other, layer) for layer in layers] for other in others]),
            targets=gather([[store.weight(other, layer) for layer in layers] for other in others]),
        )

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters that are trained."""
        rest = [parameter for kernel in self.rest for parameter in kernel]
        return [*self.shared, *self.masks, *self.sparse, *self.biases, *rest, *self.other_masks, *self.other_sparse]

    def kernels(self, *, threshold: float | None = None) -> list[Kernel]:
        """Put the kernels of the open task together.

        Args:
            threshold: Sparse weights no larger than this count as 0; by default all are used as they are.
        """
        sparse = [tau if threshold is None else pruned(tau, threshold) for tau in self.sparse]
        layers = zip(self.shared, self.masks, sparse, self.center, strict=True)
        weights = [combined(shared, mask, tau + center) for shared, mask, tau, center in layers]
        return [*zip(weights, self.biases, strict=True), *self.rest]

    def other_weights(self, *, threshold: float | None = None) -> list[Tensor]:
        """Put the weights of the other tasks together, per layer (O, units, inputs, h, w)."""
        sparse = [tau if threshold is None else pruned(tau, threshold) for tau in self.other_sparse]
        layers = zip(self.shared, self.other_masks, sparse, self.other_centers, strict=False)
        return [combined(shared, mask, tau + center) for shared, mask, tau, center in layers]

    def retention(self) -> Tensor:
        """Sum |theta_i* - (sigma * sigmoid(M_i) + tau_i)|^2 over the other tasks, a scalar."""
        pairs = zip(self.other_weights(), self.targets, strict=True)
        terms = [(weight - target).square().sum() for weight, target in pairs]
        return torch.stack(terms).sum() if terms else self.shared[0].new_zeros(())

    def norm(self) -> Tensor:
        """Sum |tau_i|_1 over all tasks, the open one included; a scalar."""
        return torch.stack([tau.abs().sum() for tau in (*self.sparse, *self.other_sparse)]).sum()

    @torch.no_grad()
    def shrink(self, optimizer: Optimizer, weight: float, *, finite: Tensor) -> None:
        """Make the proximal step of a weight times the l1 norm, after the optimizer's step.

        Args:
            optimizer: Optimizer of the task.
            weight: Weight of the norm.
            finite: () whether all numbers have been finite; if not, nothing moves.
        """
        for tau in (*self.sparse, *self.other_sparse):
            tau.copy_(torch.where(finite, soft_threshold(tau, weight * step_sizes(optimizer, tau)), tau))

    @torch.no_grad()
    def commit(self, store: Store, task: int, *, threshold: float) -> None:
        """Store the shared weights, the task's parameters, and what those of earlier tasks have become."""
        store.shared = [weight.detach().clone() for weight in self.shared]
        for row, other in enumerate(self.others):
            before = store.tasks[other]
            store.tasks[other] = TaskParameters(
                masks=[masks[row].detach().clone() for masks in self.other_masks],
                sparse=[PackedTensor.of(pruned(tau[row], threshold)) for tau in self.other_sparse],
                biases=before.biases,
                rest=before.rest,
            )
        store.tasks[task] = self.own_parameters(threshold=threshold)

    def own_parameters(self, *, threshold: float) -> TaskParameters:
        """Copy the open task's parameters, with sparse weights no larger than a threshold left out."""
        return TaskParameters(
            masks=[mask.detach().clone() for mask in self.masks],
            sparse=[PackedTensor.of(pruned(tau, threshold)) for tau in self.sparse],
            biases=[bias.detach().clone() for bias in self.biases],
            rest=[(weight.detach().clone(), bias.detach().clone()) for weight, bias in self.rest],
        )

    def state(self) -> dict[str, Tensor]:
        """Return all parameters by their position."""
        return {str(number): parameter.detach() for number, parameter in enumerate(self.parameters)}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over the values that `state` returned."""
        for number, parameter in enumerate(self.parameters):
            parameter.copy_(tensors[str(number)])


def pruned(sparse: Tensor, threshold: float) -> Tensor:
    """Set sparse weights to 0 that are no larger than a threshold."""
    return torch.where(sparse.abs() > threshold, sparse, 0.0)


def _parameter(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone())


def _parameters(values: Sequence[Tensor]) -> list[nn.Parameter]:
    return [_parameter(value) for value in values]
