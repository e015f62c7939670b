"""Optimizers whose groups of parameters differ in weight decay and learning rate."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lasem.optimizers import OPTIMIZERS
from lasem.training._options import Training

Layers = Callable[[], Sequence[Iterable[nn.Parameter]]]
"""Returns the parameters of every layer of a network from input to output, those of heads as the last entry."""


def make_optimizer(training: Training, parameters: Sequence[nn.Parameter], *, layers: Layers | None) -> Optimizer:
    """Make an optimizer whose groups have their weight decay, and as "factor" their part of the learning rate.

    Without weight decay and with one rate for all layers there is one group, with the parameters in their order.

    Args:
        training: How the task is trained.
        parameters: What the optimizer trains.
        layers: The network's layers; None if all have the full rate.
    """
    factors = {} if layers is None else _factors(training, layers())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in parameters:
        # Biases, and the scales and shifts of norms, have fewer than two dimensions.
        decay = training.weight_decay if parameter.dim() > 1 else 0.0
        groups.setdefault((decay, factors.get(parameter, 1.0)), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": members, "weight_decay": decay, "factor": factor} for (decay, factor), members in groups.items()
    ]
    return OPTIMIZERS[training.optimizer](settings, training.learning_rate)  # every step sets its own rate


def _factors(training: Training, layers: Sequence[Iterable[nn.Parameter]]) -> dict[nn.Parameter, float]:
    """Part of the learning rate that every parameter gets: less with every layer away from the head."""
    *stages, heads = layers
    found = dict.fromkeys(heads, training.head_rate)
    for distance, stage in enumerate(reversed(stages), start=1):
        found |= dict.fromkeys(stage, training.layer_decay**distance)
    return found
