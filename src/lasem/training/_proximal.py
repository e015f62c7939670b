"""Proximal operators of sparse penalties, and the step sizes at which an optimizer's steps take them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from lasem.optimizers import TFRMSprop


def soft_threshold(x: Tensor, threshold: Tensor | float) -> Tensor:
    """argmin_z (z - x)^2 / 2 + threshold |z|, item by item: shrink towards zero, and stop there.

    Args:
        x: Any shape.
        threshold: At least 0; a number, or per item.
    """
    if not isinstance(threshold, Tensor):
        return F.softshrink(x, threshold)
    return x.sign() * (x.abs() - threshold).clamp_min(0)


def group_soft_threshold(x: Tensor, threshold: Tensor | float) -> Tensor:
    """argmin_Z |Z - x|^2 / 2 + threshold sum_i |Z_i|_2: shorten each group, and drop it where nothing is left.

    Args:
        x: (groups, ...), a group per row.
        threshold: At least 0; a number, or (groups,).
    """
    norms = x.flatten(1).norm(dim=1)
    scale = torch.where(norms > 0, (norms - threshold).clamp_min(0) / norms.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
    return x * scale.view(-1, *(1,) * (x.dim() - 1))


def sparse_group_threshold(x: Tensor, *, l1: Tensor | float, group: Tensor | float) -> Tensor:
    """Proximal operator of l1 |Z|_1 + group sum_i |Z_i|_2, which is one after the other (Friedman et al. 2010).

    Args:
        x: (groups, ...), a group per row.
        l1: Weight of the l1 norm times the step size.
        group: Weight of the groups' norms times the step size.
    """
    return group_soft_threshold(soft_threshold(x, l1), group)


def step_sizes(optimizer: Optimizer, parameter: nn.Parameter) -> Tensor:
    """What the last step multiplied the gradient of each item by, in the shape of a parameter or ().

    It is the step size of a proximal step that goes with the gradient step: the learning rate, divided by the root
    of the mean square where the optimizer does so. Adam's mean of gradients counts as the gradient.

    Args:
        optimizer: One of `OPTIMIZERS`, after a step.
        parameter: Trained by it.
    """
    group = next(group for group in optimizer.param_groups if any(p is parameter for p in group["params"]))
    rate, state = group["lr"], optimizer.state[parameter]
    match optimizer:
        case TFRMSprop():
            return rate / (state["mean_square"] + group["epsilon"]).sqrt()
        case RMSprop():
            return rate / (state["square_avg"].sqrt() + group["eps"])
        case Adam():
            corrected = state["exp_avg_sq"] / (1 - group["betas"][1] ** state["step"])
            return rate / (corrected.sqrt() + group["eps"])
        case SGD():
            return torch.tensor(rate, dtype=parameter.dtype, device=parameter.device)
        case _:
            raise TypeError(f"the step sizes of {type(optimizer).__name__} are not known")
