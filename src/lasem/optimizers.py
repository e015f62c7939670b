# pyright: reportPrivateImportUsage=false
"""Optimizers by name, among them RMSProp as TensorFlow 1 defines it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

ParameterGroups = Sequence[nn.Parameter] | Sequence[dict[str, Any]]
"""Parameters, or groups of them with the key "params" and settings of their own, as `torch.optim` takes them."""


class TFRMSprop(Optimizer):
    """RMSProp in TensorFlow 1's form: s <- rho s + (1 - rho) g^2, theta <- theta - lr g / sqrt(s + epsilon).

    Epsilon is inside the root and s starts at 1; `torch.optim.RMSprop` has it outside and starts at 0, which makes
    other (much larger) first steps.

    Args:
        params: Parameters to train, or groups of them.
        lr: Learning rate.
        rho: Decay of the mean square.
        epsilon: Added to the mean square.
    """

    def __init__(
        self, params: Iterable[Tensor] | ParameterGroups, *, lr: float, rho: float = 0.9, epsilon: float = 1e-10
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "epsilon": epsilon})
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["mean_square"] = torch.ones_like(parameter)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make one step for every parameter that has a gradient."""
        del closure
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients = [p.grad for p in parameters]
            squares = [self.state[p]["mean_square"] for p in parameters]
            torch._foreach_mul_(squares, group["rho"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["rho"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(parameters, gradients, roots, -group["lr"])


def _rmsprop_tf(parameters: ParameterGroups, lr: float) -> Optimizer:
    return TFRMSprop(parameters, lr=lr)


def _rmsprop(parameters: ParameterGroups, lr: float) -> Optimizer:
    return RMSprop(parameters, lr=lr, alpha=0.9)


def _adam(parameters: ParameterGroups, lr: float) -> Optimizer:
    return Adam(parameters, lr=lr)


def _adamw(parameters: ParameterGroups, lr: float) -> Optimizer:
    return AdamW(parameters, lr=lr, weight_decay=0.0)  # torch would decay by 0.01; groups say what decays


def _sgd(parameters: ParameterGroups, lr: float) -> Optimizer:
    return SGD(parameters, lr=lr)


OPTIMIZERS: Mapping[str, Callable[[ParameterGroups, float], Optimizer]] = MappingProxyType(
    {"rmsprop-tf": _rmsprop_tf, "rmsprop": _rmsprop, "adam": _adam, "adamw": _adamw, "sgd": _sgd}
)
"""Optimizers by name: a function of the parameters, or groups of them, and the learning rate."""

DECAYS = ("adamw", "sgd")
"""Optimizers that shrink weights by the learning rate times the weight decay, apart from the gradient's scale."""


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """State of an optimizer, named ``optimizer.{position of the parameter}.{name}``."""
    return {
        f"optimizer.{i}.{name}": value
        for i, parameter in enumerate(_parameters(optimizer))
        for name, value in optimizer.state[parameter].items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take over a state by the names of `optimizer_tensors`, in the memory layout in which it comes."""
    parameters = _parameters(optimizer)
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            position, name = rest.split(".")
            parameter = parameters[int(position)]
            device = parameter.device if value.shape == parameter.shape else value.device
            optimizer.state[parameter][name] = torch.empty_strided(
                value.shape, value.stride(), dtype=value.dtype, device=device
            ).copy_(value)


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
