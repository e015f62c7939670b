"""A mechanism: all tasks share a kernel, and each has a scale and a bias per output channel."""

import torch
from torch import Generator, Tensor, nn

from lasem.nn import AbstractMechanism
from lasem.options import NonNegative, options


@options
class ScaledSharing(AbstractMechanism):
    """The shared kernel times a task's scale per output channel.

    Attributes:
        pull: Weight of the penalty that pulls scales toward 1.
    """

    pull: NonNegative = 0.01

    def new_shared(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Start the kernel from the values that the layer was made with."""
        return nn.ParameterDict({"weight": nn.Parameter(layer.get_parameter("weight").detach().clone())})

    def new_mapping(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make a task's scale of 1, and its bias if the layer has one."""
        channels = len(layer.get_parameter("weight"))
        mapping = {"scale": nn.Parameter(torch.ones(channels))}
        if "bias" in self.generated(layer):
            mapping["bias"] = nn.Parameter(torch.full((channels,), 0.2))
        return nn.ParameterDict(mapping)

    def read(self, shared, mapping) -> dict[str, Tensor]:
        """Compute the kernel and the bias of the shared branch."""
        weight = {"weight": shared["weight"] * mapping["scale"][:, None, None, None]}
        return weight | ({"bias": mapping["bias"]} if "bias" in mapping else {})

    def penalty(self, mapping) -> Tensor:
        """Return the penalty of a task's mapping, a scalar."""
        return self.pull * (mapping["scale"] - 1).square().sum()
