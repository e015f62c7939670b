"""The network of all tasks: its hidden layers, and which of their units each task sees."""

from collections.abc import Sequence

import torch
from pydantic import BaseModel
from torch import Tensor

from lasem.learners._layers import Kernel, PlainNetwork, count
from lasem.learners.den._grown_layer import GrownLayer
from lasem.learners.den._open_network import FRESH, OpenNetwork
from lasem.nn import generator, truncated_normal
from lasem.seeds import derive_seed

CACHE_BYTES = 2**26
"""Size limit of the cache of gathered kernels; the kernels of one task are always cached, whatever their size."""

Numbers = list[list[int]]
"""Numbers of units, per hidden layer."""


class GrownNetworkState(BaseModel):
    """JSON values of a `GrownNetwork`, as a checkpoint stores them.

    Attributes:
        blocks: Per hidden layer, the (units, inputs) of each block of its kernel.
        seen: Per task, the units that it sees.
        latest: Units that a new task begins with.
    """

    blocks: list[list[tuple[list[int], list[int]]]]
    seen: dict[int, Numbers]
    latest: Numbers


class GrownNetwork:
    """The hidden layers that all tasks read, and the output layer of each task.

    Args:
        plain: The layers, with the widths that the network begins with.
        device: Where tensors go.

    Attributes:
        layers: The hidden layers.
        seen: Per task, the units that it sees, in the order of its kernels: the time stamps of DEN, unit by unit.
        latest: The units that a new task begins with.
        heads: Per task, its output layer.
    """

    def __init__(self, plain: PlainNetwork, *, device: torch.device) -> None:
        self.plain = plain
        self.device = device
        self.layers = [GrownLayer(window, device=device) for window in plain.windows[:-1]]
        self.seen: dict[int, Numbers] = {}
        self.latest: Numbers = []
        self.heads: dict[int, Kernel] = {}
        # Kernels as they were last gathered, by task and by whether the open task's values lie over them.
        self._cache: dict[tuple[int, bool], list[Kernel]] = {}

    @property
    def num_parameters(self) -> int:
        """Number of parameters in the hidden layers."""
        return sum(layer.num_parameters for layer in self.layers)

    def num_units(self, network: OpenNetwork | None) -> list[int]:
        """Count the units of every hidden layer, including those that the open task has added."""
        fresh = [0] * len(self.layers) if network is None else [row.count(FRESH) for row in network.origins]
        return [layer.num_units + more for layer, more in zip(self.layers, fresh, strict=True)]

    def seen_by_others(self, task: int) -> list[set[int]]:
        """Return the units of every hidden layer that tasks other than this one see; [] if there is no other task."""
        lists = [numbers for other, numbers in self.seen.items() if other != task]
        return [set().union(*layer) for layer in zip(*lists, strict=True)]

    def begin(self, task: int, *, classes: int) -> OpenNetwork:
        """Copy for a task the units that it sees or, if it is new, those that a new task begins with."""
        self.clear_cache()
        if not self.seen:
            kernels = [self._on_device(kernel) for kernel in self.plain.new_kernels(task, classes=classes)]
            origins = [[FRESH] * units for units in self.plain.units]
            return OpenNetwork.of(self.plain, kernels, origins=origins, shared=[set()] * len(origins))
        origins = self.seen.get(task, self.latest)
        output = self.heads[task] if task in self.heads else self._new_head(task, origins[-1:], classes)
        shared = self.seen_by_others(task) or [set[int]()] * len(origins)
        return OpenNetwork.of(self.plain, [*self._gather(origins), output], origins=origins, shared=shared)

    def kernels(self, task: int, *, overlay: OpenNetwork | None = None) -> list[Kernel]:
        """Gather the kernels of a task's hidden layers and output layer; once, until `clear_cache`.

        Args:
            task: A task that has ended.
            overlay: The open network, to answer with its values of the units that both tasks see.
        """
        key = task, overlay is not None
        if key not in self._cache:
            kernels = self._gather(self.seen[task])
            if overlay is not None:
                self._lay_over(kernels, self.seen[task], overlay)
            kernels.append(self.heads[task])
            if sum(4 * count(cached) for cached in [kernels, *self._cache.values()]) > CACHE_BYTES:
                self._cache.clear()
            self._cache[key] = kernels
        return list(self._cache[key])

    def clear_cache(self) -> None:
        """Drop all gathered kernels; called whenever parameters of this network change."""
        self._cache.clear()

    def clear_trials(self) -> None:
        """Drop the gathered kernels over which the open network's values lie; called whenever these change."""
        for task, trial in list(self._cache):
            if trial:
                del self._cache[task, trial]

    def commit(self, task: int, network: OpenNetwork) -> None:
        """Store what a task has trained: new units get numbers, units that it shares get their new values."""
        self.clear_cache()
        numbers: Numbers = []
        for layer, origins in zip(self.layers, network.origins, strict=True):
            following = iter(range(layer.num_units, layer.num_units + len(origins)))
            numbers.append([next(following) if unit == FRESH else unit for unit in origins])
        kernels = [(weight.detach(), bias.detach()) for weight, bias in network.kernels]
        for depth, layer in enumerate(self.layers):
            layer.write(numbers[depth], self._inputs(numbers, depth), kernels[depth])
        # A new task sees what this one sees. If this one has come back, its copies take the place of their originals.
        before = self.seen.get(task)
        follow = self.latest if before else numbers
        self.latest = [_followed(*layers) for layers in zip(follow, before or numbers, numbers, strict=True)]
        self.seen[task] = numbers
        self.heads[task] = kernels[-1]

    def head_size(self, task: int, *, overlay: OpenNetwork | None) -> int:
        """Count the parameters of a task's output layer, in the open network if the task has none yet."""
        return count(overlay.kernels[-1:] if task not in self.heads and overlay else [self.heads[task]])

    def _gather(self, numbers: Numbers) -> list[Kernel]:
        return [layer.read(numbers[depth], self._inputs(numbers, depth)) for depth, layer in enumerate(self.layers)]

    def _inputs(self, numbers: Numbers, depth: int) -> list[int]:
        """The numbers of what a layer reads: units of the layer below, or channels of the image."""
        return numbers[depth - 1] if depth else list(range(self.plain.inputs[0]))

    def _lay_over(self, kernels: Sequence[Kernel], numbers: Numbers, network: OpenNetwork) -> None:
        """Replace, in the kernels of an earlier task, the values of units that the open task sees too."""
        for depth, (weight, bias) in enumerate(kernels):
            here, there = self._common(numbers[depth], network.origins[depth])
            to, source = self._common(self._inputs(numbers, depth), self._inputs(network.origins, depth))
            weight[here[:, None], to] = network.weights[depth].detach()[there[:, None], source]
            bias[here] = network.biases[depth].detach()[there]

    def _common(self, one: Sequence[int], other: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Positions of the numbers that two lists share, in the first and in the second."""
        positions = {number: position for position, number in enumerate(other)}
        found = [(position, positions[number]) for position, number in enumerate(one) if number in positions]
        pairs = torch.tensor(found, dtype=torch.int64, device=self.device).view(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def _new_head(self, task: int, top: Numbers, classes: int) -> Kernel:
        """Draw an output layer over the units that a new task begins with, as a plain network draws it."""
        inputs = len(top[0]) if top else self.plain.inputs[-1]
        source = generator(derive_seed(self.plain.seed, "head", task))
        weight = truncated_normal((classes, inputs, *self.plain.windows[-1]), source=source)
        _, bias = self.plain.new_kernels(task, classes=classes)[-1]
        return self._on_device((weight.detach(), bias))

    def _on_device(self, kernel: Kernel) -> Kernel:
        return kernel[0].to(self.device), kernel[1].to(self.device)

    def state(self) -> tuple[GrownNetworkState, dict[str, Tensor]]:
        """Return everything that `restore` takes: JSON values, and tensors by name."""
        blocks = [layer.blocks() for layer in self.layers]
        tensors: dict[str, Tensor] = {}
        for depth, layer in enumerate(self.layers):
            for number, block in enumerate(blocks[depth]):
                weight, bias = layer.read(*block)
                tensors |= {f"layers.{depth}.{number}.weight": weight, f"layers.{depth}.{number}.bias": bias}
        for task, (weight, bias) in self.heads.items():
            tensors |= {f"heads.{task}.weight": weight, f"heads.{task}.bias": bias}
        return GrownNetworkState(blocks=blocks, seen=self.seen, latest=self.latest), tensors

    def restore(self, values: GrownNetworkState, tensors: dict[str, Tensor]) -> None:
        """Take over what `state` returned."""
        self.clear_cache()
        self.layers = [GrownLayer(window, device=self.device) for window in self.plain.windows[:-1]]
        for depth, (layer, blocks) in enumerate(zip(self.layers, values.blocks, strict=True)):
            for number, (units, inputs) in enumerate(blocks):
                name = f"layers.{depth}.{number}"
                layer.write(units, inputs, (tensors[f"{name}.weight"], tensors[f"{name}.bias"]))
        self.seen, self.latest = dict(values.seen), values.latest
        heads = {task: (tensors[f"heads.{task}.weight"], tensors[f"heads.{task}.bias"]) for task in self.seen}
        self.heads = {
            task: (weight.to(self.device, copy=True), bias.to(self.device, copy=True))
            for task, (weight, bias) in heads.items()
        }


def _followed(latest: list[int], before: list[int], now: list[int]) -> list[int]:
    """Units that new tasks begin with after a task has come back: its copies replace originals, its new units join."""
    copies = {old: new for old, new in zip(before, now, strict=False) if old != new}
    return [*(copies.get(unit, unit) for unit in latest), *now[len(before) :]]
