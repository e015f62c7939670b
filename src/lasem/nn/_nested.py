"""Partitions of a network's layers from coarse to fine, each of which divides one group of the one before."""

from itertools import pairwise

from lasem.configurations import Partition
from lasem.nn._library_network import AnyNetwork


def nested_partitions(network: AnyNetwork) -> list[Partition]:
    """List partitions into contiguous groups: one group of all layers, two groups, and so on, to one group per stage.

    Groups are divided first where the number of channels changes, then between residual blocks, then anywhere. Of
    boundaries of one kind the one nearest the output comes first, because there another group adds the fewest nodes to
    the tree. The partitions of ResNet-18 into 4 to 7 groups are those of the authors.

    Args:
        network: The network, whose layers are counted by convolutions, from 1, as in a spec.
    """
    edges = [_inside_block(network, before) for before in range(len(network.layers) - 1)]
    changes = [a.channels != b.channels for a, b in pairwise(network.layers)]
    order = sorted(range(len(edges)), key=lambda i: (not changes[i], edges[i], -i))
    return [_between(network, sorted(order[:number])) for number in range(len(order) + 1)]


def _inside_block(network: AnyNetwork, before: int) -> bool:
    """Whether the boundary behind a stage does not separate residual blocks: it is inside one, or not next to any."""
    skips = network.skips
    inside = any(skip.start <= before < skip.end for skip in skips)
    blocks = any(row.convolutions > 1 for row in network.layers[before : before + 2])
    adjacent = blocks or any(before in (skip.start - 1, skip.end) for skip in skips)
    return inside or not adjacent


def _between(network: AnyNetwork, boundaries: list[int]) -> Partition:
    """Return the partition whose groups end behind these stages, counted in convolutions."""
    last = len(network.layers) - 1
    groups: list[tuple[int, ...]] = []
    group: tuple[int, ...] = ()
    convolution = 0
    for stage, row in enumerate(network.layers):
        numbers = range(convolution + 1, convolution + row.convolutions + 1)
        convolution, group = numbers[-1], (*group, *numbers)
        if stage in boundaries or stage == last:
            groups.append(group)
            group = ()
    return Partition(tuple(groups))
