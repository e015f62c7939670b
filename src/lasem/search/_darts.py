"""Differentiable search over the two branches of each stage (DARTS).

Source:
    Liu2019: Liu, Simonyan & Yang. DARTS: differentiable architecture search. ICLR 2019. Equations 6 to 8.

Left out of the published method: cells and their many operations (a stage chooses between its own and its shared
branch), random initial logits (they start at 0, as in the authors' release of LASEM), and the training of the found
network from scratch (a lifelong learner keeps what it has trained).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lasem.configurations import ConfigurationSpace
from lasem.options import NonNegative, Rate, options
from lasem.search._architecture import ARCHITECTURE_OPTIMIZERS
from lasem.search._decision import Schedule
from lasem.search._dropout import DropoutMasks
from lasem.search._evidence import cross_entropies
from lasem.search._options import Groups
from lasem.search._strategy import AbstractSearch, AbstractStrategy, OpenTask, space_of

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W) and labels (B,)."""
Beta = Annotated[float, Field(ge=0, lt=1)]
"""Decay of one of the averages that Adam keeps."""


@options
class DARTS(AbstractStrategy):
    """Search by gradient descent on a relaxation: every stage outputs a mixture of its branches.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        order: "first": the gradient at the weights as they are; "second": at the weights after one more step, by
            finite differences.
        held_out: What the architecture learns from: the task's validation split ("valid"), half of its training split,
            which the weights then do without ("half"), or the batch that the weights learn from ("none").
        optimizer: Key of `ARCHITECTURE_OPTIMIZERS`: "adam", or "rmsprop-tf" with the model's learning rate.
        learning_rate: Of Adam.
        betas: Of Adam.
        weight_decay: Of Adam.
        radius: Length of the displacement by which the second order takes its difference.
    """

    partition: Groups | None = None
    order: Literal["first", "second"] = "first"
    held_out: Literal["none", "valid", "half"] = "valid"
    optimizer: Literal["adam", "rmsprop-tf"] = "adam"
    learning_rate: Rate = 3e-4
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    weight_decay: NonNegative = 1e-3
    radius: Rate = 0.01

    def space(self, layers: int) -> ConfigurationSpace:
        """All configurations of the partition: a group decides without regard to the others."""
        return space_of(layers, partition=self.partition)

    def search(self, space: ConfigurationSpace, *, device: torch.device, schedule: Schedule) -> AbstractSearch:
        """Begin with equal weights."""
        del schedule
        return DARTSSearch(self, space, device=device)


class DARTSSearch(AbstractSearch):
    """The differentiable search of one task."""

    def __init__(self, options: DARTS, space: ConfigurationSpace, *, device: torch.device) -> None:
        self.space = space
        self.alpha = torch.zeros(space.partition.num_groups, 2, dtype=torch.float64, device=device)
        """(G, 2) logits, own branch first."""
        self._options = options
        self._optimizer = ARCHITECTURE_OPTIMIZERS[options.optimizer](
            self.alpha,
            learning_rate=options.learning_rate,
            betas=options.betas,
            weight_decay=options.weight_decay,
        )
        groups = space.partition.groups
        self._group_of = [next(g for g, group in enumerate(groups) if layer in group) for layer in _layers(space)]

    def step(self, network: OpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """A step of the architecture, then one of the weights, both with dropout."""
        batch = (images, labels)
        gradient = self.architecture_gradient(network, batch, network.held_out() if network.held_out else batch)
        self._optimizer.step(gradient, model_rate=network.learning_rate)
        loss = self._loss(network, batch, self.alpha, self._mask(network, batch))
        return network.update([loss])

    def architecture_gradient(self, network: OpenTask, batch: Batch, held_out: Batch) -> Tensor:
        """Gradient of the held-out loss in alpha, (G, 2), of the order chosen."""
        alpha = self.alpha.detach().requires_grad_()
        if self._options.order == "second":
            return self._second_order(network, batch, held_out, alpha)
        loss = self._loss(network, held_out, alpha, self._mask(network, held_out))
        return torch.autograd.grad(loss, alpha)[0]

    def _second_order(self, network: OpenTask, batch: Batch, held_out: Batch, alpha: Tensor) -> Tensor:
        """Equations 7 and 8 of [Liu2019], with a plain gradient step of the model's rate as the inner step."""
        weights = network.backbone.task_parameters(network.task)
        masks = self._mask(network, batch), self._mask(network, held_out)
        inner = _gradients(self._loss(network, batch, self.alpha, masks[0]), weights)
        with _moved(weights, inner, by=-network.learning_rate):
            loss = self._loss(network, held_out, alpha, masks[1])
            direct, *direction = _gradients(loss, [alpha, *weights])
        length = float(torch.stack([part.norm() for part in direction]).norm())
        if length == 0:
            return direct
        radius = self._options.radius / length
        ends: list[Tensor] = []
        for by in (radius, -radius):
            with _moved(weights, direction, by=by):
                ends += _gradients(self._loss(network, batch, alpha, masks[0]), [alpha])
        return direct - network.learning_rate * (ends[0] - ends[1]) / (2 * radius)

    def _loss(self, network: OpenTask, batch: Batch, alpha: Tensor, mask: DropoutMasks) -> Tensor:
        """Cross-entropy of the mixed network, plus each penalty weighted by the share of its branch, held constant."""
        images, labels = batch
        weights = alpha.softmax(1)
        forks = network.backbone.forks(network.task)
        mixed = [fork.mixed(weights[group]) for fork, group in zip(forks, self._group_of, strict=True)]
        features = network.backbone.walk(images, lambda stage, hidden: mixed[stage].branch(1)(hidden))
        loss = cross_entropies(network.head(mask.apply(features)), labels)[0]
        for stage, penalty in network.backbone.penalties(network.task):
            loss = loss + weights[self._group_of[stage], 1].detach().to(penalty.dtype) * penalty
        return loss

    def _mask(self, network: OpenTask, batch: Batch) -> DropoutMasks:
        """A dropout mask for a batch; the evaluations of one second-order step share theirs."""
        return network.draw_masks(1, len(batch[0]))

    def start_epoch(self) -> None:
        """Nothing."""

    def leader(self) -> int:
        """Each group's larger weight; ties go to the own branch."""
        shared = (self.alpha[:, 1] > self.alpha[:, 0]).int().tolist()
        return int("".join(map(str, shared)), base=2)

    def log_prior(self) -> Tensor:
        """(K,): a candidate's probability is the product of its groups' weights."""
        weights = self.alpha.log_softmax(1)
        bits = torch.tensor(self.space.candidates, device=weights.device)
        return weights[torch.arange(len(weights), device=weights.device), bits].sum(1)

    def state(self) -> dict[str, Tensor]:
        """The logits and their optimizer's accumulators."""
        return {"alpha": self.alpha, **self._optimizer.state()}


def _layers(space: ConfigurationSpace) -> range:
    return range(1, space.partition.num_layers + 1)


def _gradients(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of a scalar, 0 where it does not depend on a tensor."""
    found = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found, strict=True)]


@contextmanager
def _moved(weights: Sequence[nn.Parameter], direction: Sequence[Tensor], *, by: float) -> Iterator[None]:
    """Move weights along a direction; afterwards they are bit for bit what they were."""
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, part in zip(weights, direction, strict=True):
            weight.add_(part, alpha=by)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)
