"""Columns of a progressive network (Rusu et al. 2016): a network per task that reads the older ones."""

import copy
from math import prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lasem.learners._layers import Drop, PlainNetwork, convolve, flatten
from lasem.learners.prognn._laterals import Laterals
from lasem.nn import generator
from lasem.seeds import derive_seed

Activations = list[list[Tensor]]
"""Per layer, the head's included, the input that every older column has there, (B, C, H, W); [] if none is read."""


class Column(nn.Module):
    """One task's kernels, lateral connections and head.

    Args:
        kernels: Per layer, weight (C', C, k, k) and bias (C',).
        laterals: Per layer from the second on, with P older columns and n reduced channels: scale (P,), reduction
            (P n, C, 1, 1), weight (C', P n, k, k), and in some a bias (P n,). Empty without older columns.
        head: Fully connected layers, (..., features) -> (..., classes).
        head_laterals: Likewise, per layer of the head; empty if the head reads its own column alone.
    """

    def __init__(
        self,
        kernels: list[nn.ParameterDict],
        laterals: list[nn.ParameterDict],
        head: nn.Module,
        head_laterals: list[nn.ParameterDict],
    ) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(kernels)
        self.laterals = nn.ModuleList(laterals)
        self.head = head
        self.head_laterals = nn.ModuleList(head_laterals)

    def unread(self, *, head: bool) -> list[nn.Parameter]:
        """Return the parameters on which no other column's answer depends.

        Args:
            head: Whether newer columns read the head's hidden layers, so that only its last layer is the column's own.
        """
        modules = [self.kernels[-1], *self.laterals[-1:], self.head]
        if head:
            modules = [self.linears[-1], *self.head_laterals[-1:]]
        return [parameter for module in modules for parameter in module.parameters()]

    @property
    def linears(self) -> list[nn.Linear]:
        """Return the linear layers of the head, in order."""
        return [module for module in self.head.modules() if isinstance(module, nn.Linear)]


class Columns(nn.Module):
    """Columns in order of arrival; each reads those before it.

    Parameters are named ``columns.{task}.kernels.{l}.*``, ``columns.{task}.laterals.{l-1}.*``,
    ``columns.{task}.head.*`` and ``columns.{task}.head_laterals.{i}.*``, with l and i from 0.

    Args:
        plain: Layers of every column.
        laterals: Form and initial values of the connections.
    """

    def __init__(self, plain: PlainNetwork, laterals: Laterals | None = None) -> None:
        super().__init__()
        self.plain = plain
        self.laterals = laterals or Laterals()
        self.columns = nn.ModuleDict()

    def grow(self, task: int, classes: int) -> Column:
        """Add the column of a task, on the CPU."""
        convs, older = self.plain.num_convs, len(self.columns)
        kernels = [self.plain.new_kernel(layer, task) for layer in range(convs)]
        units = (*self.plain.units, classes)
        last = len(units) if self.laterals.head else convs
        laterals = [
            self.laterals.draw(
                older,
                inputs=self.plain.inputs[layer],
                outputs=units[layer],
                window=self.plain.windows[layer],
                source=generator(derive_seed(self.plain.seed, "lateral", layer, task)),
            )
            for layer in range(1, last)
            if older
        ]
        column = Column(kernels, laterals[: convs - 1], self.plain.new_head(task, classes), laterals[convs - 1 :])
        self.columns[str(task)] = column.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return column

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters of every layer over all columns, lateral connections included, and last the heads'."""
        columns, found = [cast(Column, column) for column in self.columns.values()], list[list[nn.Parameter]]()
        for layer in range(self.plain.num_convs):
            laterals = [part for column in columns for part in column.laterals[max(0, layer - 1) : layer]]
            parts = [*(column.kernels[layer] for column in columns), *laterals]
            found.append([parameter for part in parts for parameter in part.parameters()])
        heads = [part for column in columns for part in (column.head, column.head_laterals)]
        return [*found, [parameter for part in heads for parameter in part.parameters()]]

    def column(self, task: int) -> Column:
        """Return the column of a task, by its identity."""
        return cast(Column, self.columns[str(task)])

    def is_newest(self, task: int) -> bool:
        """Whether a task's column is the newest one, which no other column reads."""
        return list(self.columns)[-1] == str(task)

    def num_older(self, task: int) -> int:
        """Return the number of columns that a task's column reads."""
        return list(self.columns).index(str(task))

    @property
    def values_read(self) -> int:
        """Number of values per image that a newer column reads of a column."""
        convs = sum(prod(shape) for shape in self.plain.shapes[1 : self.plain.num_convs])
        return convs + (self.plain.num_features + sum(self.plain.hidden) if self.laterals.head else 0)

    @torch.no_grad()
    def older(
        self, images: Tensor, task: int, *, kept: Activations | None = None, number: int | None = None
    ) -> Activations:
        """Compute what a task's column reads of the columns before it, (B, C, H, W) -> activations.

        Args:
            images: A batch.
            task: Identity of the task.
            kept: Activations of the oldest columns, if they are known.
            number: How many of the older columns are computed; all by default.
        """
        found = [list(layer) for layer in kept or [[] for _ in self.plain.windows]]
        known = len(found[-1 if self.laterals.head else 1]) if len(found) > 1 else 0
        names = list(self.columns)[: self.num_older(task) if number is None else number]
        for name in names[known:]:
            for activations, x in zip(found, self._inputs(images, int(name), found), strict=False):
                activations.append(x)
        return [[], *found[1:]]

    def _inputs(self, images: Tensor, task: int, older: Activations) -> list[Tensor]:
        """A frozen column's input to every layer that newer columns read, and to the first."""
        before: list[Tensor] = []

        def step(layer: int, x: Tensor) -> Tensor:
            before.append(x)
            return self._layer(task, layer, x, older)

        convs = self.plain.num_convs
        last = self.plain.walk(images, step, convs=None if self.laterals.head else convs - 1)
        if self.laterals.head:
            *hidden, _ = self._head_layers(task, flatten(last), older)
            return [*before, last, *(x[..., None, None] for x in hidden)]
        return [*before, last]

    def features(self, images: Tensor, task: int, older: Activations | None = None) -> Tensor:
        """Compute the input of a task's head, (B, C, H, W) -> (B, F); gradients reach the task's own column only."""
        read = self.older(images, task) if older is None else older
        return flatten(self.plain.walk(images, lambda layer, x: self._layer(task, layer, x, read)))

    def logits(
        self, images: Tensor, task: int, *, drop: Drop | None = None, older: Activations | None = None
    ) -> Tensor:
        """Compute logits, (B, C, H, W) -> (B, classes).

        Args:
            images: A batch.
            task: Identity of the task.
            drop: Dropout of the column's own features; none by default.
            older: What the column reads of older ones; computed by default.
        """
        read = self.older(images, task) if older is None else older
        features = self.features(images, task, read)
        return self._head_layers(task, drop(features) if drop else features, read)[-1]

    def _layer(self, task: int, layer: int, x: Tensor, older: Activations) -> Tensor:
        """Apply a convolution with what it reads of older columns: W h + b plus U ReLU(V a h_p), pooled, and ReLU."""
        column = self.column(task)
        kernel = cast(nn.ParameterDict, column.kernels[layer])
        total = convolve(x, kernel["weight"], kernel["bias"])
        if layer and len(column.laterals):
            lateral = cast(nn.ParameterDict, column.laterals[layer - 1])
            total = total + convolve(self.laterals.reduce(lateral, older[layer]), lateral["weight"])
        return self.plain.activate(layer, total)

    def _head_layers(self, task: int, features: Tensor, older: Activations) -> list[Tensor]:
        """The output of every layer of a task's head, behind its ReLU if it has one: (B, F) -> (B, units) each."""
        column = self.column(task)
        if not len(column.head_laterals) and not self.laterals.head:
            return [column.head(features)]
        outputs, linears = list[Tensor](), column.linears
        for number, linear in enumerate(linears):
            total = linear(outputs[-1] if outputs else features)
            if len(column.head_laterals):
                lateral = cast(nn.ParameterDict, column.head_laterals[number])
                reduced = self.laterals.reduce(lateral, older[self.plain.num_convs + number])
                total = total + F.conv2d(reduced, lateral["weight"]).flatten(1)
            outputs.append(F.relu(total) if number < len(linears) - 1 else total)
        return outputs

    def network(self, task: int) -> nn.Module:
        """Copy a task's column and those that it reads into a module: (B, C, H, W) -> (B, classes)."""
        needed = Columns(self.plain, self.laterals)
        for name in self.columns:
            needed.columns[name] = copy.deepcopy(self.columns[name])
            if name == str(task):
                break
            if not self.laterals.head:
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
        return self.columns.logits(images, self.task)
