"""DEN's proximal steps: they shrink single weights, and all that an added unit reads, until these are exactly 0."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lasem.learners.den._open_network import OpenNetwork
from lasem.learners.den._options import DENOptions
from lasem.training import soft_threshold, sparse_group_threshold, step_sizes


@torch.no_grad()
def shrink_weights(weight: nn.Parameter, amount: Tensor | float, *, finite: Tensor) -> None:
    """Move every item towards 0 by an amount, and not beyond, if all numbers have been finite.

    Args:
        weight: A weight that the optimizer has just moved.
        amount: How far, or (weight's shape) how far each item.
        finite: () whether all numbers have been finite.
    """
    weight.copy_(torch.where(finite, soft_threshold(weight, amount), weight))


@torch.no_grad()
def shrink_added_units(
    network: OpenNetwork, optimizer: Optimizer, options: DENOptions, *, steps: int, finite: Tensor
) -> None:
    """Shrink what reads added units by the l1 norm, and what they read by l1 norm and group lasso.

    An added unit whose incoming weights have all become 0 loses its bias too, so that its output is 0.

    Args:
        network: The open task's network, whose last units in every layer are the added ones.
        optimizer: Optimizer of the phase.
        options: Weights of the norms, and what a step shrinks by.
        steps: Optimizer steps of the whole phase.
        finite: () whether all numbers have been finite.
    """
    for layer, weight in enumerate(network.weights):
        scale = step_scale(optimizer, weight, options, steps)
        below = network.added[layer - 1] if layer else 0
        rows = len(weight) - (network.added[layer] if layer < len(network.added) else 0)
        if below:
            outgoing = weight[:rows, -below:]
            shrunk = soft_threshold(outgoing, options.l1 * _cut(scale, slice(rows), slice(-below, None)))
            outgoing.copy_(torch.where(finite, shrunk, outgoing))
        if rows < len(weight):
            incoming, bias = weight[rows:], network.biases[layer][rows:]
            step = _cut(scale, slice(rows, None), slice(None))
            group = options.group_lasso * (step.flatten(1).mean(1) if isinstance(step, Tensor) else step)
            if options.shrinkage == "per-phase":
                group = group * sqrt(incoming[0].numel())
            shrunk = sparse_group_threshold(incoming, l1=options.l1 * step, group=group)
            incoming.copy_(torch.where(finite, shrunk, incoming))
            bias.mul_(incoming.flatten(1).any(1))


def step_scale(optimizer: Optimizer, weight: nn.Parameter, options: DENOptions, steps: int) -> Tensor | float:
    """Return the factor of a penalty's weight in one step: 1, the step sizes, or one step's share of the phase."""
    if options.shrinkage == "step-size":
        return step_sizes(optimizer, weight)
    return 1 / steps if options.shrinkage == "per-phase" else 1.0


def _cut(scale: Tensor | float, rows: slice, columns: slice) -> Tensor | float:
    return scale[rows, columns] if isinstance(scale, Tensor) and scale.dim() else scale
