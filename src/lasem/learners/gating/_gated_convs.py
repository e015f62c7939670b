"""Convolutions whose channels a task switches on and off by the input (Abati et al. 2020)."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import cast

import torch
from torch import Generator, Tensor, nn

from lasem.learners._layers import Kernel, PlainNetwork, convolve, flatten
from lasem.nn import generator, mlp
from lasem.seeds import derive_seed

TEMPERATURE = 2 / 3
"""Temperature of the binary concrete distribution; Maddison et al. (2017) propose 2/3 for two values."""


def straight_through(logits: Tensor, *, noise: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Sample binary gates with the gradient of their relaxation (Jang et al. 2017; Maddison et al. 2017).

    The value is 1 where logits + noise > 0, else 0; the gradient is that of sigmoid((logits + noise) / temperature).

    Args:
        logits: Log-odds of the gates, of any shape.
        noise: Logistic noise of the same shape; see `logistic`.
        temperature: Temperature of the relaxation, above 0.
    """
    soft = torch.sigmoid((logits + noise) / temperature)
    hard = (logits + noise > 0).to(logits.dtype)
    return hard + (soft - soft.detach())


def logistic(like: Tensor, *, source: Generator) -> Tensor:
    """Draw standard logistic noise, the difference of two Gumbel variables, in the shape of a tensor."""
    return torch.empty_like(like).uniform_(generator=source).logit()


class Gate(nn.Module):
    """Which channels of a layer one task uses: a small network over its input, averaged over positions.

    Attributes:
        relevant: (C',) whether the task may use a channel; while it is learned, it may use all.

    Args:
        inputs: Number C of channels of the layer's input.
        outputs: Number C' of channels of the layer's output.
        hidden: Hidden units.
        open_share: Approximate share of sampled gates that are open at first.
        gain: Factor of the last layer's outputs, by which its initial weights are divided, so that it changes nothing
            at first. With an optimizer whose steps do not grow with gradients, such as RMSProp or Adam, gates open and
            close faster by this factor.
        source: Source of the initial weights.
    """

    relevant: Tensor

    def __init__(
        self, inputs: int, outputs: int, *, hidden: int, open_share: float, gain: float, source: Generator
    ) -> None:
        super().__init__()
        first, activation, second = mlp((inputs, hidden, outputs), source=source)
        last = cast(nn.Linear, second)
        nn.init.constant_(last.bias, log(open_share / (1 - open_share)) / gain)
        with torch.no_grad():
            last.weight.div_(gain)
        self.gain = gain
        self.logits = nn.Sequential(first, nn.BatchNorm1d(hidden), activation, second)
        self.register_buffer("relevant", torch.ones(outputs, dtype=torch.bool))

    def forward(self, x: Tensor, masks: Generator | None = None) -> Tensor:
        """Compute 0 or 1 per image and channel, (B, C, H, W) -> (B, C'); sampled if a source of noise is given."""
        logits = self.gain * self.logits(x.mean((2, 3)))
        if masks is None:
            return ((logits > 0) & self.relevant).to(x.dtype)
        return straight_through(logits, noise=logistic(logits, source=masks))


@dataclass(frozen=True)
class GatedOutput:
    """Output of `GatedConvs`: the features, and the gates that produced them.

    Attributes:
        features: (B, F), the head's input.
        gates: Per layer, (B, C'): 1 for an open gate, 0 for a closed one.
    """

    features: Tensor
    gates: list[Tensor]

    @property
    def open_share(self) -> Tensor:
        """Mean share of open gates over layers and images; a scalar."""
        return torch.stack([gates.mean() for gates in self.gates]).mean()


class GatedConvs(nn.Module):
    """One set of kernels for all tasks, with gates and a head per task.

    A channel that is relevant to a task is frozen for the others. So an older task's answers never change: its own
    channels are frozen, and all others are multiplied by zero.

    Parameters are named ``kernels.{l}.*``, ``gates.{task}.{l}.logits.*`` and ``heads.{task}.*``, with l from 0; buffers
    ``gates.{task}.{l}.relevant``.

    Args:
        plain: Layers of the network.
        hidden: Hidden units of a gate.
        open_share: Approximate share of sampled gates that are open at first.
        gain: Factor of the gates' logits; see `Gate`.
    """

    def __init__(self, plain: PlainNetwork, *, hidden: int = 16, open_share: float = 0.85, gain: float = 1.0) -> None:
        super().__init__()
        self.plain = plain
        self.hidden = hidden
        self.open_share = open_share
        self.gain = gain
        self.kernels = nn.ModuleList(plain.new_kernel(layer, 0) for layer in range(plain.num_convs))
        self.gates = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def grow(self, task: int, classes: int) -> None:
        """Add new gates and a new head for a task."""
        gates = [self._new_gate(layer, task).eval() for layer in range(self.plain.num_convs)]
        device = next(self.kernels.parameters()).device
        self.gates[str(task)] = nn.ModuleList(gates).to(device)
        self.heads[str(task)] = self.plain.new_head(task, classes).to(device)

    def _new_gate(self, layer: int, task: int) -> Gate:
        inputs, outputs = self.plain.shapes[layer][0], self.plain.shapes[layer + 1][0]
        source = generator(derive_seed(self.plain.seed, "gate", layer, task))
        return Gate(inputs, outputs, hidden=self.hidden, open_share=self.open_share, gain=self.gain, source=source)

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters of every layer, with all of its gates, and last those of all heads."""
        gates = [self.task_gates(int(name)) for name in self.gates]
        layers = [[kernel, *(of_task[layer] for of_task in gates)] for layer, kernel in enumerate(self.kernels)]
        return [[p for module in modules for p in module.parameters()] for modules in [*layers, [self.heads]]]

    def task_gates(self, task: int) -> list[Gate]:
        """Return the gate of every layer for a task."""
        return [cast(Gate, gate) for gate in cast(nn.ModuleList, self.gates[str(task)])]

    def forward(self, images: Tensor, task: int, masks: Generator | None = None) -> GatedOutput:
        """Carry a batch through the gated layers.

        Args:
            images: (B, C, H, W).
            task: Identity of the task.
            masks: Source of noise to sample the gates with, in training; by default gates are open if their logit is
                above 0.
        """
        gates, values = self.task_gates(task), [torch.empty(0)] * self.plain.num_convs
        frozen = list(self.used(excluding=task)) if torch.is_grad_enabled() else None

        def step(layer: int, x: Tensor) -> Tensor:
            values[layer] = gates[layer](x, masks)
            weight, bias = self._kernel(layer, None if frozen is None else frozen[layer])
            activation = self.plain.activate(layer, convolve(x, weight, bias))
            return activation * values[layer][:, :, None, None]

        return GatedOutput(features=flatten(self.plain.walk(images, step)), gates=values)

    def _kernel(self, layer: int, frozen: Tensor | None) -> Kernel:
        """A layer's kernel; frozen channels get no gradient."""
        kernel = cast(nn.ParameterDict, self.kernels[layer])
        weight, bias = kernel["weight"], kernel["bias"]
        if frozen is None:
            return weight, bias
        return (
            torch.where(frozen.view(-1, 1, 1, 1), weight.detach(), weight),
            torch.where(frozen, bias.detach(), bias),
        )

    def used(self, *, excluding: int | None = None) -> Iterator[Tensor]:
        """Yield per layer, (C',), which channels are relevant to any task.

        Args:
            excluding: Identity of a task that does not count, such as the open one.
        """
        tasks = [self.task_gates(int(name)) for name in self.gates if name != str(excluding)]
        for layer, kernel in enumerate(self.kernels):
            used = torch.zeros_like(cast(nn.ParameterDict, kernel)["bias"], dtype=torch.bool)
            for gates in tasks:
                used |= gates[layer].relevant
            yield used

    @torch.no_grad()
    def redraw_unused(self, visit: int) -> None:
        """Draw new kernels for the channels that no task uses."""
        for layer, used in enumerate(self.used()):
            fresh = self.plain.new_kernel(layer, visit)
            for name, value in cast(nn.ParameterDict, self.kernels[layer]).items():
                value[~used] = fresh[name].to(value.device)[~used]

    def network(self, task: int) -> nn.Module:
        """Copy a task's gated network into a module: (B, C, H, W) -> (B, classes)."""
        needed = GatedConvs(self.plain, hidden=self.hidden, gain=self.gain)
        needed.kernels = copy.deepcopy(self.kernels)
        needed.gates[str(task)] = copy.deepcopy(self.gates[str(task)])
        return GatedNetwork(needed, copy.deepcopy(self.heads[str(task)]), task).eval()


class GatedNetwork(nn.Module):
    """The network of one task, with its gates and its head.

    Args:
        convs: Kernels, and the task's gates.
        head: Fully connected layers, (..., features) -> (..., classes).
        task: Identity of the task.
    """

    def __init__(self, convs: GatedConvs, head: nn.Module, task: int) -> None:
        super().__init__()
        self.convs = convs
        self.head = head
        self.task = task

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B, C, H, W) -> (B, classes)."""
        return self.head(self.convs(images, self.task).features)
