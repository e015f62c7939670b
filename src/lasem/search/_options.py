"""Types of options that strategies share: a partition and a list of candidates, written as text in a spec."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from lasem.configurations import Partition


def _parse_partition(value: object) -> object:
    """Read the notation of a partition, such as "{1,2},{3}"."""
    return Partition.parse(value) if isinstance(value, str) else value


def _parse_candidates(value: object) -> object:
    """Read configurations that are written as bits, such as "011"."""
    listed = value if isinstance(value, list | tuple) else ()
    written = bool(listed) and all(isinstance(bits, str) and set(bits) <= {"0", "1"} for bits in listed)
    return tuple(tuple(map(int, bits)) for bits in listed) if written else value


Groups = Annotated[Partition, BeforeValidator(_parse_partition)]
"""Groups of layers that decide together; a spec writes "{1,2},{3}"."""
Candidates = Annotated[tuple[tuple[int, ...], ...], Field(min_length=1), BeforeValidator(_parse_candidates)]
"""Configurations to choose from, one bit per group; a spec writes ["011", "000"]."""
