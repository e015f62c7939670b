"""The units of a layer that has grown, with every connection that some task reads and no other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lasem.learners._layers import Kernel


@dataclass
class Block:
    """Units that read the same inputs.

    Attributes:
        units: Their numbers.
        inputs: Numbers of the units below that they read.
        weight: (units, inputs, h, w).
        bias: (units,).
    """

    units: list[int]
    inputs: list[int]
    weight: Tensor
    bias: Tensor

    def part(self, rows: Sequence[int]) -> "Block":
        """Some of its units, by their place in it."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.bias.device)
        units = [self.units[row] for row in rows]
        return Block(units, list(self.inputs), self.weight[index], self.bias[index])

    def widened(self, inputs: Sequence[int]) -> "Block":
        """The same with further inputs, of weight 0."""
        zeros = self.weight.new_zeros(len(self.units), len(inputs), *self.weight.shape[2:])
        return Block(self.units, [*self.inputs, *inputs], torch.cat([self.weight, zeros], 1), self.bias)


@dataclass
class Bank:
    """The units of one layer. A number names a unit for ever; connections that no task reads are not stored.

    Attributes:
        blocks: Every unit is in one of them.
    """

    blocks: list[Block] = field(default_factory=list)

    @property
    def num_units(self) -> int:
        """How many there are; they are numbered from 0."""
        return sum(len(block.units) for block in self.blocks)

    @property
    def num_parameters(self) -> int:
        """Weights and biases stored."""
        return sum(block.weight.numel() + block.bias.numel() for block in self.blocks)

    def read(self, units: Sequence[int], inputs: Sequence[int]) -> Kernel:
        """Weight (units, inputs, h, w) and bias (units,), copied; 0 where two units were never connected."""
        like = self.blocks[0]
        weight = like.weight.new_zeros(len(units), len(inputs), *like.weight.shape[2:])
        bias = like.bias.new_zeros(len(units))
        for block in self.blocks:
            there, here = pairs(units, block.units, device=bias.device)
            to, source = pairs(inputs, block.inputs, device=bias.device)
            weight[there[:, None], to] = block.weight[here[:, None], source]
            bias[there] = block.bias[here]
        return weight, bias

    def write(self, units: Sequence[int], inputs: Sequence[int], kernel: Kernel) -> None:
        """Store connections; units and connections that are new are added.

        Args:
            units: Numbers; those from `num_units` on are new.
            inputs: Numbers of the units below.
            kernel: Weight (units, inputs, h, w) and bias (units,).
        """
        wanted, known = set(units), self.num_units
        self.blocks = [new for block in self.blocks for new in _prepared(block, wanted, inputs)]
        for block in self.blocks:
            here, there = pairs(block.units, units, device=block.bias.device)
            to, source = pairs(block.inputs, inputs, device=block.bias.device)
            block.weight[here[:, None], to] = kernel[0][there[:, None], source]
            block.bias[here] = kernel[1][there]
        fresh = [row for row, unit in enumerate(units) if unit >= known]
        if fresh:
            self.blocks.append(Block(list(units), list(inputs), *kernel).part(fresh))


def _prepared(block: Block, units: Iterable[int], inputs: Sequence[int]) -> list[Block]:
    """A block with room for connections to these units: those that get new ones part from the rest."""
    further = [unit for unit in inputs if unit not in set(block.inputs)]
    rows = [row for row, unit in enumerate(block.units) if unit in units]
    if not further or not rows:
        return [block]
    rest = [row for row in range(len(block.units)) if row not in set(rows)]
    return [*([block.part(rest)] if rest else []), block.part(rows).widened(further)]


def pairs(one: Sequence[int], other: Sequence[int], *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places of the numbers that both lists have, in the one and in the other."""
    places = {number: place for place, number in enumerate(other)}
    found = [(place, places[number]) for place, number in enumerate(one) if number in places]
    pairs = torch.tensor(found, dtype=torch.int64, device=device).view(-1, 2)
    return pairs[:, 0], pairs[:, 1]
