"""What a spec's search takes, beside what it may take; and what else would fit."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch

from lasem.configurations import LARGEST_SPACE
from lasem.formats import memory_size
from lasem.nn import nested_partitions
from lasem.preflight._available import available_memory
from lasem.preflight._needs import Footprint, Need, candidates_of
from lasem.specs import Spec

SUGGESTED = 3
"""Partitions that a message names."""


def lasting(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.0f} hours"


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    Attributes:
        memory: Bytes for a step; None = not limited, as the system does not tell what is available.
        hours: Of training and evaluation; None = not limited.
        place: Where the memory is, in words.
    """

    memory: int | None
    hours: float | None = None
    place: str = "in main memory"

    @staticmethod
    def of(device: torch.device, *, memory: int | None = None, hours: float | None = None) -> "Limits":
        """Those given; by default as much memory as is available on a device now."""
        place = "on the GPU" if device.type == "cuda" else "in main memory"
        return Limits(available_memory(device) if memory is None else memory, hours, place)


@dataclass(frozen=True)
class Demand:
    """What a search takes, and from what that of other partitions follows.

    Attributes:
        spec: It searches by EM or by brute force.
        need: Of its own candidates.
        footprint: Of its network.
        seconds: Of training and evaluation that a run takes, by need; None where nothing was measured.
    """

    spec: Spec
    need: Need
    footprint: Footprint
    seconds: Callable[[Need], float] | None = None

    def faults(self, limits: Limits, need: Need | None = None) -> list[str]:
        """What does not fit, in words: of its own need, or of another one."""
        return list(self._faults(limits, need or self.need))

    def _faults(self, limits: Limits, need: Need) -> Iterator[str]:
        if need.candidates > LARGEST_SPACE:
            yield f"more than the {LARGEST_SPACE:,} that a space may list"
        if limits.memory is not None and need.bytes > limits.memory:
            left = f"{memory_size(limits.memory)} are left {limits.place}"
            yield f"about {memory_size(need.bytes)} for a step where {left}"
        budget = self.footprint.memory
        if budget is not None and need.part_bytes > budget:
            kept = f"{memory_size(need.part_bytes)} of activations for one candidate"
            yield f"{kept} where search.memory is {memory_size(budget)}"
        if limits.hours is not None and self.seconds is not None and self.seconds(need) > 3600 * limits.hours:
            yield f"about {lasting(self.seconds(need))} where --max-hours is {limits.hours:g}"

    def partitions(self, limits: Limits) -> list[Need]:
        """Needs over the finest partitions that fit, of those that keep together what the network does."""
        finest_first = reversed(nested_partitions(self.footprint.network))
        needs = (self.footprint.need_of(self.spec, partition) for partition in finest_first)
        coarser = (need for need in needs if need.candidates < self.need.candidates)
        return list(islice((need for need in coarser if not self.faults(limits, need)), SUGGESTED))

    def division(self, limits: Limits) -> tuple[int, Need] | None:
        """A `search.memory`, in MiB, that divides the tree into as few sub-trees as fit; None where none does."""
        if self.spec.learner.strategy != "em" or self.need.candidates > LARGEST_SPACE:
            return None
        listed = candidates_of(self.spec)
        for need in self.footprint.divisions(self.need.partition, listed):
            mebibytes = math.ceil(need.part_bytes / 2**20)
            divided = replace(self, footprint=replace(self.footprint, memory=mebibytes * 2**20))
            found = divided.footprint.need(self.need.partition, listed)
            if not divided.faults(limits, found):
                return mebibytes, found
        return None
