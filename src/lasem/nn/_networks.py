"""The named networks, as tables of layers (LASEM, figure 7)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from lasem.configurations import Partition
from lasem.errors import require
from lasem.nn._rows import BasicBlock, Conv, NormConv, Row
from lasem.registry import Registry

if TYPE_CHECKING:  # the tables of layers need no torch; presets and lists read them
    from torch import Generator, nn

    from lasem.nn._backbone import Backbone
    from lasem.nn._mechanisms import AbstractMechanism
    from lasem.nn._skips import Skip
    from lasem.nn._stage import Own


@dataclass(frozen=True)
class Network:
    """A named network: convolutions or blocks, one stage each, then fully connected layers per task.

    Attributes:
        layers: Layers that may be shared, from input to output.
        hidden: Units of the hidden layers of the head.
        excludes: Mechanisms and learners that cannot run on this network, each with the reason.
        channels: (c_kb, c_ts) of DF-CNN per layer in the authors' release; None where it has none.
        own: Kind of own branches, such as "new" or "copy"; see `TransferModule`.
        frozen: Whether stages have a third branch, their initial values; see `TransferModule`.
    """

    layers: tuple[Row, ...]
    hidden: tuple[int, ...]
    excludes: Mapping[str, str] = field(default_factory=dict, hash=False)
    channels: tuple[tuple[int, int], ...] | None = None
    own: "Own" = "new"
    frozen: bool = False

    @property
    def branches(self) -> int:
        """Number of branches of every stage."""
        return 3 if self.frozen else 2

    @property
    def summary(self) -> str:
        """The layers in one line of text, for lists of networks."""
        rows, head = ", ".join(row.summary for row in self.layers), ", ".join([*map(str, self.hidden), "classes"])
        return f"{rows}; head {head}"

    def layers_table(self) -> list[dict[str, object]]:
        """Describe all layers as JSON, from input to output.

        Layers that may be shared have the keys ``kind`` ("convolution", "normed convolution" or "block"), ``kernel``,
        ``channels``, ``convolutions`` (how many it contains), ``divides`` (the factor by which it shrinks height and
        width; 0 for an average over all positions) and ``skip`` (number of layers under an identity skip that ends
        here; 0 for none). The hidden layers of the head follow with ``kind`` "linear" and ``units``.
        """
        head: list[dict[str, object]] = [{"kind": "linear", "units": units} for units in self.hidden]
        return [row.describe() for row in self.layers] + head

    def multiply_adds(self, shape: tuple[int, int, int]) -> int:
        """Count multiply-adds of the layers, without the head, for one image of this shape, (C, H, W)."""
        return sum(self.layer_multiply_adds(shape))

    def layer_multiply_adds(self, shape: tuple[int, int, int]) -> list[int]:
        """Count multiply-adds layer by layer: (d,)."""
        return self.build(shape).multiply_adds()

    def build(
        self, shape: tuple[int, int, int], *, mechanism: "AbstractMechanism | None" = None, seed: int = 0
    ) -> "Backbone":
        """Make the backbone for images of a shape.

        Args:
            shape: Shape of an image, (C, H, W).
            mechanism: How stages share parameters; hard parameter sharing by default.
            seed: Seed of all initial values.

        Raises:
            SpecError: The shape is not (channels, height, width).
        """
        from lasem.nn._backbone import Backbone
        from lasem.nn._mechanisms import HardParameterSharing

        require(
            len(shape) == 3 and min(shape) >= 1,
            "the shape of an image must be (channels, height, width), each at least 1",
            remedy="give all three",
            shape=shape,
        )
        inputs = (shape[0], *(layer.channels for layer in self.layers))
        sharing = mechanism or HardParameterSharing()
        listed = self.channels or (None,) * len(self.layers)
        layers = [
            replace(row.build(size, sharing.for_layer(channels)), own=self.own, frozen=self.frozen)
            for size, row, channels in zip(inputs, self.layers, listed, strict=False)
        ]
        return Backbone(layers, shape=shape, head=self._head, seed=seed, skips=self.skips)

    @property
    def skips(self) -> "tuple[Skip, ...]":
        """Identity connections around layers, counted from 0."""
        from lasem.nn._skips import Skip

        convs = [(i, row) for i, row in enumerate(self.layers) if isinstance(row, Conv)]
        return tuple(Skip(start=i - row.skip + 1, end=i, pool=row.pool) for i, row in convs if row.skip)

    def stage_partition(self, partition: Partition) -> Partition:
        """Translate a partition of the convolutions into one of the stages; a block contains several convolutions.

        Raises:
            SpecError: It has another number of convolutions, or divides those of a block.
        """
        sizes = [row.convolutions for row in self.layers]
        require(
            partition.num_layers == sum(sizes),
            f"a partition must cover all {sum(sizes)} layers of the network",
            remedy=f"name every layer from 1 to {sum(sizes)} once",
            partition=str(partition),
        )
        ends = list(accumulate(sizes))
        blocks = [tuple(range(end - size + 1, end + 1)) for size, end in zip(sizes, ends, strict=True)]
        groups = []
        for group in partition.groups:
            cut = next((block for block in blocks if 0 < len({*block} & {*group}) < len(block)), None)
            require(
                cut is None,
                "a block with batch norm decides as one, so a partition must keep its layers in one group",
                remedy=f"put layers {' and '.join(map(str, cut or ()))} into one group",
                group="{" + ",".join(map(str, group)) + "}",
            )
            groups.append(tuple(number for number, block in enumerate(blocks, 1) if block[0] in group))
        return Partition(tuple(groups))

    def _head(self, features: int, classes: int, source: "Generator") -> "nn.Module":
        from lasem.nn._initializers import mlp

        return mlp((features, *self.hidden, classes), source=source)


NO_DFCNN = (
    "by the published rule its contraction tensors would have 690 million parameters per task;"
    " choose another mechanism or a smaller network"
)
"""Reason why a large network excludes DF-CNN."""

NO_PLAIN = (
    "it changes convolutions itself and cannot do so with batch norm, which this network has;"
    " choose a network without batch norm, such as cifar-4, stl-6, stl-9 or resnet-18"
)
"""Reason why a network with batch norm excludes learners that change its convolutions."""

NO_GROWTH = (
    "it changes the number of channels of every layer, but an identity skip must join layers with equal numbers;"
    " choose a network without skips, such as cifar-4 or stl-6"
)
"""Reason why a network with skips excludes learners that grow its layers."""


def _resnet_18() -> Network:
    """Make ResNet-18 as in the authors' release: no batch norm, no projections, skips around layers of one shape."""
    rows = [Conv(7, 64, pool=2), Conv(3, 64), Conv(3, 64, skip=2), Conv(3, 64), Conv(3, 64, skip=2)]
    for size in (128, 256, 512):
        rows += [Conv(3, size, pool=2), Conv(3, size), Conv(3, size), Conv(3, size, skip=2)]
    return Network(tuple(rows), hidden=(1000,), excludes={"dfcnn": NO_DFCNN, "den": NO_GROWTH})


def _resnet_18_bn() -> Network:
    """Make ResNet-18 for 32x32 images: a 3x3 stem, eight blocks with batch norm, an average, and one linear layer."""
    rows: list[Row] = [NormConv(3, 64), BasicBlock(64), BasicBlock(64)]
    for size in (128, 256, 512):
        rows += [BasicBlock(size, stride=2), BasicBlock(size, average=size == 512)]
    excludes = {"dfcnn": NO_DFCNN, "prognn": NO_PLAIN, "gating": NO_PLAIN, "den": NO_PLAIN, "apd": NO_PLAIN}
    return Network(tuple(rows), hidden=(), excludes=excludes)


STL_6 = (Conv(3, 32), Conv(3, 32, pool=3), Conv(3, 64), Conv(3, 64, pool=3), Conv(3, 128), Conv(3, 128, pool=3))

NETWORKS: Registry[Network] = Registry(
    "network",
    group="lasem.networks",
    base=Network,
    builtin={
        "digits-3": Network((Conv(3, 16), Conv(3, 16, pool=2), Conv(3, 32, pool=2)), hidden=(32,)),
        "synthetic-3": Network((Conv(3, 8, pool=2), Conv(3, 16, pool=2), Conv(3, 16)), hidden=()),
        "synthetic-2": Network((Conv(3, 32, pool=2), Conv(3, 32, pool=2)), hidden=()),
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
        "resnet-18": _resnet_18(),
        "resnet-18-bn": _resnet_18_bn(),
    },
)
"""Registry of networks: tables of layers, by name."""
