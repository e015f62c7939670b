"""The network of the open task: what it takes from earlier tasks, what it adds, and how it grows and splits."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Generator, Tensor, nn

from lasem.learners._layers import Kernel, PlainNetwork
from lasem.learners.den._options import DENOptions
from lasem.nn import constant_bias, truncated_normal

FRESH = -1
"""Stands in place of a number for a unit that no earlier task has."""


class OpenNetworkState(BaseModel):
    """JSON values of an `OpenNetwork`, as a checkpoint stores them.

    Attributes:
        origins: Per hidden layer and unit, the unit's number in the network of all tasks, or `FRESH`.
        shared: Per hidden layer and unit, 1 if another task sees the unit, else 0.
        added: One list: per hidden layer, how many of its last units may still be removed.
    """

    origins: list[list[int]]
    shared: list[list[int]]
    added: list[list[int]]


@dataclass
class OpenNetwork:
    """The kernels that a task trains, apart from those that earlier tasks answer with until it ends.

    Attributes:
        plain: The layers that the kernels belong to.
        weights: (units, inputs, h, w) of every hidden layer, then of the output layer.
        biases: (units,) likewise.
        origins: Per hidden layer and unit, its number in the network of all tasks, or `FRESH`.
        shared: Per hidden layer, (units,) whether another task sees the unit.
        start: Per hidden layer, the kernel that the task began with.
        added: Per hidden layer, how many of its last units were added in this task and may still be removed.
    """

    plain: PlainNetwork
    weights: list[nn.Parameter]
    biases: list[nn.Parameter]
    origins: list[list[int]]
    shared: list[Tensor]
    start: list[Kernel]
    added: list[int] = field(default_factory=list)

    @classmethod
    def of(
        cls, plain: PlainNetwork, kernels: Sequence[Kernel], *, origins: list[list[int]], shared: Sequence[set[int]]
    ) -> "OpenNetwork":
        """Begin a task with copies of kernels.

        Args:
            plain: The layers.
            kernels: One per hidden layer, and the output layer's.
            origins: Per hidden layer and unit, its number in the network of all tasks, or `FRESH`.
            shared: Per hidden layer, the numbers of the units that other tasks see.
        """
        device = kernels[0][1].device
        flags = zip(origins, shared, strict=True)
        return cls(
            plain=plain,
            weights=[nn.Parameter(weight.detach().clone()) for weight, _ in kernels],
            biases=[nn.Parameter(bias.detach().clone()) for _, bias in kernels],
            origins=[list(row) for row in origins],
            shared=[torch.tensor([unit in others for unit in row], device=device) for row, others in flags],
            start=[(weight.detach().clone(), bias.detach().clone()) for weight, bias in kernels[:-1]],
            added=[0] * len(origins),
        )

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of the hidden layers and of the output layer."""
        return list(zip(self.weights, self.biases, strict=True))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters: first the weights, then the biases."""
        return [*self.weights, *self.biases]

    def inputs_shared(self, layer: int) -> Tensor:
        """Return (inputs,): whether another task sees each input of a layer; the image's channels all do."""
        if layer == 0:
            return torch.ones(self.weights[0].shape[1], dtype=torch.bool, device=self.weights[0].device)
        return self.shared[layer - 1]

    def drift(self) -> Tensor:
        """Sum |W - W_before|^2 over the weights and biases that other tasks read, a scalar."""
        total = self.biases[0].new_zeros(())
        for layer, (before, bias) in enumerate(self.start):
            rows, columns = before.shape[:2]
            shared = self.shared[layer][:rows].to(bias)  # 0 or 1: a product is cheaper than choosing rows
            weights = (self.weights[layer][:rows, :columns] - before) * shared[:, None, None, None]
            total = total + weights.square().sum() + ((self.biases[layer][:rows] - bias) * shared).square().sum()
        return total

    def connected_units(self) -> list[list[int]]:
        """Find, per hidden layer, the units that lead to the task's output over weights that are not 0."""
        found: list[list[int]] = []
        above = self.weights[-1].detach()
        for weight in reversed(self.weights[:-1]):
            leads = (above != 0).flatten(2).any(2).any(0)
            units = leads.nonzero().flatten()
            found.append(units.tolist())
            above = weight.detach()[units]
        return found[::-1]

    @torch.no_grad()
    def grow(self, units: int, source: Generator) -> None:
        """Add units to every hidden layer. They read all units below, and each other.

        No answer changes, because units that were there begin to read the added ones with weights 0.

        Args:
            units: How many units each layer gets.
            source: Source of their initial weights.
        """
        for layer in range(len(self.weights)):
            weight, bias = self.weights[layer].detach(), self.biases[layer].detach()
            if layer > 0:
                weight = torch.cat([weight, weight.new_zeros(len(weight), units, *weight.shape[2:])], 1)
            if layer < len(self.origins):
                rows = truncated_normal((units, *weight.shape[1:]), source=source).detach().to(weight)
                weight = torch.cat([weight, rows])
                bias = torch.cat([bias, constant_bias(units).detach().to(bias)])
                self._append(layer, units)
                self.added[layer] = units
            self._put(layer, weight, bias)

    @torch.no_grad()
    def prune(self) -> list[int]:
        """Remove the added units whose incoming weights are all 0, and return how many remain per hidden layer.

        No answer changes: such a unit's bias is 0 as well, so its output was 0.
        """
        useful = [weight.detach().flatten(1).any(1) for weight in self.weights[:-1]]
        for layer, kept in enumerate(useful):
            kept[: len(kept) - self.added[layer]] = True
            self._put(layer, self.weights[layer].detach()[kept], self.biases[layer].detach()[kept])
            above = self.weights[layer + 1].detach()[:, kept]
            self._put(layer + 1, above, self.biases[layer + 1].detach())
            self.origins[layer] = [unit for unit, keep in zip(self.origins[layer], kept.tolist(), strict=True) if keep]
            self.shared[layer] = self.shared[layer][kept]
        remaining = [number - int((~kept).sum()) for number, kept in zip(self.added, useful, strict=True)]
        self.added = [0] * len(self.added)
        return remaining

    @torch.no_grad()
    def split(self, options: DENOptions) -> list[int]:
        """Split the units that other tasks see and that drifted too far, and return how many per hidden layer.

        The open task keeps a copy with the trained values; the original returns to what it was before the task. With
        `split = "replace"` no answer of the open task changes. With "beside" it reads the original and the copy with
        the same weights, from which the authors' code continues to train.
        """
        before_and_now = enumerate(zip(self.start, self.kernels[:-1], strict=True))
        found = [drifted(now, before, options, conv=i < self.plain.num_convs) for i, (before, now) in before_and_now]
        numbers: list[int] = []
        for layer, far in enumerate(found):
            wide = torch.zeros_like(self.shared[layer])
            wide[: len(far)] = far
            places = (wide & self.shared[layer]).nonzero().flatten()
            numbers.append(len(places))
            if options.split == "replace":
                for place in places.tolist():
                    self.origins[layer][place] = FRESH
                self.shared[layer][places] = False
            elif len(places):
                self._duplicate(layer, places)
        return numbers

    def _duplicate(self, layer: int, places: Tensor) -> None:
        """Append copies of units, and put the originals back to what they were."""
        weight, bias = self.weights[layer].detach(), self.biases[layer].detach()
        before, offset = self.start[layer]
        copies = weight[places], bias[places]
        restored, shift = weight.clone(), bias.clone()
        restored[places, : before.shape[1]] = before[places]
        shift[places] = offset[places]
        self._put(layer, torch.cat([restored, copies[0]]), torch.cat([shift, copies[1]]))
        above = self.weights[layer + 1].detach()
        self._put(layer + 1, torch.cat([above, above[:, places]], 1), self.biases[layer + 1].detach())
        self._append(layer, len(places))

    def _append(self, layer: int, units: int) -> None:
        self.origins[layer] += [FRESH] * units
        fresh = torch.zeros(units, dtype=torch.bool, device=self.shared[layer].device)
        self.shared[layer] = torch.cat([self.shared[layer], fresh])

    def _put(self, layer: int, weight: Tensor, bias: Tensor) -> None:
        self.weights[layer], self.biases[layer] = nn.Parameter(weight), nn.Parameter(bias)

    def state(self) -> tuple[OpenNetworkState, dict[str, Tensor]]:
        """Return JSON values, and tensors by name; `start` is not among them, because earlier tasks still have it."""
        tensors = {f"weights.{i}": weight.detach() for i, weight in enumerate(self.weights)}
        tensors |= {f"biases.{i}": bias.detach() for i, bias in enumerate(self.biases)}
        shared = [[int(bit) for bit in row.tolist()] for row in self.shared]
        return OpenNetworkState(origins=self.origins, shared=shared, added=[self.added]), tensors

    def restore(self, values: OpenNetworkState, tensors: dict[str, Tensor]) -> None:
        """Take over the state of a network that began with the same kernels."""
        device = self.biases[0].device
        for layer in range(len(self.weights)):
            self._put(layer, *(tensors[f"{kind}.{layer}"].to(device).clone() for kind in ("weights", "biases")))
        self.origins = [list(row) for row in values.origins]
        self.shared = [torch.tensor(row, dtype=torch.bool, device=device) for row in values.shared]
        self.added = list(values.added[0])


def drifted(now: Kernel, before: Kernel, options: DENOptions, *, conv: bool) -> Tensor:
    """Return which of the units that were there before have drifted beyond the threshold: (units before,), boolean."""
    threshold = options.split_threshold[0 if conv else 1]
    if options.drift_measure == "distance":
        return distances(now, before) > threshold
    return cosines(now, before) < threshold


def distances(now: Kernel, before: Kernel) -> Tensor:
    """Measure |w_i - w_i_before|_2 of every unit's incoming weights, bias included: (units before,)."""
    return (_vectors(now, before) - _vectors(before, before)).norm(dim=1)


def cosines(now: Kernel, before: Kernel) -> Tensor:
    """Measure |cos| of the angle that every unit's incoming weights, bias included, have turned: (units before,)."""
    return F.cosine_similarity(_vectors(now, before), _vectors(before, before), dim=1, eps=1e-12).abs()


def _vectors(kernel: Kernel, before: Kernel) -> Tensor:
    """Incoming weights and bias of the units that were there before, from the inputs that were: (units, values)."""
    units, inputs = before[0].shape[:2]
    weight, bias = kernel[0].detach()[:units, :inputs], kernel[1].detach()[:units]
    return torch.cat([weight.flatten(1), bias[:, None]], 1)
