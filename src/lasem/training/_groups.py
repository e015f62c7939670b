"""Groups of parameters that an optimizer treats alike."""

from collections.abc import Sequence
from typing import Any

from torch import nn


def parameter_groups(parameters: Sequence[nn.Parameter], *, weight_decay: float) -> list[dict[str, Any]]:
    """Divide parameters, for `torch.optim`, into those that weight decay shrinks and those that it leaves alone.

    Biases and the scales and shifts of norms, which have fewer than two dimensions, are not shrunk. Without weight
    decay all parameters are one group, in their order.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(weight_decay if parameter.dim() > 1 else 0.0, []).append(parameter)
    return [{"params": members, "weight_decay": decay} for decay, members in groups.items()]
