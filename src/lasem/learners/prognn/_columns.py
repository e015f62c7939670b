"""Columns of a progressive network (Rusu et al. 2016): a network per task that reads the older ones."""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lasem.learners._layers import PlainNetwork, convolve, flatten
from lasem.nn import generator, truncated_normal
from lasem.seeds import derive_seed


class Column(nn.Module):
    """One task's kernels, lateral connections and head.

    Args:
        kernels: Per layer, weight (C', C, k, k) and bias (C',).
        laterals: Per layer from the second on, with P older columns and n reduced channels: scale (P,), reduction
            (P n, C, 1, 1), weight (C', P n, k, k). Empty if there are no older columns.
        head: Fully connected layers, (..., features) -> (..., classes).
    """

    def __init__(self, kernels: list[nn.ParameterDict], laterals: list[nn.ParameterDict], head: nn.Module) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(kernels)
        self.laterals = nn.ModuleList(laterals)
        self.head = head

    def preactivation(self, layer: int, x: Tensor, older: list[Tensor]) -> Tensor:
        """Compute W h + b plus U_p ReLU(V_p a_p h_p) of every older column p: (B, C, H, W) -> (B, C', H, W).

        Args:
            layer: Number of the layer, from 0.
            x: The column's own activation h before the layer.
            older: The older columns' activations before the layer, each (B, C, H, W).
        """
        kernel = cast(nn.ParameterDict, self.kernels[layer])
        own = convolve(x, kernel["weight"], kernel["bias"])
        if not older or layer == 0:
            return own
        # Two convolutions for all older columns together: a grouped one for the V_p, an ordinary one for the U_p.
        lateral = cast(nn.ParameterDict, self.laterals[layer - 1])
        reduction = lateral["reduction"].unflatten(0, (len(older), -1))
        scaled = (reduction * lateral["scale"].view(-1, 1, 1, 1, 1)).flatten(0, 1)
        reduced = F.relu(F.conv2d(torch.cat(older, dim=1), scaled, groups=len(older)))
        return own + convolve(reduced, lateral["weight"])

    def unread(self) -> list[nn.Parameter]:
        """Return the parameters on which no other column's answer depends: the last layer and the head."""
        modules = [self.kernels[-1], *self.laterals[-1:], self.head]
        return [parameter for module in modules for parameter in module.parameters()]


class Columns(nn.Module):
    """Columns in order of arrival; each reads those before it.

    Parameters are named ``columns.{task}.kernels.{l}.*``, ``columns.{task}.laterals.{l-1}.*`` and
    ``columns.{task}.head.*``, with l from 0.

    Args:
        plain: Layers of every column.
        reduction: Divisor r of the lateral connections. With P older columns, a layer of C inputs reads
            floor(C / (r (P + 1))) channels of each, at least one.
    """

    def __init__(self, plain: PlainNetwork, *, reduction: int = 2) -> None:
        super().__init__()
        self.plain = plain
        self.reduction = reduction
        self.columns = nn.ModuleDict()

    def grow(self, task: int, classes: int) -> Column:
        """Add the column of a task, on the CPU."""
        layers = range(self.plain.num_convs)
        kernels = [self.plain.new_kernel(layer, task) for layer in layers]
        laterals = [self._new_lateral(layer, task) for layer in layers[1:] if len(self.columns)]
        column = Column(kernels, laterals, self.plain.new_head(task, classes))
        self.columns[str(task)] = column.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return column

    def _new_lateral(self, layer: int, task: int) -> nn.ParameterDict:
        """Draw all of a layer's lateral connections; the paper wants scales that are random and small at first."""
        older, row = len(self.columns), self.plain.rows[layer]
        inputs = self.plain.shapes[layer][0]
        reduced = max(1, inputs // (self.reduction * (older + 1)))
        source = generator(derive_seed(self.plain.seed, "lateral", layer, task))
        sizes = {
            "scale": (older,),
            "reduction": (older * reduced, inputs, 1, 1),
            "weight": (row.channels, older * reduced, row.kernel, row.kernel),
        }
        return nn.ParameterDict({name: truncated_normal(size, source=source) for name, size in sizes.items()})

    def column(self, task: int) -> Column:
        """Return the column of a task, by its identity."""
        return cast(Column, self.columns[str(task)])

    def is_newest(self, task: int) -> bool:
        """Whether a task's column is the newest one, which no other column reads."""
        return list(self.columns)[-1] == str(task)

    def features(self, images: Tensor, task: int) -> Tensor:
        """Compute the input of a task's head, (B, C, H, W) -> (B, F); gradients reach the task's own column only."""
        older: list[list[Tensor]] = [[] for _ in self.plain.rows]
        with torch.no_grad():
            for name in self.columns:
                if name == str(task):
                    break
                before = self._read(images, self.column(int(name)), older)
                for activations, x in zip(older, before, strict=True):
                    activations.append(x)
        column = self.column(task)
        return flatten(self.plain.walk(images, lambda layer, x: self._layer(column, layer, x, older)))

    def _read(self, images: Tensor, column: Column, older: list[list[Tensor]]) -> list[Tensor]:
        """A frozen column's activations before every layer; no other column reads the last layer's result."""
        before: list[Tensor] = []

        def step(layer: int, x: Tensor) -> Tensor:
            before.append(x)
            return self._layer(column, layer, x, older)

        last = self.plain.walk(images, step, convs=self.plain.num_convs - 1)
        return [*before, last]

    def _layer(self, column: Column, layer: int, x: Tensor, older: list[list[Tensor]]) -> Tensor:
        return self.plain.activate(layer, column.preactivation(layer, x, older[layer]))

    def network(self, task: int) -> nn.Module:
        """Copy a task's column and those that it reads into a module: (B, C, H, W) -> (B, classes)."""
        needed = Columns(self.plain, reduction=self.reduction)
        for name in self.columns:
            needed.columns[name] = copy.deepcopy(self.columns[name])
            if name == str(task):
                break
            needed.column(int(name)).head = nn.Identity()
        return ColumnNetwork(needed.requires_grad_(), task).eval()


class ColumnNetwork(nn.Module):
    """The network of one task: its column, and those that it reads.

    Args:
        columns: These columns.
        task: Identity of the task.
    """

    def __init__(self, columns: Columns, task: int) -> None:
        super().__init__()
        self.columns = columns
        self.task = task

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, (B, C, H, W) -> (B, classes)."""
        return self.columns.column(self.task).head(self.columns.features(images, self.task))
