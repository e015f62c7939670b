"""How far units have drifted from what they were before a task."""

import torch
from torch import Tensor

from lasem.learners._layers import Kernel
from lasem.learners.den._options import DENOptions


def distances(now: Kernel, before: Kernel) -> Tensor:
    """|w_i - w_i_before|_2 of every unit's incoming weights, bias included: (units,)."""
    return (_rows(now, before) - _rows(before, before)).norm(dim=1)


def cosines(now: Kernel, before: Kernel) -> Tensor:
    """|cos| of the angle between every unit's incoming weights before and after, bias included: (units,)."""
    one, other = _rows(now, before), _rows(before, before)
    return torch.nn.functional.cosine_similarity(one, other, dim=1, eps=1e-12).abs()


def drifted(now: Kernel, before: Kernel, options: DENOptions, *, conv: bool) -> Tensor:
    """Which of the units that were there before have drifted beyond the threshold: (units before,), boolean."""
    threshold = options.split_threshold[0 if conv else 1]
    if options.drift_measure == "distance":
        return distances(now, before) > threshold
    return cosines(now, before) < threshold


def _rows(kernel: Kernel, before: Kernel) -> Tensor:
    """Incoming weights and bias of the units before, from the inputs before: (units, values)."""
    units, inputs = before[0].shape[:2]
    weight, bias = kernel[0].detach()[:units, :inputs], kernel[1].detach()[:units]
    return torch.cat([weight.flatten(1), bias[:, None]], 1)
