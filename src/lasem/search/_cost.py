"""Cost of a step of the search, counted without making one, and without listing the candidates of a full space.

A node of the tree is a distinct prefix of decisions. In the full space of a partition the lowest layer of every group
multiplies the nodes by the number of branches, so they are powers of it; of listed candidates the distinct prefixes are
counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import mul

from lasem.configurations import Digits, Partition


@dataclass(frozen=True)
class TreeSize:
    """Size of a tree, either whole or divided into sub-trees that are evaluated one after another.

    Attributes:
        parts: Number of sub-trees; 1 for the whole tree.
        widest: (d,) nodes after each layer of the sub-tree that stores the most activations.
        total: (d,) nodes after each layer, summed over all sub-trees.
    """

    parts: int
    widest: tuple[int, ...]
    total: tuple[int, ...]


def tree_nodes(
    partition: Partition, candidates: Sequence[Digits] | None = None, *, branches: int = 2
) -> tuple[int, ...]:
    """Count the nodes of a tree after each layer: (d,).

    Args:
        partition: Groups of layers.
        candidates: (K, G) digits; None for all 2^G or 3^G of the partition, which are counted without being listed.
        branches: Number of branches, 2 or 3.

    >>> tree_nodes(Partition.parse("{1,2},{3}")), tree_nodes(Partition.parse("{1,2},{3}"), [(0, 0), (0, 1)])
    ((2, 2, 4), (1, 1, 2))
    """
    if candidates is None:
        lowest = {group[0] for group in partition.groups}
        return tuple(accumulate((branches if layer + 1 in lowest else 1 for layer in range(partition.num_layers)), mul))
    return _prefixes([partition.layer_digits(digits) for digits in candidates])


def _prefixes(paths: Sequence[Digits]) -> tuple[int, ...]:
    """Count the distinct prefixes of every length: (K, d) -> (d,)."""
    # Of sorted paths, a prefix is new exactly where it differs from that of the path before.
    shared = [_common(a, b) for a, b in pairwise(sorted(paths))]
    return tuple(1 + sum(length < depth for length in shared) for depth in range(1, len(paths[0]) + 1))


def _common(a: Digits, b: Digits) -> int:
    """Return the length of the longest common prefix of two paths."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


def tree_bytes(nodes: Sequence[int], per_node: Sequence[int]) -> int:
    """Return the bytes that autograd stores for the backward pass of a tree.

    Args:
        nodes: (d,) nodes after each layer.
        per_node: (d + 1,) bytes of one node of each layer, and of the features of one leaf; see `node_bytes`.
    """
    return sum(count * size for count, size in zip([*nodes, nodes[-1]], per_node, strict=True))


def tree_sizes(
    partition: Partition, candidates: Sequence[Digits] | None, per_node: Sequence[int], *, branches: int = 2
) -> list[TreeSize]:
    """List the sizes of the whole tree and of its divisions by prefixes of growing length, down to single candidates.

    Args:
        partition: Groups of layers.
        candidates: (K, G) digits; None for all of the partition.
        per_node: See `tree_bytes`.
        branches: Number of branches, 2 or 3.
    """
    depths = range(partition.num_layers + 1)
    if candidates is None:
        nodes = (1, *tree_nodes(partition, branches=branches))
        return [_equal_parts(nodes, depth) for depth in depths]
    paths = [partition.layer_digits(digits) for digits in candidates]
    return [_listed_parts(paths, per_node, depth) for depth in depths]


def _equal_parts(nodes: Sequence[int], depth: int) -> TreeSize:
    """Divide the tree of a full space by prefixes: (1 + d,) nodes before and after each layer."""
    parts = nodes[depth]
    widest = tuple(max(1, count // parts) for count in nodes[1:])
    return TreeSize(parts, widest, tuple(parts * count for count in widest))


def _listed_parts(paths: Sequence[Digits], per_node: Sequence[int], depth: int) -> TreeSize:
    """Divide the tree of listed candidates by prefixes."""
    groups: dict[Digits, list[Digits]] = {}
    for path in paths:
        groups.setdefault(path[:depth], []).append(path)
    nodes = [_prefixes(group) for group in groups.values()]
    return TreeSize(
        len(groups),
        max(nodes, key=lambda counts: tree_bytes(counts, per_node)),
        tuple(map(sum, zip(*nodes, strict=True))),
    )


def em_multiply_adds(per_layer: Sequence[int], size: TreeSize, *, m_steps: int = 1, separate: bool = False) -> int:
    """Count the multiply-adds of the convolutions in one EM step, over all forward and backward passes.

    A backward pass costs two forward passes, but only one in the first layer, whose input needs no gradient. E-step and
    first M-step share one forward pass, unless the tree is divided or the two steps are `separate`.

    Args:
        per_layer: (d,) multiply-adds of one forward pass of one network.
        size: Size of the tree.
        m_steps: Optimizer steps per posterior.
        separate: Whether modules of stages draw random numbers in the M-step, or the E-step has images of its own.
    """
    forward = [count * amount for count, amount in zip(size.total, per_layer, strict=True)]
    learned = 3 * sum(forward) - forward[0]
    return m_steps * learned + (sum(forward) if size.parts > 1 or separate else 0)


def static_multiply_adds(per_layer: Sequence[int]) -> int:
    """Count the multiply-adds of the convolutions in one training step of one network: (d,) per layer -> their sum."""
    return 3 * sum(per_layer) - per_layer[0]
