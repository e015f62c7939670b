"""One hidden layer of a network that grows: all connections of all tasks in one dense kernel."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lasem.learners._layers import Kernel


class GrownLayer:
    """The units of one hidden layer, of all tasks together.

    Units, and the units below that they read, have numbers which never change, so a task is described by lists of
    numbers. The kernel is dense, which wastes memory on pairs of units that no task connects: it grows with the product
    of the numbers of units in both layers. What a checkpoint stores and what `num_parameters` counts is only what some
    task has read.

    Args:
        window: (h, w) of the kernel.
        device: Where tensors go.

    Attributes:
        weight: (units, inputs, h, w); 0 for two units that were never connected.
        bias: (units,).
        connected: (units, inputs) whether some task has read a connection.
    """

    def __init__(self, window: tuple[int, int], *, device: torch.device) -> None:
        self.weight = torch.zeros(0, 0, *window, device=device)
        self.bias = torch.zeros(0, device=device)
        self.connected = torch.zeros(0, 0, dtype=torch.bool, device=device)

    @property
    def num_units(self) -> int:
        """Number of units; they are numbered from 0."""
        return len(self.bias)

    @property
    def num_parameters(self) -> int:
        """Number of weights and biases that some task has read."""
        return int(self.connected.sum()) * self.weight[0, 0].numel() + len(self.bias) if len(self.bias) else 0

    def read(self, units: Sequence[int], inputs: Sequence[int]) -> Kernel:
        """Copy the weight (units, inputs, h, w) and the bias (units,) of some units over some inputs, by number."""
        rows, columns = self._index(units), self._index(inputs)
        return self.weight[rows[:, None], columns], self.bias[rows]

    def write(self, units: Sequence[int], inputs: Sequence[int], kernel: Kernel) -> None:
        """Store the kernel of some units over some inputs, by number; new numbers enlarge the layer."""
        self._enlarge(max(units, default=-1) + 1, max(inputs, default=-1) + 1)
        rows, columns = self._index(units), self._index(inputs)
        self.weight[rows[:, None], columns] = kernel[0].detach().to(self.weight)
        self.bias[rows] = kernel[1].detach().to(self.bias)
        self.connected[rows[:, None], columns] = True

    def _enlarge(self, units: int, inputs: int) -> None:
        """Append zeros until there are at least so many units and inputs."""
        more, wider = max(0, units - len(self.weight)), max(0, inputs - self.weight.shape[1])
        if more or wider:
            pad = torch.nn.functional.pad
            self.weight = pad(self.weight, (0, 0, 0, 0, 0, wider, 0, more))
            self.connected = pad(self.connected, (0, wider, 0, more))
            self.bias = pad(self.bias, (0, more))

    def blocks(self) -> list[tuple[list[int], list[int]]]:
        """Divide the units by what they read: (units, inputs) of each block, which has no gaps.

        A checkpoint stores blocks, so that it holds no connections that no task reads.
        """
        if not self.num_units:
            return []
        patterns, of_unit = self.connected.unique(dim=0, return_inverse=True)
        return [(_places(of_unit == number), _places(connected)) for number, connected in enumerate(patterns.unbind())]

    def _index(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=self.bias.device)


def _places(mask: Tensor) -> list[int]:
    return mask.nonzero().flatten().tolist()
