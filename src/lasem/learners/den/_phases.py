"""The phases of DEN: which parameters each of them trains, and its penalty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from lasem.benchmarks import Split
from lasem.learners._layers import Kernel, PlainNetwork
from lasem.learners.den._open_network import OpenNetwork
from lasem.learners.den._options import DENOptions
from lasem.learners.den._shrinkage import shrink_added_units, shrink_weights, step_scale
from lasem.optimizers import TFRMSprop

CHUNK = 500
"""Images per batch when a loss is measured without training."""

Masks = dict[nn.Parameter, Tensor]
"""Which items of a parameter are trained, in a shape that broadcasts to it; parameters without a mask train whole."""


@dataclass(frozen=True)
class Phase:
    """A training phase of the open task.

    Attributes:
        name: "first" or one of `PHASES`.
        network: The open task's network.
        options: Weights of the penalties.
        masks: Which items of parameters are trained.
    """

    name: str
    network: OpenNetwork
    options: DENOptions
    masks: Masks

    @property
    def trained(self) -> list[nn.Parameter]:
        """Parameters that take optimizer steps."""
        network = self.network
        return [network.weights[-1], network.biases[-1]] if self.name == "select" else network.parameters

    def penalty(self) -> Tensor:
        """Compute the differentiable penalty that is added to the cross-entropy, a scalar."""
        if self.name == "retrain":
            terms = [(weight * self.masks[weight]).square().sum() for weight in self.network.weights]
            return self.options.l2 * torch.stack(terms).sum()
        if self.name in ("drift", "settle"):
            return self.options.drift * self.network.drift()
        return self.network.biases[0].new_zeros(())

    def mask_gradients(self) -> None:
        """Set gradients to 0 where the phase trains nothing, between a backward pass and the optimizer's step.

        An item whose gradient has been 0 since its optimizer was new does not move, whatever the optimizer.
        """
        for parameter, trained in self.masks.items():
            if parameter.grad is not None:
                parameter.grad.mul_(trained)

    def shrink(self, optimizer: Optimizer, *, steps: int, finite: Tensor) -> None:
        """Make the proximal steps of l1 norm and group lasso, after the optimizer's step.

        Args:
            optimizer: The phase's optimizer.
            steps: Optimizer steps of the whole phase.
            finite: () whether all numbers have been finite; if not, nothing moves.
        """
        weights, options = self.network.weights, self.options
        if self.name == "select" and options.select_shrinkage:
            rate = float(optimizer.param_groups[0]["lr"])
            shrink_weights(weights[-1], options.select_shrinkage * rate, finite=finite)
        elif self.name in ("first", "select"):
            for weight in weights if self.name == "first" else weights[-1:]:
                shrink_weights(weight, options.l1 * step_scale(optimizer, weight, options, steps), finite=finite)
        if self.name == "expand":
            shrink_added_units(self.network, optimizer, options, steps=steps, finite=finite)

    def mean_squares(self, optimizer: Optimizer) -> dict[str, float]:
        """Return what RMSProp knows of the size of gradients, to warm-start the next phase with.

        Returns:
            Mean of the mean squares over the trained items, by the parameter's position in the network, as text;
            nothing for optimizers other than TensorFlow's RMSProp, which start without a bias towards 1.
        """
        if not isinstance(optimizer, TFRMSprop):
            return {}
        positions = {parameter: str(position) for position, parameter in enumerate(self.network.parameters)}
        found: dict[str, float] = {}
        for parameter in self.trained:
            squares = optimizer.state[parameter]["mean_square"]
            mask = self.masks.get(parameter)
            squares = squares if mask is None else squares[mask.expand_as(squares)]
            if squares.numel():
                found[positions[parameter]] = float(squares.mean())
        return found


def make_phase(name: str, network: OpenNetwork, options: DENOptions, *, chosen: list[list[int]]) -> Phase:
    """Make a phase.

    Args:
        name: "first" or one of `PHASES`.
        network: The open task's network.
        options: Weights of the penalties.
        chosen: Per hidden layer, the units that lead to the output; for "retrain".
    """
    masks: Masks = {}
    if name == "retrain":
        masks = _between_chosen_units(network, chosen)
    elif name == "expand":
        masks = _around_added_units(network)
    elif name == "settle" and options.settle == "own":
        masks = _unread_by_others(network)
    return Phase(name, network, options, masks)


def warm_start(optimizer: Optimizer, network: OpenNetwork, squares: Mapping[str, float]) -> None:
    """Start the mean squares of a new optimizer from those of `Phase.mean_squares`."""
    for position, parameter in enumerate(network.parameters):
        if isinstance(optimizer, TFRMSprop) and parameter in optimizer.state and str(position) in squares:
            optimizer.state[parameter]["mean_square"].fill_(squares[str(position)])


def _between_chosen_units(network: OpenNetwork, chosen: list[list[int]]) -> Masks:
    """Connections between chosen units and their biases; of the output layer, those that read chosen units."""
    device = network.biases[0].device
    units = [torch.zeros(len(bias), dtype=torch.bool, device=device) for bias in network.biases[:-1]]
    for mask, positions in zip(units, chosen, strict=True):
        mask[torch.tensor(positions, dtype=torch.int64, device=device)] = True
    rows = [*units, torch.ones(len(network.biases[-1]), dtype=torch.bool, device=device)]
    columns = [network.inputs_shared(0), *units]
    masks: Masks = {}
    for layer, (row, column) in enumerate(zip(rows, columns, strict=True)):
        masks[network.weights[layer]] = _pairs(row[:, None] & column)
        masks[network.biases[layer]] = row
    return masks


def _around_added_units(network: OpenNetwork) -> Masks:
    """What added units read, with their biases, and what reads them; the output layer trains whole."""
    fresh = [
        torch.arange(len(bias), device=bias.device) >= len(bias) - added
        for bias, added in zip(network.biases[:-1], network.added, strict=True)
    ]
    masks: Masks = {}
    for layer, rows in enumerate(fresh):
        columns = fresh[layer - 1] if layer else torch.zeros_like(network.inputs_shared(0))
        masks[network.weights[layer]] = _pairs(rows[:, None] | columns)
        masks[network.biases[layer]] = rows
    return masks


def _unread_by_others(network: OpenNetwork) -> Masks:
    """What no other task reads: all but the connections between units that others see, and the biases of these."""
    masks: Masks = {}
    for layer, shared in enumerate(network.shared):
        masks[network.weights[layer]] = ~_pairs(shared[:, None] & network.inputs_shared(layer))
        masks[network.biases[layer]] = ~shared
    return masks


def _pairs(connections: Tensor) -> Tensor:
    """(units, inputs) -> (units, inputs, 1, 1), to broadcast over the window of a kernel."""
    return connections[..., None, None]


@torch.no_grad()
def mean_entropy(plain: PlainNetwork, kernels: Sequence[Kernel], split: Split) -> float:
    """Measure the mean cross-entropy over a split, in nats, without dropout."""
    losses = [
        F.cross_entropy(plain.logits(images, kernels), labels, reduction="sum")
        for images, labels in zip(split.images.split(CHUNK), split.labels.split(CHUNK), strict=True)
    ]
    return float(torch.stack(losses).sum()) / len(split)
