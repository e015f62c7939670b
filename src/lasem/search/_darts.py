"""Differentiable search over the branches of each stage (DARTS).

Source:
    Liu2019: Liu, Simonyan & Yang. DARTS: differentiable architecture search. ICLR 2019. Equations 6 to 8.

Left out of the published method: cells and their many operations (a stage chooses between its branches), random
initial logits (they start at 0, as in the authors' release of LASEM), and the training of the found network from
scratch (a lifelong learner keeps what it has trained).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from lasem.configurations import SHARED, ConfigurationSpace
from lasem.optimizers import TFRMSprop
from lasem.options import NonNegative, Rate, options, require_unset
from lasem.search._decision import Schedule
from lasem.search._dropout import DropoutMasks
from lasem.search._evidence import cross_entropies
from lasem.search._open_task import AbstractOpenTask, Batch
from lasem.search._options import Groups
from lasem.search._prior import require_double_precision
from lasem.search._strategy import AbstractSearch, AbstractStrategy, candidate_space
from lasem.search._task_network import TaskNetwork

Beta = Annotated[float, Field(ge=0, lt=1)]
"""Decay of one of Adam's running averages."""
STATE_NAMES = {"step": "steps", "exp_avg": "mean", "exp_avg_sq": "square", "mean_square": "square"}
"""Names of the optimizers' accumulators in a checkpoint, by their names in `torch.optim`."""


@options
class DARTS(AbstractStrategy):
    """Search by gradient descent on a relaxation: every stage outputs a mixture of its branches.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        order: "first": the gradient at the weights as they are; "second": at the weights after one more step, by
            finite differences.
        held_out: Images that the architecture learns from: the task's validation split ("valid"), half of its training
            split, which the weights then do without ("half"), or the batch that the weights learn from ("none").
        optimizer: Optimizer of the architecture: "adam", or "rmsprop-tf" with the learning rate of the weights.
        first_task: Whether the first task is "searched", or shares all layers without a search ("shared").
        learning_rate: Learning rate of Adam; left out for "rmsprop-tf", as the next two options are.
        betas: Decays of Adam's moments.
        weight_decay: Weight decay of Adam: this many times the logits are added to their gradient.
        radius: Length of the displacement from which the second order takes its finite difference; left out for
            the first.
    """

    partition: Groups | None = None
    order: Literal["first", "second"] = "first"
    held_out: Literal["none", "valid", "half"] = "valid"
    optimizer: Literal["adam", "rmsprop-tf"] = "adam"
    first_task: Literal["searched", "shared"] = "searched"
    learning_rate: Rate = 3e-4
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    weight_decay: NonNegative = 1e-3
    radius: Rate = 0.01

    def __post_init__(self) -> None:
        if self.optimizer != "adam":
            require_unset(self, "learning_rate", "betas", "weight_decay", unless="optimizer is adam")
        if self.order != "second":
            require_unset(self, "radius", unless="order is second")

    @property
    def starts_shared(self) -> bool:
        """Whether the first task shares all layers, without a search."""
        return self.first_task == "shared"

    def space(self, layers: int, *, branches: int = 2) -> ConfigurationSpace:
        """Return all configurations of the partition: every group decides by itself."""
        return candidate_space(layers, partition=self.partition, branches=branches)

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Begin a search with equal weights of all branches.

        Raises:
            SpecError: The device has no double precision.
        """
        del schedule
        return DARTSSearch(self, space, network=network)


@dataclass(frozen=True)
class Noise:
    """What one evaluation of the mixed network drops.

    Attributes:
        masks: Dropout masks of the features before the head.
        seed: Seed of what the modules of stages draw; None if they draw nothing.
    """

    masks: DropoutMasks
    seed: int | None


class DARTSSearch(AbstractSearch):
    """The differentiable search of one task.

    Attributes:
        alpha: (G, branches) logits of the branches of every group, by digit.
    """

    def __init__(self, options: DARTS, space: ConfigurationSpace, *, network: TaskNetwork) -> None:
        require_double_precision(network.device)
        self.space = space
        size = (space.partition.num_groups, space.branches)
        self.alpha = torch.zeros(size, dtype=torch.float64, device=network.device)
        self._options = options
        self._network = network
        self._optimizer = _optimizer(options, self.alpha)
        groups = space.partition.groups
        self._group_of = [next(g for g, group in enumerate(groups) if layer in group) for layer in _layers(space)]

    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Make a step of the architecture, then one of the weights, both with dropout."""
        batch = (images, labels)
        self.alpha.grad = self.architecture_gradient(task, batch, task.held_out_batch() or batch)
        if self._options.optimizer == "rmsprop-tf":
            self._optimizer.param_groups[0]["lr"] = task.learning_rate
        self._optimizer.step()
        return task.step(self._loss(batch, self.alpha, self._noise(task, batch), smoothing=task.label_smoothing))

    def architecture_gradient(self, task: AbstractOpenTask, batch: Batch, held_out: Batch) -> Tensor:
        """Return the gradient of the held-out loss in alpha, (G, branches), of the order chosen."""
        alpha = self.alpha.detach().requires_grad_()
        if self._options.order == "second":
            return self._second_order(task, batch, held_out, alpha)
        loss = self._loss(held_out, alpha, self._noise(task, held_out))
        return torch.autograd.grad(loss, alpha)[0]

    def _second_order(self, task: AbstractOpenTask, batch: Batch, held_out: Batch, alpha: Tensor) -> Tensor:
        """Compute the gradient of equations 7 and 8 of [Liu2019]; the inner step is one of plain gradient descent."""
        weights = self._network.backbone.task_parameters(self._network.identity)
        noises = self._noise(task, batch), self._noise(task, held_out)
        smoothing = task.label_smoothing
        inner = _gradients(self._loss(batch, self.alpha, noises[0], smoothing=smoothing), weights)
        with _moved(weights, inner, by=-task.learning_rate):
            loss = self._loss(held_out, alpha, noises[1])
            direct, *direction = _gradients(loss, [alpha, *weights])
        length = float(torch.stack([part.norm() for part in direction]).norm())
        if length == 0:
            return direct
        radius = self._options.radius / length
        ends: list[Tensor] = []
        for by in (radius, -radius):
            with _moved(weights, direction, by=by):
                ends += _gradients(self._loss(batch, alpha, noises[0], smoothing=smoothing), [alpha])
        return direct - task.learning_rate * (ends[0] - ends[1]) / (2 * radius)

    def _loss(self, batch: Batch, alpha: Tensor, noise: Noise, *, smoothing: float = 0.0) -> Tensor:
        """Compute the cross-entropy of the mixed network, plus each penalty times its branch's weight (a constant)."""
        (images, labels), network = batch, self._network
        weights = alpha.softmax(1)
        forks = network.backbone.forks(network.identity, seed=noise.seed)
        mixed = [fork.mixed(weights[group]) for fork, group in zip(forks, self._group_of, strict=True)]
        features = network.backbone.walk(
            images, lambda stage, hidden: mixed[stage].branch(SHARED)(hidden), start=network.front
        )
        loss = cross_entropies(network.head(noise.masks.apply(features)), labels, smoothing=smoothing)[0]
        for stage, penalty in network.penalties():
            loss = loss + weights[self._group_of[stage], SHARED].detach().to(penalty.dtype) * penalty
        return loss

    def _noise(self, task: AbstractOpenTask, batch: Batch) -> Noise:
        """Draw what a batch's evaluation drops; the evaluations of one second-order step share theirs."""
        masks = task.draw_masks(1, len(batch[0]), self._network.num_features)
        return Noise(masks, self._network.draw_seed(task))

    def start_epoch(self) -> None:
        """Do nothing: the search is the same in all epochs."""

    def leader(self) -> int:
        """Return the candidate with each group's largest weight; ties go to the lower digit, first the own branch."""
        index = 0
        for logits in self.alpha.tolist():
            index = index * len(logits) + logits.index(max(logits))
        return index

    def log_prior(self) -> Tensor:
        """Return the log-probability of every candidate, (K,): the product of its groups' weights."""
        weights = self.alpha.log_softmax(1)
        digits = torch.tensor(self.space.candidates, device=weights.device)
        return weights[torch.arange(len(weights), device=weights.device), digits].sum(1)

    def state(self) -> dict[str, Tensor]:
        """Return the logits and their optimizer's accumulators."""
        accumulators = self._optimizer.state[self.alpha]
        return {"alpha": self.alpha, **{STATE_NAMES[name]: value for name, value in accumulators.items()}}


def _optimizer(options: DARTS, alpha: Tensor) -> Optimizer:
    """Make the optimizer of the architecture."""
    if options.optimizer == "rmsprop-tf":
        return TFRMSprop([alpha], lr=0.0)  # every step takes the learning rate of the weights
    rate, decay = options.learning_rate, options.weight_decay
    optimizer = Adam([alpha], lr=rate, betas=options.betas, weight_decay=decay)
    # Adam would make its accumulators at the first step; a search has to have them before, to be restored.
    moments = {name: torch.zeros_like(alpha) for name in ("exp_avg", "exp_avg_sq")}
    optimizer.state[alpha] = {"step": torch.zeros(()), **moments}
    return optimizer


def _layers(space: ConfigurationSpace) -> range:
    return range(1, space.partition.num_layers + 1)


def _gradients(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Compute the gradients of a scalar; 0 for a tensor that it does not depend on."""
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
