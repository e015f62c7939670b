"""A network with a layer of its own: depthwise separable convolutions."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, nn

from lasem.nn import AbstractMechanism, Conv, Network, TransferModule


def separable(inputs: int, outputs: int, source: Generator) -> nn.Module:
    """Make a 3x3 convolution per channel, a 1x1 convolution over channels, ReLU and a pool."""
    layers = nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
        nn.Conv2d(inputs, outputs, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    for layer in layers[:2]:  # values come from the generator, so that a seed decides them
        nn.init.trunc_normal_(layer.weight, std=0.3, generator=source)
        nn.init.constant_(layer.bias, 0.2)
    return layers


@dataclass(frozen=True)
class Separable:
    """A layer of a network's table.

    Attributes:
        channels: Number of outputs.
    """

    channels: int
    convolutions: ClassVar[int] = 1

    @property
    def summary(self) -> str:
        """The layer in a few characters."""
        return f"separable {self.channels} /2"

    def describe(self) -> dict[str, object]:
        """Describe the layer as JSON, for reports."""
        return {"kind": "separable", "kernel": 3, "channels": self.channels, "convolutions": 1, "divides": 2, "skip": 0}

    def build(self, inputs: int, mechanism: AbstractMechanism) -> TransferModule:
        """Make the layer, shared by any mechanism."""
        return TransferModule(lambda source: separable(inputs, self.channels, source), mechanism)


SEPARABLE_3 = Network((Conv(3, 8), Separable(16), Separable(16)), hidden=(16,))
