"""Sets of parameters: what a stage stores of a branch, under the names that its module gives to the tensors."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from lasem.errors import LasemError, nearest

Module = TypeVar("Module", bound=nn.Module)


class ParameterSet(nn.Module):
    """Tensors under dotted names, such as "first.weight"; a state dict shows exactly these names.

    Args:
        tensors: Parameters are trained. Other tensors become buffers, which stay constant.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            path, _, last = name.rpartition(".")
            owner = _descend(self, path)
            if isinstance(tensor, nn.Parameter):
                owner.register_parameter(last, tensor)
            else:
                owner.register_buffer(last, tensor)

    def __getitem__(self, name: str) -> Tensor:
        """Return the tensor of a dotted name."""
        return tensors_of(self)[name]


def tensors_of(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """Return all parameters and buffers of a module by dotted name, tied ones under each of their names.

    A stage asks for them at every step, and this takes a quarter of the time of `named_parameters`.

    Args:
        module: A module of any kind.
        prefix: Text to put before every name.
    """
    found: dict[str, Tensor] = {}
    for own in (module._parameters, module._buffers):
        for name, tensor in own.items():
            if tensor is not None:
                found[prefix + name] = tensor
    for name, child in module._modules.items():
        if child is not None:
            found |= tensors_of(child, f"{prefix}{name}.")
    return found


def nest(modules: Mapping[str, nn.Module]) -> nn.Module:
    """Put modules under dotted names into one module; the empty name stands for the module itself."""
    if "" in modules:
        return modules[""]
    root = nn.Module()
    for name, module in modules.items():
        path, _, last = name.rpartition(".")
        _descend(root, path).add_module(last, module)
    return root


def _descend(module: nn.Module, path: str) -> nn.Module:
    """Return the submodule at a dotted path, made of empty modules where it is missing."""
    for name in filter(None, path.split(".")):
        if name not in module._modules:
            module.add_module(name, nn.Module())
        module = module.get_submodule(name)
    return module


@torch.no_grad()
def load_parameters(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Replace the values of some parameters of a module, by name.

    Raises:
        LasemError: A name or a shape does not fit; nothing is changed then.
    """
    parameters = dict(module.named_parameters())
    for key, value in values.items():
        if key not in parameters:
            raise LasemError(f"loaded values must be named after parameters (got {key!r}); {nearest(key, parameters)}")
        if parameters[key].shape != value.shape:
            raise LasemError(
                f"a loaded value must have its parameter's shape {tuple(parameters[key].shape)}"
                f" (got {tuple(value.shape)} for {key!r}); reshape or transpose it"
            )
    for key, value in values.items():
        parameters[key].copy_(value)


def place(module: Module, *, like: Tensor | None, memory_format: torch.memory_format) -> Module:
    """Move a module to the device of a tensor, in its dtype, with kernels in a memory layout."""
    if like is not None:
        module.to(device=like.device, dtype=like.dtype)
    for tensor in module.parameters():
        # `Module.to` would refuse the 5-d kernels of 3-d convolutions, for which this format is not defined.
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=memory_format)
    return module
