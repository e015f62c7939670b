"""Types of options that strategies share: a partition and a list of candidates, written as text in a spec."""

from itertools import combinations_with_replacement
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from lasem.configurations import Digits, Partition


def _parse_partition(value: object) -> object:
    """Read the notation of a partition, such as "{1,2},{3}"."""
    if isinstance(value, str):
        return Partition.parse(value)
    if not isinstance(value, Partition):
        told = {"rule": "a partition, written as text", "remedy": "write for example '{1,2},{3}'"}
        raise PydanticCustomError("rule", "{rule}", told)
    return value


def _parse_digits(value: object) -> object:
    """Read a configuration that is written as digits, such as "011"."""
    if not isinstance(value, str):
        return value
    if value == "" or set(value) - {"0", "1", "2"}:
        told = {"rule": "one digit per group, 0, 1 or 2", "remedy": "write for example '011'"}
        raise PydanticCustomError("rule", "{rule}", told)
    return tuple(map(int, value))


HeldOut = Literal["none", "valid", "half"]
"""Which images a search sees besides the training batches; see `AbstractStrategy`."""
Groups = Annotated[Partition, BeforeValidator(_parse_partition)]
"""Groups of layers that decide together; a spec writes "{1,2},{3}"."""
Listed = Annotated[tuple[Annotated[tuple[int, ...], BeforeValidator(_parse_digits)], ...], Field(min_length=1)]
Candidates = Literal["ordered"] | Listed
"""Configurations to choose from, one digit per group; a spec writes ["011", "000"]. "ordered" stands for all in which,
from the input on, frozen groups come before shared ones, and these before own ones."""


def list_candidates(candidates: Candidates | None, *, groups: int, branches: int) -> tuple[Digits, ...] | None:
    """Return candidates one by one, (K, G); None for all configurations.

    >>> list_candidates("ordered", groups=2, branches=2)
    ((1, 1), (1, 0), (0, 0))
    """
    if candidates == "ordered":
        return tuple(combinations_with_replacement(range(branches)[::-1], groups))
    return candidates
