"""Drawing the values of a module anew, for own branches of stages that came with their values."""

import copy

import torch
from torch import Generator, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lasem.errors import SpecError
from lasem.nn._randomness import seeded


def require_redrawable(stage: nn.Module, name: str, *, frozen_norms: bool) -> None:
    """Refuse a stage whose values cannot be drawn anew.

    Args:
        stage: The stage's module.
        name: Name of the stage, for the message.
        frozen_norms: Whether batch norm keeps the statistics that it came with.

    Raises:
        SpecError: Layers have parameters that they cannot draw, or statistics that are those of other values.
    """
    for place, layer in stage.named_modules():
        parameters = [parameter for parameter, _ in layer.named_parameters(recurse=False)]
        if parameters and not callable(getattr(layer, "reset_parameters", None)):
            raise SpecError(
                "own = 'new' must draw all parameters anew, by the reset_parameters of their layers"
                f" (got {parameters[0]!r} of {type(layer).__name__} in {name}, which has none);"
                " choose own = 'copy', 'lora' or 'norms'"
            )
        if frozen_norms and isinstance(layer, _BatchNorm):
            raise SpecError(
                "own = 'new' must not use batch norm with the statistics of other weights"
                f" (got norms = 'frozen', and {type(layer).__name__} at {place!r} of {name});"
                " choose own = 'copy', or norms = 'task'"
            )


def redrawn(stage: nn.Module, source: Generator) -> nn.Module:
    """Return a copy of a module whose layers drew their values anew.

    Args:
        stage: The module, which stays as it is.
        source: Decides the values.
    """
    made = copy.deepcopy(stage)
    seed = int(torch.randint(2**62, (), generator=source))
    with seeded(seed, torch.device("cpu")):  # layers of torch draw from its global generator
        for layer in made.modules():
            if list(layer.parameters(recurse=False)):
                layer.reset_parameters()  # pyright: ignore[reportCallIssue]
    return made
