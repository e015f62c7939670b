"""DEN's proximal steps: the l1 norm of weights, and the norms of what every added unit reads."""

from collections.abc import Callable
from math import sqrt

from torch import Tensor, nn
from torch.optim import Optimizer

from lasem.learners._proximal import soft_threshold, sparse_group_threshold, step_sizes
from lasem.learners.den._network import OpenNetwork
from lasem.learners.den._options import DENOptions

Shrink = Callable[[Optimizer], None]
"""A proximal step, behind every step of an optimizer."""


def sparse(weights: list[nn.Parameter], options: DENOptions, steps: int) -> Shrink:
    """Shrink weights by l1."""

    def shrink(optimizer: Optimizer) -> None:
        for weight in weights:
            weight.copy_(soft_threshold(weight, options.l1 * _scale(optimizer, weight, options, steps)))

    return shrink


def lasso(network: OpenNetwork, options: DENOptions, steps: int) -> Shrink:
    """Shrink what comes from added units by l1, and their incoming weights as groups.

    An added unit whose incoming weights have become 0 loses its bias too, so that its output is 0.
    """

    def shrink(optimizer: Optimizer) -> None:
        for layer, weight in enumerate(network.weights):
            scale = _scale(optimizer, weight, options, steps)
            below = network.added[layer - 1] if layer else 0
            rows = len(weight) - (network.added[layer] if layer < len(network.added) else 0)
            if below:
                outgoing = weight[:rows, -below:]
                outgoing.copy_(soft_threshold(outgoing, options.l1 * _part(scale, slice(rows), slice(-below, None))))
            if rows < len(weight):
                incoming, bias = weight[rows:], network.biases[layer][rows:]
                step = _part(scale, slice(rows, None), slice(None))
                group = options.group_lasso * (step.flatten(1).mean(1) if isinstance(step, Tensor) else step)
                if options.shrinkage == "per-phase":
                    group = group * sqrt(incoming[0].numel())
                incoming.copy_(sparse_group_threshold(incoming, l1=options.l1 * step, group=group))
                bias.mul_(incoming.flatten(1).any(1))

    return shrink


def _scale(optimizer: Optimizer, weight: nn.Parameter, options: DENOptions, steps: int) -> Tensor | float:
    """What a penalty's weight is multiplied by: 1, the step size, or a step's part of the phase."""
    if options.shrinkage == "step-size":
        return step_sizes(optimizer, weight)
    return 1 / steps if options.shrinkage == "per-phase" else 1.0


def _part(scale: Tensor | float, rows: slice, columns: slice) -> Tensor | float:
    return scale[rows, columns] if isinstance(scale, Tensor) and scale.dim() else scale
