"""Which layers a task shares: partitions of the layers, configurations of the groups, spaces of candidates.

Layers count from 1, as in the literature; groups and candidates count from 0. A configuration has one bit per group,
1 = shared. Source of the definitions: LASEM (Lee, Behpour & Eaton, ICML 2021), section 3 and appendix D.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import log2
from typing import Literal

from lasem.errors import SpecError
from lasem.formats import ranges

Bits = tuple[int, ...]
Ties = Literal["most-shared", "enumeration"]

LARGEST_SPACE = 2**16
"""Candidates that a space may list; larger ones need a coarser partition."""


@dataclass(frozen=True)
class Partition:
    """Division of layers 1..d into groups that decide together, ordered by their lowest layer.

    >>> Partition.parse("{2,4},{1,3},{5}").groups
    ((1, 3), (2, 4), (5,))

    Raises:
        SpecError: A layer is missing, comes twice, or is no positive number.
    """

    groups: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        groups = tuple(sorted(tuple(sorted(group)) for group in self.groups if group))
        layers = sorted(layer for group in groups for layer in group)
        if layers != list(range(1, len(layers) + 1)):
            missing = sorted(set(range(1, max(layers, default=1) + 1)) - set(layers))[:9]
            twice = sorted({layer for layer in layers if layers.count(layer) > 1})
            below = ", and 0" if 0 in layers else ""
            raise SpecError(
                "a partition names every layer once, counted from 1"
                f" - got {self} (missing: {missing or 'none'}, more than once: {twice or 'none'}{below})"
                " - put each layer into exactly one group"
            )
        object.__setattr__(self, "groups", groups)

    @staticmethod
    def single(layers: int) -> "Partition":
        """Every layer decides for itself."""
        return Partition(tuple((layer,) for layer in range(1, layers + 1)))

    @staticmethod
    def parse(text: str) -> "Partition":
        """Read the usual notation, ``{1,2},{3}``; ranges may be written ``{1-5},{6-9}``."""
        if not re.fullmatch(r"\s*\{[\d\s,-]+\}(\s*,\s*\{[\d\s,-]+\})*\s*", text):
            raise SpecError(f"a partition is written like {{1,2}},{{3-5}} - got {text!r} - list every layer in braces")
        return Partition(tuple(_layers(group) for group in re.findall(r"\{([^}]*)\}", text)))

    @property
    def num_layers(self) -> int:
        """Number of layers, d."""
        return sum(map(len, self.groups))

    @property
    def num_groups(self) -> int:
        """Number of groups, G."""
        return len(self.groups)

    def layer_bits(self, bits: Sequence[int]) -> Bits:
        """Spell a configuration of the groups layer by layer: (G,) -> (d,)."""
        by_layer = {layer: bit for group, bit in zip(self.groups, bits, strict=True) for layer in group}
        return tuple(by_layer[layer] for layer in range(1, self.num_layers + 1))

    def short(self) -> str:
        """The notation with ranges, as short as it gets.

        >>> Partition.parse("{1,2,3},{4,6},{5}").short()
        '{1-3},{4,6},{5}'
        """
        return ",".join("{" + ",".join(ranges(group)) + "}" for group in self.groups)

    def __str__(self) -> str:
        return ",".join("{" + ",".join(map(str, group)) + "}" for group in self.groups)


@dataclass(frozen=True)
class ConfigurationSpace:
    """Candidates that a search chooses from: all configurations of a partition, or an explicit list.

    A candidate's index is its position; in the full space that is its bits read in binary, the first group first.

    Attributes:
        candidates: (K, G) bits, 1 = shared.

    Raises:
        SpecError: There is no candidate, one comes twice, or its length is not the number of groups.
    """

    partition: Partition
    candidates: tuple[Bits, ...]

    def __post_init__(self) -> None:
        groups = self.partition.num_groups
        for bits in self.candidates:
            if len(bits) != groups or set(bits) - {0, 1}:
                raise SpecError(
                    f"a candidate has one bit per group, {groups} here - got {name(bits)!r}"
                    f" - write for example {'1' * groups!r}"
                )
        twice = {bits for bits, count in Counter(self.candidates).items() if count > 1}
        if twice or not self.candidates:
            raise SpecError(
                "a space lists each candidate once, and at least one"
                f" - got {sorted(map(name, twice)) or 'none'} - remove the repetition or add candidates"
            )

    @staticmethod
    def full(partition: Partition) -> "ConfigurationSpace":
        """All 2^G configurations of a partition."""
        groups = partition.num_groups
        if 2**groups > LARGEST_SPACE:
            raise SpecError(
                f"a space holds at most {LARGEST_SPACE} candidates - got 2^{groups} of {partition}"
                f" - put the layers into at most {int(log2(LARGEST_SPACE))} groups, or list candidates"
            )
        return ConfigurationSpace(partition, tuple(product((0, 1), repeat=groups)))

    @staticmethod
    def only(layer_bits: Sequence[int]) -> "ConfigurationSpace":
        """The space of one candidate, given layer by layer: nothing to search."""
        return ConfigurationSpace(Partition.single(len(layer_bits)), (tuple(layer_bits),))

    def subset(self, members: Sequence[int]) -> "ConfigurationSpace":
        """The space of some candidates, by their indices."""
        return ConfigurationSpace(self.partition, tuple(self.candidates[index] for index in members))

    def __len__(self) -> int:
        return len(self.candidates)

    @cached_property
    def layer_bits(self) -> tuple[Bits, ...]:
        """(K, d): every candidate layer by layer."""
        return tuple(self.partition.layer_bits(bits) for bits in self.candidates)

    @cached_property
    def uses(self) -> tuple[tuple[bool, bool], ...]:
        """Per layer, whether any candidate takes (its own branch, its shared branch)."""
        return tuple((0 in column, 1 in column) for column in zip(*self.layer_bits, strict=True))

    def names(self) -> list[str]:
        """Candidates as strings of bits, one character per group."""
        return [name(bits) for bits in self.candidates]

    def preference(self, ties: Ties) -> list[int]:
        """Rank of every candidate where probabilities tie; the lowest rank wins.

        Args:
            ties: "most-shared": the candidate that shares most layers, then the larger bit string, first layer first.
                "enumeration": the first in an order where the first group's bit changes fastest and all-shared leads.
        """
        keys = {
            "most-shared": lambda k: (-sum(self.layer_bits[k]), tuple(-bit for bit in self.layer_bits[k])),
            "enumeration": lambda k: tuple(1 - bit for bit in reversed(self.candidates[k])),
        }
        order = sorted(range(len(self)), key=keys[ties])
        ranks = [0] * len(self)
        for rank, index in enumerate(order):
            ranks[index] = rank
        return ranks


def name(bits: Sequence[int]) -> str:
    """A configuration as text: (1, 0) -> "10"."""
    return "".join(map(str, bits))


def named(text: str, layers: int) -> Bits:
    """Layer by layer, the static configuration with this name.

    Args:
        text: "all", "none", "top-k" (the k layers nearest the output), "bottom-k" (nearest the input),
            "alternating" (layers 2, 4, ...), or the bits themselves, first layer first.
        layers: Number of layers, d.

    >>> named("top-1", 4), named("alternating", 4), named("0110", 4)
    ((0, 0, 0, 1), (0, 1, 0, 1), (0, 1, 1, 0))

    Raises:
        SpecError: There is no such configuration for so many layers.
    """
    whole = {"all": (1,) * layers, "none": (0,) * layers, "alternating": tuple(i % 2 for i in range(layers))}
    if text in whole:
        return whole[text]
    if match := re.fullmatch(r"(top|bottom)-(\d+)", text):
        k = int(match[2])
        if 1 <= k <= layers:
            return (0,) * (layers - k) + (1,) * k if match[1] == "top" else (1,) * k + (0,) * (layers - k)
    elif re.fullmatch("[01]+", text) and len(text) == layers:
        return tuple(map(int, text))
    raise SpecError(
        f"a configuration of {layers} layers is all, none, alternating, top-1..{layers}, bottom-1..{layers}"
        f" or {layers} bits - got {text!r} - choose one of these"
    )


def static_names(layers: int) -> list[str]:
    """Names of the static configurations worth comparing on d layers, without repetitions."""
    partial = [f"{side}-{k}" for side in ("top", "bottom") for k in range(1, layers)]
    return ["all", "none", *partial, *(["alternating"] if layers > 2 else [])]


def _layers(group: str) -> tuple[int, ...]:
    """Layers of one group: "1,3-5" -> (1, 3, 4, 5)."""
    layers: list[int] = []
    for part in filter(None, re.split(r"[\s,]+", group)):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if not match:
            raise SpecError(
                f"a group lists layers like 1,2 or 3-5, of up to four digits - got {part!r} - correct this group"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise SpecError(f"a range of layers runs upward - got {part!r} - write {last}-{first}")
        layers.extend(range(first, last + 1))
    if not layers:
        raise SpecError(f"a group names at least one layer - got {{{group}}} - fill it, or leave the braces out")
    return tuple(layers)
