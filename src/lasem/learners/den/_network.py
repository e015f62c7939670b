"""The network of the open task: what it takes from earlier tasks, what it adds, and how it grows and splits."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from lasem.learners._layers import Kernel, PlainNetwork
from lasem.learners.den._drift import drifted
from lasem.learners.den._options import DENOptions
from lasem.nn import constant_bias, truncated_normal

FRESH = -1
"""The origin of a unit that no earlier task has."""


@dataclass
class OpenNetwork:
    """Kernels that a task trains, apart from those that earlier tasks answer with until it ends.

    Attributes:
        layers: What the kernels are of.
        weights: (units, inputs, h, w) of every hidden layer, and of the output layer.
        biases: (units,) likewise.
        origins: Per hidden layer and unit, its number in the bank, or `FRESH`.
        shared: Per hidden layer, (units,), whether another task sees the unit.
        start: The kernels of the units that it began with, as they were.
        added: Per hidden layer, how many of its last units were added in this task and may still be removed.
    """

    layers: PlainNetwork
    weights: list[nn.Parameter]
    biases: list[nn.Parameter]
    origins: list[list[int]]
    shared: list[Tensor]
    start: list[Kernel]
    added: list[int] = field(default_factory=list)

    @classmethod
    def of(
        cls, layers: PlainNetwork, kernels: Sequence[Kernel], *, origins: list[list[int]], seen: Sequence[set[int]]
    ) -> "OpenNetwork":
        """Begin with kernels.

        Args:
            layers: What they are of.
            kernels: Of the hidden layers and the output layer; copied.
            origins: See the class.
            seen: Per hidden layer, the units that other tasks see.
        """
        device = kernels[0][1].device
        shared = [
            torch.tensor([unit in others for unit in row], device=device)
            for row, others in zip(origins, seen, strict=True)
        ]
        return cls(
            layers=layers,
            weights=[nn.Parameter(weight.detach().clone()) for weight, _ in kernels],
            biases=[nn.Parameter(bias.detach().clone()) for _, bias in kernels],
            origins=[list(row) for row in origins],
            shared=shared,
            start=[(weight.detach().clone(), bias.detach().clone()) for weight, bias in kernels[:-1]],
            added=[0] * len(layers.units),
        )

    @property
    def kernels(self) -> list[Kernel]:
        """Of the hidden layers and the output layer."""
        return list(zip(self.weights, self.biases, strict=True))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Weights, then biases."""
        return [*self.weights, *self.biases]

    def inputs_shared(self, layer: int) -> Tensor:
        """(inputs,): which inputs of a layer another task sees; those of the first are the image's channels."""
        if layer == 0:
            return torch.ones(self.weights[0].shape[1], dtype=torch.bool, device=self.weights[0].device)
        return self.shared[layer - 1]

    def drift(self) -> Tensor:
        """The sum of |W - W_before|^2 over the weights and biases that other tasks read."""
        total = self.biases[0].new_zeros(())
        for layer, (before, bias) in enumerate(self.start):
            rows, columns = before.shape[:2]
            shared = self.shared[layer][:rows].to(bias)  # 0 or 1: a product is cheaper than choosing rows
            weights = (self.weights[layer][:rows, :columns] - before) * shared[:, None, None, None]
            total = total + weights.square().sum() + ((self.biases[layer][:rows] - bias) * shared).square().sum()
        return total

    def connected(self) -> list[list[int]]:
        """Units that lead to the task's output over weights that are not 0, per hidden layer: a search from above."""
        found: list[list[int]] = []
        above = self.weights[-1].detach()
        for layer in reversed(range(len(self.layers.units))):
            leads = (above != 0).flatten(2).any(2).any(0)
            units = leads.nonzero().flatten()
            found.append(units.tolist())
            above = self.weights[layer].detach()[units]
        return found[::-1]

    @torch.no_grad()
    def grow(self, units: int, source: Generator) -> None:
        """Add units to every hidden layer; no answer changes, since nothing old listens to them yet.

        Added units read all units below and each other.

        Args:
            units: How many.
            source: Of their initial weights.
        """
        for layer in range(len(self.layers.units) + 1):
            weight, bias = self.weights[layer].detach(), self.biases[layer].detach()
            if layer > 0:
                weight = torch.cat([weight, weight.new_zeros(len(weight), units, *weight.shape[2:])], 1)
            if layer < len(self.layers.units):
                rows = truncated_normal((units, *weight.shape[1:]), source=source).detach().to(weight)
                weight = torch.cat([weight, rows])
                bias = torch.cat([bias, constant_bias(units).detach().to(bias)])
                self._append(layer, units)
                self.added[layer] = units
            self._put(layer, weight, bias)

    @torch.no_grad()
    def prune(self) -> list[int]:
        """Remove the added units whose incoming weights are all 0; how many stay, per hidden layer.

        No answer changes: the bias of such a unit is 0 too, so its output was.
        """
        useful = [weight.detach().flatten(1).any(1) for weight in self.weights[:-1]]
        for layer, kept in enumerate(useful):
            kept[: len(kept) - self.added[layer]] = True
            self._put(layer, self.weights[layer].detach()[kept], self.biases[layer].detach()[kept])
            above = self.weights[layer + 1].detach()[:, kept]
            self._put(layer + 1, above, self.biases[layer + 1].detach())
            self.origins[layer] = [unit for unit, keep in zip(self.origins[layer], kept.tolist(), strict=True) if keep]
            self.shared[layer] = self.shared[layer][kept]
        stayed = [number - int((~kept).sum()) for number, kept in zip(self.added, useful, strict=True)]
        self.added = [0] * len(self.layers.units)
        return stayed

    @torch.no_grad()
    def split(self, options: DENOptions) -> list[int]:
        """Split the units that others see and that drifted too far; how many, per hidden layer.

        The open task keeps what it trained as a copy; the original is the others' again, as it was before the task.
        With "replace" no answer of the open task changes. With "beside" it reads original and copy by the same
        weights, which is what the authors' code trains on from.
        """
        found = [
            drifted(self.kernels[layer], before, options, conv=layer < self.layers.num_convs)
            for layer, before in enumerate(self.start)
        ]
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

    def state(self) -> tuple[dict[str, Tensor], dict[str, list[list[int]]]]:
        """Tensors by name, and JSON values; what it began with is not among them."""
        tensors = {f"weights.{i}": weight.detach() for i, weight in enumerate(self.weights)}
        tensors |= {f"biases.{i}": bias.detach() for i, bias in enumerate(self.biases)}
        shared = [[int(bit) for bit in row.tolist()] for row in self.shared]
        return tensors, {"origins": self.origins, "shared": shared, "added": [self.added]}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, list[list[int]]]) -> None:
        """Take over a state, of a network that began with the same kernels."""
        device = self.biases[0].device
        for layer in range(len(self.weights)):
            self._put(layer, *(tensors[f"{kind}.{layer}"].to(device).clone() for kind in ("weights", "biases")))
        self.origins = [list(row) for row in values["origins"]]
        self.shared = [torch.tensor(row, dtype=torch.bool, device=device) for row in values["shared"]]
        self.added = list(values["added"][0])

    def _append(self, layer: int, units: int) -> None:
        self.origins[layer] += [FRESH] * units
        fresh = torch.zeros(units, dtype=torch.bool, device=self.shared[layer].device)
        self.shared[layer] = torch.cat([self.shared[layer], fresh])

    def _put(self, layer: int, weight: Tensor, bias: Tensor) -> None:
        self.weights[layer], self.biases[layer] = nn.Parameter(weight), nn.Parameter(bias)
