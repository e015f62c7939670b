"""What each phase of DEN trains, its penalty, and its proximal steps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lasem.learners._optimizers import TFRMSprop
from lasem.learners._proximal import soft_threshold, sparse_group_threshold, step_sizes
from lasem.learners.den._network import OpenNetwork
from lasem.learners.den._options import DENOptions

Masks = dict[nn.Parameter, Tensor]
"""Which items of a parameter are trained; parameters that are not named are trained whole."""


@dataclass(frozen=True)
class Stretch:
    """A phase of a task, ready to train.

    Attributes:
        trained: Parameters that take steps.
        masks: Which of their items do.
        penalty: Added to the cross-entropy; a scalar.
        shrink: Proximal steps after every step of an optimizer.
    """

    trained: list[nn.Parameter]
    masks: Masks
    penalty: Callable[[], Tensor]
    shrink: Callable[[Optimizer], None]

    def equip(self, optimizer: Optimizer) -> None:
        """Let an optimizer step on the masked items only, and shrink behind every step.

        An item whose gradient has been 0 from the optimizer's start stays as it is, bit for bit.
        """

        def mask(optimizer: Optimizer, *_: object) -> None:
            del optimizer
            for parameter, trained in self.masks.items():
                if parameter.grad is not None:
                    parameter.grad.mul_(trained)

        def shrink(optimizer: Optimizer, *_: object) -> None:
            with torch.no_grad():
                self.shrink(optimizer)

        optimizer.register_step_pre_hook(mask)
        optimizer.register_step_post_hook(shrink)


def trained(phase: str, network: OpenNetwork) -> list[nn.Parameter]:
    """Parameters that take steps in a phase."""
    return [network.weights[-1], network.biases[-1]] if phase == "select" else network.parameters


def stretch(phase: str, network: OpenNetwork, options: DENOptions, *, chosen: list[list[int]], steps: int) -> Stretch:
    """Make a phase.

    Args:
        phase: "first" or one of `PHASES`.
        network: Of the open task.
        options: Weights of the penalties.
        chosen: Connected units per hidden layer, for "retrain".
        steps: Optimizer steps of the phase.
    """
    own = trained(phase, network)
    if phase == "first":
        return Stretch(own, {}, _nothing(network), _sparse(network.weights, options, steps))
    if phase == "select":
        return Stretch(own, {}, _nothing(network), _sparse(network.weights[-1:], options, steps))
    if phase == "retrain":
        masks = _chosen(network, chosen)
        return Stretch(own, masks, lambda: options.l2 * _squares(network, masks), _keep)
    if phase == "expand":
        return Stretch(own, _added(network), _nothing(network), _lasso(network, options, steps))
    masks = _own(network) if phase == "settle" and options.settle == "own" else {}
    return Stretch(own, masks, lambda: options.drift * network.drift(), _keep)


def _nothing(network: OpenNetwork) -> Callable[[], Tensor]:
    return lambda: network.biases[0].new_zeros(())


def _keep(optimizer: Optimizer) -> None:
    """No proximal step."""


def _chosen(network: OpenNetwork, chosen: list[list[int]]) -> Masks:
    """Connections between chosen units and their biases; of the output layer those that read chosen units."""
    device = network.biases[0].device
    units = [torch.zeros(len(bias), dtype=torch.bool, device=device) for bias in network.biases[:-1]]
    for mask, places in zip(units, chosen, strict=True):
        mask[torch.tensor(places, dtype=torch.int64, device=device)] = True
    everything = torch.ones(len(network.biases[-1]), dtype=torch.bool, device=device)
    rows = [*units, everything]
    columns = [network.inputs_shared(0), *units]
    return _outer(network, rows, columns)


def _outer(network: OpenNetwork, rows: list[Tensor], columns: list[Tensor]) -> Masks:
    """Weights between some units and some inputs, with the biases of these units."""
    weights = {
        weight: (row[:, None] & column)[..., None, None]
        for weight, row, column in zip(network.weights, rows, columns, strict=True)
    }
    return weights | dict(zip(network.biases, rows, strict=True))


def _added(network: OpenNetwork) -> Masks:
    """What comes from and goes to added units, their biases, and the whole output layer."""
    fresh = [
        torch.arange(len(bias), device=bias.device) >= len(bias) - added
        for bias, added in zip(network.biases[:-1], network.added, strict=True)
    ]
    masks: Masks = {}
    for layer, rows in enumerate(fresh):
        columns = fresh[layer - 1] if layer else torch.zeros_like(network.inputs_shared(0))
        masks[network.weights[layer]] = (rows[:, None] | columns)[..., None, None]
        masks[network.biases[layer]] = rows
    return masks


def _own(network: OpenNetwork) -> Masks:
    """What no other task reads: all but the connections between units that others see, and their biases."""
    masks: Masks = {}
    for layer, shared in enumerate(network.shared):
        masks[network.weights[layer]] = ~(shared[:, None] & network.inputs_shared(layer))[..., None, None]
        masks[network.biases[layer]] = ~shared
    return masks


def _squares(network: OpenNetwork, masks: Masks) -> Tensor:
    """Sum of the squares of the weights that are trained."""
    terms = [(weight * masks[weight]).square().sum() for weight in network.weights]
    return torch.stack(terms).sum()


def _sparse(weights: list[nn.Parameter], options: DENOptions, steps: int) -> Callable[[Optimizer], None]:
    """Shrink weights by l1."""

    def shrink(optimizer: Optimizer) -> None:
        for weight in weights:
            weight.copy_(soft_threshold(weight, options.l1 * _scale(optimizer, weight, options, steps)))

    return shrink


def _lasso(network: OpenNetwork, options: DENOptions, steps: int) -> Callable[[Optimizer], None]:
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
                group = options.group_lasso * (step.flatten(1).mean(1) if step.dim() else step)
                if options.shrinkage == "per-phase":
                    group = group * incoming[0].numel() ** 0.5
                incoming.copy_(sparse_group_threshold(incoming, l1=options.l1 * step, group=group))
                bias.mul_(incoming.flatten(1).any(1))

    return shrink


def _scale(optimizer: Optimizer, weight: nn.Parameter, options: DENOptions, steps: int) -> Tensor:
    """What a penalty's weight is multiplied by: 1, the step size, or a step's part of the phase."""
    if options.shrinkage == "step-size":
        return step_sizes(optimizer, weight)
    return torch.full((), 1 / steps if options.shrinkage == "per-phase" else 1.0, device=weight.device)


def _part(scale: Tensor, rows: slice, columns: slice) -> Tensor:
    return scale[rows, columns] if scale.dim() else scale


def mean_squares(optimizer: Optimizer, network: OpenNetwork, stretch: Stretch) -> dict[int, float]:
    """Mean over the trained items of every parameter, by its place."""
    found = {}
    if isinstance(optimizer, TFRMSprop):
        for i, p in enumerate(network.parameters):
            if "mean_square" in optimizer.state[p]:
                square = optimizer.state[p]["mean_square"]
                mask = stretch.masks.get(p)
                if mask is not None:
                    square = square[mask.expand_as(square)] if mask.dim() else square
                if square.numel():
                    found[i] = float(square.mean())
    return found


def start_at(optimizer, network, squares) -> None:
    for i, p in enumerate(network.parameters):
        if i in squares and "mean_square" in optimizer.state[p]:
            optimizer.state[p]["mean_square"].fill_(squares[i])
