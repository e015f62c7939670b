"""What a learner holds: which parameters are whose, and how many."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lasem.errors import RunError
from lasem.learners._learner import ParameterCounts
from lasem.nn import Backbone


def belongs(parameter: str, task: int) -> bool:
    """Whether a parameter of a backbone, by name, is one task's own."""
    parts = parameter.split(".")
    return parts[:2] == ["heads", str(task)] or parts[2:4] in (["own", str(task)], ["mapping", str(task)])


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose name begins with a prefix, named without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `part`: all of them, detached, named with a prefix."""
    return {f"{prefix}{name}": value.detach() for name, value in tensors.items()}


def restore_values(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Take over the values of all parameters and buffers, in the memory layout in which they come.

    Raises:
        RunError: A value is missing, or has another shape.
    """
    try:
        module.load_state_dict(values)
    except RuntimeError as error:
        raise RunError(f"a state has every parameter of its learner - {error} - start the run anew") from None
    for name, tensor in module.state_dict(keep_vars=True).items():
        stride = values[name].stride()
        if tensor.stride() != stride:
            like = torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=tensor.device)
            tensor.data = like.copy_(tensor.detach())


def count_parameters(
    backbone: Backbone, *, usable: Sequence[bool], visits: Sequence[int], most: Mapping[str, int]
) -> ParameterCounts:
    """Count what is held (LASEM, appendix E).

    Args:
        backbone: Holds it.
        usable: Per stage, whether any candidate can use its shared knowledge.
        visits: Identities of the tasks by position; a task's parameters count at its first visit.
        most: Largest "search" and "rollback" so far.
    """
    stages = zip(backbone.iter_stages(), usable, strict=True)
    shared = sum(p.numel() for stage, used in stages if used for p in stage.shared.parameters())
    sizes = {name: p.numel() for name, p in backbone.named_parameters()}
    per_task = [
        sum(size for name, size in sizes.items() if belongs(name, identity)) if identity not in visits[:i] else 0
        for i, identity in enumerate(visits)
    ]
    return ParameterCounts(shared=shared, per_task=per_task, search=most["search"], rollback=most["rollback"])
