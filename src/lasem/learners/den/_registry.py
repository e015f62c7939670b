"""All units of a network that grows, and which of them each task sees."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Generator, Tensor

from lasem.learners._layers import Kernel, PlainNetwork, count
from lasem.learners._learner import LearnerState
from lasem.learners.den._bank import Bank, Block, pairs
from lasem.learners.den._network import FRESH, OpenNetwork
from lasem.nn import generator, truncated_normal
from lasem.seeds import derive_seed

KEPT_BYTES = 2**26
"""Gathered kernels that are kept for the next batch, at most; those of one task always are."""

Numbers = list[list[int]]
"""Per hidden layer, numbers of units."""


class Units:
    """The network of all tasks.

    Args:
        layers: With their first widths.
        device: Where parameters go.
    """

    def __init__(self, layers: PlainNetwork, *, device: torch.device) -> None:
        self.layers = layers
        self.device = device
        self.banks = [Bank() for _ in layers.units]
        self.seen: dict[int, Numbers] = {}
        """By task, the units that it sees, in the order of its kernels: the time stamps of DEN, unit by unit."""
        self.latest: Numbers = []
        """The units that a new task begins with."""
        self.heads: dict[int, Kernel] = {}
        """By task, its output layer."""
        self._gathered: dict[tuple[int, bool], list[Kernel]] = {}
        """By task, and whether an open network lies over them: kernels as they were last read."""

    @property
    def num_parameters(self) -> int:
        """Of all hidden layers."""
        return sum(bank.num_parameters for bank in self.banks)

    def numbers(self, network: OpenNetwork | None) -> list[int]:
        """Units of every hidden layer, those of an open task included."""
        fresh = [0] * len(self.banks) if network is None else [row.count(FRESH) for row in network.origins]
        return [bank.num_units + more for bank, more in zip(self.banks, fresh, strict=True)]

    def others(self, task: int) -> list[set[int]]:
        """Per hidden layer, what the tasks apart from one see; nothing where there are none."""
        lists = [numbers for other, numbers in self.seen.items() if other != task]
        return [set().union(*layer) for layer in zip(*lists, strict=True)]

    def begin(self, task: int, *, classes: int) -> OpenNetwork:
        """A network for a task: its own units, or those that a new task begins with."""
        self.forget()
        if not self.seen:
            kernels = [self._place(kernel) for kernel in self.layers.new_kernels(task, classes=classes)]
            origins = [[FRESH] * units for units in self.layers.units]
            return OpenNetwork.of(self.layers, kernels, origins=origins, seen=[set()] * len(origins))
        origins = self.seen.get(task, self.latest)
        output = self.heads[task] if task in self.heads else self._new_head(task, origins[-1:], classes)
        kernels = [*self._read(origins), output]
        seen = self.others(task) or [set[int]()] * len(origins)
        return OpenNetwork.of(self.layers, kernels, origins=origins, seen=seen)

    def kernels(self, task: int, *, overlay: OpenNetwork | None = None) -> list[Kernel]:
        """Of the hidden layers and the output layer of a task; gathered once, until `forget`.

        Args:
            task: One that has ended.
            overlay: An open network, whose values stand for those units that it has not made its own.
        """
        key = task, overlay is not None
        if key not in self._gathered:
            kernels = self._read(self.seen[task])
            if overlay is not None:
                self._overlay(kernels, self.seen[task], overlay)
            kernels.append(self.heads[task])
            held = sum(4 * count(kept) for kept in [kernels, *self._gathered.values()])
            if held > KEPT_BYTES:
                self._gathered.clear()
            self._gathered[key] = kernels
        return list(self._gathered[key])

    def forget(self) -> None:
        """Gather kernels anew from here on: parameters change, of this network or of the open one over it."""
        self._gathered.clear()

    def commit(self, task: int, network: OpenNetwork) -> None:
        """Store what a task has trained: new units get numbers, units that it shares get their new values."""
        self.forget()
        numbers: Numbers = []
        for bank, origins in zip(self.banks, network.origins, strict=True):
            following = iter(range(bank.num_units, bank.num_units + len(origins)))
            numbers.append([next(following) if unit == FRESH else unit for unit in origins])
        kernels = [(weight.detach(), bias.detach()) for weight, bias in network.kernels]
        for layer, bank in enumerate(self.banks):
            bank.write(numbers[layer], self._inputs(numbers, layer), kernels[layer])
        before = self.seen.get(task)
        follow = self.latest if before else numbers
        self.latest = [_followed(*layers) for layers in zip(follow, before or numbers, numbers, strict=True)]
        self.seen[task] = numbers
        self.heads[task] = kernels[-1]

    def head_size(self, task: int, *, overlay: OpenNetwork | None) -> int:
        """Parameters of a task's output layer, of an open network where the task has none yet."""
        if task in self.heads or overlay is None:
            return count([self.heads[task]])
        return count(overlay.kernels[-1:])

    def _read(self, numbers: Numbers) -> list[Kernel]:
        return [bank.read(numbers[layer], self._inputs(numbers, layer)) for layer, bank in enumerate(self.banks)]

    def _inputs(self, numbers: Numbers, layer: int) -> list[int]:
        """What a layer reads: the units of the layer below, or the image's channels."""
        return numbers[layer - 1] if layer else list(range(self.layers.inputs[0]))

    def _overlay(self, kernels: Sequence[Kernel], numbers: Numbers, network: OpenNetwork) -> None:
        for layer, (weight, bias) in enumerate(kernels):
            here, there = pairs(numbers[layer], network.origins[layer], device=self.device)
            inputs = self._inputs(network.origins, layer)
            to, source = pairs(self._inputs(numbers, layer), inputs, device=self.device)
            weight[here[:, None], to] = network.weights[layer].detach()[there[:, None], source]
            bias[here] = network.biases[layer].detach()[there]

    def _new_head(self, task: int, top: Numbers, classes: int) -> Kernel:
        """An output layer for the units that a new task sees, drawn as that of a plain network."""
        inputs = len(top[0]) if top else self.layers.inputs[-1]
        source = generator(derive_seed(self.layers.seed, "head", task))
        weight = truncated_normal((classes, inputs, *self.layers.windows[-1]), source=source)
        _, bias = self.layers.new_kernels(task, classes=classes)[-1]
        return self._place((weight.detach(), bias))

    def _place(self, kernel: Kernel) -> Kernel:
        return kernel[0].to(self.device), kernel[1].to(self.device)

    def source(self, seed: int, *place: str | int) -> Generator:
        """Source of the initial weights of added units."""
        return generator(derive_seed(seed, *place))

    def state(self) -> LearnerState:
        """Every block and head, and who sees what."""
        tensors: dict[str, Tensor] = {}
        blocks: list[list[Numbers]] = []
        for layer, bank in enumerate(self.banks):
            blocks.append([[block.units, block.inputs] for block in bank.blocks])
            for number, block in enumerate(bank.blocks):
                tensors |= {
                    f"layers.{layer}.{number}.weight": block.weight,
                    f"layers.{layer}.{number}.bias": block.bias,
                }
        for task, (weight, bias) in self.heads.items():
            tensors |= {f"heads.{task}.weight": weight, f"heads.{task}.bias": bias}
        seen = {str(task): numbers for task, numbers in self.seen.items()}
        return LearnerState(tensors=tensors, values={"blocks": blocks, "seen": seen, "latest": self.latest})

    def restore(self, tensors: dict[str, Tensor], values: dict[str, object]) -> None:
        """Take over a state."""
        self.forget()
        held = {name: value.detach().to(self.device).clone() for name, value in tensors.items()}
        for layer, blocks in enumerate(cast(list[list[Numbers]], values["blocks"])):
            self.banks[layer] = Bank(
                [
                    Block(units, inputs, held[f"layers.{layer}.{number}.weight"], held[f"layers.{layer}.{number}.bias"])
                    for number, (units, inputs) in enumerate(blocks)
                ]
            )
        seen = cast(dict[str, Numbers], values["seen"])
        self.seen = {int(task): numbers for task, numbers in seen.items()}
        self.latest = cast(Numbers, values["latest"])
        self.heads = {task: (held[f"heads.{task}.weight"], held[f"heads.{task}.bias"]) for task in self.seen}


def _followed(latest: list[int], before: list[int], now: list[int]) -> list[int]:
    """What new tasks begin with, after a task has gone on: its copies take the originals' place, its new units join."""
    copies = {old: new for old, new in zip(before, now, strict=False) if old != new}
    return [*(copies.get(unit, unit) for unit in latest), *now[len(before) :]]
