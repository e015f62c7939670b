"""Hierarchical consolidation: what the sparse weights of similar tasks have in common is stored once."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Consolidated:
    """Sparse weights of one layer, divided into what a group has in common and what remains a task's own.

    Attributes:
        labels: Per task, the number of its group; -1 for a task that is alone in one.
        centers: Per group, (units, inputs, h, w).
        own: (tasks, units, inputs, h, w); a task's sparse weights are its group's center plus these.
    """

    labels: list[int]
    centers: list[Tensor]
    own: Tensor


def consolidate(weights: Tensor, *, groups: int, gap: float, seed: int) -> Consolidated:
    """Group tasks by k-means; inside a group, store values once that differ by no more than a gap.

    Such a value becomes the middle between its largest and its smallest value in the group, so that no weight changes
    by more than half the gap.

    Args:
        weights: (tasks, units, inputs, h, w).
        groups: Largest number of groups.
        gap: Largest difference, at least 0.
        seed: Seed of k-means.
    """
    from sklearn.cluster import KMeans  # takes a second to import, and few runs consolidate

    rows = weights.flatten(1).cpu().double().numpy()
    found = min(groups, len(np.unique(rows, axis=0)))
    assigned = KMeans(found, n_init=10, random_state=seed % 2**32).fit_predict(rows)  # pyright: ignore[reportArgumentType]
    labels, centers, own = [-1] * len(weights), list[Tensor](), weights.clone()
    for group in range(found):
        members = np.flatnonzero(assigned == group).tolist()
        if len(members) < 2:
            continue
        largest, smallest = weights[members].amax(0), weights[members].amin(0)
        common = largest - smallest <= gap
        own[members] = torch.where(common, 0.0, weights[members])
        for member in members:
            labels[member] = len(centers)
        centers.append(torch.where(common, (largest + smallest) / 2, 0.0))
    return Consolidated(labels=labels, centers=centers, own=own)
