"""Configurations, which say what layers a task shares: partitions into groups, and spaces of candidates.

Layers are numbered from 1, as in the literature; groups and candidates from 0. A configuration has one digit per
group: 0 own, 1 shared, 2 frozen. Source of the definitions: LASEM (Lee, Behpour & Eaton, ICML 2021), section 3 and
appendix D; the paper has the first two.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import log
from typing import Literal

from lasem.errors import SpecError, alternatives, brief
from lasem.formats import ranges

Digits = tuple[int, ...]
Ties = Literal["most-shared", "enumeration"]

OWN, SHARED, FROZEN = 0, 1, 2
"""Digits of a configuration: the task's own branch, the shared branch, and the initial values as they are."""
BRANCHES = ("own", "shared", "frozen")
"""Names of the branches, by digit."""

LARGEST_SPACE = 2**16
"""Largest number of candidates in a space; more need a coarser partition."""


@dataclass(frozen=True)
class Partition:
    """Division of layers 1..d into groups that decide together, ordered by their lowest layer.

    >>> Partition.parse("{2,4},{1,3},{5}").groups
    ((1, 3), (2, 4), (5,))

    Raises:
        SpecError: A layer is missing, occurs twice, or is not a positive number.
    """

    groups: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        groups = tuple(sorted(tuple(sorted(group)) for group in self.groups if group))
        layers = sorted(layer for group in groups for layer in group)
        if layers != list(range(1, len(layers) + 1)):
            missing = sorted(set(range(1, max(layers, default=1) + 1)) - set(layers))[:9]
            twice = sorted({layer for layer in layers if layers.count(layer) > 1})
            below = "; there is no layer 0" if 0 in layers else ""
            raise SpecError(
                "a partition must contain every layer once, numbered from 1"
                f" (got {self}; missing: {missing or 'none'}, more than once: {twice or 'none'}{below});"
                " put each layer into exactly one group"
            )
        object.__setattr__(self, "groups", groups)

    @staticmethod
    def single(layers: int) -> "Partition":
        """Make the partition in which every layer is a group of its own."""
        return Partition(tuple((layer,) for layer in range(1, layers + 1)))

    @staticmethod
    def parse(text: str) -> "Partition":
        """Read a partition from text such as ``{1,2},{3}``, or with ranges ``{1-5},{6-9}``.

        Raises:
            SpecError: The text is not a partition of the layers 1 to d.
        """
        if not re.fullmatch(r"\s*\{[\d\s,-]+\}(\s*,\s*\{[\d\s,-]+\})*\s*", text):
            raise SpecError(
                f"a partition must be written like {{1,2}},{{3-5}} (got {brief(repr(text))});"
                " list every layer in braces"
            )
        return Partition(tuple(_layers(group) for group in re.findall(r"\{([^}]*)\}", text)))

    @property
    def num_layers(self) -> int:
        """Number of layers, d in equations."""
        return sum(map(len, self.groups))

    @property
    def num_groups(self) -> int:
        """Number of groups, G in equations."""
        return len(self.groups)

    def layer_digits(self, digits: Sequence[int]) -> Digits:
        """Convert a configuration from digits per group to digits per layer: (G,) -> (d,)."""
        by_layer = {layer: digit for group, digit in zip(self.groups, digits, strict=True) for layer in group}
        return tuple(by_layer[layer] for layer in range(1, self.num_layers + 1))

    def short(self) -> str:
        """Write the partition as text, three or more layers in a row as a range.

        >>> Partition.parse("{1,2,3},{4,6},{5}").short()
        '{1-3},{4,6},{5}'
        """
        return ",".join("{" + ",".join(ranges(group)) + "}" for group in self.groups)

    def __str__(self) -> str:
        return ",".join("{" + ",".join(map(str, group)) + "}" for group in self.groups)


@dataclass(frozen=True)
class ConfigurationSpace:
    """Candidates from which a search chooses: all configurations of a partition, or an explicit list.

    The index of a candidate is its position in the list. In the full space it is the number that its digits make to the
    base of the number of branches, the first group first.

    Attributes:
        partition: Division of the layers into groups that decide together.
        candidates: Digits of every candidate, (K, G).
        branches: Number of branches: 2 (own and shared), or 3 with the frozen one.

    Raises:
        SpecError: There is no candidate, one occurs twice, or its length is not the number of groups.
    """

    partition: Partition
    candidates: tuple[Digits, ...]
    branches: int = 2

    def __post_init__(self) -> None:
        groups = self.partition.num_groups
        for digits in self.candidates:
            if len(digits) != groups or set(digits) - {*range(self.branches)}:
                raise SpecError(
                    f"a candidate must have one digit per group, {groups} here, {_meanings(self.branches)}"
                    f" (got {brief(repr(name(digits)))}); write for example {'1' * groups!r}"
                    f"{_frozen_remedy(digits, self.branches)}"
                )
        twice = {digits for digits, count in Counter(self.candidates).items() if count > 1}
        if twice or not self.candidates:
            raise SpecError(
                "candidates must be at least one, each listed once"
                f" (got {sorted(map(name, twice)) or 'none'}); remove the repetition or add candidates"
            )

    @staticmethod
    def full(partition: Partition, *, branches: int = 2) -> "ConfigurationSpace":
        """Make the space of all 2^G configurations of a partition, or 3^G with the frozen branch.

        Raises:
            SpecError: There are more than `LARGEST_SPACE`.
        """
        groups = partition.num_groups
        if branches**groups > LARGEST_SPACE:
            raise SpecError(
                f"a search must have at most {LARGEST_SPACE} candidates (got {branches}^{groups} of {partition});"
                f" put the layers into at most {int(log(LARGEST_SPACE, branches))} groups, or list candidates"
            )
        return ConfigurationSpace(partition, tuple(product(range(branches), repeat=groups)), branches)

    @staticmethod
    def only(layer_digits: Sequence[int]) -> "ConfigurationSpace":
        """Make the space of a single candidate, given layer by layer, so that there is nothing to search."""
        branches = 3 if FROZEN in layer_digits else 2
        return ConfigurationSpace(Partition.single(len(layer_digits)), (tuple(layer_digits),), branches)

    def subset(self, members: Sequence[int]) -> "ConfigurationSpace":
        """Make the space of some of the candidates, given by their indices."""
        return ConfigurationSpace(self.partition, tuple(self.candidates[index] for index in members), self.branches)

    def __len__(self) -> int:
        return len(self.candidates)

    @cached_property
    def layer_digits(self) -> tuple[Digits, ...]:
        """Digits of every candidate layer by layer, (K, d)."""
        return tuple(self.partition.layer_digits(digits) for digits in self.candidates)

    @cached_property
    def uses(self) -> tuple[tuple[bool, ...], ...]:
        """For each layer, whether any candidate uses (its own branch, its shared branch, its frozen branch if any)."""
        columns = zip(*self.layer_digits, strict=True)
        return tuple(tuple(digit in column for digit in range(self.branches)) for column in columns)

    def names(self) -> list[str]:
        """Return the candidates as strings of digits, one character per group."""
        return [name(digits) for digits in self.candidates]

    def preference(self, ties: Ties) -> list[int]:
        """Return the rank of every candidate among equal probabilities; the lowest rank wins.

        Args:
            ties: "most-shared" prefers the candidate that shares most layers, then the one with fewest own layers, then
                the larger string of digits, first layer first. "enumeration" prefers the first candidate in the order
                in which the first group's digit changes fastest and all groups shared comes first, as in the authors'
                release; frozen comes last.
        """
        keys = {"most-shared": self._most_shared, "enumeration": self._enumerated}
        # Ranks instead of an order: a decision compares probabilities first, and ranks only where these are equal.
        order = sorted(range(len(self)), key=keys[ties])
        ranks = [0] * len(self)
        for rank, index in enumerate(order):
            ranks[index] = rank
        return ranks

    def _most_shared(self, candidate: int) -> tuple[int, ...]:
        digits = self.layer_digits[candidate]
        return (-digits.count(SHARED), digits.count(OWN), *(-digit for digit in digits))

    def _enumerated(self, candidate: int) -> tuple[int, ...]:
        return tuple((SHARED, OWN, FROZEN).index(digit) for digit in reversed(self.candidates[candidate]))


def name(digits: Sequence[int]) -> str:
    """Write a configuration as text: (1, 0) -> "10"."""
    return "".join(map(str, digits))


def indexed(index: int, groups: int, *, branches: int = 2) -> str:
    """Write the candidate at an index of a full space as text: (2, 3) -> "010"."""
    digits: list[int] = []
    for _ in range(groups):
        index, digit = divmod(index, branches)
        digits.append(digit)
    return name(digits[::-1])


def digits_key(branches: int) -> str:
    """Explain the digits of configurations beside a list of them: "1 = shared" where there are only two branches."""
    return "1 = shared" if branches == 2 else ", ".join(f"{digit} = {word}" for digit, word in enumerate(BRANCHES))


def _meanings(branches: int) -> str:
    """Say what each digit means."""
    return alternatives(f"{digit} for {BRANCHES[digit]}" for digit in range(branches))


def _frozen_remedy(digits: Sequence[int], branches: int) -> str:
    """Say how to get the frozen branch, if that is what is missing."""
    return "; 2 needs a network that offers the frozen branch" if branches == 2 and FROZEN in digits else ""


def named(text: str, layers: int, *, branches: int = 2) -> Digits:
    """Return the static configuration with a given name, layer by layer.

    Args:
        text: "all", "none", "top-k" (the k layers nearest the output), "bottom-k" (nearest the input),
            "alternating" (layers 2, 4, ...), or the digits themselves, first layer first; with three branches also
            "frozen", the initial values of all layers.
        layers: Number of layers, d.
        branches: Number of branches, 2 or 3.

    >>> named("top-1", 4), named("alternating", 4), named("0110", 4)
    ((0, 0, 0, 1), (0, 1, 0, 1), (0, 1, 1, 0))

    Raises:
        SpecError: There is no such configuration for this number of layers.
    """
    whole = {"all": (1,) * layers, "none": (0,) * layers, "alternating": tuple(i % 2 for i in range(layers))}
    frozen = {"frozen": (FROZEN,) * layers} if branches > FROZEN else {}
    whole |= frozen
    if text in whole:
        return whole[text]
    if match := re.fullmatch(r"(top|bottom)-(\d+)", text):
        k = int(match[2])
        if 1 <= k <= layers:
            return (0,) * (layers - k) + (1,) * k if match[1] == "top" else (1,) * k + (0,) * (layers - k)
    elif re.fullmatch(f"[0-{branches - 1}]+", text) and len(text) == layers:
        return tuple(map(int, text))
    missing = not frozen and (text == "frozen" or (re.fullmatch("[012]+", text) and len(text) == layers))
    raise SpecError(
        f"a configuration of {layers} layers must be all, none, {''.join(f'{known}, ' for known in frozen)}alternating,"
        f" top-1..{layers}, bottom-1..{layers} or {layers} digits, {_meanings(branches)} (got {brief(repr(text))});"
        f" choose one of these{', or a network that offers the frozen branch' if missing else ''}"
    )


def static_names(layers: int, *, branches: int = 2) -> list[str]:
    """List the names of all different static configurations of d layers that are worth comparing."""
    partial = [f"{side}-{k}" for side in ("top", "bottom") for k in range(1, layers)]
    frozen = ["frozen"] if branches > FROZEN else []
    return ["all", "none", *frozen, *partial, *(["alternating"] if layers > 2 else [])]


def _layers(group: str) -> tuple[int, ...]:
    """Read the layers of one group: "1,3-5" -> (1, 3, 4, 5)."""
    layers: list[int] = []
    for item in filter(None, re.split(r"[\s,]+", group)):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", item)
        if not match:
            raise SpecError(
                f"layers of a group must be numbers like 1,2 or 3-5, of up to four digits (got {brief(repr(item))});"
                " correct this group"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise SpecError(f"a range of layers must run upward (got {brief(repr(item))}); write {last}-{first}")
        layers.extend(range(first, last + 1))
    if not layers:
        raise SpecError(f"a group must have at least one layer (got {{{group}}}); fill it, or leave the braces out")
    return tuple(layers)
