"""The named networks, as tables of layers (LASEM, figure 7)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from torch import Generator, nn

from lasem.nn._backbone import Backbone
from lasem.nn._conv import TransferConv2d
from lasem.nn._initializers import mlp
from lasem.nn._mechanisms import AbstractMechanism, ConvShape, HardParameterSharing
from lasem.nn._skips import Skip


@dataclass(frozen=True)
class Conv:
    """A row of the table: a convolution with ReLU, and the max-pool after it.

    Attributes:
        kernel: Size of the kernel, odd.
        channels: Number of outputs.
        pool: Window and stride of the pool; 1 = none.
        skip: So many layers, of which this is the last, have an identity skip around them, added after the ReLU and
            before the pool; 0 = none.
    """

    kernel: int
    channels: int
    pool: int = 1
    skip: int = 0

    @property
    def summary(self) -> str:
        """Channels, kernel, skip and pool."""
        skip, pool = "+" if self.skip else "", f" /{self.pool}" if self.pool > 1 else ""
        return f"{self.channels}@{self.kernel}x{self.kernel}{skip}{pool}"


@dataclass(frozen=True)
class Network:
    """A plain network: convolutions, then fully connected layers.

    Attributes:
        layers: Convolutions from input to output.
        hidden: Hidden units of the head, before its classes.
        excludes: Mechanisms that are not offered on it, each with the reason.
    """

    layers: tuple[Conv, ...]
    hidden: tuple[int, ...]
    excludes: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def summary(self) -> str:
        """Its layers in a line."""
        return f"{', '.join(row.summary for row in self.layers)}; head {', '.join(map(str, self.hidden))}, classes"

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
        layers = [
            TransferConv2d(
                ConvShape(inputs=size, outputs=layer.channels, kernel=layer.kernel),
                pool=1 if layer.skip else layer.pool,
                mechanism=mechanism or HardParameterSharing(),
            )
            for size, layer in zip(inputs, self.layers, strict=False)
        ]
        return Backbone(layers, shape=shape, head=self._head, seed=seed, skips=self.skips)

    @property
    def skips(self) -> tuple[Skip, ...]:
        """Identity connections between the rows."""
        rows = enumerate(self.layers)
        return tuple(Skip(start=i - row.skip + 1, end=i, pool=row.pool) for i, row in rows if row.skip)

    def _head(self, features: int, classes: int, source: Generator) -> nn.Module:
        return mlp((features, *self.hidden, classes), source=source)


NO_DFCNN = (
    "by the published rule its contraction tensors would hold 690 million parameters per task"
    " - choose another mechanism or a smaller network"
)


def _resnet_18() -> Network:
    """ResNet-18 as in the authors' release: no batch norm, no projections, a skip where two layers keep the shape."""
    rows = [Conv(7, 64, pool=2), Conv(3, 64), Conv(3, 64, skip=2), Conv(3, 64), Conv(3, 64, skip=2)]
    for size in (128, 256, 512):
        rows += [Conv(3, size, pool=2), Conv(3, size), Conv(3, size), Conv(3, size, skip=2)]
    return Network(tuple(rows), hidden=(1000,), excludes={"dfcnn": NO_DFCNN})


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "digits-3": Network((Conv(3, 16), Conv(3, 16, pool=2), Conv(3, 32, pool=2)), hidden=(32,)),
        "synthetic-3": Network((Conv(3, 8, pool=2), Conv(3, 16, pool=2), Conv(3, 16)), hidden=()),
        "cifar-4": Network((Conv(3, 32), Conv(3, 32, pool=2), Conv(3, 64), Conv(3, 64, pool=2)), hidden=(64,)),
        "office-home-4": Network(
            (Conv(11, 64, pool=3), Conv(5, 256, pool=3), Conv(3, 256, pool=2), Conv(3, 256, pool=2)), hidden=(256, 64)
        ),
        "stl-6": Network(
            (Conv(3, 32), Conv(3, 32, pool=3), Conv(3, 64), Conv(3, 64, pool=3), Conv(3, 128), Conv(3, 128, pool=3)),
            hidden=(128, 16),
        ),
        "stl-9": Network(
            tuple(Conv(3, size, pool=3 if last else 1) for size in (32, 64, 128) for last in (False, False, True)),
            hidden=(128, 16),
        ),
        "resnet-18": _resnet_18(),
    }
)
"""Networks by name."""
