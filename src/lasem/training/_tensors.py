"""Tensors by name: prefixes that tell whose they are, and values put back into a module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lasem.errors import RunError


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors whose names begin with a prefix, and remove it from their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detach tensors and put a prefix before their names; `strip_prefix` undoes it."""
    return {f"{prefix}{name}": value.detach() for name, value in tensors.items()}


def load_values(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Load the values of all parameters and buffers, in the memory layout in which they come.

    Layouts are taken over too because the last bits of a convolution depend on them.

    Raises:
        RunError: A value is missing, or has another shape.
    """
    try:
        module.load_state_dict(values)
    except RuntimeError as error:
        raise RunError(f"a state must have every parameter of its learner (got {error}); start the run anew") from None
    for name, tensor in module.state_dict(keep_vars=True).items():
        stride = values[name].stride()
        if tensor.stride() != stride:
            like = torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=tensor.device)
            tensor.data = like.copy_(tensor.detach())
