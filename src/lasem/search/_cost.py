"""What a step of the search takes, counted without a step, and without listing the candidates of a full space.

A node of the tree is a distinct prefix of decisions. In the full space of a partition the lowest layer of every group
doubles the nodes, so they are powers of two; of listed candidates the distinct prefixes are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import mul

from lasem.configurations import Bits, Partition


@dataclass(frozen=True)
class TreeSize:
    """How large a tree is, whole or in sub-trees that are evaluated one after another.

    Attributes:
        parts: Number of sub-trees; 1 = the whole tree.
        widest: (d,) nodes after each layer of the sub-tree that keeps most.
        total: (d,) nodes after each layer, of all sub-trees together.
    """

    parts: int
    widest: tuple[int, ...]
    total: tuple[int, ...]


def tree_nodes(partition: Partition, candidates: Sequence[Bits] | None = None) -> tuple[int, ...]:
    """Nodes after each layer: (d,).

    Args:
        partition: Groups of layers.
        candidates: (K, G) bits; None = all 2^G of the partition, which are not listed for this.

    >>> tree_nodes(Partition.parse("{1,2},{3}")), tree_nodes(Partition.parse("{1,2},{3}"), [(0, 0), (0, 1)])
    ((2, 2, 4), (1, 1, 2))
    """
    if candidates is None:
        lowest = {group[0] for group in partition.groups}
        return tuple(accumulate((2 if layer + 1 in lowest else 1 for layer in range(partition.num_layers)), mul))
    return _prefixes([partition.layer_bits(bits) for bits in candidates])


def _prefixes(paths: Sequence[Bits]) -> tuple[int, ...]:
    """Distinct beginnings of every length: (K, d) -> (d,)."""
    shared = [_common(a, b) for a, b in pairwise(sorted(paths))]
    return tuple(1 + sum(length < depth for length in shared) for depth in range(1, len(paths[0]) + 1))


def _common(a: Bits, b: Bits) -> int:
    """Length of the common beginning of two paths."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


def tree_bytes(nodes: Sequence[int], per_node: Sequence[int]) -> int:
    """Bytes kept for the backward pass of a tree.

    Args:
        nodes: (d,) after each layer.
        per_node: (d + 1,) bytes of one node per layer, and last of a leaf's features; see `node_bytes`.
    """
    return sum(count * size for count, size in zip([*nodes, nodes[-1]], per_node, strict=True))


def tree_sizes(partition: Partition, candidates: Sequence[Bits] | None, per_node: Sequence[int]) -> list[TreeSize]:
    """The whole tree, then its divisions by common prefixes of growing length, down to single candidates.

    Args:
        partition: Groups of layers.
        candidates: (K, G) bits; None = all of the partition.
        per_node: See `tree_bytes`.
    """
    depths = range(partition.num_layers + 1)
    if candidates is None:
        nodes = (1, *tree_nodes(partition))
        return [_equal_parts(nodes, depth) for depth in depths]
    paths = [partition.layer_bits(bits) for bits in candidates]
    return [_listed_parts(paths, per_node, depth) for depth in depths]


def _equal_parts(nodes: Sequence[int], depth: int) -> TreeSize:
    """A full space in one part per prefix: (1 + d,) nodes before and after each layer."""
    parts = nodes[depth]
    widest = tuple(max(1, count // parts) for count in nodes[1:])
    return TreeSize(parts, widest, tuple(parts * count for count in widest))


def _listed_parts(paths: Sequence[Bits], per_node: Sequence[int], depth: int) -> TreeSize:
    """Listed candidates in one part per prefix."""
    groups: dict[Bits, list[Bits]] = {}
    for path in paths:
        groups.setdefault(path[:depth], []).append(path)
    nodes = [_prefixes(group) for group in groups.values()]
    return TreeSize(
        len(groups),
        max(nodes, key=lambda counts: tree_bytes(counts, per_node)),
        tuple(map(sum, zip(*nodes, strict=True))),
    )


def em_multiply_adds(per_layer: Sequence[int], size: TreeSize, *, m_steps: int = 1) -> int:
    """Multiply-adds of the convolutions of one EM step: its forward and backward passes.

    A backward pass takes two of a forward pass, one in the first layer, whose input needs no gradient. E-step and first
    M-step share their forward pass, unless the tree is divided.

    Args:
        per_layer: (d,) of one forward pass of one network.
        size: Of the tree.
        m_steps: Optimizer steps per posterior.
    """
    forward = [count * amount for count, amount in zip(size.total, per_layer, strict=True)]
    learned = 3 * sum(forward) - forward[0]
    return m_steps * learned + (sum(forward) if size.parts > 1 else 0)


def static_multiply_adds(per_layer: Sequence[int]) -> int:
    """The same of one step of one network."""
    return 3 * sum(per_layer) - per_layer[0]
