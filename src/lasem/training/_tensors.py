"""Tensors by name: prefixes that tell whose they are, and values put back into a module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lasem.errors import RunError


class NamedTensors(dict[str, Tensor]):
    """Tensors of a state by name; one that is missing is an error that says so."""

    def __missing__(self, name: str) -> Tensor:
        """Refuse a name that the state does not have.

        Raises:
            RunError: Always.
        """
        raise RunError(
            f"a state must come from a learner that was built alike (got one without the tensor {name!r}); build the"
            " learner with the options of the one that it came from"
        )


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> NamedTensors:
    """Select the tensors whose names begin with a prefix, and remove it from their names."""
    names = [name for name in tensors if name.startswith(prefix)]
    return NamedTensors({name.removeprefix(prefix): tensors[name] for name in names})


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detach tensors and put a prefix before their names; `strip_prefix` undoes it."""
    return {f"{prefix}{name}": value.detach() for name, value in tensors.items()}


def copy_values(live: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy values by name into the tensors that are in use.

    Raises:
        RunError: A value is missing, or has another shape.
    """
    for name, tensor in live.items():
        if tensor.shape != values[name].shape:
            raise RunError(
                f"a state must come from a learner that was built alike (got {name!r} of shape"
                f" {tuple(values[name].shape)} where {tuple(tensor.shape)} is needed); build the learner with the"
                " options of the one that it came from"
            )
        tensor.copy_(values[name])


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
