"""Lists of candidates, drawn from a product of group probabilities so that each list tries every branch."""

from collections import defaultdict
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import log

import torch
from torch import Tensor

from lasem.configurations import SHARED, ConfigurationSpace, Digits
from lasem.seeds import derive_seed

DrawnFrom = tuple[int, tuple[tuple[float, ...], ...], tuple[int, ...]]
"""Number of the draw, probability of every group's branches, and the settled digit of every group, -1 for none."""


@dataclass(frozen=True, eq=False)
class DrawnList:
    """Candidates that were drawn.

    Attributes:
        space: M distinct candidates.
        taken: (M, G, branches) 1 for the branch that a candidate takes in a group, else 0, in double precision.
        sharing: (M, d) 1 for the layers that a candidate shares, else 0.
        log_weights: (M,) logarithm of how often each was drawn, divided by its probability under the proposal; 0 where
            the list has all configurations.
        drawn_from: What the list follows from.
    """

    space: ConfigurationSpace
    taken: Tensor
    sharing: Tensor
    log_weights: Tensor
    drawn_from: DrawnFrom


def draw_list(
    space: ConfigurationSpace, drawn_from: DrawnFrom, *, size: int, place: tuple[int, int], device: torch.device
) -> DrawnList:
    """Draw a list of at most this many candidates, in antithetic sets that have every branch of every group once.

    With two branches a set is a pair: a candidate and its opposite in all groups. With three it is a triple, in which
    each group takes the other two branches in an order of its own. Where there are no more configurations than `size`,
    the list is all of them.

    Args:
        space: A space with the partition and the number of branches.
        drawn_from: Number of the draw, proposal and settled groups.
        size: Number M of draws.
        place: Seed and identity of the task.
        device: Where the tensors go.
    """
    number, proposal, fixed = drawn_from
    free = [group for group, digit in enumerate(fixed) if digit < 0]
    if space.branches ** len(free) <= size:
        rows = product(range(space.branches), repeat=len(free))
        weights = {_whole(row, fixed, free): 0.0 for row in rows}
    else:
        source = torch.Generator().manual_seed(derive_seed(place[0], "list", place[1], number))
        theta = torch.tensor([proposal[group] for group in free], dtype=torch.float64)
        weights = {_whole(row, fixed, free): weight for row, weight in _draw(theta, size, source).items()}
    listed = ConfigurationSpace(space.partition, tuple(weights), space.branches)
    digits, branches = torch.tensor(listed.candidates, device=device), torch.arange(space.branches, device=device)
    return DrawnList(
        space=listed,
        taken=digits.unsqueeze(2).eq(branches).double(),
        sharing=torch.tensor(listed.layer_digits, device=device).eq(SHARED).double(),
        log_weights=torch.tensor([*weights.values()], dtype=torch.float64, device=device),
        drawn_from=drawn_from,
    )


def _draw(theta: Tensor, size: int, source: torch.Generator) -> dict[Digits, float]:
    """Draw sets of candidates and weigh each by the inverse of its probability.

    Args:
        theta: (G, branches) proposal.
        size: Largest number of candidates.
        source: Generator of all draws.

    Returns:
        Logarithm of the weight by candidate, summed over its draws, the first ones of all sets first.
    """
    groups, branches = theta.shape
    sets = size // branches
    uniform = torch.rand(sets, groups, generator=source, dtype=torch.float64)
    first = (uniform < theta[:, SHARED]).long()
    turns = torch.ones(sets, groups, dtype=torch.int64)
    if branches > 2:
        frozen = (uniform >= theta[:, SHARED]) & (uniform < theta[:, SHARED:].sum(1))
        first = torch.where(frozen, 2, first)
        turns += torch.randint(2, (sets, groups), generator=source)
    weights: dict[Digits, list[float]] = defaultdict(list)
    for step in range(branches):
        for drawn, turn in zip((first + step * turns) % branches, turns, strict=True):
            weights[tuple(drawn.tolist())].append(-_log_proposal(drawn, turn, theta))
    return {row: float(torch.tensor(found, dtype=torch.float64).logsumexp(0)) for row, found in weights.items()}


def _whole(digits: Digits, fixed: Digits, free: list[int]) -> Digits:
    """Put the digits of the free groups among those of the settled ones."""
    found = list(fixed)
    for group, digit in zip(free, digits, strict=True):
        found[group] = digit
    return tuple(found)


def _log_proposal(digits: Tensor, turns: Tensor, theta: Tensor) -> float:
    """Return the logarithm of the probability that any one of a set with these turns is this candidate."""
    branches = theta.shape[1]
    firsts = [(digits - step * turns) % branches for step in range(branches)]
    logs = [theta.gather(1, first.unsqueeze(1)).log().sum() for first in firsts]
    return float(reduce(torch.logaddexp, logs)) - log(branches)
