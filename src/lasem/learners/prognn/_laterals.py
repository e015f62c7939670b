"""Lateral connections of progressive networks: how a layer of a new column reads the columns before it."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.nn import constant_bias, truncated_normal

Start = Literal["small", "release", "scaled"]
"""Initial values of lateral connections; see `ProgNNOptions`."""


@dataclass(frozen=True)
class Laterals:
    """Form and initial values of all lateral connections.

    Attributes:
        reduction: Divisor r. With P older columns, C channels of each are reduced to floor(C / (r (P + 1))), at least
            one; not read by the "joint" form.
        form: "per-column" reduces every older column by itself; "joint" reduces all of them together to C channels.
        start: Initial values.
        head: Whether the layers of the head have lateral connections too.
    """

    reduction: int = 2
    form: Literal["per-column", "joint"] = "per-column"
    start: Start = "small"
    head: bool = False

    def draw(
        self, older: int, *, inputs: int, outputs: int, window: tuple[int, int], source: Generator
    ) -> nn.ParameterDict:
        """Draw a layer's connections to all older columns: scale, reduction, weight and, in "release", bias.

        Args:
            older: Number P of older columns.
            inputs: Channels C of the layer's input, in every column.
            outputs: Units C' of the layer.
            window: (h, w) of the layer's kernel.
            source: Source of the initial values.
        """
        joint = self.form == "joint"
        reduced = inputs if joint else older * max(1, inputs // (self.reduction * (older + 1)))
        sizes = {
            "scale": (older,),
            "reduction": (reduced, older * inputs if joint else inputs, 1, 1),
            "weight": (outputs, reduced, *window),
        }
        if self.start == "scaled":
            parts = {name: _he_normal(size, source) for name, size in sizes.items() if name != "scale"}
            return nn.ParameterDict({"scale": nn.Parameter(torch.ones(older)), **parts})
        parts = {name: truncated_normal(size, source=source) for name, size in sizes.items()}
        return nn.ParameterDict(parts | ({"bias": constant_bias(reduced)} if self.start == "release" else {}))

    def reduce(self, lateral: nn.ParameterDict, older: list[Tensor]) -> Tensor:
        """Compute ReLU(V a h) over the older columns' activations h, each (B, C, H, W) -> (B, reduced, H, W)."""
        # One convolution for all older columns: a grouped one if each has a V of its own.
        scale, reduction = lateral["scale"], lateral["reduction"]
        bias = lateral.get("bias", None)
        if self.form == "joint":
            scaled = reduction * scale.repeat_interleave(older[0].shape[1]).view(1, -1, 1, 1)
            return F.relu(F.conv2d(torch.cat(older, dim=1), scaled, bias))
        scaled = (reduction.unflatten(0, (len(older), -1)) * scale.view(-1, 1, 1, 1, 1)).flatten(0, 1)
        return F.relu(F.conv2d(torch.cat(older, dim=1), scaled, bias, groups=len(older)))


def _he_normal(size: tuple[int, ...], source: Generator) -> nn.Parameter:
    """Draw weights that keep the mean square of what they read behind a ReLU (He et al. 2015)."""
    spread = sqrt(2 / (size[1] * size[2] * size[3]))
    return nn.Parameter(torch.randn(size, generator=source) * spread)
