"""What each phase of DEN trains, its penalty, and its proximal steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from lasem.benchmarks import Split
from lasem.learners._layers import Kernel, PlainNetwork
from lasem.learners._optimizers import TFRMSprop
from lasem.learners.den._network import OpenNetwork
from lasem.learners.den._options import DENOptions
from lasem.learners.den._shrinking import Shrink, lasso, sparse

CHUNK = 500
"""Images per batch where a loss is measured without training."""

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
    shrink: Shrink

    def equip(self, optimizer: Optimizer) -> None:
        """Let an optimizer step on the masked items only, and shrink behind every step.

        An item whose gradient has been 0 from the optimizer's start stays as it is, bit for bit.
        """
        partial = {parameter: trained for parameter, trained in self.masks.items() if not trained.all()}

        def mask(optimizer: Optimizer, *_: object) -> None:
            del optimizer
            for parameter, trained in partial.items():
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
        return Stretch(own, {}, _nothing(network), sparse(network.weights, options, steps))
    if phase == "select":
        return Stretch(own, {}, _nothing(network), sparse(network.weights[-1:], options, steps))
    if phase == "retrain":
        masks = _chosen(network, chosen)
        return Stretch(own, masks, lambda: options.l2 * _squares(network, masks), _keep)
    if phase == "expand":
        return Stretch(own, _added(network), _nothing(network), lasso(network, options, steps))
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


def mean_squares(optimizer: Optimizer, stretch: Stretch, network: OpenNetwork) -> dict[str, float]:
    """What RMSProp knows of the size of gradients: per parameter, the mean over what a phase trained of it.

    Args:
        optimizer: Of the phase.
        stretch: The phase.
        network: Of the open task.

    Returns:
        By place among the network's parameters, as a text; nothing for optimizers that start without bias.
    """
    if not isinstance(optimizer, TFRMSprop):
        return {}
    places = {parameter: str(place) for place, parameter in enumerate(network.parameters)}
    found: dict[str, float] = {}
    for parameter in stretch.trained:
        squares = optimizer.state[parameter]["mean_square"]
        mask = stretch.masks.get(parameter)
        squares = squares if mask is None else squares[mask.expand_as(squares)]
        if squares.numel():
            found[places[parameter]] = float(squares.mean())
    return found


def go_on_from(optimizer: Optimizer, network: OpenNetwork, squares: Mapping[str, float]) -> None:
    """Start the mean squares of a new optimizer from those of `mean_squares`."""
    for place, parameter in enumerate(network.parameters):
        if isinstance(optimizer, TFRMSprop) and parameter in optimizer.state and str(place) in squares:
            optimizer.state[parameter]["mean_square"].fill_(squares[str(place)])


@torch.no_grad()
def mean_entropy(layers: PlainNetwork, kernels: Sequence[Kernel], split: Split) -> float:
    """Mean cross-entropy over a split, without dropout."""
    losses = [
        F.cross_entropy(layers.logits(images, kernels), labels, reduction="sum")
        for images, labels in zip(split.images.split(CHUNK), split.labels.split(CHUNK), strict=True)
    ]
    return float(torch.stack(losses).sum()) / len(split)
