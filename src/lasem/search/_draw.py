"""Lists of candidates, drawn from a product of group probabilities in pairs of opposites."""

from collections import Counter
from dataclasses import dataclass
from itertools import product
from math import log

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace, Digits, Partition
from lasem.seeds import derive_seed

DrawnFrom = tuple[int, tuple[float, ...], tuple[int, ...]]
"""Number of the draw, probability of every group to be shared, and the settled bit of every group, -1 for none."""


@dataclass(frozen=True, eq=False)
class DrawnList:
    """Candidates that were drawn.

    Attributes:
        space: M distinct candidates.
        bits: (M, G) the same as numbers, in double precision.
        sharing: (M, d) their bits per layer.
        log_weights: (M,) logarithm of how often each was drawn, divided by its probability under the proposal; 0 where
            the list has all configurations.
        drawn_from: What the list follows from.
    """

    space: ConfigurationSpace
    bits: Tensor
    sharing: Tensor
    log_weights: Tensor
    drawn_from: DrawnFrom


def draw_list(
    partition: Partition, drawn_from: DrawnFrom, *, size: int, place: tuple[int, int], device: torch.device
) -> DrawnList:
    """Draw a list of at most this many candidates, in antithetic pairs: each with its opposite in all groups.

    So every list tries both branches of every group. Where there are no more configurations than `size`, the list is
    all of them.

    Args:
        partition: Groups of layers.
        drawn_from: Number of the draw, proposal and settled groups.
        size: Number M of draws.
        place: Seed and identity of the task.
        device: Where the tensors go.
    """
    number, proposal, fixed = drawn_from
    free = [group for group, bit in enumerate(fixed) if bit < 0]
    if 2 ** len(free) <= size:
        counts = Counter({_whole(bits, fixed, free): 1 for bits in product((0, 1), repeat=len(free))})
        weights = [0.0] * len(counts)
    else:
        theta = torch.tensor([proposal[group] for group in free], dtype=torch.float64)
        source = torch.Generator().manual_seed(derive_seed(place[0], "list", place[1], number))
        drawn = (torch.rand(size // 2, len(free), generator=source, dtype=torch.float64) < theta).long()
        rows = [tuple(row) for row in torch.cat([drawn, 1 - drawn]).tolist()]
        counts = Counter(_whole(row, fixed, free) for row in rows)
        weights = [log(count) - _log_proposal([bits[g] for g in free], theta) for bits, count in counts.items()]
    space = ConfigurationSpace(partition, tuple(counts))
    return DrawnList(
        space=space,
        bits=torch.tensor(space.candidates, dtype=torch.float64, device=device),
        sharing=torch.tensor(space.layer_digits, dtype=torch.float64, device=device),
        log_weights=torch.tensor(weights, dtype=torch.float64, device=device),
        drawn_from=drawn_from,
    )


def _whole(bits: Digits, fixed: Digits, free: list[int]) -> Digits:
    """Put the bits of the free groups among those of the settled ones."""
    found = list(fixed)
    for group, bit in zip(free, bits, strict=True):
        found[group] = bit
    return tuple(found)


def _log_proposal(bits: list[int], theta: Tensor) -> float:
    """Return the logarithm of the probability that a draw, or the opposite of one, is this candidate."""
    chosen = torch.tensor(bits, dtype=torch.bool)
    one = torch.where(chosen, theta, 1 - theta).log().sum()
    other = torch.where(chosen, 1 - theta, theta).log().sum()
    return float(torch.logaddexp(one, other)) - log(2)
