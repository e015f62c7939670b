"""The named networks, as tables of layers (LASEM, figure 7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Generator, nn

from lasem.nn._backbone import Backbone
from lasem.nn._conv import TransferConv2d
from lasem.nn._initializers import mlp
from lasem.nn._mechanisms import AbstractMechanism, ConvShape, HardParameterSharing


@dataclass(frozen=True)
class Conv:
    """A row of the table: a convolution with ReLU, and the max-pool after it.

    Attributes:
        kernel: Size of the kernel, odd.
        channels: Number of outputs.
        pool: Window and stride of the pool; 1 = none.
    """

    kernel: int
    channels: int
    pool: int = 1


@dataclass(frozen=True)
class Network:
    """A plain network: convolutions, then fully connected layers.

    Attributes:
        layers: Convolutions from input to output.
        hidden: Hidden units of the head, before its classes.
        channels: (c_kb, c_ts) of DF-CNN per layer in the authors' release; None where it has none.
    """

    layers: tuple[Conv, ...]
    hidden: tuple[int, ...]
    channels: tuple[tuple[int, int], ...] | None = None

    @property
    def summary(self) -> str:
        """Its layers in a line."""
        convs = (f"{c.channels}@{c.kernel}x{c.kernel}" + (f" /{c.pool}" if c.pool > 1 else "") for c in self.layers)
        return f"{', '.join(convs)}; head {', '.join(map(str, self.hidden))}, classes"

    def build(
        self, shape: tuple[int, int, int], *, mechanism: AbstractMechanism | None = None, seed: int = 0
    ) -> Backbone:
        """Make the backbone for images of a shape.

        Args:
            shape: (C, H, W).
            mechanism: How kernels are read from shared knowledge; hard parameter sharing by default.
            seed: Seed of all initial values.
        """
        inputs = (shape[0], *(layer.channels for layer in self.layers))
        listed = self.channels or (None,) * len(self.layers)
        layers = [
            TransferConv2d(
                ConvShape(inputs=size, outputs=layer.channels, kernel=layer.kernel, channels=channels),
                pool=layer.pool,
                mechanism=mechanism or HardParameterSharing(),
            )
            for size, layer, channels in zip(inputs, self.layers, listed, strict=False)
        ]
        return Backbone(layers, shape=shape, head=self._head, seed=seed)

    def _head(self, features: int, classes: int, source: Generator) -> nn.Module:
        return mlp((features, *self.hidden, classes), source=source)


STL_6 = (Conv(3, 32), Conv(3, 32, pool=3), Conv(3, 64), Conv(3, 64, pool=3), Conv(3, 128), Conv(3, 128, pool=3))

NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "digits-3": Network((Conv(3, 16), Conv(3, 16, pool=2), Conv(3, 32, pool=2)), hidden=(32,)),
        "synthetic-3": Network((Conv(3, 8, pool=2), Conv(3, 16, pool=2), Conv(3, 16)), hidden=()),
        "cifar-4": Network(
            (Conv(3, 32), Conv(3, 32, pool=2), Conv(3, 64), Conv(3, 64, pool=2)),
            hidden=(64,),
            channels=((16, 24), (24, 48), (32, 64), (36, 72)),
        ),
        "office-home-4": Network(
            (Conv(11, 64, pool=3), Conv(5, 256, pool=3), Conv(3, 256, pool=2), Conv(3, 256, pool=2)),
            hidden=(256, 64),
            channels=((24, 48), (64, 128), (64, 128), (64, 128)),
        ),
        "stl-6": Network(
            STL_6, hidden=(128, 16), channels=((12, 24), (24, 48), (32, 64), (48, 96), (64, 128), (96, 192))
        ),
        "stl-6-tf": Network(STL_6, hidden=(128,)),
        "stl-9": Network(
            tuple(Conv(3, size, pool=3 if last else 1) for size in (32, 64, 128) for last in (False, False, True)),
            hidden=(128, 16),
            channels=tuple((size, 2 * size) for size in (12, 24, 24, 32, 48, 48, 64, 96, 96)),
        ),
    }
)
"""Networks by name."""
