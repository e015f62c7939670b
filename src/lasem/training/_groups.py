"""Optimizers whose groups of parameters differ in weight decay and learning rate."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from lasem.optimizers import OPTIMIZERS
from lasem.training._options import Training

Layers = Callable[[], Sequence[Iterable[nn.Parameter]]]
"""Returns the parameters of every layer of a network from input to output, those of heads as the last entry."""


def make_optimizer(training: Training, parameters: Sequence[nn.Parameter], *, layers: Layers | None) -> Optimizer:
    """Make an optimizer whose groups have their weight decay, and as "factor" their part of the learning rate.

    Without weight decay and with one rate for all layers there is one group, with the parameters in their order. With
    `relative_rates`, a group belongs to one "layer", a number from 0, which is None for heads; otherwise all are None.

    Args:
        training: How the task is trained.
        parameters: What the optimizer trains.
        layers: The network's layers; None if all have the full rate.
    """
    factors = {} if layers is None else _factors(training, layers())
    numbers = _numbers(layers()) if layers is not None and training.relative_rates else {}
    groups: dict[tuple[float, float, int | None], list[nn.Parameter]] = {}
    for parameter in parameters:
        # Biases, and the scales and shifts of norms, have fewer than two dimensions.
        decay = training.weight_decay if parameter.dim() > 1 else 0.0
        groups.setdefault((decay, factors.get(parameter, 1.0), numbers.get(parameter)), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": members, "weight_decay": decay, "factor": factor, "layer": layer}
        for (decay, factor, layer), members in groups.items()
    ]
    return OPTIMIZERS[training.optimizer](settings, training.learning_rate)  # every step sets its own rate


def _factors(training: Training, layers: Sequence[Iterable[nn.Parameter]]) -> dict[nn.Parameter, float]:
    """Part of the learning rate that every parameter gets: less with every layer away from the head."""
    *stages, heads = layers
    found = dict.fromkeys(heads, training.head_rate)
    for distance, stage in enumerate(reversed(stages), start=1):
        found |= dict.fromkeys(stage, training.layer_decay**distance)
    return found


def _numbers(layers: Sequence[Iterable[nn.Parameter]]) -> dict[nn.Parameter, int]:
    """Return the number of the layer of every parameter, without those of heads, the last entry."""
    return {parameter: number for number, layer in enumerate(layers[:-1]) for parameter in layer}


@torch.no_grad()
def relative_rates(groups: Sequence[dict[str, Any]]) -> dict[int | None, float]:
    """Return the factor of the learning rate of every layer by its gradient: Auto-RGN (Lee et al., ICLR 2023).

    The relative gradient norm of a layer is |g| / |w| over all of its trained values, and its factor is this number
    divided by the largest of all layers. Heads, whose layer is None, have the factor 1.

    Args:
        groups: Groups of an optimizer of `make_optimizer`, with gradients.
    """
    trained: dict[int, list[nn.Parameter]] = {}
    for group in groups:
        if group["layer"] is not None:
            trained.setdefault(group["layer"], []).extend(p for p in group["params"] if p.grad is not None)
    norms = {
        layer: float(get_total_norm([p.grad for p in some if p.grad is not None]) / get_total_norm(some))
        for layer, some in trained.items()
        if some
    }
    largest = max(norms.values(), default=1.0) or 1.0
    return {None: 1.0} | {layer: norms.get(layer, 0.0) / largest for layer in trained}
